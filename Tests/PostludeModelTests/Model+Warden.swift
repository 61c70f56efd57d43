import PostludeCore

/// `PostludeWarden`: `Warden`, `Attempt`, `Hold`.
extension Model {
    func proceed(_ index: Int, _ world: World, _ found: inout Successors) {
        let warden = world.wardens[index]
        guard warden.isAlive else {
            if warden.main != .none { found.append(change(index, .leftEnded, world) { $0.main = .none }) }
            return
        }
        if world.budget.wardenDeaths > 0 {
            var killed = change(index, .wardenKilled, world) { $0.isAlive = false }
            killed.world.budget.wardenDeaths -= 1
            found.append(killed)
        }
        switch warden.stage {
        case .held: hold(index, world, &found)
        case .accepted:
            // After SIGTERM nothing starts.
            if warden.isAskedToStop, warden.main == .parked {
                found.append(change(index, .mainStopped, world) { $0.end(nil) })
            } else {
                found.append(write(.mainStarted, index, .startWritten, world) { $0.stage = .announced })
            }
        case .announced:
            found.append(
                warden.main == .parked
                    ? start(index, world, then: .running)
                    : change(index, .mainStarted, world) { $0.stage = .running })
        case .running:
            // Main's step is over when its cgroup is empty; until then it is as good as running.
            for code in program(of: warden.attempt.run).exits {
                found.append(change(index, .mainEnded, world) { $0.end(code) })
            }
            if warden.isAskedToStop { found.append(change(index, .mainStopped, world) { $0.end(nil) }) }
        case .ended(let code):
            // With its last record it has done all that matters.
            found.append(write(.ended(code), index, .endWritten, world) { $0.isAlive = false })
        }
    }

    private func hold(_ index: Int, _ world: World, _ found: inout Successors) {
        let warden = world.wardens[index]
        switch warden.channel {
        case .open: break
        case .started where fault == .startsBeforeRecord && warden.main == .parked:
            found.append(start(index, world, then: .held))
        case .closed where fault == .startsWithoutWord, .started:
            found.append(write(.accepted, index, .acceptedWritten, world) { $0.stage = .accepted })
        case .closed:
            // `Attempt.abandon`: what was set up is reaped before the warden leaves, without a record.
            found.append(
                change(index, .wardenLeaves, world) {
                    $0.main = .none
                    $0.isAlive = false
                })
        }
    }

    private func start(_ index: Int, _ world: World, then stage: Warden.Stage) -> (step: Step, world: World) {
        var started = change(index, .mainStarted, world) {
            $0.main = .running
            $0.stage = stage
        }
        started.world[world.wardens[index].attempt].starts += 1
        return started
    }

    private func write(
        _ record: Record, _ index: Int, _ what: Step.What, _ world: World, _ body: (inout Warden) -> Void
    ) -> (step: Step, world: World) {
        var written = change(index, what, world, body)
        written.world[world.wardens[index].attempt].journal.append(record)
        return written
    }

    private func change(
        _ index: Int, _ what: Step.What, _ world: World, _ body: (inout Warden) -> Void
    ) -> (step: Step, world: World) {
        var next = world
        body(&next.wardens[index])
        return (Step(what, world.wardens[index].attempt.run, warden: index), next)
    }
}

extension Warden {
    fileprivate mutating func end(_ code: Int32?) {
        main = .none
        stage = .ended(code)
    }
}
