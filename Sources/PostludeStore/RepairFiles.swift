import Glibc
import PostludeCore

/// The files of one repair, in the directory of the database.
struct RepairFiles {
    private let store: String
    private let database: String
    /// Where the damaged files are kept.
    let damaged: String
    /// The copy that is read: SQLite may change what it reads, and the damaged files stay as they are.
    let reading: String
    let new: String
    let graft: String

    init(directory: String, at time: Timestamp) {
        store = "\(directory)/store"
        database = Store.databasePath(directory)
        damaged = "\(store)/damaged-\(time.iso8601.filter { $0 != ":" })"
        reading = "\(store)/repair-source.sqlite"
        new = "\(store)/repair.sqlite"
        graft = "\(store)/repair-schema.sqlite"
    }

    static func mark(_ directory: String) -> String { "\(directory)/store/repaired" }

    func keepDamaged() throws {
        abandon()
        guard mkdir(damaged, 0o700) == 0 || errno == EEXIST else { throw failure(damaged) }
        for suffix in ["", "-wal"] where access(database + suffix, F_OK) == 0 {
            let kept = "\(damaged)/postlude.sqlite\(suffix)"
            guard link(database + suffix, kept) == 0 || errno == EEXIST else { throw failure(kept) }
        }
    }

    /// With the log, which SQLite takes in as far as it is whole.
    func copyForReading(_ origin: String) throws {
        for suffix in ["", "-wal"] where access(origin + suffix, F_OK) == 0 {
            let from = open(origin + suffix, O_RDONLY | O_CLOEXEC)
            guard from >= 0 else { throw failure(origin + suffix) }
            defer { close(from) }
            let to = open(reading + suffix, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
            guard to >= 0 else { throw failure(reading + suffix) }
            defer { close(to) }
            var count: Int
            repeat { count = sendfile(to, from, nil, 1 << 30) } while count > 0
            guard count == 0 else { throw failure(reading + suffix) }
        }
    }

    /// Puts the new database into the damaged one's place. Its log goes first: it would be taken for the new one's.
    func finish() throws {
        let mark = open("\(store)/repaired", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard mark >= 0 else { throw failure("\(store)/repaired") }
        close(mark)
        for suffix in ["-wal", "-shm"] { unlink(database + suffix) }
        guard rename(new, database) == 0 else { throw failure(database) }
        try Store.synchronize(store)
        abandon()
    }

    /// After a repair that failed: these are second names of files that stay where they are.
    func forgetDamaged() {
        for suffix in ["", "-wal"] { unlink("\(damaged)/postlude.sqlite\(suffix)") }
        rmdir(damaged)
    }

    func abandon() {
        for path in [reading, new, graft] { discard(path) }
    }

    func discard(_ path: String) { for suffix in ["", "-wal", "-shm", "-journal"] { unlink(path + suffix) } }

    private func failure(_ path: String) -> StoreError {
        errno == ENOSPC
            ? StoreError(
                StoreError.diskFullCode, "The disk is full: '\(path)' cannot be written.", hint: "Free some space.",
                isTemporary: true)
            : .unusable(path, String(cString: strerror(errno)))
    }
}
