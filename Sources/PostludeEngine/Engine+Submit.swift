import Foundation
import PostludeCore
import PostludeSpec
import PostludeStore

extension Engine {
    /// Checks and stores an operation; it starts at once if there is room.
    ///
    /// - Parameter groups: names of all the user's groups, privileged ones too, for the site's policy.
    ///
    /// Throws `EngineError`: `engine.invalid-operation` with every finding, `engine.policy-refused` likewise,
    /// `engine.no-rule` for a user whom the site's policy does not name, `engine.never-fits`,
    /// `engine.unknown-profile`, `engine.unmet-requirements`, `engine.disk-pressure`, `engine.unknown-queue`, `engine.queue-refused`,
    /// `engine.queue-full`, `engine.idempotency-key-reused`, or the store's codes.
    public func submit(
        _ submission: Submission, as user: UserIdentity, groups: Set<String> = []
    ) async throws -> RunDetail {
        let subject = SitePolicy.Subject(name: user.name, uid: user.uid, groups: groups)
        let verdict = configuration.policy.verdict(on: subject)
        if verdict == .refused { throw EngineError.noRule(user.name) }
        let sources = SpecSources(
            hub: configuration.hub, profiles: Set(configuration.profiles.keys), presets: configuration.presets,
            site: SiteSelection(configuration.defaults, project: submission.project, subject: subject),
            connections: ConnectionCatalog(configuration.connections, for: subject))
        let read = OperationReader.read(submission, from: sources)
        guard let operation = read.operation else {
            throw EngineError.invalidOperation(submission.path, read.diagnostics)
        }
        guard case .bounded(let rule) = verdict else {
            return try await submit(operation, from: submission, as: user, subject)
        }
        let admission = rule.admit(
            operation, workingDirectory: submission.workingDirectory, profiles: configuration.profiles)
        guard admission.violations.isEmpty else {
            throw EngineError.policyRefused(submission.path, admission.violations)
        }
        return try await submit(admission.operation, from: submission, as: user, subject)
    }

    func submit(
        _ operation: PostludeCore.Operation, from submission: Submission, as user: UserIdentity,
        _ subject: SitePolicy.Subject? = nil
    ) async throws -> RunDetail {
        var operation = operation
        if submission.withoutHooks == true { operation.leaveHooksOut() }
        let now = Timestamp.now
        let id = RunID.random()
        let name = submission.name ?? operation.name ?? operation.component.name ?? Self.stem(of: submission.path)
        let project = submission.project ?? "default"
        let facts = RunFacts(
            id: id, name: name, project: project, user: user, createdAt: now,
            workingDirectory: submission.workingDirectory)
        operation.matrix = operation.matrix?.seeded(by: id)
        let compiled: JobCompiler.Outline
        do {
            operation = try await joined(operation, facts: facts)
            compiled = try JobCompiler.outline(operation, facts: facts)
        } catch let error as InputError {
            throw EngineError.invalidOperation(submission.path, error.diagnostics)
        } catch let error as StoreError {
            throw EngineError.store(error)
        }
        operation.notes += try checkImages(of: operation, steps: compiled.steps, path: submission.path)
        let subject = subject ?? SitePolicy.Subject(name: user.name, uid: user.uid)
        let queue = try queue(submission.queue ?? operation.queue, for: subject)
        try checkDisk()
        if submission.hold == true, operation.isParent { throw EngineError.holdsParent(operation.kind) }
        let needs = try checkedNeeds(of: operation, for: subject)
        var new = NewRun(
            id: id, name: name, project: project, user: user, operation: operation, inputs: compiled.inputs,
            notes: operation.notes, workingDirectory: submission.workingDirectory, artifacts: paths.artifacts(id),
            needs: needs,
            key: try submission.idempotencyKey.map { NewRun.Key(key: $0, digest: try Self.digest(submission)) },
            queue: queue.name)
        new.waitingLimits = waitingLimits(queue, uid: user.uid)
        if submission.hold == true { new.heldBackBy = user.name }
        new.cacheKey = try CacheKey.of(new)
        let event: Run.Event = compiled.isDue ? .compiled : .conditionFalse(detail: compiled.condition ?? "")
        do {
            // The run may be granted devices as soon as it is written down; who has them is looked up meanwhile.
            let idle = needs.devices.isEmpty ? [] : Set(try await store.idleDevices(of: Set(needs.devices.keys)))
            async let look: Void = holderLooks.begin(idle, at: .now) ? lookAhead(at: idle) : ()
            let applied = try await store.submit(new, then: event, at: now)
            inbox.take(applied.owed)
            await look
            logger.notice("run submitted", metadata: ["run": "\(applied.result)", "user": "\(user.name)"])
            return try await known(applied.result)
        } catch let error as StoreError {
            if error.code == StoreError.keyReusedCode { throw EngineError.keyReused(submission.idempotencyKey ?? "") }
            if error.code == StoreError.queueFullCode {
                throw EngineError(.exhausted, "engine.queue-full", error.message, hint: error.hint)
            }
            throw EngineError.store(error)
        }
    }

