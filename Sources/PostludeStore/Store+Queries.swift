import GRDB
import PostludeCore

extension Store {
    /// Newest first. `uid` nil sees everybody's.
    public func summaries(uid: UInt32?, includeHooks: Bool, limit: Int) async throws -> [RunSummary] {
        try await read { db in
            try db.rows(
                """
                SELECT * FROM runs WHERE (? IS NULL OR uid = ?) AND (? OR upstream IS NULL)
                ORDER BY number DESC LIMIT ?
                """, [uid, uid, includeHooks, max(0, limit)]
            ).map { try RunSummary(db, $0) }
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
        try await read { db in
            guard let row = try db.row("SELECT * FROM runs WHERE id = ?", [id.description]) else { return nil }
            return try StoredRun(row, condition: try RunCondition.all(db, id).last)
        }
    }

    /// A finished main, as its hooks need it.
    public struct MainRecord: Sendable {
        public var run: StoredRun
        /// The last attempt; nil when there never was one.
        public var attempt: AttemptID?
        /// What main's own step of that attempt used.
        public var usage: StepUsage?
    }

    public func mainRecord(_ id: RunID) async throws -> MainRecord? {
        try await read { db in try MainRecord.fetch(db, id) }
    }

    /// All that an effect on an attempt needs, read at one moment: the run, the attempt, and a hook run's main.
    public func briefing(
        _ id: AttemptID
    ) async throws -> (run: StoredRun, attempt: StoredAttempt, main: MainRecord?)? {
        try await read { db in
            guard let row = try db.row("SELECT * FROM runs WHERE id = ?", [id.run.description]),
                let attempt = try StoredAttempt.fetch(db, id)
            else { return nil }
            let run = try StoredRun(row, condition: nil)
            return (run, attempt, try run.upstream.flatMap { try MainRecord.fetch(db, $0.run) })
        }
    }

    /// nil when there is no such run.
    public func detail(_ id: RunID) async throws -> RunDetail? {
        try await read { db in
            guard let row = try db.row("SELECT * FROM runs WHERE id = ?", [id.description]) else { return nil }
            let numbers = try Int.fetchAll(
                db, sql: "SELECT number FROM attempts WHERE run = ? ORDER BY number", arguments: [id.description])
            return RunDetail(
                summary: try RunSummary(db, row), conditions: try RunCondition.all(db, id),
                inputs: try row.json("inputs"), outputs: try row.json("outputs"),
                attempts: try numbers.map { try AttemptRecord(db, AttemptID(run: id, number: $0)) },
                hooks: try HookRecord.all(db, id), notes: try row.json("notes"), artifacts: row["artifacts"])
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
            let row = try db.row(
                """
                SELECT uid, phase = 'finished' AND NOT EXISTS (
                    SELECT 1 FROM hooks LEFT JOIN runs AS hook ON hook.id = hooks.hook_run WHERE hooks.run = runs.id
                    AND (outcome IS NULL OR (outcome = ? AND hook.phase IS NOT 'finished'))) AS is_settled
                FROM runs WHERE id = ?
                """, [HookRecord.Outcome.fired.rawValue, id])
            guard let row else { return nil }
            let events = try db.rows(
                """
                SELECT * FROM events WHERE sequence > ? AND run IN (
                    SELECT ? UNION ALL SELECT hook_run FROM hooks WHERE run = ? AND hook_run IS NOT NULL)
                ORDER BY sequence LIMIT ?
                """, [sequence, id, id, limit + 1]
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
    static func fetch(_ db: Database, _ id: RunID) throws -> Store.MainRecord? {
        guard let row = try db.row("SELECT * FROM runs WHERE id = ?", [id.description]) else { return nil }
        let run = try StoredRun(row, condition: try RunCondition.all(db, id).last)
        let number: Int = row["attempt"]
        guard number > 0 else { return Store.MainRecord(run: run) }
        let usage = try db.row(
            "SELECT usage FROM steps WHERE run = ? AND attempt = ? AND role = 'main'", [id.description, number])
        return Store.MainRecord(
            run: run, attempt: AttemptID(run: id, number: number), usage: try usage?.optionalJSON("usage"))
    }
}

extension RunSummary {
    init(_ db: Database, _ row: Row) throws {
        let id = try row.runID("id")
        let attempt: Int = row["attempt"]
        let devices = try db.rows(
            "SELECT device FROM leases WHERE run = ? AND attempt = ? ORDER BY device", [id.description, attempt])
        self.init(
            id: id, name: row["name"], project: row["project"], user: row["user"], uid: row["uid"],
            status: try row.word("status"), reason: row["reason"], message: row["message"],
            upstream: try row.optionalRunID("upstream"), hookName: row["hook_name"], attempt: attempt,
            devices: devices.map { $0["device"] }, createdAt: row.requiredTime("created_at"),
            queuedAt: row.time("queued_at"), startedAt: row.time("started_at"), finishedAt: row.time("finished_at"))
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
            })
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
            return HookRecord(
                index: row["position"], name: row["name"], origin: row["origin"], trigger: try row.word("trigger"),
                outcome: outcome, detail: row["detail"], run: try row.optionalRunID("hook_run"), status: status)
        }
    }
}
