import GRDB
import PostludeCore
import PostludeFailpoints

extension Store {
    /// What is stored of an attempt for the agent's own use.
    public struct StoredAttempt: Sendable {
        public var id: AttemptID
        /// The warden's identity, as the engine wrote it.
        public var warden: String?
        public var hasAccepted: Bool
        /// What the run's artifacts took on disk when it was over, if that is known.
        public var artifactsBytes: Int64?
        public var leases: [Lease]

        public struct Lease: Sendable {
            public var device: String
            /// Who held the device before the grant, as the engine wrote it.
            public var baseline: String?
        }
    }

    public enum Binding: Hashable, Sendable {
        /// The warden is the attempt's; the plan may be sent.
        case bound
        /// The attempt has another warden already.
        case taken
        /// The run no longer waits for a launch; it was stopped meanwhile.
        case refused
    }

    /// Writes down which warden an attempt gets, before the plan is sent: whoever comes next finds it and adopts it.
    ///
    /// `names` holds, by step, what the kernel cannot tell a receipt: the names of the profile, of the seccomp program and
    /// of the granted device nodes.
    public func bind(
        _ attempt: AttemptID, warden: String, steps: [(name: String, role: StepRole)], names: [String: Receipt] = [:],
        baselines: [String: String]
    ) async throws -> Binding {
        try await write(.bind) { db in
            let id = attempt.run.description
            let row = try db.row(
                """
                SELECT state, warden FROM runs JOIN attempts ON attempts.run = runs.id AND attempts.number = ?
                WHERE runs.id = ?
                """, [attempt.number, id])
            guard let row, case .launching(let active) = try row.json("state", as: Run.State.self),
                active.attempt == attempt.number
            else { return .refused }
            guard row["warden"] as String? == nil else { return .taken }
            try db.run(
                "UPDATE attempts SET warden = ?, journal_next = 0 WHERE run = ? AND number = ?",
                [warden, id, attempt.number])
            for (position, step) in steps.enumerated() {
                try db.run(
                    """
                    INSERT INTO steps (run, attempt, name, position, role, receipt) VALUES (?, ?, ?, ?, ?, ?)
                    ON CONFLICT DO NOTHING
                    """,
                    [
                        id, attempt.number, step.name, position, step.role.rawValue,
                        try names[step.name].map { try JSONText.encode($0) },
                    ])
            }
            for (device, baseline) in baselines {
                try db.run(
                    "UPDATE leases SET baseline = ? WHERE run = ? AND attempt = ? AND device = ?",
                    [baseline, id, attempt.number, device])
            }
            return .bound
        }
    }

    /// Completes a launch because the attempt has this warden; returns false, and leaves the launch owed, when it has
    /// lost it meanwhile.
    public func completeLaunch(_ owed: OwedEffect, boundTo warden: String) async throws -> Bool {
        try await write(.launchDone) { db in
            let row = try db.row(
                "SELECT warden FROM attempts WHERE run = ? AND number = ?", [owed.run.description, owed.effect.attempt])
            guard row?["warden"] as String? == warden else { return false }
            try db.run("DELETE FROM outbox WHERE sequence = ?", [owed.sequence])
            return true
        }
    }

    /// Tells the run that its warden has ended without a last word; of a warden that is no longer the attempt's nothing
    /// follows. `agentEnded` says that the agent that had made it is another one and was gone before it; `journalRead` that
    /// all it wrote is known.
    public func wardenEnded(
        _ warden: String, of attempt: AttemptID, with loss: Run.Loss = .warden, agentEnded: Bool = false,
        journalRead: Bool = true, at time: Timestamp
    ) async throws -> Applied<Run.Decision> {
        try await transact(.wardenLost, at: time) { transaction in
            guard let stored = try StoredAttempt.fetch(transaction.db, attempt), stored.warden == warden else {
                return .ignore(.staleAttempt)
            }
            let number = attempt.number
            return try transaction.apply(
                // After a reboot a journal that says nothing means nothing: it may not have been on disk yet. Neither does one
                // that could not be read: programs may have run, and the hand-back has to look after them.
                stored.hasAccepted || loss == .node || !journalRead
                    ? .wardenLost(attempt: number, loss)
                    : .neverAccepted(attempt: number, agentEnded: agentEnded),
                to: attempt.run)
        }
    }

