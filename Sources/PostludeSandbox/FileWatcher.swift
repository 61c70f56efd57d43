import Glibc
import PostludeLinux
import Synchronization

/// One inotify instance for the whole process: the kernel allows a user only 128 of them.
final class FileWatcher: Sendable {
    typealias Handler = @Sendable () -> Void

    /// What identifies one watcher of one file.
    struct Token: Hashable, Sendable {
        fileprivate var watch: Int32
        fileprivate var number: UInt64
    }

    private struct State {
        var next: UInt64 = 1
        var handlers: [Int32: [UInt64: Handler]] = [:]
    }

    /// New content and new entries. The same for every watch: adding one to a file that has one replaces its mask.
    private static let mask = UInt32(IN_MODIFY) | UInt32(IN_CREATE) | UInt32(IN_MOVED_TO)

    private let watch: FileWatch
    private let monitor: ReadinessMonitor
    private let state = Mutex(State())

    private init() throws(LinuxError) {
        watch = try FileWatch()
        monitor = try ReadinessMonitor.common()
        try listen()
    }

    private static let commonWatcher = Mutex<FileWatcher?>(nil)

    /// The process's own, made when first needed.
    static func common() throws(LinuxError) -> FileWatcher {
        let made = commonWatcher.withLock { common -> Result<FileWatcher, LinuxError> in
            if let common { return .success(common) }
            do throws(LinuxError) {
                let watcher = try FileWatcher()
                common = watcher
                return .success(watcher)
            } catch {
                return .failure(error)
            }
        }
        return try made.get()
    }

    /// Calls `handler` on the monitor's thread after each change of the file, or of a directory's list of entries.
    func add(_ path: String, _ handler: @escaping Handler) throws(LinuxError) -> Token {
        // Under the lock, so that no event comes between the watch and its handler.
        let made = state.withLock { state -> Result<Token, LinuxError> in
            do throws(LinuxError) {
                let number = try watch.add(path, mask: Self.mask)
                defer { state.next += 1 }
                state.handlers[number, default: [:]][state.next] = handler
                return .success(Token(watch: number, number: state.next))
            } catch {
                return .failure(error)
            }
        }
        return try made.get()
    }

    func remove(_ token: Token) {
        state.withLock { state in
            state.handlers[token.watch]?[token.number] = nil
            guard state.handlers[token.watch]?.isEmpty == true else { return }
            state.handlers[token.watch] = nil
            do {
                try watch.remove(token.watch)
            } catch {
                // The file is gone, and its watch with it.
            }
        }
    }

    private func listen() throws(LinuxError) {
        monitor.notify(when: try OwnedDescriptor(duplicating: watch.descriptor.rawValue), .readable) { self.dispatch() }
    }

    private func dispatch() {
        do {
            let watches = Set(try watch.changes().map(\.watch))
            let handlers = state.withLock { state in
                watches.flatMap { state.handlers[$0].map { Array($0.values) } ?? [] }
            }
            for handler in handlers { handler() }
            try listen()
        } catch {
            // Out of descriptors: wake everybody now; who misses later changes sees them at the warden's exit.
            let handlers = state.withLock { $0.handlers.values.flatMap(\.values) }
            for handler in handlers { handler() }
        }
    }
}
