import Foundation
import PostludeCore
import PostludeDevices
import PostludeSandbox
import PostludeStore
import PostludeThreads

extension Engine {
    /// Takes an attempt's devices back: no more access, nobody left, nobody who still holds one. Then the run finishes.
    ///
    /// An open descriptor survives a change of the device filter, so only empty cgroups and a clean scan count. What is
    /// not free at the deadline is quarantined.
    func handBack(_ attempt: AttemptID, _ owed: OwedEffect) async throws {
        guard let (run, stored, _) = try await store.briefing(attempt),
            case .processing(let active, let ending) = run.state, active.attempt == attempt.number
        else {
            return try await store.complete(owed)
        }
        let deadline = ContinuousClock.now + .seconds(configuration.releaseDeadlineSeconds)
        var notes: [Diagnostic] = []
        let verdicts: [Run.DeviceVerdict]
        if let freed = inbox.takeFreed(attempt), freed == Set(active.lease.devices) {
            verdicts = active.lease.devices.map { Run.DeviceVerdict($0, .free) }
        } else {
            var isEmpty = true
            if let warden = try identity(stored) {
                isEmpty = await emptied(warden, until: deadline)
                if !isEmpty { notes.append(.notEmpty(seconds: configuration.releaseDeadlineSeconds)) }
            }
            verdicts = try await self.verdicts(active.lease, stored, isEmpty: isEmpty, until: deadline)
        }
        if ReleaseCheck.isOwnUserOnly, !verdicts.isEmpty { notes.append(.ownProcessesOnly(uid: run.user.uid)) }
        var leavings = await leavings(of: run)
        leavings.notes = notes + leavings.notes
        let (final, time) = (leavings, Timestamp.now)
        var hooks: Store.Forethought?
        if case .finish(let outcome) = ending.next {
            hooks = try await forethought(about: run, attempt, outcome, outputs: final.outputs, at: time)
        }
        let applied = try await store.handBack(attempt, verdicts, final, hooks: hooks, at: time, completing: owed)
        inbox.take(applied.owed)
        if verdicts.contains(where: { $0.verdict != .free }) {
            logger.warning("a device is quarantined", metadata: ["attempt": "\(attempt)"])
            inbox.recheckQuarantined()
        }
        if case .accept(let transition) = applied.result {
            logger.notice(
                "run changed",
                metadata: ["run": "\(attempt.run)", "status": "\(transition.state.status.rawValue)"])
            if let hooks, transition.state == .finished(hooks.outcome) { tell(hooks.decisions, of: attempt.run) }
        }
    }

    /// Takes the devices of an attempt back as soon as its warden said that all has ended, while that word is still on
    /// its way to the disk. What it finds counts only if everything is free at the first look; if not, or if looking
    /// fails, the hand-back does it all itself, with its deadline.
    func freeAhead(_ attempt: AttemptID) async {
        do {
            guard let stored = try await store.attempt(attempt), let warden = try identity(stored) else { return }
            // Before the look: whoever could still open a device would not be found.
            try sandbox.revokeDevices(warden)
            guard try sandbox.isEmpty(warden, stepsOnly: true) else { return }
            let leased = stored.leases.map { (id: $0.device, baseline: $0.baseline) }
            let found = leased.isEmpty ? [:] : try await look(at: leased)
            guard leased.allSatisfy({ found[$0.id] == .free }) else { return }
            inbox.keepFreed(Set(leased.map(\.id)), of: attempt)
        } catch {
            logger.debug(
                "devices could not be taken back ahead, ignoring",
                metadata: ["attempt": "\(attempt)", "error": "\(error)"])
        }
    }

    /// Whether every process of the attempt's steps is gone.
    private func emptied(_ warden: WardenIdentity, until deadline: ContinuousClock.Instant) async -> Bool {
        let sandbox = sandbox
        do {
            let isEmpty = try await offload {
                try sandbox.revokeDevices(warden)
                if try sandbox.isEmpty(warden, stepsOnly: true) { return true }
                try sandbox.kill(warden)
                return false
            }
            return try isEmpty ? true : await sandbox.awaitEmpty(warden, until: deadline)
        } catch {
            logger.error(
                "a sandbox cannot be emptied", metadata: ["slot": "\(warden.slot)", "error": "\(error)"])
            return false
        }
    }

    private func verdicts(
        _ lease: Run.Lease, _ stored: Store.StoredAttempt, isEmpty: Bool, until deadline: ContinuousClock.Instant
    ) async throws -> [Run.DeviceVerdict] {
        guard !lease.devices.isEmpty else { return [] }
        let baselines = Dictionary(stored.leases.map { ($0.device, $0.baseline) }) { first, _ in first }
        var pause = Duration.milliseconds(5)
        while true {
            let found = try await look(at: lease.devices.map { ($0, baselines[$0] ?? nil) })
            let verdicts = lease.devices.map { id in
                let verdict = found[id] ?? .held([])
                return Run.DeviceVerdict(id, isEmpty ? verdict : .held(verdict.holders))
            }
            let isOver = ContinuousClock.now >= deadline || !isEmpty
            if isOver || verdicts.allSatisfy({ $0.verdict == .free }) { return verdicts }
            // The kernel tells nobody when another process closes a device, so here, and until the deadline only, we
            // have to look again.
            try await PostludeThreads.pause(until: min(deadline, .now + pause))
            pause = min(pause * 2, .milliseconds(500))
        }
    }

