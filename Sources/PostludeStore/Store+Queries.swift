import GRDB
import Glibc
import PostludeCore
import PostludeThreads

extension Store {
    /// Newest first. `uid` nil sees everybody's.
    public func summaries(
        uid: UInt32?, _ filter: RunFilter = RunFilter(), limit: Int
    ) async throws -> [RunSummary] {
        var terms: [String] = []
        var arguments: StatementArguments = []
        func add(_ term: String, _ values: [(any DatabaseValueConvertible)?] = []) {
            terms.append(term)
            arguments += StatementArguments(values)
        }
        if let uid { add("uid = ?", [uid]) }
        if let user = filter.user { add("(user = ? OR CAST(uid AS TEXT) = ?)", [user, user]) }
        if let project = filter.project { add("project = ?", [project]) }
        if let queue = filter.queue { add("queue = ?", [queue]) }
        if !filter.includesHooks { add("is_hook = 0") }
        if let statuses = filter.statuses {
            // Said in the index's own words where it can be, so that a node's old runs cost nothing.
            if statuses.isSubset(of: RunFilter.activeStatuses) { add("phase <> 'finished'") }
            let marks = Array(repeating: "?", count: statuses.count).joined(separator: ", ")
            add("status IN (\(marks))", statuses.map(\.rawValue).sorted())
        }
        if let before = filter.before { add("number < (SELECT number FROM runs WHERE id = ?)", [before.description]) }
        let condition = terms.isEmpty ? "" : "WHERE " + terms.joined(separator: " AND ")
        let all = arguments + [max(0, limit)]
        return try await read { db in
            try db.rows("SELECT * FROM runs \(condition) ORDER BY number DESC LIMIT ?", all).map {
                try RunSummary(db, $0)
            }
        }
    }

    /// Writes the database as it is at this moment into a new file, while work goes on.
    ///
    /// - Throws: `store.backup-failed`, and then there is no such file.
    public func backUp(to path: String) async throws {
        do {
            guard access(path, F_OK) != 0 else { throw DatabaseError(message: "the file is there already") }
            try await offload { [pool] in
                let copy = try LastingQueue.open(path)
                // After a failure, whose reason counts; once more does no harm.
                defer { _ = Result { try copy.close() } }
                try pool.backup(to: copy)
                // One file, without a write-ahead log beside it, that somebody else may have.
                try copy.writeWithoutTransaction { db in try db.execute(sql: "PRAGMA journal_mode = DELETE") }
                try copy.close()
            }
        } catch {
            let reason = (error as? DatabaseError)?.message ?? "\(error)"
            if access(path, F_OK) == 0, reason != "the file is there already" { unlink(path) }
            throw StoreError(
                "store.backup-failed", "No copy of the database could be written to '\(path)': \(reason).",
                hint: "Look whether the disk has room and the file can be made.")
        }
    }

    public func summary(_ id: RunID) async throws -> RunSummary? {
        try await read { db in
            try db.row("SELECT * FROM runs WHERE id = ?", [id.description]).map { try RunSummary(db, $0) }
        }
    }

    /// Runs whose id begins so, newest first; at most `limit`. The prefix has hexadecimal digits only.
    public func ids(beginningWith prefix: String, uid: UInt32?, limit: Int = 10) async throws -> [RunID] {
        try await read { db in
            try db.rows(
                """
                SELECT id FROM runs WHERE id >= ? AND id < ? AND (? IS NULL OR uid = ?) ORDER BY number DESC LIMIT ?
                """, [prefix, prefix + "g", uid, uid, limit]
            ).map { try $0.runID("id") }
        }
    }

    public func run(_ id: RunID) async throws -> StoredRun? {
        try await read { [operations] db in
            guard let row = try db.row("SELECT * FROM runs WHERE id = ?", [id.description]) else { return nil }
            return try StoredRun(row, condition: try RunCondition.all(db, id).last, operations)
        }
    }

    /// A finished main, as its hooks need it.
    public struct MainRecord: Sendable {
        public var run: StoredRun
        /// The last attempt; nil when there never was one.
        public var attempt: AttemptID?
        /// What main's own step of that attempt used.
        public var usage: StepUsage?
        /// The step of that attempt that came furthest: main, or the init step that was the last to start.
        public var lastStep: String?
        /// Device seconds of all attempts, until main had ended; nil while a device is still in use.
        public var deviceSeconds: Double? = 0
        /// How many mains are above it: 0 for a run that is no hook's.
        public var depth = 0
        /// For a parent: how its children ended, and the first of them; nil for a run that has none.
        public var children: (counts: ChildCounts, first: [ChildRecord])?
    }

