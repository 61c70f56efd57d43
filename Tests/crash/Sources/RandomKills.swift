import Foundation
import PostludeFailpoints

/// Kills at random: the agent, at any time and at the Nth hit of any failpoint, its wardens, or both at once.
struct RandomKills {
    enum Victims: CaseIterable { case agent, wardens, both }

    let options: Options
    let reaper: Reaper

    func run(_ tally: inout Tally) async throws {
        var number = 0
        while tally.randomKills < options.kills {
            number += 1
            let seed = options.seed &+ UInt64(number) &* 1_000_003
            let count = min(options.killsPerRound, options.kills - tally.randomKills)
            // Two of four rounds with agents alone: those are held against what each run must come to.
            let victims: Victims = number % 4 == 3 ? .wardens : number % 4 == 0 ? .both : .agent
            let name = "round-\(number)"
            let round = try Round(options, name: name, seed: seed, reaper: reaper)
            var random = Seeded(seed &+ 1)
            try await kill(victims, count, in: round, &random, &tally)
            try await round.finish()
            try tally.take(round, "\(name) (\(victims), seed \(options.seed))")
            if number % 10 == 0 {
                print("crash: \(tally.randomKills) kills, \(tally.runs) runs, violations: \(tally.violations.count)")
                fflush(nil)
            }
        }
    }

    private func kill(
        _ victims: Victims, _ count: Int, in round: Round, _ random: inout Seeded, _ tally: inout Tally
    ) async throws {
        round.wardensDied = victims != .agent
        let before = tally.randomKills
        while tally.randomKills - before < count {
            let order = random.chance(0.5) ? order(&random) : nil
            let agent = try round.stage.start(dyingAt: victims == .wardens ? nil : order)
            switch victims {
            case .agent: try await life(of: agent, order, &random, &tally)
            case .wardens:
                guard try await agent.awaitReady() else { break }
                for _ in 0..<Int.random(in: 4...12, using: &random) where tally.randomKills - before < count {
                    try await pause(Double.random(in: 0.01...0.25, using: &random))
                    if killWarden(round, &random) { tally.wardens += 1 }
                }
                try await agent.kill()
                tally.agents += 1
            case .both:
                try await life(of: agent, order, &random, &tally) { random in
                    var died = false
                    for _ in 0..<Int.random(in: 1...3, using: &random) where killWarden(round, &random) { died = true }
                    return died
                }
            }
            try round.glance()
        }
    }

    /// Ends an agent at its failpoint, or when its time is over. `also` kills what dies with it, and says whether it did.
    private func life(
        of agent: AgentProcess, _ order: FailpointOrder?, _ random: inout Seeded, _ tally: inout Tally,
        also: (inout Seeded) -> Bool = { _ in false }
    ) async throws {
        if random.chance(0.25) {
            // While it starts.
            try await end(agent, within: Double.random(in: 0...0.12, using: &random))
        } else {
            guard try await agent.awaitReady() else { return count(agent, order, also(&random), &tally) }
            // A failpoint's hit may be a while away.
            let most = random.chance(0.25) || order != nil ? 1.2 : 0.4
            try await end(agent, within: Double.random(in: 0...most, using: &random))
        }
        let hasEnded = agent.hasEnded
        let others = also(&random)
        if hasEnded { return count(agent, order, others, &tally) }
        try await agent.kill()
        count(agent, nil, others, &tally)
    }

    private func count(_ agent: AgentProcess, _ order: FailpointOrder?, _ others: Bool, _ tally: inout Tally) {
        if let order { tally.failpoints[order.point.name, default: 0] += 1 }
        if others {
            tally.both += 1
        } else if order != nil {
            tally.atRandomFailpoints += 1
        } else {
            tally.agents += 1
        }
    }

    private func end(_ agent: AgentProcess, within seconds: Double) async throws {
        _ = try await wait(seconds: seconds) { agent.hasEnded }
    }

    private func order(_ random: inout Seeded) -> FailpointOrder {
        let index = Int.random(in: 0..<Failpoint.all.count, using: &random)
        return FailpointOrder(Failpoint.all[index], hit: Int.random(in: 1...4, using: &random))
    }

    private func pause(_ seconds: Double) async throws { try await Task.sleep(for: .seconds(seconds)) }

    private func killWarden(_ round: Round, _ random: inout Seeded) -> Bool {
        let wardens = round.cgroups.wardens
        guard !wardens.isEmpty else { return false }
        return Glibc.kill(wardens[Int.random(in: 0..<wardens.count, using: &random)], SIGKILL) == 0
    }
}
