import Foundation
import PostludeFailpoints

/// Kills the agent at each failpoint in turn, on one state directory, with a load that reaches them all.
struct FailpointKills {
    let options: Options
    let reaper: Reaper
    /// Seconds until a failpoint counts as dead.
    private static let patience = 60.0

    func run(_ tally: inout Tally) async throws {
        let points =
            try options.named.isEmpty
            ? Failpoint.all
            : options.named.map { name in
                guard let point = Failpoint(name: name) else { throw CrashError("no failpoint is named '\(name)'") }
                return point
            }
        tally.declared = points.count
        let round = try Round(options, name: "failpoints", seed: options.seed, reaper: reaper)
        // Its load includes wardens that die, so what they watched may be lost.
        round.wardensDied = true
        for point in points {
            if point == .at(.leftoverRemoved) { try await leaveSlots(round) }
            var agent = try round.stage.start(dyingAt: FailpointOrder(point))
            let began = ContinuousClock.now
            try await reach(point, agent, round)
            // One that was asked to leave may have had no idle warden to let go at that moment.
            while agent.hasEnded, !agent.wasKilled, began.duration(to: .now) < .seconds(Self.patience) {
                agent = try round.stage.start(dyingAt: FailpointOrder(point))
                try await reach(point, agent, round)
            }
            if agent.hasEnded, agent.wasKilled {
                tally.reached.insert(point.name)
                tally.failpoints[point.name, default: 0] += 1
            } else {
                round.complain("the failpoint \(point.name) was not reached within \(Int(Self.patience)) s")
                try await agent.kill()
            }
            let took = began.duration(to: .now) / .seconds(1)
            if took > 1.5 { print("crash: \(point.name) took \(Int(took)) s") }
            fflush(nil)
            try round.glance()
        }
        try await round.finish()
        try tally.take(round, "failpoints (seed \(options.seed))")
    }

    /// Wardens clear away after an agent that is killed, unless they are killed with it.
    private func leaveSlots(_ round: Round) async throws {
        let agent = try round.stage.start()
        guard try await agent.awaitReady() else { return }
        _ = try await wait(seconds: Self.patience) { !round.cgroups.wardens.isEmpty }
        let wardens = round.cgroups.wardens
        for warden in wardens { Glibc.kill(warden, SIGSTOP) }
        try await agent.kill()
        for warden in wardens { Glibc.kill(warden, SIGKILL) }
    }

    /// Has the load do what leads there, until the agent has died.
    private func reach(_ point: Failpoint, _ agent: AgentProcess, _ round: Round) async throws {
        let feeder = round.feeder
        var kills = false
        var holder: Holder?
        switch point {
        case .before(.advanceOwed), .after(.advanceOwed): feeder.state.withLock { $0.wanted.append(.schedule) }
        case .before(.drain), .after(.drain), .before(.drainEnd), .after(.drainEnd):
            feeder.state.withLock { $0.drains = true }
        case .before(.place), .after(.place):
            feeder.state.withLock { ($0.drains, $0.shortDrains) = (true, true) }
        case .before(.wardenLost), .after(.wardenLost), .before(.handBack), .after(.handBack), .at(.handBackDue),
            .at(.stepsKilled):
            kills = true
        case .before(.hold), .after(.hold), .before(.release), .after(.release):
            feeder.state.withLock { $0.holds = true }
        case .at(.evictDue), .at(.evicted): feeder.state.withLock { $0.wanted.append(.evicted) }
        case .before(.clear), .after(.clear):
            holder = Holder(round.stage)
            feeder.state.withLock { $0.rechecks = true }
        default: break
        }
        defer {
            feeder.state.withLock { state in
                (state.drains, state.shortDrains, state.rechecks, state.holds) = (false, false, false, false)
            }
        }
        let began = ContinuousClock.now
        _ = try await wait(seconds: Self.patience) {
            if agent.hasEnded { return true }
            // An idle warden is let go when its agent leaves in good order.
            if point == .at(.wardenDismissed), began.duration(to: .now) > .seconds(1) { agent.signal(SIGTERM) }
            if kills { for warden in round.cgroups.wardens { Glibc.kill(warden, SIGKILL) } }
            if kills { try await Task.sleep(for: .milliseconds(60)) }
            try holder?.act()
            return false
        }
    }
}

/// A process of the host that keeps a device open which a run has, until it is quarantined for that.
private final class Holder {
    private let stage: Stage
    private var descriptor: Int32?
    private var seen: Int

    init(_ stage: Stage) {
        self.stage = stage
        seen = Markers(path: stage.markers).lines.count
    }

    func act() throws {
        let records = try Records(path: stage.database)
        let isQuarantined =
            try records.count(
                "SELECT COUNT(*) FROM device_intervals WHERE ended_at IS NULL AND state = 'quarantined'") > 0
        if isQuarantined {
            if let open = descriptor { close(open) }
            descriptor = nil
        } else if descriptor == nil {
            // While it is held: who had it before the grant is excused.
            let lines = Markers(path: stage.markers).lines
            if let line = lines.dropFirst(seen).last, line.mark == ".", let node = line.device {
                descriptor = open(node, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
            }
            seen = lines.count
        }
    }

    deinit { if let descriptor { close(descriptor) } }
}
