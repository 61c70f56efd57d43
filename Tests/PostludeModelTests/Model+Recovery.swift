import PostludeCore

/// `Engine+Recovery`: before anything else is performed; only stops come in between.
extension Model {
    /// Looks for slots that nobody claims, and registers the node.
    func start(_ world: World) -> (step: Step, world: World) {
        var next = world
        var agent = Agent(isRecovering: true, lanes: Array(repeating: Lane(), count: world.runs.count))
        let claimed = claimedWardens(world)
        agent.leftovers = world.wardens.indices.filter { !world.wardens[$0].isGone && !claimed.contains($0) }
        next.agent = agent
        var transaction = ModelTransaction(next, self)
        transaction.requestPass()
        return (Step(.agentStarts), transaction.commit())
    }

    /// Takes what is owed, and watches the attempts that are alive. An agent that wrote all it owed misses nothing.
    func takeUp(_ world: World) -> (step: Step, world: World) {
        var transaction = ModelTransaction(world, self)
        transaction.oweWhatIsMissing()
        var next = transaction.commit()
        if fault != .takesNothingOwed { next.agent?.take(world.outbox) }
        for (run, row) in world.runs.enumerated() where fault != .adoptsNothing {
            let state = core.states[row.state]
            switch state.phase {
            case .launching, .starting, .running, .stopping: break
            case .created, .held, .queued, .pipeline, .processing, .finished: continue
            }
            guard let number = state.active?.attempt, let warden = row.attempts[number - 1].warden else { continue }
            next.agent?.inherited.append(warden)
            next.agent?.watch(Attempt(run: run, number: number), warden)
        }
        next.agent?.isRecovering = false
        return (Step(.takenUp), next)
    }

    /// `Store.claimedWardens`.
    private func claimedWardens(_ world: World) -> Set<Int> {
        var claimed: Set<Int> = []
        for (run, row) in world.runs.enumerated() {
            for (index, attempt) in row.attempts.enumerated() {
                guard let warden = attempt.warden else { continue }
                let isCurrent = !core.isFinished(row.state) && index == row.attempts.count - 1
                if isCurrent || world.outbox.contains(where: { $0.attempt == Attempt(run: run, number: index + 1) }) {
                    claimed.insert(warden)
                }
            }
        }
        return claimed
    }

    /// `Sandbox.removeLeftover`: kills the slot and waits until it is empty; nobody waits for that.
    func removeLeftover(_ warden: Int, _ world: World) -> (step: Step, world: World) {
        var next = world
        next.agent?.leftovers.removeAll { $0 == warden }
        next.wardens[warden].isAlive = false
        return (Step(.leftoverKilled, warden: warden), next)
    }
}