    /// Owes anew what attempts without a warden cannot go on without: the launch, or the stop that ends them. Returns
    /// what was missing; an agent that wrote all it owed finds nothing.
    public func oweWhatIsMissing(at time: Timestamp) async throws -> Applied<Void> {
        try await transact(.missing, at: time) { transaction in
            let rows = try transaction.db.rows(
                """
                SELECT runs.id, attempts.number, phase FROM runs
                JOIN attempts ON attempts.run = runs.id AND attempts.number = runs.attempt
                WHERE phase <> 'finished' AND phase IN ('launching', 'stopping') AND warden IS NULL AND NOT EXISTS (
                    SELECT 1 FROM outbox WHERE outbox.run = runs.id AND outbox.attempt = attempts.number
                    AND kind = CASE phase WHEN 'launching' THEN ? ELSE ? END)
                ORDER BY runs.number
                """, [Run.Effect.Kind.launch.rawValue, Run.Effect.Kind.requestStop.rawValue])
            for row in rows {
                let kind: Run.Effect.Kind = row["phase"] == "launching" ? .launch : .requestStop
                try transaction.owe(Run.Effect(kind, attempt: row["number"]), of: try row.runID("id"))
            }
        }
    }

    public func attempt(_ id: AttemptID) async throws -> StoredAttempt? {
        try await read { db in try StoredAttempt.fetch(db, id) }
    }

    /// Attempts whose warden may be alive or may have left word: to be watched after a start.
    public func liveAttempts() async throws -> [StoredAttempt] {
        try await read { db in
            let rows = try db.rows(
                """
                SELECT attempts.run, attempts.number FROM attempts
                JOIN runs ON runs.id = attempts.run AND runs.attempt = attempts.number
                WHERE phase <> 'finished' AND phase IN ('launching', 'starting', 'running', 'stopping')
                AND warden IS NOT NULL
                ORDER BY runs.number
                """)
            return try rows.compactMap { row in
                try StoredAttempt.fetch(db, AttemptID(run: try row.runID("run"), number: row["number"]))
            }
        }
    }

    /// Wardens whose cgroups somebody still has use for: of runs that are not over, or whose clean-up is owed.
    public func claimedWardens() async throws -> [String] {
        try await read { db in
            try String.fetchAll(
                db,
                sql: """
                    SELECT warden FROM attempts JOIN runs ON runs.id = attempts.run WHERE warden IS NOT NULL AND (
                        (phase <> 'finished' AND attempts.number = runs.attempt) OR EXISTS (
                            SELECT 1 FROM outbox WHERE outbox.run = runs.id AND outbox.attempt = attempts.number))
                    """)
        }
    }

    /// What a batch of reports held.
    public struct Recorded: Sendable {
        public var hasEnded: Bool
        public var hasAccepted: Bool
        public var mainStarted: Bool
        /// What became of the hand-back, if the attempt had ended and was handed back at once.
        public var handedBack: HandedBack?
    }

    /// Takes what a warden reported, each report once: stores the steps and applies what it means for the run. An attempt
    /// that ended, and was found to have left nothing behind, is handed back in the same transaction.
    ///
    /// `message` is what the program said of its failure, if the attempt's end is among the reports.
    public func record(
        _ reports: [(sequence: UInt64, report: AttemptReport)], of attempt: AttemptID, message: String? = nil,
        at time: Timestamp, freed: Freed? = nil
    ) async throws -> Applied<Recorded> {
        try await transact(.reports, at: time) { transaction in
            var recorded = try transaction.record(reports, of: attempt, message: message)
            if recorded.hasEnded, let freed { recorded.handedBack = try transaction.handBack(attempt, freed) }
            return recorded
        }
    }
}

extension Store.StoredAttempt {
    static func fetch(_ db: Database, _ id: AttemptID) throws -> Store.StoredAttempt? {
        let arguments: StatementArguments = [id.run.description, id.number]
        guard let row = try db.row("SELECT * FROM attempts WHERE run = ? AND number = ?", arguments) else { return nil }
        let leases = try db.rows("SELECT device, baseline FROM leases WHERE run = ? AND attempt = ?", arguments)
        return Store.StoredAttempt(
            id: id, warden: row["warden"], hasAccepted: (row["accepted_at"] as Int64?) != nil,
            artifactsBytes: row["artifacts_bytes"],
            leases: leases.map { Lease(device: $0["device"], baseline: $0["baseline"]) })
    }
}

