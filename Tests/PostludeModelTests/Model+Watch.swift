import PostludeCore

/// `Engine+Watch`.
extension Model {
    func watch(_ index: Int, _ world: World, _ found: inout Successors) {
        guard let watcher = world.agent?.watchers[index] else { return }
        let run = watcher.attempt.run
        let count = world[watcher.attempt].journal.count
        if watcher.isConcluding {
            let isInherited = world.agent?.inherited.contains(watcher.warden) ?? false
            var transaction = ModelTransaction(world, self)
            transaction.wardenEnded(
                watcher.warden, of: watcher.attempt, agentEnded: isInherited, journalRead: !watcher.isUnread)
            var next = transaction.commit()
            next.agent?.stopWatching(index)
            return found.append((Step(.deathStored, run, warden: watcher.warden), next))
        }
        // Storing less than there is comes to the same as storing before the warden wrote the rest.
        if count > watcher.next { store(index, watcher, upTo: count, sawDeath: false, world, &found) }
        guard !world.wardens[watcher.warden].isAlive else { return }
        // The last look comes after the death was seen: a warden writes its last record before it ends.
        if count > watcher.next, fault != .concludesUnread {
            store(index, watcher, upTo: count, sawDeath: true, world, &found)
        } else {
            found.append((Step(.deathSeen, run, warden: watcher.warden), concluding(index, world)))
        }
        if world.budget.unreadableJournals > 0 {
            var next = concluding(index, world)
            next.agent?.watchers[index].isUnread = true
            next.budget.unreadableJournals -= 1
            found.append((Step(.journalUnreadable, run, warden: watcher.warden), next))
        }
    }

    private func concluding(_ index: Int, _ world: World) -> World {
        var next = world
        next.agent?.watchers[index].isConcluding = true
        return next
    }

    /// `JournalReader.drain`. Where the end is among the news, it is looked whether all is free; that look may fail.
    private func store(
        _ index: Int, _ watcher: Watcher, upTo count: Int, sawDeath: Bool, _ world: World, _ found: inout Successors
    ) {
        let hasEnded = world[watcher.attempt].journal[watcher.next..<count].contains(where: \.isEnd)
        var looks = [hasEnded && isFree(watcher.attempt, world)]
        if looks[0], world.budget.failedLooks > 0 { looks.append(false) }
        for (isFailed, isFree) in looks.enumerated() {
            var transaction = ModelTransaction(world, self)
            transaction.record(watcher, upTo: count, isFree: isFree)
            var next = transaction.commit()
            next.agent?.watchers[index].next = count
            next.agent?.watchers[index].isConcluding = sawDeath
            if hasEnded { next.agent?.stopWatching(index) }
            next.budget.failedLooks -= isFailed
            let what: Step.What = sawDeath ? .lastReportsStored : isFree ? .endStored : .reportsStored
            found.append((Step(what, watcher.attempt.run), next))
        }
    }

    /// `Engine.freed`: no process in the steps of the attempt's warden, and nobody has the device.
    private func isFree(_ attempt: Attempt, _ world: World) -> Bool {
        guard let warden = world[attempt].warden else { return false }
        return world.wardens[warden].main == .none && !(program(of: attempt.run).needsDevice && world.hasDeviceInUse)
    }
}

extension Record {
    var isEnd: Bool {
        switch self {
        case .ended: true
        case .accepted, .mainStarted: false
        }
    }
}
