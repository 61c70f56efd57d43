import Foundation
import GRDB
import PostludeCore

/// Holds everything that a round left against what the design promises (P1 to P4, P8, P9).
struct Checks {
    let stage: Stage
    let records: Records
    let markers: Markers
    /// Whether wardens were killed too: then what they watched may be lost, and must say so.
    let wardensDied: Bool
    /// Runs that the agent has said it has.
    let acknowledged: [RunID: String]

    init(_ stage: Stage, wardensDied: Bool, acknowledged: [RunID: String]) throws {
        self.stage = stage
        self.wardensDied = wardensDied
        self.acknowledged = acknowledged
        records = try Records(path: stage.database)
        markers = Markers(path: stage.markers)
    }

    /// Every violation, each as a line.
    func run() throws -> [String] {
        let runs = try records.runs()
        let hooks = try records.hooks()
        return try markers.violations + ends(runs) + outcomes(runs) + programs(runs) + triggers(hooks, runs)
            + hookRuns(hooks, runs) + order(runs) + leases() + ledger() + unknowns(runs)
            + JournalChecks(stage, records).run()
    }

    // MARK: P3 and the queue

    /// Each run has one final condition, its last, and nothing is owed any more; none that was promised is missing.
    private func ends(_ runs: [Records.Run]) throws -> [String] {
        var found: [String] = []
        let known = Set(runs.map(\.id))
        for (run, name) in acknowledged where !known.contains(run.description) {
            found.append("lost: \(name) was accepted as \(run) and is not in the database")
        }
        let roots = Dictionary(grouping: runs.filter(\.isRoot), by: \.name)
        for (name, runs) in roots where runs.count > 1 { found.append("\(name) was accepted \(runs.count) times") }
        let finals = RunFilter.finalStatuses.map { "'\($0.rawValue)'" }.joined(separator: ", ")
        let conditions = try records.rows(
            """
            SELECT runs.id, runs.status, (SELECT COUNT(*) FROM conditions WHERE run = id AND status IN (\(finals))) AS ends,
                (SELECT status FROM conditions WHERE run = id ORDER BY position DESC LIMIT 1) AS last,
                (SELECT COUNT(*) FROM events WHERE run = id AND kind = 'status' AND subject IN (\(finals))) AS told
            FROM runs
            """)
        for row in conditions {
            let (id, status, last): (String, String, String) = (row["id"], row["status"], row["last"])
            if row["ends"] != 1 || row["told"] != 1 || status != last {
                found.append("P3: \(id) is \(status), its last condition \(last), ends \(row["ends"] as Int)")
            }
        }
        let owed = try records.count("SELECT COUNT(*) FROM outbox")
        if owed > 0 { found.append("\(owed) effects are owed although all is over") }
        let broken = try records.rows("PRAGMA foreign_key_check").count
        if broken > 0 { found.append("\(broken) rows of the database name what is not there") }
        return found
    }

    /// Killing the agent changes nothing of what becomes of a run.
    private func outcomes(_ runs: [Records.Run]) -> [String] {
        runs.compactMap { run in
            guard let load = run.upstream == nil ? Load(ofRun: run.name) : .hold else { return nil }
            if wardensDied, Self.losses.contains(run.reason) { return nil }
            if load == .stop, run.status == .stopped { return nil }
            if wardensDied, run.attempt != load.attempts, run.upstream == nil, load == .retry { return nil }
            // Children of a parent are jobs of their own.
            let attempts = !run.isRoot && load.attempts == 0 ? 1 : load.attempts
            if run.status == load.status, run.attempt == attempts { return nil }
            if wardensDied, load == .matrix, run.status == .failed { return nil }
            return "\(run.name) (\(run.id)) \(run.status) in attempt \(run.attempt) (\(run.reason))"
        }
    }

    /// The last one is that of a launcher, which counts among the wardens, killed while it had a step to set up.
    static let losses: Set = ["WardenLost", "LaunchFailed", "SandboxSetupFailed"]

    // MARK: P4, and nothing twice

    /// What succeeded ran to its end, once; what nobody has submitted did not run.
    private func programs(_ runs: [Records.Run]) -> [String] {
        var found: [String] = []
        let known = Set(runs.map(\.id))
        for run in Set(markers.lines.map(\.run)) where !known.contains(run) {
            found.append("a program ran for \(run), which is not in the database")
        }
        for run in runs where run.status == .succeeded && run.kind == "job" {
            let (starts, ends) = (
                markers.count("+", run.id, run.attempt, "main"), markers.count("-", run.id, run.attempt, "main")
            )
            if starts != 1 || ends != 1 {
                found.append("\(run.name) (\(run.id)) succeeded with \(starts) starts and \(ends) ends of main")
            }
        }
        return found
    }

    /// Each hook fired if and only if its trigger and condition say so.
    private func triggers(_ hooks: [Records.Hook], _ runs: [Records.Run]) -> [String] {
        let statuses = Dictionary(runs.map { ($0.id, $0.status) }) { first, _ in first }
        return hooks.compactMap { hook in
            let fires = hook.trigger == .done || hook.trigger.rawValue == statuses[hook.run]?.rawValue
            let due = !fires ? "trigger_mismatch" : hook.name == "never" ? "condition_false" : "fired"
            if hook.outcome == due, (hook.hookRun != nil) == (due == "fired") { return nil }
            return "P4: hook \(hook.name) of \(hook.run) is \(hook.outcome ?? "undecided"), and \(due) is due"
        }
    }

