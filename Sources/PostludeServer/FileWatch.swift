import Dispatch
import Glibc
import Logging
import Synchronization

/// Wakes those who wait for a file to grow: one inotify(7) instance for all, since a user may have only 128.
final class FileWatch: Sendable {
    private struct State {
        var source: (any DispatchSourceRead)?
        var waiting: [Int32: [UInt64: AsyncStream<Void>.Continuation]] = [:]
        var nextKey: UInt64 = 0
    }

    private let descriptor: Int32
    private let logger: Logger
    private let state = Mutex(State())

    init(logger: Logger) throws {
        self.logger = logger
        descriptor = inotify_init1(Int32(IN_CLOEXEC) | Int32(IN_NONBLOCK))
        guard descriptor >= 0 else {
            throw ServerError(
                500, "server.no-inotify", "Cannot watch files: \(String(cString: strerror(errno))).",
                hint: "Raise fs.inotify.max_user_instances, or end other watchers of this user.")
        }
        let descriptor = descriptor
        state.withLock { state in
            // A queue of its own: once a global one has run a job, libdispatch wakes up each second to look after it.
            let source = DispatchSource.makeReadSource(
                fileDescriptor: descriptor, queue: DispatchQueue(label: "postlude.log-files"))
            source.setEventHandler { [weak self] in self?.drain() }
            source.setCancelHandler { _ = close(descriptor) }
            source.activate()
            state.source = source
        }
    }

    deinit { state.withLock { $0.source?.cancel() } }

    /// Until cancelled, `wake` gets a tick after each write to the file. A file that cannot be watched gives none, and
    /// the follower lives on the engine's ticks.
    func watch(_ path: String, wake: AsyncStream<Void>.Continuation) -> Registration {
        state.withLock { state in
            let watch = inotify_add_watch(descriptor, path, UInt32(IN_MODIFY))
            if watch < 0 {
                logger.warning(
                    "cannot watch a log file, ignoring",
                    metadata: ["path": "\(path)", "error": "\(String(cString: strerror(errno)))"])
            }
            state.nextKey += 1
            if watch >= 0 { state.waiting[watch, default: [:]][state.nextKey] = wake }
            return Registration(files: self, watch: watch, key: state.nextKey)
        }
    }

    struct Registration: Sendable {
        fileprivate let files: FileWatch
        fileprivate let watch: Int32
        fileprivate let key: UInt64

        func cancel() { files.remove(watch, key) }
    }

    private func remove(_ watch: Int32, _ key: UInt64) {
        guard watch >= 0 else { return }
        state.withLock { state in
            state.waiting[watch]?[key] = nil
            guard state.waiting[watch]?.isEmpty ?? false else { return }
            state.waiting[watch] = nil
            inotify_rm_watch(descriptor, watch)
        }
    }

    private func drain() {
        var bytes = [UInt8](repeating: 0, count: 16 << 10)
        var changed: Set<Int32> = []
        while true {
            let count = read(descriptor, &bytes, bytes.count)
            guard count > 0 else { break }
            bytes.withUnsafeBytes { raw in
                var offset = 0
                while offset + MemoryLayout<inotify_event>.size <= count {
                    let event = raw.loadUnaligned(fromByteOffset: offset, as: inotify_event.self)
                    changed.insert(event.wd)
                    offset += MemoryLayout<inotify_event>.size + Int(event.len)
                }
            }
        }
        state.withLock { state in
            for watch in changed { state.waiting[watch]?.values.forEach { $0.yield() } }
        }
    }
}
