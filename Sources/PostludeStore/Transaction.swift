import GRDB
import PostludeCore
import PostludeFailpoints

/// One write under way: reads, decides and stores in a single transaction, and gathers what is owed after it.
struct Transaction {
    let db: Database
    var at: Timestamp
    let node: Store.Node?
    let operations: OperationCache
    var owed: [OwedEffect] = []
    /// Whether somebody may start now who could not before.
    var needsPass = false

    /// Decides what the event means for the run and stores all that follows.
    mutating func apply(_ event: Run.Event, to run: RunID) throws -> Run.Decision {
        guard let row = try db.row("SELECT state FROM runs WHERE id = ?", [run.description]) else {
            throw StoreError.unreadable("no run \(run)")
        }
        let state: Run.State = try row.json("state")
        let decision = Run.decide(state, event, at: at)
        switch decision {
        case .accept(let transition):
            if let ended = state.active, transition.state.active == nil { try account(for: ended, of: run) }
            try store(transition, event, of: run)
        case .ignore: break
        case .refuse(let refused):
            throw StoreError("store.contradiction", "Run \(run): \(refused) after \(event).")
        }
        return decision
    }

    private mutating func store(_ transition: Run.Transition, _ event: Run.Event, of run: RunID) throws {
        let state = transition.state
        let id = run.description
        try db.run(
            """
            UPDATE runs SET state = ?, phase = ?, status = ?, attempt = MAX(attempt, ?), held_memory = ?, held_cpu = ?
            WHERE id = ?
            """,
            [
                try JSONText.encode(state), state.phase.rawValue, state.status.rawValue, state.active?.attempt ?? 0,
                state.active?.lease.memoryBytes ?? 0, state.active?.lease.milliCPU ?? 0, id,
            ])
        for condition in transition.conditions { try add(condition, to: run) }
        try note(event, of: run)
        for move in transition.devices { try apply(move, of: run) }
        for effect in transition.effects {
            try owe(effect, of: run)
        }
        switch state {
        case .queued:
            // The scheduler's own word about a run frees nothing.
            if case .waiting = event { return }
            needsPass = true
        case .finished:
            needsPass = true
            try tellParent(of: run)
        case .created, .held, .pipeline, .launching, .starting, .running, .stopping, .processing: break
        }
    }

    /// An effect that is owed already is owed anew, under another sequence number: somebody may be performing the older
    /// one on what was true before this write, and completes no more than that one.
    mutating func owe(_ effect: Run.Effect, of run: RunID) throws {
        let key: StatementArguments = [run.description, effect.attempt, effect.kind.rawValue]
        try db.run("DELETE FROM outbox WHERE run = ? AND attempt = ? AND kind = ?", key)
        try db.run("INSERT INTO outbox (run, attempt, kind) VALUES (?, ?, ?)", key)
        owed.append(OwedEffect(sequence: db.lastInsertedRowID, run: run, effect: effect))
    }

