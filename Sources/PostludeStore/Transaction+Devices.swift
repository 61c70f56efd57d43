import GRDB
import PostludeCore

extension Transaction {
    /// Moves a device in the ledger, and its lease with it.
    mutating func apply(_ move: DeviceLedger.Move, of run: RunID) throws {
        let id = run.description
        let device = move.device
        guard let open = try openInterval(of: device) else {
            throw StoreError("store.contradiction", "Device '\(device)' is not in the ledger.")
        }
        let step: (closed: DeviceLedger.Interval, opened: DeviceLedger.Interval)
        do throws(DeviceLedger.Violation) {
            step = try DeviceLedger.step(open, move, of: run, at: at)
        } catch {
            throw StoreError(
                "store.contradiction",
                "Device '\(device)' is \(error.state.rawValue) for \(error.holder?.description ?? "nobody"): \(move).")
        }
        let now = step.opened.began.microseconds
        try db.run(
            "UPDATE device_intervals SET ended_at = ? WHERE device = ? AND ended_at IS NULL", [now, device])
        try db.run(
            "INSERT INTO device_intervals (device, state, run, attempt, began_at) VALUES (?, ?, ?, ?, ?)",
            [
                device, step.opened.state.rawValue, step.opened.holder?.run.description, step.opened.holder?.number,
                now,
            ])
        switch move {
        case .lease(_, let attempt):
            try db.run(
                "INSERT INTO leases (run, attempt, device, leased_at) VALUES (?, ?, ?, ?)", [id, attempt, device, now])
            try emit(.device, of: run, device, "leased")
        case .beginRelease(_, let attempt):
            try db.run(
                "UPDATE leases SET releasing_at = ? WHERE run = ? AND attempt = ? AND device = ?",
                [now, id, attempt, device])
            try emit(.device, of: run, device, "releasing")
        case .free(_, let attempt):
            try db.run(
                "UPDATE leases SET released_at = ? WHERE run = ? AND attempt = ? AND device = ?",
                [now, id, attempt, device])
            try emit(.device, of: run, device, "released")
            needsPass = true
        case .quarantine(_, let attempt, let evidence):
            try db.run(
                "UPDATE leases SET quarantined_at = ?, evidence = ? WHERE run = ? AND attempt = ? AND device = ?",
                [now, try JSONText.encode(evidence), id, attempt, device])
            let holders = evidence.map { "\($0.command) (pid \($0.pid), \($0.how.rawValue))" }
            try emit(.device, of: run, device, "quarantined", holders.joined(separator: ", "))
        case .clear:
            try db.run(
                "UPDATE leases SET released_at = ? WHERE device = ? AND released_at IS NULL", [now, device])
            try emit(.device, of: run, device, "cleared")
            needsPass = true
        }
    }

    private func openInterval(of device: String) throws -> DeviceLedger.Interval? {
        let row = try db.row("SELECT * FROM device_intervals WHERE device = ? AND ended_at IS NULL", [device])
        return try row.map(DeviceLedger.Interval.init)
    }
}

extension DeviceLedger.Interval {
    init(_ row: Row) throws {
        let run = try row.optionalRunID("run")
        let number = row["attempt"] as Int?
        self.init(
            device: row["device"], state: try row.word("state"),
            holder: run.flatMap { run in number.map { AttemptID(run: run, number: $0) } },
            began: row.requiredTime("began_at"), ended: row.time("ended_at"))
    }
}