extension Transaction {
    mutating func record(
        _ reports: [(sequence: UInt64, report: AttemptReport)], of attempt: AttemptID, message: String?
    ) throws -> Store.Recorded {
        var recorded = Store.Recorded(hasEnded: false, hasAccepted: false, mainStarted: false)
        let key: [any DatabaseValueConvertible] = [attempt.run.description, attempt.number]
        let row = try db.row("SELECT journal_next FROM attempts WHERE run = ? AND number = ?", StatementArguments(key))
        guard let first = row?["journal_next"] as Int64? else {
            throw StoreError.unreadable("no attempt \(attempt)")
        }
        var next = first
        for (sequence, report) in reports where Int64(sequence) >= next {
            next = Int64(sequence) + 1
            try take(report, of: attempt, message: message, &recorded)
        }
        guard next > first else { return recorded }
        try db.run(
            "UPDATE attempts SET journal_next = ? WHERE run = ? AND number = ?",
            [next, attempt.run.description, attempt.number])
        return recorded
    }

    /// The receipt as the kernel gave it, with the names that were written down when the warden was bound.
    private func named(_ receipt: Receipt, _ step: String, _ attempt: AttemptID) throws -> Receipt {
        let row = try db.row(
            "SELECT receipt FROM steps WHERE run = ? AND attempt = ? AND name = ?",
            [attempt.run.description, attempt.number, step])
        guard let names = try row?.optionalJSON("receipt", as: Receipt.self) else { return receipt }
        var receipt = receipt
        receipt.profile = names.profile
        receipt.seccompProfile = names.seccompProfile
        receipt.lacking = names.lacking
        receipt.devices = names.devices
        receipt.root = names.root
        return receipt
    }

    private mutating func take(
        _ report: AttemptReport, of attempt: AttemptID, message: String?, _ recorded: inout Store.Recorded
    ) throws {
        let run = attempt.run
        switch report {
        case .accepted:
            recorded.hasAccepted = true
            // Also of a run that is being stopped, which has no other use for it: once its warden has the plan, programs may
            // have run.
            try db.run(
                "UPDATE attempts SET accepted_at = COALESCE(accepted_at, ?) WHERE run = ? AND number = ?",
                [at.microseconds, run.description, attempt.number])
            _ = try apply(.accepted(attempt: attempt.number), to: run)
        case .stepStarted(let step, let pid, let receipt, let time):
            let role = try role(of: step, attempt) ?? restore(step, of: attempt)
            let receipt = try named(receipt, step, attempt)
            try db.run(
                """
                UPDATE steps SET pid = ?, started_at = ?, receipt = ? WHERE run = ? AND attempt = ? AND name = ?
                """, [pid, time.microseconds, try JSONText.encode(receipt), run.description, attempt.number, step])
            try emit(.step, of: run, step, "started", at: time)
            if role == .main {
                recorded.mainStarted = true
                _ = try apply(.mainStarted(attempt: attempt.number), to: run)
            }
        case .stepExited(let step, let exit, let usage, let time):
            if try role(of: step, attempt) == nil { _ = try restore(step, of: attempt) }
            try db.run(
                "UPDATE steps SET finished_at = ?, exit = ?, usage = ? WHERE run = ? AND attempt = ? AND name = ?",
                [
                    time.microseconds, try JSONText.encode(exit), try JSONText.encode(usage), run.description,
                    attempt.number, step,
                ])
            try emit(.step, of: run, step, "exited", exit.words, at: time)
        case .stopping(let reason, let time):
            try emit(.step, of: run, "", "stopping", reason.rawValue, at: time)
        case .ended(let exit, let reason, _):
            recorded.hasEnded = true
            let usage = try decidingUsage(reason, attempt)
            let end = Run.End(
                exit: exit, reason: reason, oomKilled: usage?.oomKills ?? 0 > 0, forksRefused: usage?.forksRefused ?? 0,
                logBytesDropped: usage?.logBytesDropped ?? 0, message: message)
            _ = try apply(.ended(attempt: attempt.number, end), to: run)
        }
    }

    private func role(of step: String, _ attempt: AttemptID) throws -> StepRole? {
        try db.row(
            "SELECT role FROM steps WHERE run = ? AND attempt = ? AND name = ?",
            [attempt.run.description, attempt.number, step]
        )?.word("role")
    }

    /// What the step that decided the end used; nil when none did.
    private func decidingUsage(
        _ reason: AttemptReport.AttemptEndReason, _ attempt: AttemptID
    ) throws -> StepUsage? {
        let step: String?
        switch reason {
        case .initFailed(let name): step = name
        case .mainExited: step = nil
        case .setupFailed, .stopRequested, .timeout: return nil
        }
        let row = try db.row(
            """
            SELECT usage FROM steps WHERE run = ? AND attempt = ? AND (name = ? OR (? IS NULL AND role = 'main'))
            """, [attempt.run.description, attempt.number, step, step])
        return try row?.optionalJSON("usage", as: StepUsage.self)
    }
}
