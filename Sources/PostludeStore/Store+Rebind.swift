import GRDB
import PostludeCore
import PostludeFailpoints

extension Store {
    /// Whether the database was rebuilt, and no agent has taken it up yet: what it does not know may still run.
    public var isRebuilt: Bool { Salvage.isFresh(directory) }

    /// To be called when nothing runs any more that the database does not know.
    public func forgetRebuild() { Salvage.forget(directory) }

    /// Writes down the warden that an attempt turns out to have had all along, which the store forgot: its journal says
    /// that it took the plan. False when the attempt is over or has another warden.
    public func rebind(_ attempt: AttemptID, warden: String, at time: Timestamp) async throws -> Bool {
        try await write(.bind) { db in
            try db.run(
                """
                UPDATE attempts SET warden = ?, journal_next = 0, accepted_at = COALESCE(accepted_at, ?)
                WHERE run = ? AND number = ? AND warden IS NULL AND EXISTS (
                    SELECT 1 FROM runs WHERE id = attempts.run AND runs.attempt = attempts.number
                    AND phase IN ('launching', 'starting', 'running', 'stopping'))
                """, [warden, time.microseconds, attempt.run.description, attempt.number])
            return db.changesCount > 0
        }
    }

    /// Attempts without a warden that should have one, or are about to get one. `hasStarted` says that it took the plan.
    public func attemptsWithoutWarden() async throws -> [(id: AttemptID, hasStarted: Bool)] {
        try await read { db in
            try db.rows(
                """
                SELECT run, attempts.number AS number, phase IN ('starting', 'running') AS started
                FROM attempts JOIN runs ON runs.id = run AND runs.attempt = attempts.number
                WHERE warden IS NULL AND phase <> 'finished'
                AND phase IN ('launching', 'starting', 'running', 'stopping') ORDER BY runs.number
                """
            ).map { (AttemptID(run: try $0.runID("run"), number: $0["number"]), $0["started"]) }
        }
    }
}

extension Transaction {
    /// A step that was lost with a damaged page has a name still that says what it is.
    func restore(_ step: String, of attempt: AttemptID) throws -> StepRole {
        let role: StepRole = step == "main" ? .main : step.hasPrefix("init-") ? .initialize : .sidecar
        try db.run(
            """
            INSERT INTO steps (run, attempt, name, position, role)
            SELECT ?1, ?2, ?3, COALESCE(MAX(position) + 1, 0), ?4 FROM steps WHERE run = ?1 AND attempt = ?2
            ON CONFLICT DO NOTHING
            """, [attempt.run.description, attempt.number, step, role.rawValue])
        return role
    }
}
