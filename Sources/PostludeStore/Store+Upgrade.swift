import GRDB
import Glibc

extension Store {
    /// Brings a database of an older schema up to the present one, all of it or nothing: a copy is migrated, and takes
    /// the old one's place when it is complete. A failure, or an end at any moment, leaves the old one as it was.
    ///
    /// The old one stays beside it as `before-<migration>.sqlite`, for whoever wants to go back to the agent that wrote
    /// it. A database that is new, up to date or of a newer schema is not touched.
    static func upgrade(_ directory: String, _ migrator: DatabaseMigrator) throws {
        let path = databasePath(directory)
        guard access(path, F_OK) == 0 else { return }
        let old = try LastingQueue.open(path)
        let copy = "\(path).upgrade"
        do {
            let pending = try old.read { db in try pendingMigration(db, migrator) }
            guard let pending else { return try old.close() }
            discard(copy)
            _ = try StartCheck.run(old, directory, for: StartCheck.patience)
            let queue = try LastingQueue.open(copy)
            try old.backup(to: queue)
            try migrator.migrate(queue)
            // One file without a log beside it, and so has the old one to be: its log would be taken for the new one's.
            try queue.useRollbackJournal(directory)
            try queue.close()
            try old.useRollbackJournal(directory)
            try old.close()
            try keep(path, as: "before-\(pending.replacing(" ", with: "-"))", in: directory)
            guard rename(copy, path) == 0 else { throw StoreError.unusable(path, String(cString: strerror(errno))) }
            try synchronize("\(directory)/store")
        } catch {
            // What fails here failed before, and the reason counts.
            _ = Result { try old.close() }
            discard(copy)
            throw error
        }
    }

    static func databasePath(_ directory: String) -> String { "\(directory)/store/postlude.sqlite" }

    /// The first migration that a database of an older schema lacks; nil for any other database.
    private static func pendingMigration(_ db: Database, _ migrator: DatabaseMigrator) throws -> String? {
        let applied = try migrator.appliedIdentifiers(db)
        guard try !applied.isEmpty && !migrator.hasBeenSuperseded(db) else { return nil }
        return migrator.migrations.first { !applied.contains($0) }
    }

    private static func discard(_ path: String) {
        for suffix in ["", "-wal", "-shm", "-journal"] { unlink(path + suffix) }
    }

    /// Gives the database a second name, which costs no space.
    private static func keep(_ path: String, as name: String, in directory: String) throws(StoreError) {
        let kept = "\(directory)/store/\(name).sqlite"
        guard unlink(kept) == 0 || errno == ENOENT, link(path, kept) == 0 else {
            throw .unusable(kept, String(cString: strerror(errno)))
        }
    }

    static func synchronize(_ directory: String) throws(StoreError) {
        let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .unusable(directory, String(cString: strerror(errno))) }
        defer { Glibc.close(descriptor) }
        guard fsync(descriptor) == 0 else { throw .unusable(directory, String(cString: strerror(errno))) }
    }
}

extension DatabaseQueue {
    /// Ends write-ahead logging, which takes the log into the database and removes it.
    fileprivate func useRollbackJournal(_ directory: String) throws {
        let mode = try writeWithoutTransaction { db in try String.fetchOne(db, sql: "PRAGMA journal_mode = DELETE") }
        guard mode == "delete" else {
            throw StoreError.unusable(directory, "another program has the database open")
        }
    }
}
