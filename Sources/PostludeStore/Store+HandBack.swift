import GRDB
import PostludeCore
import PostludeFailpoints

extension Store {
    /// What main left behind, read while its devices were verified.
    public struct Leavings: Sendable {
        /// nil when there was no outputs file.
        public var outputs: [String: Value]?
        public var notes: [Diagnostic]
        /// Why the outputs are not what is declared.
        public var problem: Run.OutputProblem?
        /// What the run's artifacts take on disk; nil when that is not known yet.
        public var artifactsBytes: Int64?

        public init(
            outputs: [String: Value]? = nil, notes: [Diagnostic] = [], problem: Run.OutputProblem? = nil,
            artifactsBytes: Int64? = nil
        ) {
            self.outputs = outputs
            self.notes = notes
            self.problem = problem
            self.artifactsBytes = artifactsBytes
        }
    }

    /// Decides about every hook of a run that has just finished, in the transaction that finishes it: so a hook is
    /// decided on what is stored, and starts with the end of its main or, if deciding fails, stays owed.
    public typealias HookDecider = @Sendable (MainRecord) throws -> [HookDecision]

    /// An attempt that has left nothing behind, found while its end was still on its way to the store.
    public struct Freed: Sendable {
        /// Its devices, each verified free.
        public var devices: Set<String>
        /// When the last of it was found free.
        public var at: Timestamp
        public var decide: HookDecider
        /// What it left, judged by how it ended.
        public var leave: @Sendable (Run.Ending) -> Leavings

        public init(
            devices: Set<String>, at: Timestamp, deciding decide: @escaping HookDecider,
            leaving leave: @escaping @Sendable (Run.Ending) -> Leavings
        ) {
            self.devices = devices
            self.at = at
            self.decide = decide
            self.leave = leave
        }
    }

    /// What became of a hand-back.
    public struct HandedBack: Sendable {
        public var decision: Run.Decision
        /// What was decided about the hooks; empty when there are none, or when they are still owed.
        public var hooks: [HookDecision] = []
    }

    /// Stores the verdict on every leased device together with main's outputs; the run finishes, and its hooks start, or
    /// it is queued again.
    public func handBack(
        _ attempt: AttemptID, _ verdicts: [Run.DeviceVerdict], _ leavings: Leavings, at time: Timestamp,
        completing owed: OwedEffect? = nil, deciding decide: HookDecider? = nil
    ) async throws -> Applied<HandedBack> {
        try await transact(.handBack, at: time, completing: owed) { transaction in
            try transaction.handBack(attempt, verdicts, leavings, deciding: decide)
        }
    }

    /// Completes the clean-up after an attempt, with the size of the artifacts where the hand-back did not know it.
    public func completeCleanUp(_ owed: OwedEffect, artifactsBytes: Int64?) async throws {
        try await write(.cleanUp) { db in
            try db.run(
                "UPDATE attempts SET artifacts_bytes = COALESCE(artifacts_bytes, ?) WHERE run = ? AND number = ?",
                [artifactsBytes, owed.run.description, owed.effect.attempt])
            try db.run("DELETE FROM outbox WHERE sequence = ?", [owed.sequence])
        }
    }
}

extension Transaction {
    mutating func handBack(
        _ attempt: AttemptID, _ verdicts: [Run.DeviceVerdict], _ leavings: Store.Leavings,
        deciding decide: Store.HookDecider?
    ) throws -> Store.HandedBack {
        let run = attempt.run
        // Only the hand-back that is taken may change what the run left.
        if try processing(attempt) != nil { try store(leavings, of: attempt) }
        let found = Run.HandBack(verdicts, outputs: leavings.problem)
        let decision = try apply(.handedBack(attempt: attempt.number, found), to: run)
        let owed = Run.Effect(.resolveHooks, attempt: attempt.number)
        guard let decide, case .accept(let transition) = decision, transition.effects.contains(owed),
            let main = try Store.MainRecord.fetch(db, run, operations)
        else { return Store.HandedBack(decision: decision) }
        let hooks: [Store.HookDecision]
        do {
            hooks = try decide(main)
        } catch {
            // They stay owed, and whoever performs that tells why it fails.
            return Store.HandedBack(decision: decision)
        }
        try take(hooks, of: run)
        try fulfil(owed, of: run)
        return Store.HandedBack(decision: decision, hooks: hooks)
    }

    /// Hands back an attempt whose end this very transaction has stored, if what was found free is all that it leased.
    mutating func handBack(_ attempt: AttemptID, _ freed: Store.Freed) throws -> Store.HandedBack? {
        guard let (active, ending) = try processing(attempt), Set(active.lease.devices) == freed.devices else {
            return nil
        }
        let verdicts = active.lease.devices.map { Run.DeviceVerdict($0, .free) }
        at = max(at, freed.at)
        let handed = try handBack(attempt, verdicts, freed.leave(ending), deciding: freed.decide)
        if case .accept = handed.decision {
            try fulfil(Run.Effect(.handBack, attempt: attempt.number), of: attempt.run)
        }
        return handed
    }

    /// The attempt, if it is its run's and has ended but not been handed back.
    private func processing(_ attempt: AttemptID) throws -> (Run.Active, Run.Ending)? {
        let row = try db.row("SELECT state FROM runs WHERE id = ?", [attempt.run.description])
        guard let row, case .processing(let active, let ending) = try row.json("state", as: Run.State.self),
            active.attempt == attempt.number
        else { return nil }
        return (active, ending)
    }

    private func store(_ leavings: Store.Leavings, of attempt: AttemptID) throws {
        let id = attempt.run.description
        if let bytes = leavings.artifactsBytes {
            try db.run(
                "UPDATE attempts SET artifacts_bytes = ? WHERE run = ? AND number = ?", [bytes, id, attempt.number])
        }
        if let outputs = leavings.outputs {
            try db.run("UPDATE runs SET outputs = ? WHERE id = ?", [try JSONText.encode(outputs), id])
        }
        guard !leavings.notes.isEmpty, let row = try db.row("SELECT notes FROM runs WHERE id = ?", [id]) else { return }
        let notes = try row.json("notes", as: [Diagnostic].self) + leavings.notes
        try db.run("UPDATE runs SET notes = ? WHERE id = ?", [try JSONText.encode(notes), id])
    }
}
