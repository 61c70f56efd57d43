import Glibc
import PostludeCore
import PostludeLinux
import PostludePlan

/// Turns an attempt into a launch plan and the descriptors that it names. Nothing runs before it is done, so whatever
/// is wrong is refused here, by name.
struct PlanBuilder {
    var layout: CgroupLayout
    /// What the warden has made ahead.
    var prepared: PreparedRoot
    /// The compiled seccomp program (a sealed memfd); the caller's.
    var seccomp: Int32
    /// The loaded device filters with and without the attempt's devices; the caller's. nil where the host has none.
    var grantingFilter: Int32?
    var plainFilter: Int32?
    /// What no job may see, wherever it lies.
    var hiddenPaths: [String] = []
    /// What the profile requires and goes without, as it says.
    var lacking: Set<SandboxProfile.Requirement> = []

    func build(_ spec: AttemptSpec) throws(SandboxError) -> (plan: LaunchPlan, descriptors: DescriptorList) {
        try check(spec)
        let profile = spec.profile
        let state = Self.stateDirectory(of: spec)
        let masked = hiddenPaths.map(Self.withoutLinks)
        var rule = WorkingDirectoryRule(
            privates: ["/tmp", "/var/tmp", "/run", "/var/run"].map { canonicalPath($0) ?? $0 },
            hidden: prepared.template.hidden,
            state: state, home: canonicalPath(spec.user.home),
            bounds: spec.directories.workingBounds)
        let resolver =
            profile.network == .host || spec.steps.contains { $0.network == .host }
            ? canonicalPath("/etc/resolv.conf") : nil

        let roots = try StepRoots(of: spec, prepared: prepared)

        // One visit as the submitter: what it may not reach on the host must not come within its reach inside.
        let found = try UserAccess.run(as: spec.user) { () throws(SandboxError) -> Found in
            var homePaths = PathResolver()
            rule.secrets = profile.hideInHome.compactMap { homePaths.canonical("\(spec.user.home)/\($0)") }
            var paths = StepPaths()
            if let working = spec.directories.working {
                paths = try StepPaths.open(working: working, user: spec.user, allowedBy: rule)
            }
            let planner = MountPlanner(
                template: MountLayout(), profile: profile, user: spec.user, directories: spec.directories,
                working: paths.working, hidden: prepared.template.hidden, extras: prepared.template.extras,
                state: state,
                resolver: resolver, masked: masked, secrets: rule.secrets, owner: .current)
            var found = Found(paths: paths, generated: roots.generated)
            do throws(SandboxError) {
                for step in spec.steps {
                    let root: StepRoots.Root
                    if let known = found.roots[step.rootDirectory] {
                        root = known
                    } else {
                        root = try roots.root(step.rootDirectory, planner)
                        found.roots[step.rootDirectory] = root
                    }
                    let lookup = ProgramLookup(
                        view: root.view, image: root.image, user: spec.user,
                        given: spec.directories.working.map { InsideView.normalise($0) }, canonical: paths.working,
                        base: paths.working ?? spec.directories.artifactsInside)
                    let directory = try lookup.directory(of: step)
                    found.directories.append(directory)
                    found.programs.append(try lookup.program(of: step, in: directory))
                }
            } catch {
                if let descriptor = paths.workingDescriptor { close(descriptor) }
                throw error
            }
            return found
        }
        return try assemble(spec, found)
    }

    private struct Found {
        var paths: StepPaths
        var generated: [StepRoots.Generated]
        var roots: [String?: StepRoots.Root] = [:]
        var programs: [String] = []
        var directories: [String] = []
    }

