import Foundation
import PostludeCore
import PostludeDevices
import PostludeFailpoints
import PostludeSandbox
import PostludeStore
import PostludeThreads

extension Engine {
    /// Takes an attempt's devices back: no more access, nobody left, nobody who still holds one. Then the run finishes.
    ///
    /// An open descriptor survives a change of the device filter, so only empty cgroups and a clean scan count. What is
    /// not free at the deadline is quarantined.
    func handBack(_ attempt: AttemptID, _ owed: OwedEffect) async throws {
        Failpoint.reach(.handBackDue)
        guard let (run, stored, _) = try await store.briefing(attempt),
            case .processing(let active, let ending) = run.state, active.attempt == attempt.number
        else {
            return try await store.complete(owed)
        }
        let deadline = ContinuousClock.now + .seconds(configuration.releaseDeadlineSeconds)
        var notes: [Diagnostic] = []
        var isEmpty = true
        if let warden = try identity(stored) {
            isEmpty = await emptied(warden, until: deadline)
            if !isEmpty { notes.append(.notEmpty(seconds: configuration.releaseDeadlineSeconds)) }
        }
        let verdicts = try await verdicts(active.lease, stored, isEmpty: isEmpty, until: deadline)
        var leavings = outputs(of: run).leavings(run, after: ending, hadDevices: !verdicts.isEmpty)
        leavings.notes = notes + leavings.notes
        leavings.artifactsBytes = artifactsSize(of: run.artifacts, entries: Self.fewEntries)
        Failpoint.reach(.outputsRead)
        let applied = try await store.handBack(
            attempt, verdicts, leavings, at: .now, completing: owed, deciding: hookDecider)
        inbox.take(applied.owed)
        if verdicts.contains(where: { $0.verdict != .free }) {
            logger.warning("a device is quarantined", metadata: ["attempt": "\(attempt)"])
            inbox.recheckQuarantined()
        }
        tell(applied.result, of: attempt.run)
    }

    func tell(_ handedBack: Store.HandedBack, of run: RunID) {
        guard case .accept(let transition) = handedBack.decision else { return }
        logger.notice(
            "run changed", metadata: ["run": "\(run)", "status": "\(transition.state.status.rawValue)"])
        tell(handedBack.hooks, of: run)
    }

    /// Takes the devices of an attempt back as soon as its warden said that all has ended, before that word is stored, so
    /// that end and hand-back are one transaction. Nil when not all is free at the first look, or when looking fails:
    /// then the hand-back is owed, and does it all itself, with its deadline.
    func freed(_ attempt: AttemptID) async -> Store.Freed? {
        do {
            guard let (run, stored, _) = try await store.briefing(attempt), let warden = try identity(stored) else {
                return nil
            }
            // Before the look: whoever could still open a device would not be found.
            try sandbox.revokeDevices(warden)
            Failpoint.reach(.devicesRevoked)
            guard try sandbox.isEmpty(warden, stepsOnly: true) else { return nil }
            let leased = try stored.leases.map { (id: $0.device, baseline: try baseline(of: $0, in: stored)) }
            let found = leased.isEmpty ? [:] : try await look(at: leased)
            guard leased.allSatisfy({ found[$0.id] == .free }) else { return nil }
            let outputs = outputs(of: run)
            let size = artifactsSize(of: run.artifacts, entries: Self.fewEntries)
            Failpoint.reach(.outputsRead)
            return Store.Freed(devices: Set(leased.map(\.id)), at: .now, deciding: hookDecider) { ending in
                var leavings = outputs.leavings(run, after: ending, hadDevices: !leased.isEmpty)
                leavings.artifactsBytes = size
                return leavings
            }
        } catch {
            logger.debug(
                "devices could not be taken back at once, ignoring",
                metadata: ["attempt": "\(attempt)", "error": "\(error)"])
            return nil
        }
    }

    /// Whether every process of the attempt's steps is gone. What fails is tried again until the deadline.
    private func emptied(_ warden: WardenIdentity, until deadline: ContinuousClock.Instant) async -> Bool {
        let sandbox = sandbox
        var pause = Duration.milliseconds(50)
        while true {
            do {
                let isEmpty = try await offload {
                    try sandbox.revokeDevices(warden)
                    Failpoint.reach(.devicesRevoked)
                    if try sandbox.isEmpty(warden, stepsOnly: true) { return true }
                    try sandbox.kill(warden)
                    Failpoint.reach(.stepsKilled)
                    return false
                }
                return try isEmpty ? true : await sandbox.awaitEmpty(warden, until: deadline)
            } catch {
                logger.error(
                    "a sandbox cannot be emptied", metadata: ["slot": "\(warden.slot)", "error": "\(error)"])
            }
            guard ContinuousClock.now + pause < deadline else { return false }
            do { try await PostludeThreads.pause(for: pause) } catch { return false }
            pause = min(pause * 2, .seconds(2))
        }
    }

