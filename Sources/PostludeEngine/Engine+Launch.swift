import Foundation
import PostludeCore
import PostludeDevices
import PostludeFailpoints
import PostludeSandbox
import PostludeStore
import PostludeThreads

extension Engine {
    /// Gives the attempt a warden and the warden its plan. Setting up the steps, looking who has the devices and writing
    /// both down go on at once; no program of the plan starts before all three are done. So the store knows the warden
    /// before anything runs, and doing this again finds it and adopts it; who gets a device from a step that already
    /// runs is never among those who had it before; and if the agent dies in between, the warden leaves with nothing
    /// done and the launch is owed still.
    func launch(_ attempt: AttemptID, _ owed: OwedEffect) async throws {
        Failpoint.reach(.launchDue)
        guard let (run, stored, main) = try await store.briefing(attempt) else {
            return try await store.complete(owed)
        }
        if let text = stored.warden, let warden = try identity(stored) {
            // A watcher may have found it dead since we read it, and then the launch is still to be done.
            guard try await store.completeLaunch(owed, boundTo: text) else { return try await launch(attempt, owed) }
            return inbox.watch(attempt, warden)
        }
        if try await rebind(attempt) != nil { return try await launch(attempt, owed) }
        guard case .launching(let active) = run.state, active.attempt == attempt.number else {
            return try await refuseLaunch(
                attempt, "engine.not-launching", "The run was stopped before it was launched.", owed)
        }
        let leased = active.lease.devices.compactMap { devices[$0] }
        guard leased.count == active.lease.devices.count else {
            return try await refuseLaunch(
                attempt, "engine.device-gone", "A leased device is no longer in the configuration.", owed)
        }
        // Before anybody looks who has the devices: an image may have to be unpacked.
        let rooted: AttemptSpec
        do {
            let planner = AttemptPlanner(
                run: run, attempt: attempt,
                profile: try profile(of: run.operation.component.job, isHook: run.upstream != nil),
                devices: leased, paths: paths, main: try main.map(mainRun), tools: configuration.tools,
                hubPrograms: configuration.hub.programs,
                node: AttemptLimits(memoryBytes: configuration.memoryBytes))
            guard let found = try await rooting(try planner.spec(), whileLaunching: attempt) else {
                return try await refuseLaunch(
                    attempt, "engine.not-launching", "The run was stopped before it was launched.", owed)
            }
            rooted = found
        } catch let error as InputError {
            return try await refuseLaunch(attempt, error.code, error.message, owed)
        } catch let error as EngineError {
            return try await refuseLaunch(attempt, error.code, error.message, owed)
        }
        async let scanned = baselines(of: leased)
        let spec: AttemptSpec
        let warden: WardenIdentity
        do {
            try paths.prepare(attempt, for: run.user)
            Failpoint.reach(.directoriesMade)
            spec = try granting(connectionsOf: run, to: rooted)
            warden = try sandbox.reserve(
                for: spec.profile, hasImages: spec.steps.contains { $0.rootDirectory != nil })
            Failpoint.reach(.wardenReserved)
        } catch let error as EngineError where error.code != EngineError.shortageCode {
            return try await refuseLaunch(attempt, error.code, error.message, owed)
        } catch let error as SandboxError where !error.isTemporary {
            return try await refuseLaunch(attempt, error.code, error.message, owed)
        }
        let text: String
        let binding: Store.Binding
        do {
            text = try Self.text(warden)
            try sandbox.launch(spec, in: warden, isHeld: true)
            Failpoint.reach(.planSent)
            let baselines = try await scanned
            if !leased.isEmpty { Failpoint.reach(.baselineTaken) }
            binding = try await store.bind(
                attempt, warden: text, steps: spec.steps.map { ($0.name, $0.role) },
                names: spec.receiptNames(lacking: sandbox.lacking(spec.profile)), baselines: baselines)
        } catch let error as SandboxError where !error.isTemporary {
            await letGo(warden)
            return try await refuseLaunch(attempt, error.code, error.message, owed)
        } catch let error as DeviceError where !error.isTemporary {
            await letGo(warden)
            return try await refuseLaunch(attempt, error.code, error.message, owed)
        } catch {
            await letGo(warden)
            throw error
        }
        switch binding {
        case .bound: break
        case .taken:
            await letGo(warden)
            return try await launch(attempt, owed)
        case .refused:
            await letGo(warden)
            return try await refuseLaunch(
                attempt, "engine.not-launching", "The run was stopped before it was launched.", owed)
        }
        Failpoint.reach(.startDue)
        do {
            try sandbox.start(warden)
            Failpoint.reach(.started)
        } catch {
            // It has died and said nothing, which its watcher finds: the launch is owed anew then.
            logger.warning(
                "a warden died before its programs were started",
                metadata: ["attempt": "\(attempt)", "error": "\(error)"])
        }
        inbox.watch(attempt, warden)
        // Its watcher may have found it dead already.
        guard try await store.completeLaunch(owed, boundTo: text) else { return try await launch(attempt, owed) }
    }

