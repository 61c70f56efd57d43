import GRDB
import PostludeCore

extension Store {
    /// One row for each step, oldest run first. `since` bounds when the run was submitted; nil for all.
    ///
    /// An attempt that never got as far as a step has one row, for main: it may have held a device.
    public func usage(uid: UInt32?, since: Timestamp?) async throws -> [UsageRecord] {
        try await read { db in
            try db.rows(
                """
                SELECT runs.id, runs.name AS run_name, project, user, upstream, hook_name, status,
                    attempts.number AS attempt_number, attempts.queued_at AS attempt_queued_at, placed_at,
                    artifacts_bytes, COALESCE(steps.name, 'main') AS step_name, COALESCE(steps.role, 'main') AS step_role,
                    steps.exit, steps.usage, steps.started_at AS step_started_at,
                    steps.finished_at AS step_finished_at
                FROM attempts JOIN runs ON runs.id = attempts.run
                LEFT JOIN steps ON steps.run = attempts.run AND steps.attempt = attempts.number
                WHERE (? IS NULL OR uid = ?) AND runs.created_at >= ? AND placed_at IS NOT NULL
                ORDER BY runs.number, attempts.number, steps.position
                """, [uid, uid, since?.microseconds ?? Int64.min]
            ).map { try UsageRecord(db, $0) }
        }
    }

    /// Every device the node has, with who has it.
    public func deviceStatuses() async throws -> [DeviceStatus] {
        try await read { db in
            try db.rows(
                """
                SELECT devices.device AS description, device_intervals.* FROM devices
                JOIN device_intervals ON device_intervals.device = devices.id AND ended_at IS NULL
                WHERE is_present = 1 OR state <> 'idle' ORDER BY position
                """
            ).map { row in
                let interval = try DeviceLedger.Interval(row)
                let evidence = try db.row(
                    "SELECT evidence FROM leases WHERE run = ? AND attempt = ? AND device = ?",
                    [interval.holder?.run.description, interval.holder?.number, interval.device]
                )?.json("evidence", as: [DeviceHolder].self)
                return DeviceStatus(
                    device: try row.json("description"), state: interval.state.wire, run: interval.holder?.run,
                    since: interval.began, evidence: interval.state == .quarantined ? evidence ?? [] : [])
            }
        }
    }

    /// Quarantined devices with whose they were and who held them before.
    public func quarantined() async throws -> [(device: Device, attempt: AttemptID, baseline: String?)] {
        try await read { db in
            try db.rows(
                """
                SELECT devices.device AS description, leases.run, leases.attempt, baseline FROM device_intervals
                JOIN devices ON devices.id = device_intervals.device
                JOIN leases ON leases.device = devices.id AND released_at IS NULL
                WHERE ended_at IS NULL AND state = 'quarantined'
                """
            ).map { row in
                (
                    try row.json("description"), AttemptID(run: try row.runID("run"), number: row["attempt"]),
                    row["baseline"]
                )
            }
        }
    }

    /// The whole ledger of one device, oldest first.
    public func intervals(of device: String) async throws -> [DeviceLedger.Interval] {
        try await read { db in
            try db.rows("SELECT * FROM device_intervals WHERE device = ? ORDER BY sequence", [device])
                .map(DeviceLedger.Interval.init)
        }
    }
}

extension DeviceLedger.State {
    var wire: DeviceStatus.State {
        switch self {
        case .idle: .idle
        case .allocated: .leased
        case .releasing: .releasing
        case .quarantined: .quarantined
        }
    }
}

extension UsageRecord {
    init(_ db: Database, _ row: Row) throws {
        let run = try row.runID("id")
        let attempt: Int = row["attempt_number"]
        let role: StepRole = try row.word("step_role")
        let leases = try db.rows(
            "SELECT * FROM leases WHERE run = ? AND attempt = ? ORDER BY device", [run.description, attempt])
        let queued = row.time("attempt_queued_at")
        let placed = row.requiredTime("placed_at")
        self.init(
            run: run, runName: row["run_name"], project: row["project"], user: row["user"],
            upstream: try row.optionalRunID("upstream"), hookName: row["hook_name"], attempt: attempt,
            step: row["step_name"], role: role, status: try row.word("status"), exit: try row.optionalJSON("exit"),
            // How long it waited nobody knows when the clock was set back meanwhile (P9).
            queueSeconds: queued.flatMap { $0 <= placed ? placed.seconds(since: $0) : nil },
            usage: try row.optionalJSON("usage"),
            deviceSeconds: role == .main ? Self.sum(leases, from: "leased_at", until: ["releasing_at"]) : nil,
            releasingSeconds: role == .main
                ? Self.sum(leases, from: "releasing_at", until: ["quarantined_at", "released_at"]) : nil,
            artifactsBytes: role == .main ? row["artifacts_bytes"] : nil,
            devices: leases.map { $0["device"] }, startedAt: row.time("step_started_at"),
            finishedAt: row.time("step_finished_at"))
    }

    /// nil while a stretch is not over: what is not known is not 0 (P9).
    private static func sum(_ leases: [Row], from: String, until: [String]) -> Double? {
        var total = 0.0
        for lease in leases {
            guard let began = lease.time(from), let ended = until.lazy.compactMap({ lease.time($0) }).first else {
                return nil
            }
            total += max(0, ended.seconds(since: began))
        }
        return total
    }
}