    public func mainRecord(_ id: RunID) async throws -> MainRecord? {
        try await read { [operations] db in try MainRecord.fetch(db, id, operations) }
    }

    /// All that an effect on an attempt needs, read at one moment: the run, the attempt, and a hook run's main.
    public func briefing(
        _ id: AttemptID
    ) async throws -> (run: StoredRun, attempt: StoredAttempt, main: MainRecord?)? {
        try await read { [operations] db in
            guard let row = try db.row("SELECT * FROM runs WHERE id = ?", [id.run.description]),
                let attempt = try StoredAttempt.fetch(db, id)
            else { return nil }
            let run = try StoredRun(row, condition: nil, operations)
            return (run, attempt, try run.upstream.flatMap { try MainRecord.fetch(db, $0.run, operations) })
        }
    }

    /// nil when there is no such run.
    public func detail(_ id: RunID) async throws -> RunDetail? {
        try await read { db in
            let row = try db.row(
                "SELECT *, json_extract(operation, '$.joins') AS joins FROM runs WHERE id = ?", [id.description])
            guard let row else { return nil }
            let joins: [Join]? = try row.optionalJSON("joins")
            let numbers = try Int.fetchAll(
                db, sql: "SELECT number FROM attempts WHERE run = ? ORDER BY number", arguments: [id.description])
            let summary = try RunSummary(db, row)
            let isParent = ["matrix", "dag", "schedule"].contains(summary.kind)
            return RunDetail(
                summary: summary, conditions: try RunCondition.all(db, id),
                inputs: try row.json("inputs"), outputs: try row.json("outputs"),
                attempts: try numbers.map { try AttemptRecord(db, AttemptID(run: id, number: $0)) },
                hooks: try HookRecord.all(db, id), notes: try row.json("notes"), artifacts: row["artifacts"],
                children: isParent ? try RunSummary.children(db, of: id) : nil,
                childCounts: isParent ? try Store.ChildCounts.fetch(db, id).words : nil,
                joins: joins?.map(JoinRecord.init))
        }
    }

    /// Devices of these classes that nobody has, by id.
    public func idleDevices(of classes: Set<String>) async throws -> [String] {
        try await read { db in
            try db.rows(
                """
                SELECT devices.id, devices.class FROM devices
                JOIN device_intervals ON device_intervals.device = devices.id
                WHERE device_intervals.ended_at IS NULL AND state = 'idle' AND is_present = 1
                """
            ).compactMap { row in classes.contains(row["class"]) ? row["id"] : nil }
        }
    }

    /// Digests of the images that steps of attempts have which are not over.
    public func imagesInUse() async throws -> Set<String> {
        try await read { db in
            let rows = try db.rows(
                """
                SELECT receipt FROM steps
                JOIN attempts ON attempts.run = steps.run AND attempts.number = steps.attempt
                WHERE attempts.ended_at IS NULL AND receipt IS NOT NULL
                """)
            return Set(try rows.compactMap { try $0.optionalJSON("receipt", as: Receipt.self)?.root?.digest })
        }
    }

    /// The hooks of a run with what became of them.
    public func hooks(of id: RunID) async throws -> [HookRecord] {
        try await read { db in try HookRecord.all(db, id) }
    }

    /// Whether nothing is waiting, running or owed.
    public func isQuiet() async throws -> Bool {
        try await read { db in
            try db.row(
                """
                SELECT 1 WHERE EXISTS (SELECT 1 FROM runs WHERE phase <> 'finished') OR EXISTS (SELECT 1 FROM outbox)
                """) == nil
        }
    }

    /// Events after a sequence number, oldest first; at most `limit`. `run` narrows it to one run and its hook runs.
    public func events(
        of run: RunID?, after sequence: Int64, uid: UInt32?, limit: Int = 1000
    ) async throws
        -> [RunEvent]
    {
        try await read { db in
            let id = run?.description
            let sql =
                run == nil
                ? """
                SELECT events.* FROM events JOIN runs ON runs.id = events.run
                WHERE sequence > ? AND (? IS NULL OR uid = ?) ORDER BY sequence LIMIT ?
                """
                : """
                SELECT events.* FROM events JOIN runs ON runs.id = events.run
                WHERE sequence > ? AND (? IS NULL OR uid = ?) AND events.run = ? ORDER BY sequence LIMIT ?
                """
            var arguments: StatementArguments = [sequence, uid, uid]
            if let id { arguments += [id] }
            arguments += [limit]
            return try db.rows(sql, arguments).map { try RunEvent($0) }
        }
    }

