import GRDB
import Glibc
import PostludeCore

/// Makes a new database out of what can be read of a damaged one.
///
/// The damaged files are kept. What SQLite itself can still read is taken row by row, so that one bad page costs the rows
/// on it and no others; then rows that belong to no run any more go, and what the runs' states say must be there is put
/// back: attempts, leases, the device ledger, and the effects that are owed. How the work of the wardens went on is in
/// their journals, from which the next agent takes it as always.
public enum Salvage {
    /// What became of each table and run.
    public struct Report: Sendable {
        public struct Table: Hashable, Sendable {
            public var name: String
            public var kept = 0
            /// Rows that were read, but are no use: their run is lost, or what they say cannot be.
            public var dropped = 0
            /// Places where the table could not be read; how many rows were there nobody can tell.
            public var gaps = 0
        }

        public var tables: [Table] = []
        /// Runs that are known to have been there and cannot be read any more.
        public var lostRuns: [RunID] = []
        /// What was put back from what else is known, and how often.
        public var mended: [String: Int] = [:]
        /// The directory that has the damaged files now.
        public var damaged: String
        /// What SQLite says where the file cannot be opened at all; then nothing was kept.
        public var unreadable: String?

        public var keptRuns: Int { tables.first { $0.name == "runs" }?.kept ?? 0 }
    }

    /// Rebuilds the database of the state directory, from its own file or from `source`, a backup. `time` names the
    /// directory for the damaged files.
    ///
    /// The agent that starts next finds `isFresh` true.
    ///
    /// - Throws: `StoreError`: `store.already-in-use`, `store.nothing-to-repair`, `store.newer-schema`,
    ///   `store.disk-full`, `store.unusable`. The database is as it was then, or in the directory for the damaged files.
    public static func rebuild(_ directory: String, from source: String? = nil, at time: Timestamp) throws -> Report {
        let lock = try StateLock(directory: directory)
        defer { withExtendedLifetime(lock) {} }
        let path = Store.databasePath(directory)
        let origin = source ?? path
        guard access(origin, R_OK) == 0 else { throw StoreError.nothingToRepair(origin) }
        let files = RepairFiles(directory: directory, at: time)
        var report = Report(damaged: files.damaged)
        do {
            try files.keepDamaged()
            try files.copyForReading(origin)
            try build(files, &report, at: time)
            report.lostRuns = try lostRuns(files, directory)
        } catch {
            files.abandon()
            files.forgetDamaged()
            throw StoreError.from(error)
        }
        do { try files.finish() } catch {
            // The old log may be gone from its place: what is kept is the only whole copy.
            files.abandon()
            throw StoreError.from(error)
        }
        return report
    }

    /// Whether the database was rebuilt since an agent last started on it: what it does not know may still run.
    static func isFresh(_ directory: String) -> Bool { access(RepairFiles.mark(directory), F_OK) == 0 }

    static func forget(_ directory: String) { unlink(RepairFiles.mark(directory)) }

    private static func build(_ files: RepairFiles, _ report: inout Report, at time: Timestamp) throws {
        var configuration = Configuration()
        configuration.foreignKeysEnabled = false
        let new = try DatabaseQueue(path: files.new, configuration: configuration)
        let migrator = Schema.migrator
        // What a cell that cannot be says is no row.
        configuration.prepareDatabase { db in try db.execute(sql: "PRAGMA cell_size_check = ON") }
        do {
            let old = try DatabaseQueue(path: files.reading, configuration: configuration)
            let last = try old.read { db in try lastMigration(db, migrator, files.reading) }
            if let last { try migrator.migrate(new, upTo: last) } else { try migrator.migrate(new) }
            report.tables = try copy(from: old, to: new) { try $0.run() }
        } catch let error as DatabaseError
            where error.resultCode == .SQLITE_NOTADB || error.resultCode == .SQLITE_CORRUPT
        {
            // Without its schema: that is known, and the pages may be there.
            try migrator.migrate(new)
            for name in SalvageCopy.names {
                try SalvageGraft.putSchema(of: name, as: new, into: files)
                do {
                    let old = try DatabaseQueue(path: files.reading, configuration: configuration)
                    report.tables += try copy(from: old, to: new) { try $0.comb(name) }
                } catch let error as DatabaseError where error.resultCode == .SQLITE_CORRUPT {
                    // It has fewer pages than a table needs.
                    continue
                }
            }
            if report.tables.allSatisfy({ $0.kept == 0 }) {
                report.unreadable = error.message ?? "it is no database"
                report.tables = []
            }
        }
        try migrator.migrate(new)
        try new.write { db in
            let lacksSteps = report.tables.contains { $0.name == "steps" && ($0.gaps > 0 || $0.dropped > 0) }
            var mending = Mending(db: db, lacksSteps: lacksSteps, at: time)
            try mending.run()
            report.mended = mending.changes
            for index in report.tables.indices {
                let name = report.tables[index].name
                let left = try Int.fetchOne(db, sql: "SELECT COUNT(*) FROM \(name)") ?? 0
                report.tables[index].dropped += max(0, report.tables[index].kept - left)
                report.tables[index].kept = min(report.tables[index].kept, left)
            }
            guard try Row.fetchOne(db, sql: "PRAGMA foreign_key_check") == nil else {
                throw StoreError.unreadable("the rebuilt database has rows without their run")
            }
        }
        try new.writeWithoutTransaction { db in try db.execute(sql: "PRAGMA journal_mode = DELETE") }
        try new.close()
    }

    private static func copy(
        from old: DatabaseQueue, to new: DatabaseQueue, _ body: (inout SalvageCopy) throws -> Void
    ) throws -> [Report.Table] {
        let tables = try old.writeWithoutTransaction { source in
            try new.write { db in
                var copy = SalvageCopy(source: source, target: db)
                try body(&copy)
                return copy.tables
            }
        }
        try old.close()
        return tables
    }

    /// The last migration that the database has, as far as that can be read; nil for that of the present schema.
    private static func lastMigration(
        _ db: Database, _ migrator: DatabaseMigrator, _ path: String
    ) throws -> String? {
        // The schema itself is on the first page: without it nothing can be read.
        guard try Int.fetchOne(db, sql: "SELECT COUNT(*) FROM sqlite_master") ?? 0 > 0 else {
            throw DatabaseError(resultCode: .SQLITE_NOTADB, message: "it has no tables")
        }
        do {
            guard try !migrator.hasBeenSuperseded(db) else { throw StoreError.newerSchema(path) }
            return try migrator.completedMigrations(db).last
        } catch let error as DatabaseError where error.resultCode == .SQLITE_CORRUPT {
            return nil
        }
    }

    /// Runs that rows or directories tell of and that have none of their own in the new database.
    private static func lostRuns(_ files: RepairFiles, _ directory: String) throws -> [RunID] {
        let new = try DatabaseQueue(path: files.new)
        let kept = try new.read { db in Set(try String.fetchAll(db, sql: "SELECT id FROM runs")) }
        try new.close()
        var names = Set(SalvageCopy.ids(in: files.reading))
        if let runs = opendir("\(directory)/runs") {
            defer { closedir(runs) }
            while let entry = readdir(runs) {
                names.insert(
                    withUnsafePointer(to: &entry.pointee.d_name) { name in
                        name.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                    })
            }
        }
        return names.subtracting(kept).compactMap { RunID($0) }.sorted()
    }
}

extension StoreError {
    static func nothingToRepair(_ path: String) -> StoreError {
        StoreError(
            "store.nothing-to-repair", "There is no database at '\(path)' that could be read.",
            hint: "Name a backup with --from, or start the agent: it makes a new database.")
    }
}
