import GRDB
import PostludeCore

/// Copies what can be read of each table, row by row.
struct SalvageCopy {
    /// How a table is walked when it cannot be read from one end to the other.
    private enum Order {
        /// By number: what is behind a bad page is found by larger numbers.
        case rowid
        /// By its first key column, one known value after the other.
        case key(String, known: String)
    }

    private struct Plan {
        var table: String
        var order: Order
        /// JSON columns, with what they must decode as.
        var checks: [@Sendable (Row) throws -> Void] = []
    }

    private static let runIDs = "SELECT id FROM runs ORDER BY id"
    private static let deviceIDs = "SELECT DISTINCT device FROM device_intervals ORDER BY device"

    /// Those that others point to come first.
    private static let plans: [Plan] = [
        Plan(
            table: "runs", order: .rowid,
            checks: [
                { _ = try $0.runID("id") }, { _ = try $0.json("state", as: Run.State.self) },
                { _ = try $0.json("operation", as: Operation.self) },
                { _ = try $0.json("identity", as: UserIdentity.self) },
                { _ = try $0.json("inputs", as: [String: Value].self) },
                { _ = try $0.json("outputs", as: [String: Value].self) },
                { _ = try $0.json("notes", as: [Diagnostic].self) },
                { _ = try $0.json("needs", as: Scheduler.Needs.self) },
                { _ = try $0.word("status", as: RunStatus.self) },
            ]),
        Plan(
            table: "conditions", order: .key("run", known: runIDs),
            checks: [{ _ = try $0.word("status", as: RunStatus.self) }]),
        Plan(table: "events", order: .rowid, checks: [{ _ = try $0.word("kind", as: RunEvent.Kind.self) }]),
        Plan(table: "outbox", order: .rowid, checks: [{ _ = try $0.word("kind", as: Run.Effect.Kind.self) }]),
        Plan(
            table: "hooks", order: .key("run", known: runIDs),
            checks: [{ _ = try $0.word("trigger", as: Hook.Trigger.self) }]),
        Plan(table: "attempts", order: .key("run", known: runIDs)),
        Plan(
            table: "steps", order: .key("run", known: runIDs),
            checks: [
                { _ = try $0.word("role", as: StepRole.self) },
                { _ = try $0.optionalJSON("exit", as: ProcessExit.self) },
                { _ = try $0.optionalJSON("usage", as: StepUsage.self) },
                { _ = try $0.optionalJSON("receipt", as: Receipt.self) },
            ]),
        Plan(
            table: "device_intervals", order: .rowid,
            checks: [{ _ = try $0.word("state", as: DeviceLedger.State.self) }]),
        Plan(
            table: "devices", order: .key("id", known: deviceIDs),
            checks: [{ _ = try $0.json("device", as: Device.self) }]),
        Plan(
            table: "leases", order: .key("run", known: runIDs),
            checks: [{ _ = try $0.json("evidence", as: [DeviceHolder].self) }]),
        Plan(table: "idempotency_keys", order: .key("uid", known: "SELECT DISTINCT uid FROM runs ORDER BY uid")),
        Plan(table: "used_shares", order: .rowid),
        Plan(table: "maintenance", order: .rowid),
    ]

    let source: Database
    let target: Database
    private(set) var tables: [Salvage.Report.Table] = []

    init(source: Database, target: Database) {
        self.source = source
        self.target = target
    }

    mutating func run() throws {
        for plan in Self.plans where try target.tableExists(plan.table) {
            var table = Salvage.Report.Table(name: plan.table)
            if try !isThere(plan.table) {
                table.gaps = 1
            } else {
                switch plan.order {
                case .rowid: try walk(plan, &table)
                case .key(let column, let known): try walk(plan, by: column, known: known, &table)
                }
                if table.gaps > 0 { try comb(plan, &table) }
            }
            tables.append(table)
        }
        try keepNumbering()
    }

    private func isThere(_ table: String) throws -> Bool {
        let found = try attempt {
            try Int.fetchOne(source, sql: "SELECT 1 FROM sqlite_master WHERE name = ?", arguments: [table])
        }
        return (found ?? nil) != nil
    }

    // MARK: walking

