import PostludeCore

/// `Engine+HandBack`.
extension Model {
    /// Reads the run, kills what is left in the slot if anything is, waits until all is gone and nobody has the device, and
    /// stores that. Nothing that was found gone comes back, so the looks are one step with the write.
    func handBack(_ position: Lane.Position, _ owed: Owed, _ world: World, _ found: inout Successors) {
        let run = owed.run
        guard case .processing(let active, _) = core.states[world.runs[run].state],
            active.attempt == owed.effect.attempt
        else {
            var transaction = ModelTransaction(world, self)
            transaction.complete(owed)
            return found.append((Step(.completed, run), done(transaction, owed)))
        }
        let warden = world[owed.attempt].warden
        let isEmpty = warden.map { world.wardens[$0].main == .none } ?? true
        if fault == .freesUnseen || isEmpty && !(program(of: run).needsDevice && world.hasDeviceInUse) {
            return found.append((Step(.handedBack, run), handedBack(owed, isFree: true, world)))
        }
        if position == .begin, let warden, !isEmpty {
            var next = moved(world, owed, to: .emptying)
            next.wardens[warden].isAlive = false
            return found.append((Step(.stepsKilled, run), next))
        }
        if world.budget.deadlines > 0 {
            var next = handedBack(owed, isFree: false, world)
            next.budget.deadlines -= 1
            next[owed.attempt].isGivenUp = true
            found.append((Step(.deadlinePassed, run), next))
        }
    }

    private func handedBack(_ owed: Owed, isFree: Bool, _ world: World) -> World {
        var transaction = ModelTransaction(world, self)
        transaction.handBack(owed.attempt, isFree: isFree)
        transaction.complete(owed)
        return done(transaction, owed)
    }

    /// `Engine.cleanUp`: waits for the warden's end, ends what it left.
    func cleanUp(_ owed: Owed, _ world: World, _ found: inout Successors) {
        if let warden = world[owed.attempt].warden, !world.wardens[warden].isGone { return }
        var transaction = ModelTransaction(world, self)
        transaction.complete(owed)
        var next = transaction.commit()
        next.agent?.cleanUps.removeAll { $0 == owed }
        found.append((Step(.cleanedUp, owed.run), next))
    }

    /// `Engine.recheckDevices`, again and again while something is quarantined.
    func recheck(_ world: World, _ found: inout Successors) {
        guard world.device.state == .quarantined, let holder = world.device.holder, !world.hasDeviceInUse else {
            return
        }
        if let warden = world[holder].warden, world.wardens[warden].main != .none { return }
        var transaction = ModelTransaction(world, self)
        transaction.clearDevice(of: holder.run)
        found.append((Step(.cleared, holder.run), transaction.commit()))
    }
}
