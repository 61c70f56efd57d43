import PostludeCore
import PostludeStore

/// Makes the sandbox's instructions for one attempt: literal values only.
struct AttemptPlanner {
    let run: StoredRun
    let attempt: AttemptID
    let profile: SandboxProfile
    let devices: [Device]
    let paths: RunPaths
    /// For a hook run: its main.
    let main: MainRun?
    /// Postlude's own files that every step sees, by host path.
    let tools: [String: String]
    /// The directory of the hub's programs; nil for a hub without.
    var hubPrograms: String?
    /// What attempts may hold together: the bound of one that asks for nothing, so that none can exhaust the host.
    let node: AttemptLimits

    struct MainRun {
        var context: HookResolution.MainContext
        /// The attempt whose logs the hook sees; nil when main never had one.
        var attempt: AttemptID?
        /// The run whose artifacts are main's.
        var artifacts: RunID
    }

    var facts: RunFacts {
        RunFacts(
            id: run.id, name: run.name, project: run.project, user: run.user, createdAt: run.createdAt,
            attempt: attempt.number, workingDirectory: run.workingDirectory, main: main?.context)
    }

    func spec() throws(InputError) -> AttemptSpec {
        let compiled = try JobCompiler.compile(run.operation, facts: facts)
        var steps = compiled.steps
        for index in steps.indices where steps[index].getsDevices {
            steps[index].environment.merge(deviceEnvironment) { _, ours in ours }
        }
        let (termination, job) = (run.operation.component.termination, run.operation.component.job)
        return AttemptSpec(
            attempt: attempt, user: run.user, profile: profile, steps: steps, devices: nodes,
            directories: AttemptDirectories(
                attempt: paths.attempt(attempt), artifacts: paths.artifacts(run.id),
                artifactsInside: InsidePaths.artifacts(of: run.id), working: run.workingDirectory,
                workingBounds: job.bounds?.workingDirectories, readOnly: readOnly, tools: tools),
            limits: limits(of: steps), timeoutSeconds: termination.timeoutSeconds,
            graceSeconds: termination.graceSeconds)
    }

    /// The nodes of all leased devices, each once: control nodes are shared among devices.
    private var nodes: [DeviceNode] {
        var seen: Set<String> = []
        return devices.flatMap(\.nodes).filter { seen.insert($0.path).inserted }
    }

    /// `CUDA_VISIBLE_DEVICES=0,2`: devices of one kind share a variable.
    private var deviceEnvironment: [String: String] {
        var values: [String: [String]] = [:]
        for device in devices {
            guard let name = device.environmentName else { continue }
            values[name, default: []].append(device.environmentValue ?? device.id)
        }
        return values.mapValues { $0.joined(separator: ",") }
    }

    private var readOnly: [String: String] {
        var directories: [String: String] = [:]
        if run.operation.component.job.usesHub == true, let hubPrograms { directories[hubPrograms] = InsidePaths.hub }
        for id in run.operation.reads ?? [] where paths.exists(paths.artifacts(id)) {
            directories[paths.artifacts(id)] = InsidePaths.artifacts(of: id)
        }
        guard let main else { return directories }
        let artifacts = paths.artifacts(main.artifacts)
        if paths.exists(artifacts) { directories[artifacts] = InsidePaths.artifacts(of: main.context.id) }
        if let attempt = main.attempt, paths.exists(paths.attempt(attempt)) {
            directories[paths.attempt(attempt)] = InsidePaths.logs(of: main.context.id)
        }
        return directories
    }

    /// Limits of the whole attempt: what its steps ask for together, if each of them says so; else the profile's,
    /// and for memory at last the node's; never more than the site's policy leaves it.
    private func limits(of steps: [StepSpec]) -> AttemptLimits {
        let together = steps.filter { $0.role != .initialize }
        let before = steps.filter { $0.role == .initialize }
        func limit(_ key: KeyPath<AttemptLimits, Int64?>, _ fallback: Int64?) -> Int64? {
            let asked = together.compactMap { $0.limits[keyPath: key] }
            let largest = max(asked.reduce(0, +), before.compactMap { $0.limits[keyPath: key] }.max() ?? 0)
            if asked.count == together.count { return largest }
            return fallback.map { max($0, largest) }
        }
        let bounds = run.operation.component.job.bounds
        return AttemptLimits(
            memoryBytes: JobBounds.bounded(
                limit(\.memoryBytes, profile.defaultMemoryBytes ?? node.memoryBytes), by: bounds?.memoryBytes),
            milliCPU: JobBounds.bounded(limit(\.milliCPU, profile.defaultMilliCPU), by: bounds?.milliCPU),
            maxPIDs: profile.maxPIDs)
    }
}
