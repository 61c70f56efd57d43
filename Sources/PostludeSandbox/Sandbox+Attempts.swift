import Glibc
import PostludeCore
import PostludeLinux
import PostludePlan

extension Sandbox {
    // MARK: watching

    /// Whether this very warden still runs: same boot, same pid, same start time. One that nobody can ask about counts as
    /// running.
    public func isAlive(_ warden: WardenIdentity) -> Bool {
        do { return try process(of: warden)?.isAlive ?? false } catch { return true }
    }

    /// Returns when the warden has ended; at once when it is gone. Ends early when the task is cancelled.
    public func awaitExit(of warden: WardenIdentity) async {
        while !Task.isCancelled {
            do {
                guard let process = try process(of: warden), process.isAlive else { break }
                _ = await monitor.wait(for: try process.waitable(), .readable)
            } catch {
                // Out of descriptors: the caller must not take a living warden for a dead one, so try again.
                await monitor.pause(for: .milliseconds(100))
            }
        }
        do { try process(of: warden)?.reap() } catch {
            // Not one of ours, then: those are known.
        }
    }

    /// Asks the warden to stop its steps: SIGTERM now, SIGKILL after the grace period. Nothing happens when it is gone.
    public func requestStop(_ warden: WardenIdentity) throws {
        guard let process = try process(of: warden) else { return }
        try process.signal(SIGTERM)
        // One that somebody has stopped would not hear of it.
        try process.signal(SIGCONT)
    }

    /// Lets a warden go on that somebody has stopped (SIGSTOP), whose attempt nobody else watches: neither its time limit
    /// nor its end would come. Whether it was.
    public func resume(_ warden: WardenIdentity) throws -> Bool {
        guard let process = try process(of: warden), try ProcessIdentity.isStopped(warden.pid) else { return false }
        try process.signal(SIGCONT)
        return true
    }

    /// SIGKILL to everything in the slot, the warden too, at once.
    public func kill(_ warden: WardenIdentity) throws {
        guard let cgroup = try slot(of: warden) else { return }
        guard tree.hasCgroups else {
            // The warden first, so that it starts no other step.
            try process(of: warden)?.signal(SIGKILL)
            for step in try tree.livingSteps(of: warden.slot) { try step.kill() }
            return
        }
        try cgroup.kill()
    }

    // MARK: taking back

    /// Replaces the device filter of every step by deny-all, atomically. What is open already stays open, so a device
    /// is free only when the steps are empty too. An agent without root has no filters: there the steps' end is all.
    public func revokeDevices(_ warden: WardenIdentity) throws {
        guard !isRootless, try slot(of: warden) != nil else { return }
        for step in try tree.steps(of: warden.slot) {
            do {
                try DeviceFilter.denyAll(try Cgroup(opening: "\(tree.path(of: warden.slot))/\(step)"))
            } catch {
                // The warden may have removed it in the meantime, and with it every process.
                if error.errno != ENOENT { throw error }
            }
        }
    }

    /// Whether no process is left in the slot, or in its steps alone.
    public func isEmpty(_ warden: WardenIdentity, stepsOnly: Bool) throws -> Bool {
        guard let cgroup = try slot(of: warden) else { return true }
        guard tree.hasCgroups else {
            return try (stepsOnly || !isAlive(warden)) && tree.livingSteps(of: warden.slot).isEmpty
        }
        guard stepsOnly else { return try !cgroup.isPopulated() }
        for step in try tree.steps(of: warden.slot) where try isPopulated(step, of: warden) { return false }
        return true
    }

    /// Waits until no process is left in the slot's steps; false when the deadline passes first, or the task is
    /// cancelled.
    public func awaitEmpty(
        _ warden: WardenIdentity, until deadline: ContinuousClock.Instant
    ) async throws -> Bool {
        guard tree.hasCgroups else {
            guard try slot(of: warden) != nil else { return true }
            return try await awaitLivingSteps(of: warden.slot, until: deadline)
        }
        while try slot(of: warden) != nil {
            guard let step = try tree.steps(of: warden.slot).first(where: { try isPopulated($0, of: warden) }) else {
                return true
            }
            guard try await awaitEmpty("\(tree.path(of: warden.slot))/\(step)", until: deadline) else { return false }
        }
        return true
    }