    /// Takes rows in the order of their numbers. Behind a place that cannot be read, the next that can is looked for at
    /// distances that double, and then between.
    private func walk(_ plan: Plan, _ table: inout Salvage.Report.Table) throws {
        var next = Int64.min
        while true {
            var last: Int64?
            let isWhole = try attempt {
                let rows = try Row.fetchCursor(
                    source, sql: "SELECT rowid AS salvage_number, * FROM \(plan.table) WHERE rowid >= ? ORDER BY rowid",
                    arguments: [next])
                while let row = try rows.next() {
                    let number: Int64 = row["salvage_number"]
                    // Where a damaged tree leads back, nothing new comes any more.
                    guard number >= last ?? next else { throw DatabaseError(resultCode: .SQLITE_CORRUPT) }
                    last = number
                    try take(row, plan, &table)
                }
                return true
            }
            if isWhole != nil { return }
            table.gaps += 1
            let failed = last.map { $0 + 1 } ?? max(next, 0)
            guard let found = try firstReadable(plan.table, after: failed) else { return }
            next = found
        }
    }

    private func firstReadable(_ table: String, after failed: Int64) throws -> Int64? {
        func probe(_ number: Int64) throws -> Int64?? {
            try attempt {
                try Int64.fetchOne(
                    source, sql: "SELECT rowid FROM \(table) WHERE rowid >= ? ORDER BY rowid LIMIT 1",
                    arguments: [number])
            }
        }
        var (bad, distance) = (failed, Int64(1))
        var good: Int64?
        while good == nil {
            let (probed, overflow) = failed.addingReportingOverflow(distance)
            if overflow { return nil }
            switch try probe(probed) {
            case .none: bad = probed
            case .some(.none): return try edge(table, bad, probed, probe)
            case .some(.some): good = probed
            }
            distance = distance.multipliedReportingOverflow(by: 2).partialValue
            if distance <= 0 { return nil }
        }
        return try edge(table, bad, good ?? failed, probe)
    }

    /// The first number between one that cannot be read and one that can from which on it can.
    private func edge(
        _ table: String, _ bad: Int64, _ good: Int64, _ probe: (Int64) throws -> Int64??
    ) throws -> Int64? {
        var (bad, good) = (bad, good)
        while good - bad > 1 {
            let middle = bad + (good - bad) / 2
            if try probe(middle) == nil { bad = middle } else { good = middle }
        }
        return try probe(good) ?? nil
    }

    /// Takes rows in the order of their keys, and behind a place that cannot be read those of each key that is known.
    private func walk(
        _ plan: Plan, by column: String, known: String, _ table: inout Salvage.Report.Table
    ) throws {
        let isWhole = try attempt {
            let rows = try Row.fetchCursor(source, sql: "SELECT * FROM \(plan.table) ORDER BY \(column)")
            while let row = try rows.next() { try take(row, plan, &table) }
            return true
        }
        if isWhole != nil { return }
        table.gaps += 1
        for key in try DatabaseValue.fetchAll(target, sql: known) {
            let isReadable = try attempt {
                let rows = try Row.fetchCursor(
                    source, sql: "SELECT * FROM \(plan.table) WHERE \(column) = ?", arguments: [key])
                while let row = try rows.next() { try take(row, plan, &table) }
                return true
            }
            if isReadable == nil { table.gaps += 1 }
        }
    }

    /// Takes the rows that are on pages to which none leads any more: each page is read as if the table began there. What
    /// belongs to another table, or was never a row, does not pass the checks.
    private func comb(_ plan: Plan, _ table: inout Salvage.Report.Table) throws {
        let place = "SELECT rootpage FROM sqlite_master WHERE type = 'table' AND name = ?"
        guard let root = try Int.fetchOne(source, sql: place, arguments: [plan.table]) else { return }
        let count = try Int.fetchOne(source, sql: "PRAGMA page_count") ?? 0
        var found = table
        // It is a copy that is changed here.
        _ = try attempt { try source.execute(sql: "PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY") }
        for page in stride(from: 2, through: count, by: 1) {
            try begin(plan.table, at: page)
            _ = try attempt {
                let rows = try Row.fetchCursor(source, sql: "SELECT * FROM \(plan.table) NOT INDEXED")
                while let row = try rows.next() { try take(row, plan, &found) }
            }
        }
        try begin(plan.table, at: root)
        table.kept = found.kept
    }

    /// Takes what can be found of one table in a file whose schema is this table alone (see `SalvageGraft`).
    mutating func comb(_ name: String) throws {
        guard let plan = Self.plans.first(where: { $0.table == name }) else { return }
        var table = Salvage.Report.Table(name: name, gaps: 1)
        try comb(plan, &table)
        tables.append(table)
    }

