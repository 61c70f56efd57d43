import GRDB
import PostludeCore

extension Store {
    /// What main left behind, read while its devices were verified.
    public struct Leavings: Sendable {
        /// nil when there was no outputs file.
        public var outputs: [String: Value]?
        public var notes: [Diagnostic]

        public init(outputs: [String: Value]? = nil, notes: [Diagnostic] = []) {
            self.outputs = outputs
            self.notes = notes
        }
    }

    /// What was decided about the hooks of a run, should it finish like this.
    public struct Forethought: Sendable {
        public var outcome: Run.Outcome
        public var decisions: [HookDecision]

        public init(outcome: Run.Outcome, decisions: [HookDecision]) {
            self.outcome = outcome
            self.decisions = decisions
        }
    }

    /// Stores the verdict on every leased device together with main's outputs; the run finishes or is queued again.
    ///
    /// Hooks that were thought of ahead start in the same transaction, if the run finishes as foreseen; else they stay
    /// owed.
    public func handBack(
        _ attempt: AttemptID, _ verdicts: [Run.DeviceVerdict], _ leavings: Leavings, hooks: Forethought? = nil,
        at time: Timestamp, completing owed: OwedEffect? = nil
    ) async throws -> Applied<Run.Decision> {
        try await transact(at: time, completing: owed) { transaction in
            let run = attempt.run
            let id = run.description
            // Only the hand-back that is taken may change what the run left.
            let row = try transaction.db.row("SELECT state, notes FROM runs WHERE id = ?", [id])
            if let row, case .processing(let active, _) = try row.json("state", as: Run.State.self),
                active.attempt == attempt.number
            {
                if let outputs = leavings.outputs {
                    try transaction.db.run(
                        "UPDATE runs SET outputs = ? WHERE id = ?", [try JSONText.encode(outputs), id])
                }
                if !leavings.notes.isEmpty {
                    let notes = try row.json("notes", as: [Diagnostic].self) + leavings.notes
                    try transaction.db.run("UPDATE runs SET notes = ? WHERE id = ?", [try JSONText.encode(notes), id])
                }
            }
            let decision = try transaction.apply(.handedBack(attempt: attempt.number, verdicts), to: run)
            if let hooks, case .accept(let transition) = decision, transition.state == .finished(hooks.outcome) {
                try transaction.take(hooks.decisions, of: run)
                try transaction.fulfil(Run.Effect(.resolveHooks, attempt: attempt.number), of: run)
            }
            return decision
        }
    }

    /// Adds a finding to a run's notes.
    public func note(_ diagnostic: Diagnostic, on run: RunID) async throws {
        try await write { db in
            guard let row = try db.row("SELECT notes FROM runs WHERE id = ?", [run.description]) else { return }
            let notes = try row.json("notes", as: [Diagnostic].self) + [diagnostic]
            try db.run("UPDATE runs SET notes = ? WHERE id = ?", [try JSONText.encode(notes), run.description])
        }
    }
}