    /// What a run and its hook runs have to tell, at one moment.
    public struct Feed: Sendable {
        /// Whose run it is.
        public var uid: UInt32
        /// Oldest first.
        public var events: [RunEvent]
        /// There are more than were asked for.
        public var hasMore: Bool
        /// All of these runs are final, and no hook is still to be decided: nothing will be added any more.
        public var isSettled: Bool
    }

    /// Events of a run and of its hook runs after a sequence number; nil when there is no such run.
    public func feed(of run: RunID, after sequence: Int64, limit: Int = 1000) async throws -> Feed? {
        try await read { db in
            let id = run.description
            // Hooks of hooks, and hooks that were run again, are below it too.
            let tree = """
                WITH RECURSIVE tree(id) AS (
                    SELECT ? UNION ALL SELECT runs.id FROM runs JOIN tree ON runs.upstream = tree.id)
                """
            let row = try db.row(
                """
                \(tree) SELECT uid, NOT EXISTS (
                    SELECT 1 FROM tree JOIN runs AS below ON below.id = tree.id WHERE below.phase <> 'finished'
                    OR EXISTS (SELECT 1 FROM hooks WHERE hooks.run = below.id AND outcome IS NULL))
                AND NOT EXISTS (
                    SELECT 1 FROM runs AS child JOIN hooks ON hooks.run = child.id
                    LEFT JOIN runs AS hook ON hook.id = hooks.hook_run WHERE child.parent = runs.id
                    AND (outcome IS NULL OR (outcome = ? AND hook.phase IS NOT 'finished'))) AS is_settled
                FROM runs WHERE id = ?
                """, [id, HookRecord.Outcome.fired.rawValue, id])
            guard let row else { return nil }
            let events = try db.rows(
                """
                \(tree) SELECT * FROM events WHERE sequence > ? AND run IN (SELECT id FROM tree)
                ORDER BY sequence LIMIT ?
                """, [id, sequence, limit + 1]
            ).map { try RunEvent($0) }
            return Feed(
                uid: row["uid"], events: Array(events.prefix(limit)), hasMore: events.count > limit,
                isSettled: row["is_settled"])
        }
    }
}

extension RunEvent {
    init(_ row: Row) throws {
        self.init(
            sequence: row["sequence"], run: try row.runID("run"), kind: try row.word("kind"),
            subject: row["subject"], what: row["what"], detail: row["detail"], at: row.requiredTime("at"))
    }
}

extension Store.MainRecord {
    static func fetch(_ db: Database, _ id: RunID, _ operations: OperationCache) throws -> Store.MainRecord? {
        guard let row = try db.row("SELECT * FROM runs WHERE id = ?", [id.description]) else { return nil }
        let run = try StoredRun(row, condition: try RunCondition.all(db, id).last, operations)
        let depth = try run.upstream == nil ? 0 : depth(db, id)
        let number: Int = row["attempt"]
        guard number > 0 else {
            var record = Store.MainRecord(run: run, depth: depth)
            if run.operation.isParent {
                record.children = (
                    try Store.ChildCounts.fetch(db, id),
                    try Store.ChildRecord.fetch(db, of: id, limit: Pipeline.childrenTold)
                )
            }
            return record
        }
        let key: StatementArguments = [id.description, number]
        let usage = try db.row("SELECT usage FROM steps WHERE run = ? AND attempt = ? AND role = 'main'", key)
        let last = try db.row(
            """
            SELECT name FROM steps WHERE run = ? AND attempt = ? AND started_at IS NOT NULL AND role <> 'sidecar'
            ORDER BY position DESC LIMIT 1
            """, key)
        let held = try db.row(
            """
            SELECT COALESCE(SUM(releasing_at - leased_at), 0) AS micros, COUNT(*) - COUNT(releasing_at) AS held
            FROM leases WHERE run = ?
            """, [id.description])
        return Store.MainRecord(
            run: run, attempt: AttemptID(run: id, number: number), usage: try usage?.optionalJSON("usage"),
            lastStep: last?["name"],
            deviceSeconds: held.flatMap { $0["held"] as Int == 0 ? Double($0["micros"] as Int64) / 1_000_000 : nil },
            depth: depth)
    }

    private static func depth(_ db: Database, _ id: RunID) throws -> Int {
        let row = try db.row(
            """
            WITH RECURSIVE above(id) AS (
                SELECT upstream FROM runs WHERE id = ?
                UNION ALL SELECT runs.upstream FROM runs JOIN above ON runs.id = above.id WHERE runs.upstream IS NOT NULL)
            SELECT COUNT(id) AS depth FROM above
            """, [id.description])
        return row?["depth"] ?? 0
    }
}

