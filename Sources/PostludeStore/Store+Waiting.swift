import GRDB
import PostludeCore

extension Store {
    /// Where a run stands that waits; nil when it does not wait.
    ///
    /// - Parameter visible: whose runs may be named; nil for everybody's.
    public func waitReport(of run: RunID, visible: UInt32?, at time: Timestamp) async throws -> WaitReport? {
        let (node, operations) = (node.withLock { $0 }, operations)
        return try await read { db in
            let transaction = Transaction(db: db, at: time, node: node, operations: operations)
            return try transaction.waitReport(of: run, visible: visible)
        }
    }
}

extension Transaction {
    fileprivate func waitReport(of run: RunID, visible: UInt32?) throws -> WaitReport? {
        let row = try db.row(
            """
            SELECT number, id, queue, is_hook, uid, user, needs, timeout_seconds, state, phase, held_back_by FROM runs
            WHERE id = ?
            """, [run.description])
        guard let row, row["phase"] == Run.Phase.queued.rawValue else { return nil }
        let candidate = try Scheduler.Candidate(row)
        let heldBackBy: String? = row["held_back_by"]
        var report = WaitReport(
            queue: candidate.lane.queue, place: nil, waiting: 0, needs: candidate.lane.needs, heldBackBy: heldBackBy)
        let heads = try heads()
        let round = try round(lanes: heads)
        if let round {
            let (before, all) = try standing(of: candidate, among: heads, in: round)
            report.waiting = all
            if heldBackBy == nil { report.place = before + 1 }
        }
        let (holders, classes) = try holders()
        if heldBackBy == nil, let free = try capacity() {
            report.earliestStart = WaitReport.earliest(
                candidate.lane.needs, free, holders.map { $0.holder }, classes: classes, now: at)
            if let window = round?.window(inTheWayOf: candidate.lane) {
                report.earliestStart = window.until.flatMap { until in report.earliestStart.map { max($0, until) } }
            }
            // When another run of a full queue ends is not looked into.
            if round?.limit(on: candidate.lane) != nil { report.earliestStart = nil }
        }
        report.holders = holders.map { holder, uid in
            var holder = holder
            // That something is held everybody may know, for that is what they wait for; by whom is not theirs to know.
            if let visible, uid != visible { (holder.run, holder.user) = (nil, nil) }
            return holder
        }
        return report
    }

    /// How many have a better claim at this moment, and how many wait.
    private func standing(
        of candidate: Scheduler.Candidate, among heads: [Scheduler.Candidate], in round: Scheduler.Round
    ) throws -> (before: Int, all: Int) {
        var (before, all) = (0, 0)
        for head in heads {
            let count = try count(head.lane, below: .max)
            all += count
            var (first, last) = (head, head)
            (first.number, last.number) = (0, .max)
            if round.precedes(last, candidate) {
                before += count
            } else if round.precedes(first, candidate) {
                before += try self.count(head.lane, below: candidate.number)
            }
        }
        return (before, all)
    }

    private func count(_ lane: Scheduler.Lane, below number: Int64) throws -> Int {
        let row = try db.row(
            """
            SELECT COUNT(*) AS count FROM runs INDEXED BY runs_waiting
            WHERE phase = 'queued' AND held_back_by IS NULL AND queue = ? AND is_hook = ? AND uid = ? AND needs = ?
            AND timeout_seconds = ? AND number < ?
            """,
            [
                lane.queue, lane.isHook, lane.uid, try JSONText.encode(lane.needs), lane.timeoutSeconds ?? 0, number,
            ])
        return row?["count"] ?? 0
    }

    /// Who holds part of the node, the longest first, and the class of each device that is held.
    private func holders() throws -> (holders: [(holder: WaitReport.Holder, uid: UInt32)], classes: [String: String]) {
        var classes: [String: String] = [:]
        var devices: [String: [String]] = [:]
        let leases = try db.rows(
            """
            SELECT leases.run, leases.device, class FROM leases JOIN devices ON devices.id = leases.device
            WHERE released_at IS NULL ORDER BY leases.device
            """)
        for row in leases {
            classes[row["device"]] = row["class"]
            devices[row["run"], default: []].append(row["device"])
        }
        let rows = try db.rows(
            """
            SELECT id, uid, user, operation, held_memory, held_cpu, placed_at, accepted_at
            FROM runs INDEXED BY runs_by_phase
            JOIN attempts ON attempts.run = runs.id AND attempts.number = runs.attempt
            WHERE \(Self.isActive) ORDER BY placed_at, runs.number
            """)
        let holders = try rows.map { row in
            let id = try row.runID("id")
            let termination = try operations.operation(of: id, row).component.termination
            let begun = row.time("accepted_at") ?? row.requiredTime("placed_at")
            let until = termination.timeoutSeconds.map { limit in
                Timestamp(microseconds: begun.microseconds + Int64((limit + termination.graceSeconds) * 1_000_000))
            }
            let holder = WaitReport.Holder(
                run: id, user: row["user"], devices: devices[id.description] ?? [], memoryBytes: row["held_memory"],
                milliCPU: row["held_cpu"], since: row.requiredTime("placed_at"), until: until)
            return (holder, row["uid"] as UInt32)
        }
        return (holders, classes)
    }
}