    /// Waits for the warden's end, ends what it left, and removes its cgroups from every hierarchy.
    public func remove(_ warden: WardenIdentity) async throws {
        await awaitExit(of: warden)
        try Task.checkCancellation()
        if try slot(of: warden) != nil { try await clear(warden.slot) }
        state.withLock { state in
            state.wardens[warden.slot] = nil
            state.templates[warden.slot] = nil
            state.discarded.remove(warden.slot)
        }
    }

    // MARK: what an earlier agent left

    /// The slots in the agent's cgroup tree; after a restart, those of attempts that are still running or were not
    /// cleared.
    public func leftovers() throws -> [String] {
        let known = state.withLock { Set($0.wardens.keys) }
        return try tree.slots().filter { !known.contains($0) }
    }

    /// The warden that has this number now; nil when it is another process's, or where there are no cgroups to tell.
    ///
    /// - Throws: when nobody can say, as when the agent is out of descriptors.
    public func warden(withPID pid: Int32) throws(LinuxError) -> WardenIdentity? {
        guard tree.hasCgroups, let startTime = try ProcessIdentity.startTime(of: pid) else { return nil }
        do throws(LinuxError) {
            let lines = try readText("/proc/\(pid)/cgroup").split(separator: "\n")
            let place = "0::\(try tree.membership())/"
            guard let own = lines.first(where: { $0.hasPrefix(place) })?.dropFirst(place.count).split(separator: "/"),
                own.count == 2, own[1] == "warden", CgroupTree.isSlot(String(own[0]))
            else { return nil }
            let inode = try Cgroup(opening: tree.path(of: String(own[0]))).inode()
            // The same process from first to last.
            guard try ProcessIdentity.startTime(of: pid) == startTime else { return nil }
            return WardenIdentity(
                slot: String(own[0]), pid: pid, startTime: startTime, bootID: bootID, cgroupInode: inode)
        } catch {
            if [ENOENT, ESRCH, ENODEV].contains(error.errno) { return nil }
            throw error
        }
    }

    /// Stands for the attempt's warden that nobody can find any more: it is gone, and so is all that it had. Each attempt
    /// has one of its own, with a name that no slot has.
    public func vanishedWarden(of attempt: AttemptID) -> WardenIdentity {
        WardenIdentity(slot: "vanished-\(attempt)", pid: 0, startTime: 0, bootID: bootID, cgroupInode: 0)
    }

    /// Ends everything in a slot that no attempt claims, and removes it.
    public func removeLeftover(_ slot: String) async throws {
        guard CgroupTree.isSlot(slot) else { return }
        try await clear(slot)
    }

    // MARK: parts

    /// The warden's process: known, or found again; nil when it is gone.
    func process(of warden: WardenIdentity) throws(LinuxError) -> WardenProcess? {
        if let known = state.withLock({ $0.wardens[warden.slot] }) { return known.identity == warden ? known : nil }
        guard isOfThisBoot(warden), let adopted = try WardenProcess.adopt(warden) else { return nil }
        let process = state.withLock { state in
            if let known = state.wardens[warden.slot] { return known }
            state.wardens[warden.slot] = adopted
            return adopted
        }
        if process === adopted { watch(adopted) }
        return process
    }

    /// Whether the node has not been started anew since the warden was made.
    public func isOfThisBoot(_ warden: WardenIdentity) -> Bool { warden.bootID == bootID }

    /// The slot's v2 cgroup; nil when it is gone. The inode tells it from a later one of the same name.
    private func slot(of warden: WardenIdentity) throws -> SlotCgroup? {
        guard CgroupTree.isSlot(warden.slot), isOfThisBoot(warden) else { return nil }
        do {
            let cgroup = try SlotCgroup(path: tree.path(of: warden.slot))
            return try cgroup.cgroup.inode() == warden.cgroupInode ? cgroup : nil
        } catch {
            if error.errno == ENOENT { return nil }
            throw SandboxError.cgroupUnavailable(error)
        }
    }

