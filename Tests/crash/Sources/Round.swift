import Foundation
import PostludeFailpoints

/// One state directory's life: a load, kills, restarts, and at the end everything is checked.
final class Round {
    let stage: Stage
    let feeder: Feeder
    let cgroups: Cgroups
    private(set) var violations: [String] = []
    var wardensDied = false
    private var feeding: Task<Void, Never>?
    private var finals: [String: String] = [:]

    init(_ options: Options, name: String, seed: UInt64, reaper: Reaper) throws {
        stage = try Stage(options, name: name, reaper: reaper)
        feeder = Feeder(stage, seed: seed)
        cgroups = Cgroups(stateDirectory: stage.state)
        let feeder = feeder
        feeding = Task { await feeder.run() }
    }

    func complain(_ text: String) { violations.append(text) }

    /// After each kill: a final status stays, and what was accepted is there. Cheap, for it is done thousands of times.
    func glance() throws {
        guard FileManager.default.fileExists(atPath: stage.database) else { return }
        do {
            let records = try Records(path: stage.database)
            guard try records.count("SELECT COUNT(*) FROM sqlite_master WHERE name = 'runs'") > 0 else { return }
            let now = try records.finals()
            for (run, status) in finals where now[run] != status {
                complain("P3: \(run) was \(status) and is \(now[run] ?? "not over")")
            }
            finals = now
        } catch {
            complain("the database cannot be read after a kill: \(error)")
        }
    }

    /// Lets everything come to its end under an agent that nobody kills, and checks it all.
    func finish() async throws {
        feeder.stopFeeding()
        let agent = try stage.start()
        guard try await agent.awaitReady() else {
            complain("the agent does not start any more, see \(stage.log)")
            return await end()
        }
        let records = try Records(path: stage.database)
        let isOver = try await wait(seconds: 180) {
            let isWaiting = self.feeder.state.withLock { !$0.asked.isEmpty }
            return try !isWaiting && records.isQuiet
        }
        if !isOver {
            for row in try records.rows("SELECT id, name, status, reason, message FROM runs WHERE phase <> 'finished'")
            {
                complain("never over: \(row)")
            }
            for row in try records.rows("SELECT * FROM outbox") { complain("owed for ever: \(row)") }
        }
        try glance()
        feeding?.cancel()
        agent.signal(SIGTERM)
        try await agent.awaitEnd()
        if agent.status != 0 { complain("the agent ended with wait status \(agent.status ?? -1), see \(stage.log)") }
        let reaper = stage.reaper
        if try await !wait(seconds: 20, until: { reaper.children.isEmpty }) {
            complain("processes are left: \(reaper.children)")
        }
        try await checkCgroups()
        let acknowledged = feeder.state.withLock { $0.acknowledged }
        violations += try Checks(stage, wardensDied: wardensDied, acknowledged: acknowledged).run()
        await end()
    }

    /// An idle warden that took its time to leave may leave empty cgroups, which the next agent removes.
    private func checkCgroups() async throws {
        let left = Set(cgroups.slots)
        if left.isEmpty { return }
        let agent = try stage.start()
        guard try await agent.awaitReady() else { return complain("no agent starts any more, see \(stage.log)") }
        if try await !wait(seconds: 60, until: { left.isDisjoint(with: self.cgroups.slots) }) {
            complain("cgroups are left: \(left.intersection(cgroups.slots).sorted()) of \(cgroups.remains)")
        }
        agent.signal(SIGTERM)
        try await agent.awaitEnd()
        _ = try await wait(seconds: 20) { self.stage.reaper.children.isEmpty }
        cgroups.clear()
    }

    private func end() async {
        feeding?.cancel()
        await feeding?.value
        violations += feeder.state.withLock { $0.complaints }
        if !violations.isEmpty { cgroups.clear() }
    }

    /// How many runs there were, hooks and children too.
    var runCount: Int {
        get throws { try Records(path: stage.database).count("SELECT COUNT(*) FROM runs") }
    }
}
