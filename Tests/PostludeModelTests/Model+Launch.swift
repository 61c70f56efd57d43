import PostludeCore

/// `Inbox`, `Engine+Launch`: the first effect of a run's lane, one step further.
extension Model {
    typealias Successors = [(step: Step, world: World)]

    func perform(lane run: Int, _ world: World, _ found: inout Successors) {
        guard let lane = world.agent?.lanes[run], let owed = lane.queue.first else { return }
        var world = world
        if fault == .forgetsBeforeDone, lane.position == .begin {
            var transaction = ModelTransaction(world, self)
            transaction.complete(owed)
            world = transaction.commit()
        }
        switch owed.effect.kind {
        case .launch: launch(lane.position, owed, world, &found)
        case .requestStop: found.append(requestStop(lane.position, owed, world))
        case .handBack: handBack(lane.position, owed, world, &found)
        case .resolveHooks:
            var transaction = ModelTransaction(world, self)
            if case .finished(let outcome) = core.states[world.runs[run].state] {
                transaction.decideHook(of: run, after: outcome.status)
            }
            transaction.complete(owed)
            found.append((Step(.hooksDecided, run), done(transaction, owed)))
        case .evict, .advance, .cleanUp: break
        }
    }

    /// A transaction is committed, and with it the effect is done.
    func done(_ transaction: ModelTransaction, _ owed: Owed) -> World {
        var transaction = transaction
        var next = transaction.commit()
        next.agent?.lanes[owed.run].finish()
        return next
    }

    func moved(_ world: World, _ owed: Owed, to position: Lane.Position) -> World {
        var next = world
        next.agent?.lanes[owed.run].position = position
        return next
    }

    private func launch(_ position: Lane.Position, _ owed: Owed, _ world: World, _ found: inout Successors) {
        let run = owed.run
        switch position {
        case .begin: beginLaunch(owed, world, &found)
        case .adopted(let warden):
            var next = world
            next.agent?.watch(owed.attempt, warden)
            next.agent?.lanes[run].finish()
            found.append((Step(.watched, run, warden: warden), next))
        case .sent(let warden):
            var transaction = ModelTransaction(world, self)
            let refusal = transaction.bind(owed.attempt, warden: warden)
            var next = moved(transaction.commit(), owed, to: refusal ?? .bound(warden))
            // One that is let go learns it by the end of its channel.
            if refusal != nil { next.wardens[warden].channel = .closed }
            found.append((Step(refusal == nil ? .bound : .unbound, run, warden: warden), next))
        case .bound(let warden):
            // A warden that has died is not told; its watcher finds that.
            var next = moved(world, owed, to: .startSent(warden))
            if next.wardens[warden].isAlive { next.wardens[warden].channel = .started }
            next.agent?.watch(owed.attempt, warden)
            found.append((Step(.startSent, run, warden: warden), next))
        case .startSent(let warden):
            var transaction = ModelTransaction(world, self)
            guard transaction.completeLaunch(owed, boundTo: warden) else {
                return found.append((Step(.launchAgain, run), moved(transaction.commit(), owed, to: .begin)))
            }
            found.append((Step(.launchDone, run), done(transaction, owed)))
        case .lettingGo(let warden, let isRefused):
            guard !world.wardens[warden].isAlive else { return }
            if isRefused {
                found.append(refuse(owed, world))
            } else {
                beginLaunch(owed, world, &found)
            }
        case .stopSent, .emptying: break
        }
    }

    /// Reads the run. If it is to be launched, reserves a warden, sends it the held plan and looks who has the device:
    /// nobody but this lane knows of that warden yet. A device that somebody has then has broken P2 before.
    private func beginLaunch(_ owed: Owed, _ world: World, _ found: inout Successors) {
        let run = owed.run
        if let warden = world[owed.attempt].warden {
            var transaction = ModelTransaction(world, self)
            _ = transaction.completeLaunch(owed, boundTo: warden)
            let next = moved(transaction.commit(), owed, to: .adopted(warden))
            return found.append((Step(.launchDone, run, warden: warden), next))
        }
        guard case .launching(let active) = core.states[world.runs[run].state], active.attempt == owed.effect.attempt,
            world[owed.attempt].journal.isEmpty
        else { return found.append(refuse(owed, world)) }
        if world.budget.wardenDeaths > 0 {
            var (step, next) = refuse(owed, world)
            step.what = .reservedDied
            next.budget.wardenDeaths -= 1
            found.append((step, next))
        }
        var next = world
        var warden = Warden(attempt: owed.attempt, hasDevice: !active.lease.devices.isEmpty)
        warden.main = .parked
        next.wardens.append(warden)
        let index = next.wardens.count - 1
        found.append((Step(.sent, run, warden: index), moved(next, owed, to: .sent(index))))
    }

    /// `Engine.refuseLaunch`.
    private func refuse(_ owed: Owed, _ world: World) -> (step: Step, world: World) {
        var transaction = ModelTransaction(world, self)
        transaction.apply(.launchFailed(attempt: owed.effect.attempt, code: "model", message: ""), to: owed.run)
        transaction.complete(owed)
        return (Step(.refused, owed.run), done(transaction, owed))
    }

    /// `Engine.requestStop`.
    private func requestStop(
        _ position: Lane.Position, _ owed: Owed, _ world: World
    ) -> (step: Step, world: World) {
        if position == .begin, let warden = world[owed.attempt].warden {
            var next = moved(world, owed, to: .stopSent)
            if next.wardens[warden].isAlive { next.wardens[warden].isAskedToStop = true }
            return (Step(.stopSent, owed.run, warden: warden), next)
        }
        if position == .begin, fault != .stopsNobody { return refuse(owed, world) }
        var transaction = ModelTransaction(world, self)
        transaction.complete(owed)
        return (Step(.completed, owed.run), done(transaction, owed))
    }
}

extension World {
    /// Whether a process of a run has the device open.
    var hasDeviceInUse: Bool { wardens.contains { $0.main == .running && $0.hasDevice } }
}