    private func isPopulated(_ step: String, of warden: WardenIdentity) throws -> Bool {
        do {
            return try Cgroup(opening: "\(tree.path(of: warden.slot))/\(step)").isPopulated()
        } catch {
            if error.errno == ENOENT || error.errno == ENODEV { return false }
            throw SandboxError.cgroupUnavailable(error)
        }
    }

    /// Waits until a cgroup is empty or gone; false at the deadline.
    private func awaitEmpty(_ path: String, until deadline: ContinuousClock.Instant?) async throws -> Bool {
        while true {
            let file: OwnedDescriptor
            do {
                // Opened anew each time: the wait takes it over. Reading it arms the notification.
                let events = try Cgroup(opening: path).events()
                if try !events.isPopulated() { return true }
                file = try OwnedDescriptor(duplicating: events.file.rawValue)
            } catch {
                if error.errno == ENOENT || error.errno == ENODEV { return true }
                throw SandboxError.cgroupUnavailable(error)
            }
            switch await monitor.wait(for: file, .priority, until: deadline) {
            case .ready: continue
            case .timedOut, .cancelled: return false
            }
        }
    }

    /// Waits until the slot's steps have ended; false at the deadline.
    private func awaitLivingSteps(of slot: String, until deadline: ContinuousClock.Instant?) async throws -> Bool {
        while let step = try tree.livingSteps(of: slot).first {
            switch await monitor.wait(for: try step.waitable(), .readable, until: deadline) {
            case .ready: continue
            case .timedOut, .cancelled: return false
            }
        }
        return true
    }

    private func clear(_ slot: String) async throws {
        guard tree.hasCgroups else {
            for step in try tree.livingSteps(of: slot) { try step.kill() }
            _ = try await awaitLivingSteps(of: slot, until: nil)
            try Task.checkCancellation()
            do { try tree.remove(slot: slot) } catch { throw SandboxError.cgroupUnavailable(error) }
            return
        }
        let path = tree.path(of: slot)
        do {
            try Cgroup(opening: path).kill()
        } catch {
            if error.errno != ENOENT && error.errno != ENODEV { throw SandboxError.cgroupUnavailable(error) }
        }
        _ = try await awaitEmpty(path, until: nil)
        try Task.checkCancellation()
        do { try tree.remove(slot: slot) } catch { throw SandboxError.cgroupUnavailable(error) }
    }

    // MARK: ends of wardens

    /// Reaps the warden when it ends, and clears its slot if nobody wants it any more.
    func watch(_ warden: WardenProcess) {
        do {
            monitor.notify(when: try warden.waitable(), .readable) { [weak self, weak warden] in
                guard let warden else { return }
                warden.reap()
                self?.ended(warden.identity.slot)
            }
        } catch {
            // Out of descriptors: whoever asks for this warden next reaps it.
        }
    }

    private func ended(_ slot: String) {
        let isDiscarded = state.withLock { state in
            if state.idle.contains(slot) {
                state.idle.removeAll { $0 == slot }
                state.discarded.insert(slot)
            }
            return state.discarded.contains(slot)
        }
        if isDiscarded { removeDiscarded(slot) }
    }

    /// Removes the slot of a warden that never had a plan, when the last process has left it.
    func removeDiscarded(_ slot: String) {
        do {
            if tree.hasCgroups {
                let events = try Cgroup(opening: tree.path(of: slot)).events()
                if try events.isPopulated() {
                    let file = try OwnedDescriptor(duplicating: events.file.rawValue)
                    monitor.notify(when: file, .priority) { [weak self] in self?.removeDiscarded(slot) }
                    return
                }
            } else if state.withLock({ $0.wardens[slot] })?.isAlive == true {
                // Its end brings us here again; what it has parked has run nothing, and ends with it.
                return
            }
            try tree.remove(slot: slot)
        } catch {
            // It stays as a leftover that the next start finds; nothing runs in it.
        }
        state.withLock { state in
            state.wardens[slot] = nil
            state.templates[slot] = nil
            state.discarded.remove(slot)
        }
    }
}

/// A slot's cgroup, held open.
private final class SlotCgroup {
    let cgroup: Cgroup

    init(path: String) throws(LinuxError) { cgroup = try Cgroup(opening: path) }

    func kill() throws { try cgroup.kill() }

    func isPopulated() throws -> Bool { try cgroup.isPopulated() }
}