    /// What a run of the operation needs of the node, which is nothing for a parent; checks all that it starts as well.
    func checkedNeeds(
        of operation: PostludeCore.Operation, for subject: SitePolicy.Subject
    ) throws(EngineError) -> Scheduler.Needs {
        let hooks = operation.hooks + (operation.eachHooks ?? []) + (operation.matrix?.hooks ?? [])
        for hook in hooks.flatMap(\.withNested) {
            _ = try checkedNeeds(of: hook.component.job, isHook: true)
            if let name = hook.queue { _ = try queue(name, for: subject) }
        }
        if let dag = operation.dag {
            for node in dag.nodes {
                _ = try checkedNeeds(of: node.operation, for: subject)
                if let name = node.operation.queue { _ = try queue(name, for: subject) }
            }
            return Scheduler.Needs()
        }
        let needs = try checkedNeeds(of: operation.component.job, isHook: false)
        return operation.isParent ? Scheduler.Needs() : needs
    }

    /// What a job needs of the node, if the node can ever give it and its profile can be enforced (P7).
    func checkedNeeds(of job: JobSpec, isHook: Bool) throws(EngineError) -> Scheduler.Needs {
        let profile = try profile(of: job, isHook: isHook)
        let unmet = sandbox.unmetRequirements(of: profile)
        guard unmet.isEmpty else { throw .unmetRequirements(profile.name, unmet) }
        let asked = job.deviceClasses
        guard profile.devices == .leased || asked.isEmpty else { throw .profileWithoutDevices(profile.name, asked) }
        // What a profile gives to those that ask for nothing is a limit, and never more than the node has. Of memory it is
        // kept aside, for it cannot be taken back. Of processor time nothing is kept aside for a hook: it shares what
        // there is with the next operation, which must not wait for it.
        let milliCPU = isHook ? nil : profile.defaultMilliCPU.map { min($0, node.milliCPU) }
        let needs = Scheduler.Needs(
            of: job,
            defaultMemoryBytes: profile.defaultMemoryBytes.map {
                min($0, job.bounds?.memoryBytes ?? $0, node.memoryBytes)
            },
            defaultMilliCPU: milliCPU.map { min($0, job.bounds?.milliCPU ?? $0) })
        var capacity = Scheduler.Capacity(memoryBytes: node.memoryBytes, milliCPU: node.milliCPU)
        for device in node.devices { capacity.devices[device.deviceClass, default: 0] += 1 }
        let shortages = Scheduler.neverFits(needs, capacity)
        guard shortages.isEmpty else { throw .neverFits(shortages) }
        return needs
    }

    func profile(of job: JobSpec, isHook: Bool) throws(EngineError) -> SandboxProfile {
        let name = job.profile ?? (isHook ? "hook" : "main")
        guard let profile = configuration.profiles[name] else {
            throw .unknownProfile(name, known: Array(configuration.profiles.keys))
        }
        return profile
    }

    static func stem(of path: String) -> String {
        let file = path.split(separator: "/").last.map(String.init) ?? "run"
        let stem = file.split(separator: ".", omittingEmptySubsequences: true).first.map(String.init)
        return stem ?? "run"
    }

    /// Tells one submission from another; FNV-1a, for nobody gains by two of their own being taken for one.
    static func digest(_ submission: Submission) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        let hash = try encoder.encode(submission).reduce(UInt64(0xcbf2_9ce4_8422_2325)) { hash, byte in
            (hash ^ UInt64(byte)) &* 0x100_0000_01b3
        }
        return String(hash, radix: 16)
    }
}