    /// Cancels a warden that is not to start what it may have set up, and returns when it is gone: what follows may give
    /// its devices to somebody else.
    private func letGo(_ warden: WardenIdentity) async {
        sandbox.cancel(warden)
        await sandbox.awaitExit(of: warden)
    }

    /// Says in the run's condition why it is not launched yet.
    func tellDelay(of owed: OwedEffect, _ error: any Error) async {
        let why =
            switch error {
            case let error as SandboxError: "\(error.code): \(error.message)"
            case let error as DeviceError: "\(error.code): \(error.message)"
            case let error as EngineError: "\(error.code): \(error.message)"
            case let error: "\(error)"
            }
        do {
            let event = Run.Event.launchDelayed(
                attempt: owed.effect.attempt, reason: "The launch is tried again. \(why)")
            try await apply(event, to: owed.run)
        } catch {
            logger.debug("a delay cannot be stored, ignoring", metadata: ["run": "\(owed.run)", "error": "\(error)"])
        }
    }

    private func refuseLaunch(
        _ attempt: AttemptID, _ code: String, _ message: String, _ owed: OwedEffect
    ) async throws {
        try await apply(
            .launchFailed(attempt: attempt.number, code: code, message: message), to: attempt.run, completing: owed)
    }

    /// Asks the warden to stop the steps. A warden that is gone has said its last word to the attempt's watcher; an
    /// attempt that has none gets none while its run stops, so nobody else would end it.
    func requestStop(_ attempt: AttemptID, _ owed: OwedEffect) async throws {
        Failpoint.reach(.stopDue)
        guard let stored = try await store.attempt(attempt) else { return try await store.complete(owed) }
        guard let warden = try identity(stored) else {
            return try await refuseLaunch(
                attempt, "engine.not-launching", "The run was stopped before it was launched.", owed)
        }
        if sandbox.isAlive(warden) {
            do {
                try sandbox.requestStop(warden)
                Failpoint.reach(.stopSent)
            } catch let error as SandboxError where sandbox.isAlive(warden) {
                throw error
            }
        }
        try await store.complete(owed)
    }

    func identity(_ attempt: Store.StoredAttempt) throws -> WardenIdentity? {
        try attempt.warden.map { try JSONDecoder().decode(WardenIdentity.self, from: Data($0.utf8)) }
    }

    static func text(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    /// Who holds the devices before they are granted: display servers and the like are excused at the release,
    /// processes of other runs never are.
    private func baselines(of devices: [Device]) async throws -> [String: String] {
        guard !devices.isEmpty else { return [:] }
        if let known = await holderLooks.take(Set(devices.map(\.id))) {
            return try known.mapValues { try Self.text($0) }
        }
        let runs = sandbox.runs
        return try await offload { try ReleaseCheck.baselines(of: devices, refusing: runs) }.mapValues {
            try Self.text($0)
        }
    }

    /// Looks who has those of the devices that are idle, for a run that may be granted some of them in a moment.
    func lookAhead(at ids: Set<String>) async {
        var found: [String: HolderBaseline] = [:]
        do {
            let (runs, looked) = (sandbox.runs, ids.compactMap { devices[$0] })
            for (id, look) in try await offload({ try ReleaseCheck.looks(at: looked, refusing: runs) }) {
                // One that a run has is no idle device any more.
                if case .success(let baseline) = look { found[id] = baseline }
            }
        } catch {
            logger.debug("no look at the devices ahead, ignoring", metadata: ["error": "\(error)"])
        }
        holderLooks.end(found, at: .now)
    }

    /// Returns when no run has waited for an effect for a moment, after a second at the latest. Making and removing
    /// cgroups stops every fork on a host with v1 hierarchies (an RCU grace period each), which is felt by whatever
    /// starts at the same time.
    func quiet() async throws {
        for _ in 0..<20 {
            try await pause(for: .milliseconds(50))
            if !inbox.isBusy { return }
        }
    }

    func refillPool() async {
        let sandbox = sandbox
        do {
            try await quiet()
            // Before and not after: what is taken out of the pool from here on asks for another filling.
            inbox.refilled()
            try Task.checkCancellation()
            let profiles = ["main", "hook"].compactMap { configuration.profiles[$0] }
            try await offload { try sandbox.fillPool(for: profiles) }
        } catch is CancellationError {
            return
        } catch {
            logger.warning("no wardens could be made ahead, ignoring", metadata: ["error": "\(error)"])
        }
    }
}

extension AttemptSpec {
    /// By step, the part of a receipt that only the agent can name.
    fileprivate func receiptNames(lacking: [SandboxProfile.Requirement]) -> [String: Receipt] {
        Dictionary(
            steps.map { step in
                let granted = step.getsDevices ? devices.map(\.path) : []
                let names = Receipt(
                    seccompProfile: profile.seccomp, profile: profile.name, devices: granted,
                    lacking: lacking.isEmpty ? nil : lacking.map(\.rawValue), root: step.root)
                return (step.name, names)
            }, uniquingKeysWith: { first, _ in first })
    }
}