    private func assemble(
        _ spec: AttemptSpec, _ found: Found
    ) throws(SandboxError) -> (plan: LaunchPlan, descriptors: DescriptorList) {
        let descriptors = DescriptorList()
        let sources = MountSources(descriptors: descriptors, user: spec.user)
        if let working = found.paths.workingDescriptor {
            try sources.take(working: OwnedDescriptor(adopting: working))
        }
        let files = try AttemptFiles(directory: spec.directories.attempt)
        let journal = try descriptors.add(try files.journal())
        for file in found.generated { try files.show(file.name, Array(file.content.utf8)) }
        let program = try descriptors.shared("seccomp") { () throws(SandboxError) in try duplicate(seccomp) }
        let limits = LimitWrites(layout: layout)
        var steps: [StepPlan] = []
        for (index, step) in spec.steps.enumerated() {
            guard let root = found.roots[step.rootDirectory] else { continue }
            let shared = try sources.operations(root.mounts)
            let closing = try sources.operations(root.closing)
            let granted = root.planner.own(of: step, devices: spec.devices)
            let own = try sources.operations(granted)
            let outputs = (
                try descriptors.add(try files.log("\(step.name).stdout.log", owner: spec.user)),
                try descriptors.add(try files.log("\(step.name).stderr.log", owner: spec.user))
            )
            steps.append(
                StepPlan(
                    name: step.name, role: Self.role(step.role), program: found.programs[index],
                    arguments: step.command, environment: Self.environment(of: step, user: spec.user),
                    workingDirectory: found.directories[index], limits: try limits.writes(step.limits, isStep: true),
                    mounts: shared + own + closing, uid: spec.user.uid, gid: spec.user.gid, groups: spec.user.groups,
                    resourceLimits: ResourceLimits.of(spec.profile, without: lacking), seccomp: program,
                    deviceFilter: try filter(for: step, in: descriptors), standardOutput: outputs.0,
                    standardError: outputs.1, logBytes: UInt64(max(0, spec.profile.logBytes)),
                    usesHostNetwork: step.network == .host && spec.profile.network != .host,
                    landlock: Self.landlock(spec.profile).rawValue,
                    fileRules: FileRules.planned(
                        shared: prepared.layout.mounts + root.mounts, own: granted, closing: root.closing),
                    coreScheduling: spec.profile.coreScheduling))
        }
        let plan = LaunchPlan(
            attempt: "\(spec.attempt)", hostname: "postlude-\(spec.attempt.run.short)", journal: journal,
            limits: try limits.writes(Self.limits(of: spec, without: lacking), isStep: false),
            network: Self.network(spec.profile.network),
            timeoutMilliseconds: Self.milliseconds(
                spec.timeoutSeconds ?? 0, atLeast: spec.timeoutSeconds == nil ? 0 : 1),
            graceMilliseconds: Self.milliseconds(spec.graceSeconds, atLeast: 0), steps: steps)
        do {
            try plan.validate(descriptors: descriptors.raw.count)
        } catch {
            throw SandboxError(code: "sandbox.invalid-plan", message: error.message, hint: error.hint)
        }
        return (plan, descriptors)
    }

    private func filter(
        for step: StepSpec, in descriptors: DescriptorList
    ) throws(SandboxError) -> DescriptorIndex? {
        let name = step.getsDevices ? "filter-granting" : "filter-plain"
        guard let filter = step.getsDevices ? grantingFilter : plainFilter else { return nil }
        return try descriptors.shared(name) { () throws(SandboxError) in try duplicate(filter) }
    }

    private func duplicate(_ raw: Int32) throws(SandboxError) -> OwnedDescriptor {
        do { return try OwnedDescriptor(duplicating: raw) } catch { throw .outOfDescriptors(errno: error.errno) }
    }

