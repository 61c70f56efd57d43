import GRDB
import PostludeCore
import PostludeFailpoints

extension Transaction {
    /// Stores a run with its hooks and applies its first event.
    mutating func insert(_ new: NewRun, then event: Run.Event) throws {
        let state = Run.State.created(new.operation.terms)
        try db.run(
            """
            INSERT INTO runs (id, name, project, uid, user, identity, operation, inputs, notes, working_directory,
                artifacts, upstream, hook_index, rerun_index, hook_name, parent, child_key, child_name, kind, cache_key, needs,
                state, phase, status, created_at, queue, is_hook, timeout_seconds, held_back_by)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """,
            [
                new.id.description, new.name, new.project, new.user.uid, new.user.name,
                try JSONText.encode(new.user), try JSONText.encode(new.operation), try JSONText.encode(new.inputs),
                try JSONText.encode(new.notes), new.workingDirectory, new.artifacts, new.upstream?.run.description,
                new.upstream.flatMap { $0.isRerun ? nil : $0.index },
                new.upstream.flatMap { $0.isRerun ? $0.index : nil }, new.upstream?.name,
                new.parent?.run.description, new.parent?.key, new.parent?.name, new.operation.kind, new.cacheKey,
                try JSONText.encode(new.needs), try JSONText.encode(state), state.phase.rawValue, state.status.rawValue,
                at.microseconds, new.queue, new.upstream != nil,
                new.operation.component.termination.timeoutSeconds ?? 0, new.heldBackBy,
            ])
        for (index, hook) in new.operation.hooks.enumerated() {
            try db.run(
                "INSERT INTO hooks (run, position, name, origin, trigger) VALUES (?, ?, ?, ?, ?)",
                [new.id.description, index, hook.name, hook.origin, hook.trigger.rawValue])
        }
        let time = at.microseconds
        try db.run(
            "INSERT INTO conditions VALUES (?, 0, 'created', 'Created', '', ?, ?)", [new.id.description, time, time])
        try emit(.status, of: new.id, RunStatus.created.rawValue, "Created")
        _ = try apply(try cached(new, event) ?? event, to: new.id)
        if let user = new.heldBackBy { _ = try apply(Self.heldBack(by: user), to: new.id) }
    }

    /// - Throws: `store.queue-full`.
    func checkLimits(_ new: NewRun) throws {
        for limit in new.waitingLimits {
            let row = try db.row(
                """
                SELECT COUNT(*) AS count FROM (SELECT 1 FROM runs WHERE phase = 'queued' AND is_hook = 0
                AND (? IS NULL OR uid = ?) AND (? IS NULL OR queue = ?) LIMIT ?)
                """, [limit.uid, limit.uid, limit.queue, limit.queue, limit.most])
            guard let row, row["count"] >= limit.most else { continue }
            throw StoreError.queueFull(limit)
        }
    }

    /// That an earlier run of the same key has the outputs already, which are the run's own from now on; nil when it is to
    /// run. One that waits for approval is asked for first.
    private mutating func cached(_ new: NewRun, _ event: Run.Event) throws -> Run.Event? {
        guard case .compiled = event, let key = new.cacheKey, !new.operation.terms.needsApproval else { return nil }
        let age = new.operation.cache?.ttlSeconds.map { Int64($0) * 1_000_000 }
        let hit = try db.row(
            """
            SELECT id, outputs, artifacts FROM runs WHERE cache_key = ? AND status = 'succeeded' AND attempt > 0
            AND finished_at >= ? ORDER BY number DESC LIMIT 1
            """, [key, age.map { at.microseconds - $0 } ?? 0])
        guard let hit else { return nil }
        let original = try hit.runID("id")
        try db.run(
            "UPDATE runs SET outputs = ?, artifacts = ?, cached_from = ? WHERE id = ?",
            [hit["outputs"] as String, hit["artifacts"] as String, original.description, new.id.description])
        return .cacheHit(original)
    }
}

extension Store {
    /// Stores a new run and what is first known of it (`compiled`, or that its condition is false), and places it if
    /// there is room: all in one transaction.
    ///
    /// The result is the run's id: an older one when the idempotency key names it. Throws `StoreError` with
    /// `keyReusedCode` when the key belongs to another submission.
    public func submit(_ new: NewRun, then event: Run.Event, at time: Timestamp) async throws -> Applied<RunID> {
        try await transact(.submit, at: time) { transaction in
            if let key = new.key {
                let known = try transaction.db.row(
                    "SELECT digest, run FROM idempotency_keys WHERE uid = ? AND key = ?", [new.user.uid, key.key])
                if let known {
                    guard known["digest"] as String == key.digest else {
                        throw StoreError(StoreError.keyReusedCode, "The key '\(key.key)' was used before.")
                    }
                    return try known.runID("run")
                }
            }
            try transaction.checkLimits(new)
            try transaction.insert(new, then: event)
            if let key = new.key {
                try transaction.db.run(
                    "INSERT INTO idempotency_keys VALUES (?, ?, ?, ?, ?)",
                    [new.user.uid, key.key, key.digest, new.id.description, time.microseconds])
            }
            return new.id
        }
    }

    /// What was decided about one hook of a finished run.
    public struct HookDecision: Sendable {
        public var index: Int
        public var outcome: HookRecord.Outcome
        public var detail: String
        /// How it came to the outcome.
        public var explanation: HookExplanation?
        /// The run to start, when the hook fired.
        public var run: NewRun?

        public init(
            index: Int, outcome: HookRecord.Outcome, detail: String, explanation: HookExplanation? = nil,
            run: NewRun? = nil
        ) {
            self.index = index
            self.outcome = outcome
            self.detail = detail
            self.explanation = explanation
            self.run = run
        }
    }

    /// Stores the outcome of every hook together with the runs they start. A hook that has an outcome keeps it, so that
    /// doing this twice starts nothing twice (P4).
    public func resolveHooks(
        of main: RunID, _ decisions: [HookDecision], at time: Timestamp, completing owed: OwedEffect? = nil
    ) async throws -> Applied<Void> {
        try await transact(.hooks, at: time, completing: owed) { transaction in
            try transaction.take(decisions, of: main)
        }
    }
}

extension Transaction {
    /// Stores the outcomes that are not there yet, each with its run.
    mutating func take(_ decisions: [Store.HookDecision], of main: RunID) throws {
        for decision in decisions {
            try db.run(
                """
                UPDATE hooks SET outcome = ?, detail = ?, explanation = ?, decided_at = ?
                WHERE run = ? AND position = ? AND outcome IS NULL
                """,
                [
                    decision.outcome.rawValue, decision.detail,
                    try decision.explanation.map { try JSONText.encode($0) }, at.microseconds, main.description,
                    decision.index,
                ])
            guard db.changesCount > 0 else { continue }
            if let run = decision.run {
                try insert(run, then: .compiled)
                try db.run(
                    "UPDATE hooks SET hook_run = ? WHERE run = ? AND position = ?",
                    [run.id.description, main.description, decision.index])
            }
            let name = try db.row(
                "SELECT name FROM hooks WHERE run = ? AND position = ?", [main.description, decision.index])
            try emit(
                .hook, of: main, name?["name"] ?? "", decision.outcome.rawValue,
                decision.run?.id.description ?? decision.detail)
        }
    }
}
