import GRDB
import PostludeCore

extension Transaction {
    /// Stores a run with its hooks and applies its first event.
    mutating func insert(_ new: NewRun, then event: Run.Event) throws {
        let terms = Run.Terms(maxRetries: new.operation.component.termination.maxRetries)
        let state = Run.State.created(terms)
        try db.run(
            """
            INSERT INTO runs (id, name, project, uid, user, identity, operation, inputs, notes, working_directory,
                artifacts, upstream, hook_index, hook_name, needs, state, phase, status, created_at)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """,
            [
                new.id.description, new.name, new.project, new.user.uid, new.user.name,
                try JSONText.encode(new.user), try JSONText.encode(new.operation), try JSONText.encode(new.inputs),
                try JSONText.encode(new.notes), new.workingDirectory, new.artifacts, new.upstream?.run.description,
                new.upstream?.index, new.upstream?.name, try JSONText.encode(new.needs), try JSONText.encode(state),
                state.phase.rawValue, state.status.rawValue, at.microseconds,
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
        _ = try apply(event, to: new.id)
    }
}

extension Store {
    /// Stores a new run and what is first known of it (`compiled`, or that its condition is false), and places it if
    /// there is room: all in one transaction.
    ///
    /// The result is the run's id: an older one when the idempotency key names it. Throws `StoreError` with
    /// `keyReusedCode` when the key belongs to another submission.
    public func submit(_ new: NewRun, then event: Run.Event, at time: Timestamp) async throws -> Applied<RunID> {
        try await transact(at: time) { transaction in
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
        /// The run to start, when the hook fired.
        public var run: NewRun?

        public init(index: Int, outcome: HookRecord.Outcome, detail: String, run: NewRun? = nil) {
            self.index = index
            self.outcome = outcome
            self.detail = detail
            self.run = run
        }
    }

    /// Stores the outcome of every hook together with the runs they start. A hook that has an outcome keeps it, so that
    /// doing this twice starts nothing twice (P4).
    public func resolveHooks(
        of main: RunID, _ decisions: [HookDecision], at time: Timestamp, completing owed: OwedEffect? = nil
    ) async throws -> Applied<Void> {
        try await transact(at: time, completing: owed) { transaction in
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
                UPDATE hooks SET outcome = ?, detail = ?, decided_at = ?
                WHERE run = ? AND position = ? AND outcome IS NULL
                """,
                [
                    decision.outcome.rawValue, decision.detail, at.microseconds, main.description, decision.index,
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