    /// Who holds the devices, by id, in one look at the processes. A device that is missing in it could not be looked at,
    /// and is not free.
    private func look(at leased: [(id: String, baseline: String?)]) async throws -> [String: ReleaseVerdict] {
        var known: [(device: Device, baseline: HolderBaseline)] = []
        for (id, baseline) in leased {
            guard let device = try await device(id) else { continue }
            let excused = try baseline.map { try JSONDecoder().decode(HolderBaseline.self, from: Data($0.utf8)) }
            known.append((device, excused ?? HolderBaseline()))
        }
        return await ReleaseCheck.verdicts(of: known) { device, error in
            logger.error("a device cannot be verified", metadata: ["device": "\(device.id)", "error": "\(error)"])
        }
    }

    /// The device as configured, or as it was when it was leased.
    private func device(_ id: String) async throws -> Device? {
        if let device = devices[id] { return device }
        return try await store.deviceStatuses().first { $0.device.id == id }?.device
    }

    /// Main's outputs, typed and checked; what is wrong with them becomes a note, and what could be read is kept.
    private func leavings(of run: StoredRun) async -> Store.Leavings {
        let limit = configuration.outputsBytes
        switch OutputsFile.read(artifacts: run.artifacts, owner: run.user.uid, limit: limit) {
        case .absent:
            return Store.Leavings(notes: Inputs.validateOutputs(run.operation.component, [:]))
        case .unusable(let reason):
            return Store.Leavings(notes: [.unusableOutputs(reason)])
        case .values(let values):
            return Store.Leavings(
                outputs: run.operation.component.typedOutputs(values),
                notes: Inputs.validateOutputs(run.operation.component, values))
        }
    }

    /// Removes the attempt's cgroups. Nobody waits for this.
    func cleanUp(_ attempt: AttemptID, _ owed: OwedEffect) async throws {
        _ = inbox.takeFreed(attempt)
        try await quiet()
        if let stored = try await store.attempt(attempt), let warden = try identity(stored) {
            try await sandbox.remove(warden)
        }
        inbox.refillPool()
        try await store.complete(owed)
    }

    func removeLeftover(_ slot: String) async {
        do {
            try await sandbox.removeLeftover(slot)
        } catch {
            logger.warning(
                "what a former agent left cannot be removed, ignoring",
                metadata: ["slot": "\(slot)", "error": "\(error)"])
        }
    }
}

extension Engine {
    /// Looks at quarantined devices now and gives back those that are free. Returns the ids of these.
    @discardableResult
    public func recheckDevices() async throws -> [String] {
        var freed: [String] = []
        for (device, attempt, baseline) in try await store.quarantined() {
            guard try await isSlotEmpty(attempt),
                try await look(at: [(device.id, baseline)])[device.id] == .free
            else { continue }
            inbox.take(try await store.clear(device.id, of: attempt.run, at: .now).owed)
            logger.notice("a quarantined device is free", metadata: ["device": "\(device.id)"])
            freed.append(device.id)
        }
        return freed
    }

    /// The one periodic look, and only while something is quarantined.
    func recheckWhileQuarantined() async {
        defer { inbox.rechecked() }
        do {
            while try await !store.quarantined().isEmpty {
                try await pause(for: .seconds(configuration.quarantineRecheckSeconds))
                try await recheckDevices()
            }
        } catch is CancellationError {
            return
        } catch {
            logger.error("quarantined devices cannot be looked at", metadata: ["error": "\(error)"])
        }
    }

    private func isSlotEmpty(_ attempt: AttemptID) async throws -> Bool {
        guard let stored = try await store.attempt(attempt), let warden = try identity(stored) else { return true }
        let sandbox = sandbox
        return try await offload { try sandbox.isEmpty(warden, stepsOnly: true) }
    }
}

extension Component {
    /// Outputs with the types they are declared with. One that does not fit stays as it was written: what is wrong with
    /// it is a note's business. JSON forgets that 1.0 is no integer, so this is needed after each reading of the store.
    func typedOutputs(_ values: [String: Value]) -> [String: Value] {
        var typed = values
        for declaration in outputs {
            guard let value = values[declaration.name], value != .null else { continue }
            do throws(Inputs.Problem) {
                typed[declaration.name] = try Inputs.typed(value, as: declaration)
            } catch {
                continue
            }
        }
        return typed
    }
}

extension ReleaseVerdict {
    fileprivate var holders: [DeviceHolder] {
        switch self {
        case .free: []
        case .held(let holders): holders
        }
    }
}

extension Diagnostic {
    /// Said with every verdict of an agent without root: it is about this user's processes.
    static func ownProcessesOnly(uid: UInt32) -> Diagnostic {
        Diagnostic(
            .note, "engine.own-processes-only",
            "That the run's devices are free was verified among the processes of uid \(uid) alone.",
            hint: "An agent without root cannot know whether other users have them; the system's agent can.")
    }

    static func notEmpty(seconds: Double) -> Diagnostic {
        Diagnostic(
            .warning, "engine.not-empty",
            "Processes of the run could not be ended within \(seconds) seconds; its devices are quarantined.",
            hint: "A process that hangs in a driver ends when the driver lets it go; postlude devices shows who.")
    }

    static func unusableOutputs(_ reason: String) -> Diagnostic {
        Diagnostic(
            .warning, "engine.unusable-outputs", "The outputs file cannot be used: \(reason).",
            hint: "Write one JSON object to the file that POSTLUDE_OUTPUTS names.")
    }
}
