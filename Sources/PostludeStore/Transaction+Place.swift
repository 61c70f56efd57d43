import GRDB
import PostludeCore
import PostludeFailpoints

extension Transaction {
    /// The scheduling pass: whoever may start now is placed, in this same transaction.
    mutating func place() throws {
        // What the pass itself does to runs asks for no other.
        defer { needsPass = false }
        let heads = try heads()
        guard var round = try round(lanes: heads) else { return }
        var verdicts: [(RunID, Run.Event)] = []
        try Scheduler.place(heads, in: &round, next: next) { candidate, verdict in
            let event: Run.Event =
                switch verdict {
                case .placed(let lease): .placed(attempt: candidate.attempt, lease: lease)
                case .delayed(let delay): .waiting(reason: delay.words, canEver: delay.canEver)
                case .limited(let words): .waiting(reason: words, canEver: true)
                }
            verdicts.append((candidate.run, event))
        }
        for (run, event) in verdicts { _ = try apply(event, to: run) }
    }

    /// Nil when nobody waits, or before the node is known.
    func round(lanes heads: [Scheduler.Candidate]) throws -> Scheduler.Round? {
        guard !heads.isEmpty, let node, let capacity = try capacity() else { return nil }
        let rules = node.rules
        // Who is alone and has no bounds comes first in any case.
        let isAlone = Set(heads.map(\.lane.uid)).count < 2
        let active = isAlone && !rules.bindsRunning ? [] : try active()
        var usage = isAlone ? [:] : try used(rules)
        if !isAlone {
            for run in active {
                usage[run.holding.uid, default: 0] += FairShare.held(
                    FairShare.dominant(run.needs, of: capacity), from: run.placedAt, to: at,
                    halfLife: rules.halfLifeSeconds)
            }
        }
        return Scheduler.Round(
            capacity, rules: rules, windows: try windows(), holdings: active.map { $0.holding }, usage: usage, at: at)
    }

    private static let candidates = """
        SELECT number, id, queue, is_hook, uid, user, needs, timeout_seconds, state FROM runs INDEXED BY runs_waiting
        WHERE phase = 'queued' AND held_back_by IS NULL
        """

    private static let order = "ORDER BY queue, is_hook, uid, needs, timeout_seconds, number LIMIT 1"

    /// What finds the head of a lane after one that has these columns in common, the most first. In one comparison,
    /// `(queue, ...) > (?, ...)`, SQLite begins at the first run that equals it and walks through all of the lane.
    private static let steps = {
        let columns = ["queue", "is_hook", "uid", "needs", "timeout_seconds"]
        return columns.indices.reversed().map { count in
            let same = columns[..<count].map { "AND \($0) = ? " }.joined()
            return (sql: "\(candidates) \(same)AND \(columns[count]) > ? \(order)", arguments: count + 1)
        }
    }()

    /// The first run of each lane, found by some steps down the index for each, however many wait in it.
    func heads() throws -> [Scheduler.Candidate] {
        var heads: [Scheduler.Candidate] = []
        var row = try db.row("\(Self.candidates) \(Self.order)")
        while let found = row {
            heads.append(try Scheduler.Candidate(found))
            let lane = Self.lane(of: found)
            row = nil
            for step in Self.steps where row == nil {
                row = try db.row(step.sql, StatementArguments(Array(lane.prefix(step.arguments))))
            }
        }
        return heads
    }

    private func next(after candidate: Scheduler.Candidate) throws -> Scheduler.Candidate? {
        let lane = candidate.lane
        return try db.row(
            """
            \(Self.candidates) AND queue = ? AND is_hook = ? AND uid = ? AND needs = ? AND timeout_seconds = ?
            AND number > ? ORDER BY number LIMIT 1
            """,
            [
                lane.queue, lane.isHook, lane.uid, try JSONText.encode(lane.needs), lane.timeoutSeconds ?? 0,
                candidate.number,
            ]
        ).map(Scheduler.Candidate.init)
    }

    private static func lane(of row: Row) -> [any DatabaseValueConvertible] {
        [
            row["queue"] as String, row["is_hook"] as Bool, row["uid"] as Int64, row["needs"] as String,
            row["timeout_seconds"] as Double,
        ]
    }

    /// Of runs that hold part of the node. That none of them is finished says it all over again, and is what SQLite needs to
    /// take the index of those that are not (sqlite.org/partialindex.html): else each pass would read every run there ever
    /// was.
    static let isActive = """
        phase <> 'finished' AND phase IN ('launching', 'starting', 'running', 'stopping', 'processing')
        """

    /// The runs that hold part of the node, with what they took and since when.
    private func active() throws -> [(holding: Scheduler.Holding, needs: Scheduler.Needs, placedAt: Timestamp)] {
        var known: [String: Scheduler.Needs] = [:]
        return try db.rows(
            """
            SELECT queue, is_hook, uid, needs, placed_at, (SELECT COUNT(*) FROM leases
                WHERE leases.run = runs.id AND leases.attempt = runs.attempt AND released_at IS NULL) AS devices
            FROM runs INDEXED BY runs_by_phase
            JOIN attempts ON attempts.run = runs.id AND attempts.number = runs.attempt
            WHERE \(Self.isActive)
            """
        ).map { row in
            let text: String = row["needs"]
            let needs = try known[text] ?? JSONText.decode(Scheduler.Needs.self, text)
            known[text] = needs
            let holding = Scheduler.Holding(
                queue: row["queue"], isHook: row["is_hook"], uid: row["uid"], devices: row["devices"])
            return (holding, needs, row.requiredTime("placed_at"))
        }
    }