extension RunSummary {
    static func children(_ db: Database, of parent: RunID) throws -> [RunSummary] {
        try db.rows(
            "SELECT * FROM runs WHERE parent = ? ORDER BY child_key LIMIT ?",
            [parent.description, RunDetail.childrenShown]
        ).map { try RunSummary(db, $0) }
    }

    init(_ db: Database, _ row: Row) throws {
        let id = try row.runID("id")
        let attempt: Int = row["attempt"]
        let devices = try db.rows(
            "SELECT device FROM leases WHERE run = ? AND attempt = ? ORDER BY device", [id.description, attempt])
        self.init(
            id: id, name: row["name"], project: row["project"], user: row["user"], uid: row["uid"],
            status: try row.word("status"), reason: row["reason"], message: row["message"],
            upstream: try row.optionalRunID("upstream"), hookName: row["hook_name"],
            parent: try row.optionalRunID("parent"), childName: row["child_name"], kind: row["kind"], attempt: attempt,
            devices: devices.map { $0["device"] }, createdAt: row.requiredTime("created_at"),
            queuedAt: row.time("queued_at"), startedAt: row.time("started_at"), finishedAt: row.time("finished_at"))
        queue = row["queue"]
        heldBackBy = row["held_back_by"]
    }
}

extension RunCondition {
    static func all(_ db: Database, _ id: RunID) throws -> [RunCondition] {
        try db.rows("SELECT * FROM conditions WHERE run = ? ORDER BY position", [id.description]).map { row in
            var condition = RunCondition(
                status: try row.word("status"), reason: row["reason"], message: row["message"],
                at: row.requiredTime("last_transition"))
            condition.lastUpdate = row.requiredTime("last_update")
            return condition
        }
    }
}

extension AttemptRecord {
    init(_ db: Database, _ id: AttemptID) throws {
        let key: StatementArguments = [id.run.description, id.number]
        let steps = try db.rows("SELECT * FROM steps WHERE run = ? AND attempt = ? ORDER BY position", key)
        let leases = try db.rows("SELECT * FROM leases WHERE run = ? AND attempt = ? ORDER BY device", key)
        let size = try db.row("SELECT artifacts_bytes FROM attempts WHERE run = ? AND number = ?", key)
        self.init(
            number: id.number,
            steps: try steps.map { row in
                StepRecord(
                    name: row["name"], role: try row.word("role"), startedAt: row.time("started_at"),
                    finishedAt: row.time("finished_at"), exit: try row.optionalJSON("exit"),
                    usage: try row.optionalJSON("usage"),
                    // Until the step has started, only the names are there.
                    receipt: row.time("started_at") == nil ? nil : try row.optionalJSON("receipt"))
            },
            leases: try leases.map { row in
                LeaseRecord(
                    device: row["device"], leasedAt: row.requiredTime("leased_at"),
                    releasingAt: row.time("releasing_at"), releasedAt: row.time("released_at"),
                    quarantinedAt: row.time("quarantined_at"), evidence: try row.json("evidence"))
            }, artifactsBytes: size?["artifacts_bytes"])
    }
}

extension HookRecord {
    static func all(_ db: Database, _ id: RunID) throws -> [HookRecord] {
        try db.rows(
            """
            SELECT hooks.*, runs.status AS hook_status FROM hooks LEFT JOIN runs ON runs.id = hooks.hook_run
            WHERE hooks.run = ? ORDER BY position
            """, [id.description]
        ).map { row in
            let outcome: Outcome? = (row["outcome"] as String?).flatMap(Outcome.init(rawValue:))
            let status: RunStatus? = (row["hook_status"] as String?).flatMap(RunStatus.init(rawValue:))
            let reruns = try db.rows(
                "SELECT id, status, created_at FROM runs WHERE upstream = ? AND rerun_index = ? ORDER BY number",
                [id.description, row["position"] as Int]
            ).map { Rerun(run: try $0.runID("id"), status: try $0.word("status"), at: $0.requiredTime("created_at")) }
            return HookRecord(
                index: row["position"], name: row["name"], origin: row["origin"], trigger: try row.word("trigger"),
                outcome: outcome, detail: row["detail"], run: try row.optionalRunID("hook_run"), status: status,
                explanation: try row.optionalJSON("explanation"), reruns: reruns.isEmpty ? nil : reruns)
        }
    }
}