    /// Each hook that fired is one run, and its program ran once for each attempt at most.
    private func hookRuns(_ hooks: [Records.Hook], _ runs: [Records.Run]) -> [String] {
        var found: [String] = []
        let fired = Set(hooks.compactMap(\.hookRun))
        for run in runs where run.upstream != nil && !fired.contains(run.id) {
            found.append("P4: \(run.id) is a hook run that no hook has fired")
        }
        let hookRuns = runs.filter { fired.contains($0.id) }
        if hookRuns.count != hooks.count(where: { $0.outcome == "fired" }) {
            found.append("P4: \(hooks.count { $0.outcome == "fired" }) hooks fired, \(hookRuns.count) hook runs")
        }
        for run in hookRuns where !wardensDied && markers.count("+", run.id, 1, "main") != 1 {
            found.append(
                "P4: hook \(run.name) of \(run.upstream ?? "") ran \(markers.count("+", run.id, 1, "main")) times")
        }
        return found
    }

    // MARK: P1

    /// No program of a hook before the last of its main, by what they wrote and by the ledger.
    private func order(_ runs: [Records.Run]) throws -> [String] {
        var found: [String] = []
        let spans = markers.spans
        for run in runs {
            guard let upstream = run.upstream, let own = spans[run.id], let main = spans[upstream] else { continue }
            if own.first < main.last { found.append("P1: hook \(run.id) ran before its main \(upstream) was over") }
        }
        let early = try records.rows(
            """
            SELECT runs.id, leases.device FROM runs JOIN leases ON leases.run = runs.upstream
            JOIN attempts ON attempts.run = runs.id
            WHERE COALESCE(quarantined_at, released_at, placed_at + 1) > placed_at
            """)
        for row in early {
            found.append("P1: hook \(row["id"] as String) was placed before \(row["device"] as String) was free")
        }
        return found
    }

    // MARK: P2 and P8

    private func leases() throws -> [String] {
        var found: [String] = []
        for row in try records.rows("SELECT * FROM leases WHERE released_at IS NULL AND quarantined_at IS NULL") {
            found.append("P2: \(row["device"] as String) is still leased to \(row["run"] as String)")
        }
        let twice = try records.rows(
            """
            SELECT a.device, a.run, b.run AS other FROM leases a JOIN leases b
            ON a.device = b.device AND (a.run, a.attempt) <> (b.run, b.attempt) AND a.leased_at <= b.leased_at
            WHERE COALESCE(a.released_at, 1 << 62) > b.leased_at
            """)
        for row in twice {
            found.append("P2: \(row["device"] as String) was \(row["run"] as String)'s and \(row["other"] as String)'s")
        }
        // Only a process of the host that had a device open can be a reason, and there is none.
        for row in try records.rows("SELECT * FROM leases WHERE quarantined_at IS NOT NULL AND evidence = '[]'") {
            found.append("\(row["device"] as String) was quarantined without evidence (\(row["run"] as String))")
        }
        return found
    }

    /// Every device is in one state at a time, from when it was first seen until now, with no gap.
    private func ledger() throws -> [String] {
        var found: [String] = []
        for device in try records.rows("SELECT id FROM devices").map({ $0["id"] as String }) {
            let rows = try records.rows("SELECT * FROM device_intervals WHERE device = ? ORDER BY sequence", [device])
            var sum: Int64 = 0
            for (row, next) in zip(rows, rows.dropFirst()) {
                let (began, ended, then): (Int64, Int64?, Int64) = (row["began_at"], row["ended_at"], next["began_at"])
                if ended != then { found.append("P8: \(device) has a gap or an overlap at \(then)") }
                if then < began { found.append("P8: \(device) goes back in time at \(then)") }
                sum += (ended ?? began) - began
            }
            guard let first = rows.first, let last = rows.last else { continue }
            let (began, open): (Int64, Int64) = (first["began_at"], last["began_at"])
            if sum != open - began || (last["ended_at"] as Int64?) != nil {
                found.append("P8: \(device): the states add up to \(sum), and \(open - began) have passed")
            }
        }
        return found
    }

    // MARK: P9

    private func unknowns(_ runs: [Records.Run]) throws -> [String] {
        var found: [String] = []
        for run in runs where run.reason == "WardenLost" {
            guard case .finished(let outcome) = run.state, outcome.exit == .unknown else {
                found.append("P9: \(run.id) was lost, and is said to have ended: \(run.state)")
                continue
            }
        }
        let made = try records.rows(
            """
            SELECT * FROM steps WHERE (finished_at IS NULL) <> (exit IS NULL) OR (exit IS NULL AND usage IS NOT NULL)
            OR (started_at IS NULL AND exit LIKE '%"code":%')
            """)
        for row in made { found.append("P9: step \(row["name"] as String) of \(row["run"] as String) knows too much") }
        return found
    }
}