    private func add(_ condition: RunCondition, to run: RunID) throws {
        let id = run.description
        let last = try db.row(
            "SELECT position, status FROM conditions WHERE run = ? ORDER BY position DESC LIMIT 1", [id])
        let position: Int = last?["position"] ?? -1
        if let status = last?["status"] as String?, status == condition.status.rawValue {
            try db.run(
                "UPDATE conditions SET reason = ?, message = ?, last_update = ? WHERE run = ? AND position = ?",
                [condition.reason, condition.message, condition.lastUpdate.microseconds, id, position])
        } else {
            try db.run(
                "INSERT INTO conditions VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    id, position + 1, condition.status.rawValue, condition.reason, condition.message,
                    condition.lastTransition.microseconds, condition.lastUpdate.microseconds,
                ])
        }
        let time = condition.lastTransition.microseconds
        let starts = [.scheduled, .starting, .running, .processing].contains(condition.status)
        try db.run(
            """
            UPDATE runs SET reason = ?, message = ?, queued_at = COALESCE(queued_at, ?),
                started_at = COALESCE(started_at, ?), finished_at = COALESCE(finished_at, ?) WHERE id = ?
            """,
            [
                condition.reason, condition.message, condition.status == .queued ? time : nil, starts ? time : nil,
                condition.status.isFinal ? time : nil, id,
            ])
        try emit(.status, of: run, condition.status.rawValue, condition.reason, condition.message)
    }

    /// What the attempt's own row keeps of an event.
    private func note(_ event: Run.Event, of run: RunID) throws {
        let id = run.description
        switch event {
        case .placed(let attempt, _):
            try db.run(
                """
                INSERT INTO attempts (run, number, queued_at, placed_at) VALUES (?, ?,
                    (SELECT last_transition FROM conditions WHERE run = ? AND status = 'queued'
                     ORDER BY position DESC LIMIT 1), ?)
                """, [id, attempt, id, at.microseconds])
        case .neverAccepted(let attempt, _):
            try db.run("UPDATE attempts SET warden = NULL WHERE run = ? AND number = ?", [id, attempt])
        case .ended(let attempt, _), .wardenLost(let attempt, _), .launchFailed(let attempt, _, _):
            try db.run(
                "UPDATE attempts SET ended_at = ? WHERE run = ? AND number = ?", [at.microseconds, id, attempt])
        case .compiled, .conditionFalse, .compilationFailed, .upstreamFailed, .upstreamSkipped, .cacheHit, .approved,
            .childrenEnded, .waiting, .accepted, .mainStarted, .launchDelayed, .stopRequested, .evicted, .handedBack:
            break
        }
    }

    func emit(
        _ kind: RunEvent.Kind, of run: RunID, _ subject: String, _ what: String, _ detail: String = "",
        at time: Timestamp? = nil
    ) throws {
        try db.run(
            "INSERT INTO events (run, kind, subject, what, detail, at) VALUES (?, ?, ?, ?, ?, ?)",
            [run.description, kind.rawValue, subject, what, detail, (time ?? at).microseconds])
    }

    /// Takes back an effect that this very transaction came to owe and has performed.
    mutating func fulfil(_ effect: Run.Effect, of run: RunID) throws {
        for done in owed where done.run == run && done.effect == effect { try complete(done) }
        owed.removeAll { $0.run == run && $0.effect == effect }
    }

    func complete(_ owed: OwedEffect) throws {
        try db.run("DELETE FROM outbox WHERE sequence = ?", [owed.sequence])
    }
}

extension Store {
    /// One write: the body, what was completed by it, and a scheduling pass if somebody may start now.
    func transact<Result: Sendable>(
        _ commit: Commit, at time: Timestamp, completing owed: OwedEffect? = nil,
        _ body: @escaping @Sendable (inout Transaction) throws -> Result
    ) async throws -> Applied<Result> {
        let (node, operations) = (node.withLock { $0 }, operations)
        return try await write(commit) { [clock] db in
            var transaction = Transaction(db: db, at: clock.time(of: time), node: node, operations: operations)
            let result = try body(&transaction)
            _ = clock.time(of: transaction.at)
            if let owed { try transaction.complete(owed) }
            if transaction.needsPass { try transaction.place() }
            return Applied(result: result, owed: transaction.owed)
        }
    }

    /// Applies one event to one run.
    public func apply(
        _ event: Run.Event, to run: RunID, at time: Timestamp, completing owed: OwedEffect? = nil
    ) async throws -> Applied<Run.Decision> {
        try await transact(.event, at: time, completing: owed) { transaction in try transaction.apply(event, to: run) }
    }

    /// Marks an effect as done.
    public func complete(_ owed: OwedEffect) async throws {
        try await write(.effectDone) { db in try db.run("DELETE FROM outbox WHERE sequence = ?", [owed.sequence]) }
    }

    /// What is still owed, in the order it came to be owed.
    public func owedEffects() async throws -> [OwedEffect] {
        try await read { db in
            try db.rows("SELECT * FROM outbox ORDER BY sequence").map { row in
                OwedEffect(
                    sequence: row["sequence"], run: try row.runID("run"),
                    effect: Run.Effect(try row.word("kind"), attempt: row["attempt"]))
            }
        }
    }
}
