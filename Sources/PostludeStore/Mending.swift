import GRDB
import PostludeCore

/// Makes the rows that could be kept agree with each other again. What a run's state says is what counts: it says which
/// attempt there is, what it holds, and what is owed.
struct Mending {
    let db: Database
    let at: Timestamp
    /// Whether steps are missing: then those of work that goes on are taken from the journals again.
    let lacksSteps: Bool
    /// How often what was put back.
    private(set) var changes: [String: Int] = [:]

    private struct ActiveRun {
        var id: String
        var state: Run.State
        var active: Run.Active
    }

    init(db: Database, lacksSteps: Bool, at time: Timestamp) {
        self.db = db
        self.lacksSteps = lacksSteps
        at = time
    }

    mutating func run() throws {
        try cutLooseEnds()
        try restoreAttempts()
        let active = try activeRuns()
        for run in active { try restoreAttempt(run.active.attempt, of: run.id) }
        try restoreDevices(active)
        try dropStrays()
        try oweAgain()
        try stopOrphans()
        if lacksSteps {
            try db.execute(
                sql: """
                    UPDATE attempts SET journal_next = 0
                    WHERE run IN (SELECT id FROM runs WHERE phase <> 'finished' AND runs.attempt = attempts.number)
                    """)
        }
    }

    // MARK: runs

    /// A reference to a run that is lost is forgotten where a run can do without it.
    private mutating func cutLooseEnds() throws {
        for column in ["upstream", "parent", "cached_from"] {
            try change(
                "runs no longer name the run that they came from",
                "UPDATE runs SET \(column) = NULL WHERE \(column) NOT IN (SELECT id FROM runs)")
        }
        try change(
            "hooks no longer name their run",
            "UPDATE hooks SET hook_run = NULL WHERE hook_run NOT IN (SELECT id FROM runs)")
        try db.execute(
            sql: """
                UPDATE device_intervals SET run = NULL, attempt = NULL
                WHERE run IS NOT NULL AND run NOT IN (SELECT id FROM runs)
                """)
    }

    /// Attempts that steps or leases tell of.
    private mutating func restoreAttempts() throws {
        let missing = try Row.fetchAll(
            db,
            sql: """
                SELECT run, attempt FROM (SELECT run, attempt FROM steps UNION SELECT run, attempt FROM leases)
                WHERE run IN (SELECT id FROM runs)
                """)
        for row in missing { try restoreAttempt(row["attempt"], of: row["run"]) }
    }

    private mutating func restoreAttempt(_ number: Int, of run: String) throws {
        try change(
            "attempts were put back",
            """
            INSERT OR IGNORE INTO attempts (run, number, queued_at, placed_at, accepted_at)
            SELECT id, ?, queued_at, COALESCE(started_at, created_at),
                CASE WHEN phase IN ('starting', 'running') THEN started_at END FROM runs WHERE id = ?
            """, [number, run])
        try db.execute(sql: "UPDATE runs SET attempt = MAX(attempt, ?) WHERE id = ?", arguments: [number, run])
    }

    private func activeRuns() throws -> [ActiveRun] {
        try Row.fetchAll(db, sql: "SELECT id, state FROM runs WHERE phase <> 'finished' ORDER BY number").compactMap {
            row in
            let state: Run.State = try row.json("state")
            return state.active.map { ActiveRun(id: row["id"], state: state, active: $0) }
        }
    }

    // MARK: devices

    private mutating func restoreDevices(_ runs: [ActiveRun]) throws {
        var holders: [String: ActiveRun] = [:]
        for run in runs { for device in run.active.lease.devices { holders[device] = holders[device] ?? run } }
        let named = try String.fetchAll(
            db, sql: "SELECT device FROM leases UNION SELECT device FROM device_intervals UNION SELECT id FROM devices")
        for device in Set(named).union(holders.keys).sorted() {
            // The configuration has it still, and the next agent writes it anew.
            let placeholder = Device(id: device, deviceClass: "", nodes: [])
            try change(
                "devices were put back",
                "INSERT OR IGNORE INTO devices (id, position, class, device, is_present) VALUES (?, 0, '', ?, 0)",
                [device, try JSONText.encode(placeholder)])
            try restore(device, heldBy: holders[device])
        }
    }