    private func verdicts(
        _ lease: Run.Lease, _ stored: Store.StoredAttempt, isEmpty: Bool, until deadline: ContinuousClock.Instant
    ) async throws -> [Run.DeviceVerdict] {
        guard !lease.devices.isEmpty else { return [] }
        let baselines = Dictionary(
            try stored.leases.map { ($0.device, try baseline(of: $0, in: stored)) }
        ) { first, _ in first }
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

    /// Who may hold the device after the attempt. With a warden there was a look before the grant; where it is lost, nobody
    /// is excused.
    private func baseline(of lease: Store.StoredAttempt.Lease, in attempt: Store.StoredAttempt) throws -> String? {
        guard lease.baseline == nil, attempt.warden != nil else { return lease.baseline }
        return try Self.text(HolderBaseline())
    }

    /// Who holds the devices, by id, in one look at the processes. A device that is missing in it could not be looked at,
    /// and is not free.
    private func look(at leased: [(id: String, baseline: String?)]) async throws -> [String: ReleaseVerdict] {
        var known: [(device: Device, baseline: HolderBaseline)] = []
        var ungranted: [Device] = []
        for (id, baseline) in leased {
            guard let device = try await device(id) else { continue }
            guard let baseline else {
                ungranted.append(device)
                continue
            }
            known.append((device, try JSONDecoder().decode(HolderBaseline.self, from: Data(baseline.utf8))))
        }
        if !ungranted.isEmpty { known += try await neverGranted(ungranted) }
        let findings = await ReleaseCheck.findings(of: known) { device, error in
            logger.error("a device cannot be verified", metadata: ["device": "\(device.id)", "error": "\(error)"])
        }
        Failpoint.reach(.devicesVerified)
        for (id, found) in findings where found.verdict == .free { holderLooks.keep(found.excused, of: id, at: .now) }
        return findings.mapValues(\.verdict)
    }

    /// Devices of an attempt that never had a warden: no program of it was started, so whoever has one now had it before,
    /// or came by it elsewhere, unless it is a process of a run.
    private func neverGranted(_ devices: [Device]) async throws -> [(device: Device, baseline: HolderBaseline)] {
        let runs = sandbox.runs
        let looks = try await offload { try ReleaseCheck.looks(at: devices, refusing: runs) }
        return devices.map { device in
            guard case .success(let baseline) = looks[device.id] else { return (device, HolderBaseline()) }
            return (device, baseline)
        }
    }

    /// The device as configured, or as it was when it was leased.
    private func device(_ id: String) async throws -> Device? {
        if let device = devices[id] { return device }
        return try await store.deviceStatuses().first { $0.device.id == id }?.device
    }

    private func outputs(of run: StoredRun) -> OutputsFile.Reading {
        OutputsFile.read(artifacts: run.artifacts, owner: run.user.uid, limit: configuration.outputsBytes)
    }

    /// Removes the attempt's cgroups. Nobody waits for this.
    func cleanUp(_ attempt: AttemptID, _ owed: OwedEffect) async throws {
        try await quiet()
        Failpoint.reach(.cleanUpDue)
        if let stored = try await store.attempt(attempt), let warden = try identity(stored) {
            try await sandbox.remove(warden)
            Failpoint.reach(.cgroupsRemoved)
        }
        inbox.refillPool()
        let artifactsBytes = try await artifactsBytesLeft(by: attempt)
        Failpoint.reach(.artifactsMeasured)
        try await store.completeCleanUp(owed, artifactsBytes: artifactsBytes)
    }

    func removeLeftover(_ slot: String) async {
        do {
            try await sandbox.removeLeftover(slot)
            Failpoint.reach(.leftoverRemoved)
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
        while true {
            do {
                while try await !store.quarantined().isEmpty {
                    try await pause(for: .seconds(configuration.quarantineRecheckSeconds))
                    try await recheckDevices()
                }
                return
            } catch is CancellationError {
                return
            } catch {
                logger.error("quarantined devices cannot be looked at", metadata: ["error": "\(error)"])
            }
            do { try await pause(for: .seconds(configuration.quarantineRecheckSeconds)) } catch { return }
        }
    }

    private func isSlotEmpty(_ attempt: AttemptID) async throws -> Bool {
        guard let stored = try await store.attempt(attempt), let warden = try identity(stored) else { return true }
        let sandbox = sandbox
        return try await offload { try sandbox.isEmpty(warden, stepsOnly: true) }
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
