import Glibc
import PostludeCore
import PostludeLinux
import PostludePlan
import Synchronization

/// What a warden has reported about its attempt, read from the journal in the attempt's directory.
public final class AttemptJournal: Sendable {
    private let directory: String
    private let state = Mutex(State())

    private struct State {
        /// Bytes of the file that are read and understood.
        var offset = 0
        var reports: [(sequence: UInt64, report: AttemptReport)] = []
        var names: [UInt16: String] = [:]
        var wardenPID: Int32?
    }

    /// The journal in `directory`, which must exist; the file itself may still be missing.
    ///
    /// - Throws: `sandbox.journal-unreadable` when there is no such directory.
    public init(directory: String) throws {
        self.directory = directory
        var status = stat()
        guard stat(directory, &status) == 0 else { throw SandboxError.journalUnreadable(directory, errno: errno) }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            throw SandboxError.journalUnreadable(directory, errno: ENOTDIR)
        }
    }

    /// The reports from `sequence` on, in order. A record that is only half written is not there yet.
    ///
    /// - Throws: `sandbox.journal-unreadable`; a journal that does not exist yet has no reports.
    public func reports(from sequence: UInt64) throws -> [(sequence: UInt64, report: AttemptReport)] {
        try state.withLock { state in
            try readMore(into: &state)
            return state.reports.filter { $0.sequence >= sequence }
        }
    }

    /// The warden that took the plan, as it called itself; nil before that.
    ///
    /// - Throws: `sandbox.journal-unreadable`.
    public func wardenPID() throws -> Int32? {
        try state.withLock { state in
            try readMore(into: &state)
            return state.wardenPID
        }
    }

    /// Ticks: one at the start, then one after each change of the journal. Ticks that nobody took become one.
    public func changes() -> AsyncStream<Void> {
        let directory = directory
        return AsyncStream(bufferingPolicy: .bufferingNewest(1)) { continuation in
            let watch = JournalWatch(directory: directory) { continuation.yield() }
            continuation.onTermination = { _ in watch.stop() }
            watch.start()
            continuation.yield()
        }
    }

    private var path: String { "\(directory)/\(AttemptFiles.journalName)" }

    private func readMore(into state: inout State) throws {
        let bytes: [UInt8]
        do {
            let file = try OwnedDescriptor.open(path, O_RDONLY | O_NOFOLLOW)
            guard lseek(file.rawValue, off_t(state.offset), SEEK_SET) >= 0 else {
                throw LinuxError(last: "lseek", path)
            }
            bytes = try file.readAll()
        } catch let error as LinuxError {
            if error.errno == ENOENT { return }
            throw SandboxError.journalUnreadable(path, errno: error.errno)
        }
        let (records, end) = JournalRecord.decode(bytes)
        state.offset += end
        for record in records {
            if let (step, name) = record.body.step { state.names[step] = name }
            if case .accepted(_, let pid) = record.body { state.wardenPID = pid }
            state.reports.append((record.sequence, AttemptReport(record, names: state.names)))
        }
    }
}

/// Watches a journal that may not exist yet: the directory until it does, the file from then on. Not the directory all
/// the time, because the logs are written there too.
private final class JournalWatch: Sendable {
    private struct State {
        var directory: FileWatcher.Token?
        var file: FileWatcher.Token?
        var isStopped = false
    }

    private let path: String
    private let changed: @Sendable () -> Void
    private let state = Mutex(State())

    init(directory: String, changed: @escaping @Sendable () -> Void) {
        path = directory
        self.changed = changed
    }

    func start() {
        do {
            let watcher = try FileWatcher.common()
            if try watchFile(watcher) { return }
            let token = try watcher.add(path) { [weak self] in self?.directoryChanged() }
            let isStopped = state.withLock { state in
                state.directory = token
                return state.isStopped
            }
            if isStopped { watcher.remove(token) }
            // It may have been made in between.
            directoryChanged()
        } catch {
            // Without inotify (its limits are per user) the reader still looks when the warden ends.
            changed()
        }
    }

    func stop() {
        let tokens = state.withLock { state in
            state.isStopped = true
            defer { (state.directory, state.file) = (nil, nil) }
            return [state.directory, state.file].compactMap { $0 }
        }
        forget(tokens)
    }

    private func directoryChanged() {
        do {
            guard try watchFile(try FileWatcher.common()) else { return }
        } catch {
            return changed()
        }
        let token = state.withLock { state in
            defer { state.directory = nil }
            return state.directory
        }
        forget([token].compactMap { $0 })
        changed()
    }

    /// Whether the file is there and watched now.
    private func watchFile(_ watcher: FileWatcher) throws(LinuxError) -> Bool {
        if state.withLock({ $0.file != nil || $0.isStopped }) { return true }
        let token: FileWatcher.Token
        do {
            token = try watcher.add("\(path)/\(AttemptFiles.journalName)", changed)
        } catch {
            if error.errno == ENOENT { return false }
            throw error
        }
        let surplus = state.withLock { state in
            if state.isStopped || state.file != nil { return true }
            state.file = token
            return false
        }
        if surplus { watcher.remove(token) }
        return true
    }

    private func forget(_ tokens: [FileWatcher.Token]) {
        guard !tokens.isEmpty else { return }
        do {
            let watcher = try FileWatcher.common()
            for token in tokens { watcher.remove(token) }
        } catch {
            // The tokens came from it, so it is there.
        }
    }
}

extension SandboxError {
    static func journalUnreadable(_ path: String, errno: Int32) -> SandboxError {
        SandboxError(
            code: "sandbox.journal-unreadable", message: "The journal '\(path)' cannot be read: \(errorText(errno)).",
            hint: "Leave the state directory to postluded; if the disk is damaged, restore it.",
            isTemporary: isShortage(errno) || errno == EIO)
    }
}
