import GRDB
import Glibc
import PostludeThreads
import Synchronization

/// The look at a database's pages before an agent relies on it: SQLite's `quick_check`, for a bounded time.
///
/// It reads the whole file: a second for each gigabyte that the kernel has in memory, ten from a disk. Where the time is up
/// first, the agent starts with what was looked at; what is damaged behind that is refused when it is met.
enum StartCheck {
    /// 100,000 runs are 1.6 GB, which takes 2 s warm and 18 s cold.
    static let patience = Duration.seconds(5)

    /// Whether all was looked at.
    ///
    /// - Throws: `store.corrupt` with what was found.
    static func run(_ database: some DatabaseReader, _ directory: String, for patience: Duration) throws -> Bool {
        let alarm = Alarm(database, after: patience)
        defer { alarm.stop() }
        do {
            let finding = try database.read { db in try String.fetchOne(db, sql: "PRAGMA quick_check(1)") }
            if let finding, finding != "ok" { throw StoreError.corrupt(directory, finding) }
            return true
        } catch let error as DatabaseError where error.resultCode == .SQLITE_INTERRUPT {
            return false
        }
    }

    /// A file without a byte is how SQLite begins, and would be taken for a new database.
    ///
    /// - Throws: `store.corrupt` where runs tell that it was more than that.
    static func refuseEmptied(_ directory: String) throws(StoreError) {
        var status = stat()
        guard stat(Store.databasePath(directory), &status) == 0, status.st_size == 0,
            let runs = opendir("\(directory)/runs")
        else { return }
        defer { closedir(runs) }
        while let entry = readdir(runs) {
            guard entry.pointee.d_name.0 == CChar(UInt8(ascii: ".")) else {
                throw .corrupt(directory, "the file is empty, and there were runs")
            }
        }
    }

    /// Interrupts what the database does when the time is up.
    private final class Alarm: Sendable {
        private enum State { case waiting, rung, stopped }
        private let state = Mutex(State.waiting)
        /// Its other end sees when it is closed.
        private let end: Int32

        init(_ database: some DatabaseReader, after patience: Duration) {
            var pair: [Int32] = [-1, -1]
            let isMade = socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &pair) == 0
            end = pair[1]
            guard isMade, let threads = ThreadPool.blocking else { return }
            let other = pair[0]
            threads.run { [self] in
                var event = pollfd(fd: other, events: 0, revents: 0)
                while poll(&event, 1, Int32(patience / .milliseconds(1))) < 0, errno == EINTR {}
                close(other)
                state.withLock { state in
                    guard state == .waiting else { return }
                    state = .rung
                    // Under the lock: what comes after the check is never interrupted.
                    database.interrupt()
                }
            }
        }

        func stop() {
            state.withLock { if $0 == .waiting { $0 = .stopped } }
            close(end)
        }
    }
}