    /// What each user's ended attempts have used, as it counts now.
    private func used(_ rules: SchedulingRules) throws -> [UInt32: Double] {
        var used: [UInt32: Double] = [:]
        for row in try db.rows("SELECT uid, seconds, at FROM used_shares") {
            used[row["uid"]] = FairShare.decayed(
                row["seconds"], since: row.requiredTime("at"), at: at, halfLife: rules.halfLifeSeconds)
        }
        return used
    }

    /// Adds what an attempt has used that gives its lease up now.
    func account(for ended: Run.Active, of run: RunID) throws {
        guard let node,
            let row = try db.row(
                """
                SELECT uid, needs, placed_at FROM runs JOIN attempts ON attempts.run = runs.id AND attempts.number = ?
                WHERE runs.id = ?
                """, [ended.attempt, run.description])
        else { return }
        let halfLife = node.rules.halfLifeSeconds
        let share = FairShare.dominant(try row.json("needs"), of: node.capacity)
        let uid: UInt32 = row["uid"]
        let added = FairShare.held(share, from: row.requiredTime("placed_at"), to: at, halfLife: halfLife)
        let before = try db.row("SELECT seconds, at FROM used_shares WHERE uid = ?", [uid]).map { row in
            FairShare.decayed(row["seconds"], since: row.requiredTime("at"), at: at, halfLife: halfLife)
        }
        try db.run(
            """
            INSERT INTO used_shares VALUES (?, ?, ?)
            ON CONFLICT (uid) DO UPDATE SET seconds = excluded.seconds, at = excluded.at
            """, [uid, (before ?? 0) + added, at.microseconds])
    }

    /// What the node has and what of it nobody holds; nil before the node is known.
    func capacity() throws -> Scheduler.Capacity? {
        guard let node else { return nil }
        let held = try db.row(
            """
            SELECT COALESCE(SUM(held_memory), 0) AS memory, COALESCE(SUM(held_cpu), 0) AS cpu
            FROM runs INDEXED BY runs_by_phase WHERE \(Self.isActive)
            """)
        var capacity = node.capacity
        capacity.freeMemoryBytes -= held?["memory"] ?? 0
        capacity.freeMilliCPU -= held?["cpu"] ?? 0
        let idle = try db.rows(
            """
            SELECT devices.id, devices.class FROM devices JOIN device_intervals ON device_intervals.device = devices.id
            WHERE device_intervals.ended_at IS NULL AND state = 'idle' AND is_present = 1 ORDER BY position
            """)
        for row in idle { capacity.idle[row["class"], default: []].append(row["id"]) }
        return capacity
    }
}

extension Store.Node {
    /// All that it has, with nothing held and no device's state known.
    public var capacity: Scheduler.Capacity {
        var capacity = Scheduler.Capacity(memoryBytes: memoryBytes, milliCPU: milliCPU)
        for device in devices { capacity.devices[device.deviceClass, default: 0] += 1 }
        return capacity
    }
}

extension Scheduler.Candidate {
    init(_ row: Row) throws {
        guard case .queued(let waiting) = try row.json("state", as: Run.State.self) else {
            throw StoreError.unreadable("a queued run's state")
        }
        let timeout: Double = row["timeout_seconds"]
        let lane = Scheduler.Lane(
            queue: row["queue"], isHook: row["is_hook"], uid: row["uid"], user: row["user"],
            needs: try row.json("needs"), timeoutSeconds: timeout > 0 ? timeout : nil)
        self.init(lane: lane, run: try row.runID("id"), number: row["number"], attempt: waiting.attempt)
    }
}

extension Store {
    /// Tells the store what the node has, enters new devices into the ledger, and places whoever fits.
    ///
    /// A device that is gone stays in the ledger; it is given out again when it comes back.
    public func register(_ node: Node, at time: Timestamp) async throws -> Applied<Void> {
        self.node.withLock { $0 = node }
        return try await transact(.register, at: time) { transaction in
            let db = transaction.db
            try db.run("UPDATE devices SET is_present = 0")
            for (position, device) in node.devices.enumerated() {
                try db.run(
                    """
                    INSERT INTO devices (id, position, class, device, is_present) VALUES (?, ?, ?, ?, 1)
                    ON CONFLICT (id) DO UPDATE SET position = excluded.position, class = excluded.class,
                        device = excluded.device, is_present = 1
                    """, [device.id, position, device.deviceClass, try JSONText.encode(device)])
                try db.run(
                    """
                    INSERT INTO device_intervals (device, state, began_at) SELECT ?, 'idle', ?
                    WHERE NOT EXISTS (SELECT 1 FROM device_intervals WHERE device = ? AND ended_at IS NULL)
                    """, [device.id, time.microseconds, device.id])
            }
            // The time a device was not there is nobody's.
            try db.run(
                """
                UPDATE device_intervals SET ended_at = MAX(began_at, ?) WHERE ended_at IS NULL AND state = 'idle'
                AND device IN (SELECT id FROM devices WHERE is_present = 0)
                """, [time.microseconds])
            transaction.needsPass = true
        }
    }

    /// Gives a quarantined device back to the scheduler.
    public func clear(_ device: String, of run: RunID, at time: Timestamp) async throws -> Applied<Void> {
        try await transact(.clear, at: time) { transaction in try transaction.apply(.clear(device: device), of: run) }
    }
}
