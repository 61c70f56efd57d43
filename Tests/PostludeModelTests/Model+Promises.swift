import PostludeCore

extension Model {
    /// The promise that a world breaks; nil for none.
    func violation(in world: World) -> String? {
        if let broken = world.broken { return broken }
        for (index, row) in world.runs.enumerated() {
            if let attempt = row.attempts.firstIndex(where: { $0.starts > 1 }) {
                return "P4: main of run \(index), attempt \(attempt + 1), starts twice"
            }
            if world.runs.count(where: { $0.upstream == index }) > 1 {
                return "P4: two runs of one hook of run \(index)"
            }
            if let active = core.states[row.state].active, !active.lease.devices.isEmpty,
                world.device.holder != Attempt(run: index, number: active.attempt)
                    || (world.device.state != .allocated && world.device.state != .releasing)
            {
                return "P2: run \(index) has a lease of a device that the ledger gives to somebody else"
            }
        }
        for warden in world.wardens where warden.main == .running {
            if let broken = violation(of: warden, in: world) { return broken }
        }
        return nil
    }

    /// What a process of main's program must not see.
    private func violation(of warden: Warden, in world: World) -> String? {
        let run = warden.attempt.run
        if warden.hasDevice, world.device.holder != warden.attempt {
            return "P2: the device is free or another's while a process of run \(run) has it"
        }
        if !world[warden.attempt].isGivenUp {
            if core.isFinished(world.runs[run].state) { return "P1: run \(run) is over while a process of it runs" }
            if world.runs[run].attempts.count != warden.attempt.number {
                return "P1: run \(run) goes on to its next attempt while a process of the last one runs"
            }
        }
        guard let upstream = world.runs[run].upstream else { return nil }
        if world.wardens.contains(where: {
            $0.main == .running && $0.attempt.run == upstream && !world[$0.attempt].isGivenUp
        }) {
            return "P1: a hook runs beside its main, run \(upstream)"
        }
        if world.device.holder?.run == upstream, world.device.state != .quarantined {
            return "P1: a hook runs before the device of its main, run \(upstream), is verified free or quarantined"
        }
        return nil
    }

    /// What is wrong with a world in which nothing more will happen by itself; nil for nothing.
    func complaint(about world: World) -> String? {
        guard let agent = world.agent, !agent.isRecovering else { return "there is no agent" }
        if let owed = world.outbox.first {
            return "P4: run \(owed.run) is owed \(owed.effect.kind.rawValue), which nobody performs"
        }
        for (index, row) in world.runs.enumerated() {
            guard core.isFinished(row.state) else {
                return "P4: run \(index) is \(core.states[row.state].phase.rawValue), and nothing follows"
            }
            guard let trigger = program(of: index).hook else { continue }
            guard let outcome = row.hookOutcome,
                outcome == core.outcome(of: trigger, after: core.states[row.state].status)
            else { return "P4: the hook of run \(index) has no outcome, or a wrong one" }
            let made = world.runs.count { $0.upstream == index }
            if made != (outcome == .fired ? 1 : 0) { return "P4: the hook of run \(index) has \(made) runs" }
        }
        if world.device.state != .idle { return "P2: the device is \(world.device.state.rawValue) for ever" }
        if !world.wardens.allSatisfy(\.isGone) { return "a warden stays for ever" }
        return nil
    }
}
