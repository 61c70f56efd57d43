import GRDB
import PostludeCore

extension Transaction {
    /// The scheduling pass: whoever may start now is placed, in this same transaction.
    mutating func place() throws {
        guard let capacity = try capacity() else { return }
        var pass = Scheduler.Pass(capacity)
        var verdicts: [(RunID, Run.Event)] = []
        // Of runs with the same needs, those behind a delayed one are delayed too: nothing becomes free during a pass.
        var delayed: Set<String> = []
        let queue = try Row.fetchCursor(
            db.cachedStatement(sql: "SELECT id, needs, state FROM runs WHERE phase = 'queued' ORDER BY number"))
        while !pass.isExhausted, let row = try queue.next() {
            let needs: String = row["needs"]
            guard !delayed.contains(needs), case .queued(let waiting) = try row.json("state", as: Run.State.self) else {
                continue
            }
            let run = try row.runID("id")
            let candidate = Scheduler.Waiting(
                run: run, attempt: waiting.attempt, needs: try JSONText.decode(Scheduler.Needs.self, needs))
            switch pass.offer(candidate) {
            case .placed(let lease): verdicts.append((run, .placed(attempt: waiting.attempt, lease: lease)))
            case .delayed(let delay):
                delayed.insert(needs)
                verdicts.append((run, .waiting(reason: delay.words, canEver: delay.canEver)))
            }
        }
        for (run, event) in verdicts { _ = try apply(event, to: run) }
        needsPass = false
    }

    /// What the node has and what of it nobody holds; nil before the node is known.
    private func capacity() throws -> Scheduler.Capacity? {
        guard let node else { return nil }
        let held = try db.row(
            """
            SELECT COALESCE(SUM(held_memory), 0) AS memory, COALESCE(SUM(held_cpu), 0) AS cpu FROM runs
            WHERE phase IN ('launching', 'starting', 'running', 'stopping', 'processing')
            """)
        var capacity = Scheduler.Capacity(
            memoryBytes: node.memoryBytes, milliCPU: node.milliCPU,
            freeMemoryBytes: node.memoryBytes - (held?["memory"] ?? 0),
            freeMilliCPU: node.milliCPU - (held?["cpu"] ?? 0))
        for device in node.devices { capacity.devices[device.deviceClass, default: 0] += 1 }
        let idle = try db.rows(
            """
            SELECT devices.id, devices.class FROM devices JOIN device_intervals ON device_intervals.device = devices.id
            WHERE device_intervals.ended_at IS NULL AND state = 'idle' AND is_present = 1 ORDER BY position
            """)
        for row in idle { capacity.idle[row["class"], default: []].append(row["id"]) }
        return capacity
    }
}

extension Store {
    /// Tells the store what the node has, enters new devices into the ledger, and places whoever fits.
    ///
    /// A device that is gone stays in the ledger; it is given out again when it comes back.
    public func register(_ node: Node, at time: Timestamp) async throws -> Applied<Void> {
        self.node.withLock { $0 = node }
        return try await transact(at: time) { transaction in
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
        try await transact(at: time) { transaction in try transaction.apply(.clear(device: device), of: run) }
    }
}