    private func check(_ spec: AttemptSpec) throws(SandboxError) {
        let refuse = { (message: String) in SandboxError(code: "sandbox.invalid-attempt", message: message) }
        guard spec.steps.count(where: { $0.role == .main }) == 1 else {
            throw refuse("The attempt does not have exactly one main step.")
        }
        for step in spec.steps {
            for (name, value) in step.environment {
                guard !name.isEmpty, !name.contains("="), !name.utf8.contains(0), !value.utf8.contains(0) else {
                    throw refuse(
                        "Step '\(step.name)' cannot have an environment variable '\(name)': it holds '=' or NUL.")
                }
            }
            guard !step.command.contains(where: { $0.utf8.contains(0) }) else {
                throw refuse("The command of step '\(step.name)' holds a NUL.")
            }
            if spec.profile.network == .host, let network = step.network, network != .host {
                throw refuse("Step '\(step.name)' cannot have less network than its attempt.")
            }
        }
    }
}

extension PlanBuilder {
    /// `<state>/runs/<run>/...` is where attempts lie; the whole state directory is kept out of sight.
    static func stateDirectory(of spec: AttemptSpec) -> String? {
        let path = canonicalPath(spec.directories.attempt) ?? InsideView.normalise(spec.directories.attempt)
        let parts = path.split(separator: "/")
        guard let run = parts.lastIndex(of: Substring(spec.attempt.run.description)) else {
            return path
        }
        let depth = run > 0 && parts[run - 1] == "runs" ? run - 1 : run
        return depth == 0 ? nil : "/" + parts[..<depth].joined(separator: "/")
    }

    /// Also of a file that is missing now, by the directory it would be in.
    static func withoutLinks(_ path: String) -> String {
        if let canonical = canonicalPath(path) { return canonical }
        let plain = InsideView.normalise(path)
        guard let slash = plain.lastIndex(of: "/"), slash > plain.startIndex,
            let parent = canonicalPath(String(plain[..<slash]))
        else { return plain }
        return InsideView.normalise(parent + plain[slash...])
    }

    /// For every step; one that shares the host's network needs the scopes most.
    static func landlock(_ profile: SandboxProfile) -> Landlock.Rules {
        var rules: Landlock.Rules = [.files, .truncation, .deviceCommands, .ownAbstractSockets, .ownSignals]
        if profile.listen == .none { rules.insert(.noTCPBind) }
        return rules
    }

    /// What the profile goes without is not asked of the attempt. A step that asks for it by itself, as its operation
    /// does, is refused by that limit of its own.
    static func limits(of spec: AttemptSpec, without lacking: Set<SandboxProfile.Requirement> = []) -> AttemptLimits {
        AttemptLimits(
            memoryBytes: lacking.contains(.memoryLimit)
                ? nil : spec.limits.memoryBytes ?? spec.profile.defaultMemoryBytes,
            milliCPU: lacking.contains(.cpuLimit) ? nil : spec.limits.milliCPU ?? spec.profile.defaultMilliCPU,
            maxPIDs: lacking.contains(.pidsLimit) ? nil : min(spec.limits.maxPIDs ?? .max, spec.profile.maxPIDs))
    }

    /// `NAME=value`, sorted; what the step does not set has the usual values, and nothing comes from the agent's own.
    static func environment(of step: StepSpec, user: UserIdentity) -> [String] {
        let usual = [
            "PATH": ProgramLookup.defaultPath, "LANG": "C.UTF-8", "HOME": user.home, "USER": user.name,
            "LOGNAME": user.name, "TMPDIR": "/tmp",
        ]
        return usual.merging(step.environment) { _, own in own }.map { "\($0)=\($1)" }.sorted()
    }

    static func role(_ role: StepRole) -> StepPlan.Role {
        switch role {
        case .initialize: .initialize
        case .main: .main
        case .sidecar: .sidecar
        }
    }

    static func network(_ network: SandboxProfile.Network) -> Network {
        switch network {
        case .none: .none
        case .loopback: .loopback
        case .host: .host
        }
    }

    /// Whole milliseconds; what is not a sensible duration is clamped to a year.
    static func milliseconds(_ seconds: Double, atLeast least: UInt64) -> UInt64 {
        guard seconds.isFinite, seconds > 0 else { return least }
        return max(least, UInt64(min(seconds, 31_536_000) * 1000))
    }
}