    private mutating func restore(_ device: String, heldBy holder: ActiveRun?) throws {
        var wanted: (state: DeviceLedger.State, run: String?, attempt: Int?) = (.idle, nil, nil)
        if let holder {
            let isReleasing = holder.state.phase == .processing
            wanted = (isReleasing ? .releasing : .allocated, holder.id, holder.active.attempt)
        } else {
            let quarantined = try Row.fetchOne(
                db,
                sql: """
                    SELECT run, attempt FROM leases WHERE device = ? AND released_at IS NULL AND quarantined_at IS NOT NULL
                    AND run IN (SELECT id FROM runs)
                    """, arguments: [device])
            if let row = quarantined { wanted = (.quarantined, row["run"], row["attempt"]) }
        }
        try change(
            "leases were ended",
            """
            UPDATE leases SET released_at = ? WHERE device = ? AND released_at IS NULL
            AND NOT (run IS ? AND attempt IS ?)
            """, [at.microseconds, device, wanted.run, wanted.attempt])
        if holder != nil {
            try change(
                "leases were put back",
                """
                INSERT INTO leases (run, attempt, device, leased_at) VALUES (?, ?, ?, ?)
                ON CONFLICT (run, attempt, device) DO UPDATE SET released_at = NULL WHERE released_at IS NOT NULL
                """, [wanted.run, wanted.attempt, device, at.microseconds])
        }
        let open = try Row.fetchOne(
            db,
            sql: """
                SELECT 1 FROM device_intervals WHERE device = ? AND ended_at IS NULL AND state = ? AND run IS ?
                AND attempt IS ?
                """, arguments: [device, wanted.state.rawValue, wanted.run, wanted.attempt])
        guard open == nil else { return }
        try change(
            "devices changed hands in the ledger",
            "UPDATE device_intervals SET ended_at = MAX(began_at, ?) WHERE device = ? AND ended_at IS NULL",
            [at.microseconds, device])
        // From where the ledger ends, so that the device's seconds add up (P8).
        try db.execute(
            sql: """
                INSERT INTO device_intervals (device, state, run, attempt, began_at)
                SELECT ?, ?, ?, ?, COALESCE((SELECT MAX(ended_at) FROM device_intervals WHERE device = ?), ?)
                """,
            arguments: [device, wanted.state.rawValue, wanted.run, wanted.attempt, device, at.microseconds])
    }

    /// Rows whose run, attempt or device is lost.
    private func dropStrays() throws {
        for table in ["conditions", "events", "outbox", "hooks", "attempts", "idempotency_keys"] {
            try db.execute(sql: "DELETE FROM \(table) WHERE run NOT IN (SELECT id FROM runs)")
        }
        for table in ["steps", "leases"] {
            try db.execute(sql: "DELETE FROM \(table) WHERE (run, attempt) NOT IN (SELECT run, number FROM attempts)")
        }
    }

    // MARK: effects

    /// Owes what each state waits for; doing it twice does no harm. Launches, and stops of what was never launched, are
    /// found missing by each agent that starts.
    private mutating func oweAgain() throws {
        let rows = try Row.fetchAll(
            db,
            sql: """
                SELECT id, attempt, phase, EXISTS (SELECT 1 FROM hooks WHERE run = id AND outcome IS NULL) AS undecided
                FROM runs WHERE phase IN ('stopping', 'processing', 'pipeline') OR (phase = 'finished' AND undecided)
                """)
        for row in rows {
            let phase: String = row["phase"]
            var attempt: Int = row["attempt"]
            let kind: Run.Effect.Kind
            switch phase {
            case Run.Phase.stopping.rawValue: kind = .requestStop
            case Run.Phase.processing.rawValue: kind = .handBack
            case Run.Phase.pipeline.rawValue: (kind, attempt) = (.advance, 0)
            case _: kind = .resolveHooks
            }
            try change(
                "effects are owed again", "INSERT OR IGNORE INTO outbox (run, attempt, kind) VALUES (?, ?, ?)",
                [row["id"] as String, attempt, kind.rawValue])
        }
    }

    /// A hook run that has not started is nothing without its main: it would run as something that it is not.
    private mutating func stopOrphans() throws {
        let ids = try String.fetchAll(
            db,
            sql:
                "SELECT id FROM runs WHERE is_hook = 1 AND upstream IS NULL AND phase IN ('held', 'queued', 'launching')"
        )
        var transaction = Transaction(db: db, at: at, node: nil, operations: OperationCache())
        for id in ids {
            guard let run = RunID(id) else { continue }
            _ = try transaction.apply(.stopRequested(by: "postluded --repair"), to: run)
            changes["hook runs were stopped, for the run that they belong to is lost", default: 0] += 1
        }
    }

    /// Counts what was changed under these words.
    private mutating func change(_ what: String, _ sql: String, _ arguments: StatementArguments = []) throws {
        try db.execute(sql: sql, arguments: arguments)
        if db.changesCount > 0 { changes[what, default: 0] += db.changesCount }
    }
}