    /// The tables, those that others point to first.
    static var names: [String] { plans.map(\.table) }

    private func begin(_ table: String, at page: Int) throws {
        try source.execute(sql: "PRAGMA writable_schema = ON")
        try source.execute(
            sql: "UPDATE sqlite_master SET rootpage = ? WHERE type = 'table' AND name = ?", arguments: [page, table])
        try source.execute(sql: "PRAGMA writable_schema = RESET")
    }

    // MARK: taking

    private func take(_ row: Row, _ plan: Plan, _ table: inout Salvage.Report.Table) throws {
        let columns = try target.columns(in: plan.table).filter { row.hasColumn($0.name) }
        guard columns.allSatisfy({ Self.fits(row[$0.name], $0) }) else {
            table.dropped += 1
            return
        }
        do {
            for check in plan.checks { try check(row) }
            let names = columns.map(\.name).joined(separator: ", ")
            let marks = Array(repeating: "?", count: columns.count).joined(separator: ", ")
            // A page that is there twice gives its rows twice.
            try target.cachedStatement(sql: "INSERT OR IGNORE INTO \(plan.table) (\(names)) VALUES (\(marks))")
                .execute(arguments: StatementArguments(columns.map { row[$0.name] as DatabaseValue }))
            if target.changesCount > 0 { table.kept += 1 }
        } catch let error as DatabaseError where error.resultCode == .SQLITE_CONSTRAINT {
            table.dropped += 1
        } catch is StoreError {
            table.dropped += 1
        }
    }

    /// Whether the value is of the column's type: what lies on a damaged page may be of any.
    private static func fits(_ value: DatabaseValue, _ column: ColumnInfo) -> Bool {
        switch value.storage {
        case .null: !column.isNotNull && column.primaryKeyIndex == 0
        case .int64(let number): column.type != "TEXT" && (!isTime(column.name) || number > 100_000_000_000_000)
        case .double: column.type == "REAL"
        case .string: column.type == "TEXT"
        case .blob: false
        }
    }

    /// Microseconds since 1970: what is far before Postlude is another table's number.
    private static func isTime(_ column: String) -> Bool {
        column == "at" || column.hasSuffix("_at") || column.hasPrefix("last_")
    }

    /// nil when SQLite cannot read what the body asks for.
    private func attempt<Value>(_ body: () throws -> Value) throws -> Value? {
        do {
            return try body()
        } catch let error as DatabaseError where Self.isDamage(error) {
            return nil
        }
    }

    private static func isDamage(_ error: DatabaseError) -> Bool {
        // A page that cannot be read from a failing disk, or is behind the end of the file, is an I/O error. A file with
        // a schema that makes no sense is a plain one.
        [.SQLITE_CORRUPT, .SQLITE_NOTADB, .SQLITE_IOERR, .SQLITE_ERROR, .SQLITE_TOOBIG, .SQLITE_MISMATCH]
            .contains(error.resultCode)
    }

    /// Numbers that were given away once are not given again: whoever follows a run asks for events by them.
    private func keepNumbering() throws {
        let numbers = try attempt { try Row.fetchAll(source, sql: "SELECT name, seq FROM sqlite_sequence") } ?? []
        for row in numbers {
            try target.execute(
                sql: "UPDATE sqlite_sequence SET seq = MAX(seq, ?) WHERE name = ?",
                arguments: [row["seq"] as DatabaseValue, row["name"] as DatabaseValue])
        }
    }

    /// Ids of runs that the file tells of in any place that can be read.
    static func ids(in path: String) -> Set<String> {
        let queries = [
            // From the index alone, which lies on other pages than the rows.
            "SELECT id FROM runs INDEXED BY sqlite_autoindex_runs_1", "SELECT run FROM attempts",
            "SELECT hook_run FROM hooks WHERE hook_run IS NOT NULL", "SELECT run FROM idempotency_keys",
            "SELECT run FROM events INDEXED BY events_by_run",
        ]
        var found: Set<String> = []
        for query in queries {
            do {
                let queue = try DatabaseQueue(path: path)
                try queue.read { db in
                    let rows = try Row.fetchCursor(db, sql: query)
                    while let row = try rows.next() {
                        if let id = String.fromDatabaseValue(row[0]) { found.insert(id) }
                    }
                }
            } catch {
                // What came before the place that cannot be read is found.
                continue
            }
        }
        return found
    }
}
