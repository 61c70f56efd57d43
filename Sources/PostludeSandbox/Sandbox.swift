import Glibc
import PostludeCore
import PostludeFailpoints
import PostludeLinux
import PostludePlan
import Synchronization

/// Runs attempts in sandboxes: keeps wardens prepared, hands them plans, watches and clears away what they leave.
///
/// Every call may be made from any task. Calls without `async` block for as long as the kernel takes, which is short.
public final class Sandbox: Sendable {
    /// What this host can enforce, as it was found at the start.
    public var hostChecks: [HostCheck] { findings.checks }

    /// How processes of attempts are told from others.
    public let runs: RunMark
    /// Whether this agent is an ordinary user's, and puts sandboxes up in user namespaces.
    public let isRootless = geteuid() != 0

    let configuration: SandboxConfiguration
    let tree: CgroupTree
    let monitor: ReadinessMonitor
    let state = Mutex(State())
    private let findings: HostProbe.Findings
    private let programs: SeccompPrograms
    private let filters = DeviceFilters()
    let bootID: String
    private let mountTable: MountTable

    struct State {
        /// Prepared and waiting, the oldest first.
        var idle: [String] = []
        var wardens: [String: WardenProcess] = [:]
        /// What wardens without a plan have made ahead.
        var templates: [String: PreparedRoot] = [:]
        var poolChanged: (@Sendable () -> Void)?
        /// Wardens whose slots are removed as soon as they are empty.
        var discarded: Set<String> = []
        var isShutDown = false
    }

    /// Makes `<the agent's cgroup>/<name>/runs` in each hierarchy and looks at the host; starts nothing.
    ///
    /// - Throws: `SandboxError`: `sandbox.cgroup-unavailable`, `sandbox.warden-missing`.
    public init(configuration: SandboxConfiguration) throws {
        guard let path = canonicalPath(configuration.wardenPath), access(path, X_OK) == 0 else {
            throw SandboxError(
                code: "sandbox.warden-missing",
                message: "The warden '\(configuration.wardenPath)' cannot be executed: \(errorText(errno)).",
                hint: "Install postlude-warden, or set wardenPath in postlude.yaml.")
        }
        var resolved = configuration
        resolved.wardenPath = path
        self.configuration = resolved
        tree = try CgroupTree.prepare(name: configuration.cgroupName, directory: configuration.slotDirectory)
        do {
            monitor = try ReadinessMonitor.common()
            bootID = try ProcessIdentity.bootID()
            mountTable = try MountTable()
            runs = tree.hasCgroups ? .cgroup(try tree.membership()) : .pidNamespace
        } catch {
            throw SandboxError(code: "sandbox.host-unreadable", message: error.message, hint: error.hint)
        }
        programs = SeccompPrograms(directory: configuration.seccompDirectory)
        findings = HostProbe(tree: tree, cgroupError: tree.absence, wardenPath: path, bootID: bootID).run()
    }

    deinit { shutdown() }

    /// What a host can enforce, also where no sandbox can be made (without root, without cgroups). Makes the agent's
    /// cgroup when it can.
    public static func probeHost(_ configuration: SandboxConfiguration) -> [HostCheck] {
        do throws(SandboxError) {
            let tree = try CgroupTree.prepare(name: configuration.cgroupName, directory: configuration.slotDirectory)
            return HostProbe(tree: tree, cgroupError: tree.absence, wardenPath: configuration.wardenPath).run().checks
        } catch {
            return HostProbe(tree: nil, cgroupError: error, wardenPath: configuration.wardenPath).run().checks
        }
    }

    /// The mechanisms that the profile requires and this host lacks; a run with any is refused (P7).
    public func unmetRequirements(of profile: SandboxProfile) -> [HostCheck] {
        let unmet = findings.unmet(of: profile).filter { !(isRootless && profile.withoutRoot.contains($0.key)) }
        let cores = findings.coreScheduling
        return unmet.map(\.value) + (profile.coreScheduling && cores.verdict != .ok ? [cores] : [])
    }

    /// The mechanisms that the profile requires, this host lacks, and the profile lets an agent without root go without.
    public func lacking(_ profile: SandboxProfile) -> [SandboxProfile.Requirement] {
        guard isRootless else { return [] }
        return findings.unmet(of: profile).map(\.key).filter(profile.withoutRoot.contains)
    }

    // MARK: wardens in waiting

    /// Prepares wardens until there are `poolSize` of them for each kind of root that these profiles begin with; blocks
    /// for some milliseconds, so call it off the critical path. Wardens for anything else are let go.
    public func fillPool(for profiles: [SandboxProfile]) throws {
        try requireUserNamespace()
        var wanted: [RootTemplate] = []
        for template in try profiles.map({ try template($0) }) where !wanted.contains(template) {
            wanted.append(template)
        }
        let (missing, stale) = state.withLock { state -> ([RootTemplate], [String]) in
            guard !state.isShutDown else { return ([], []) }
            let stale = state.idle.filter { slot in !wanted.contains { $0 == state.templates[slot]?.template } }
            let missing = wanted.flatMap { template in
                let present = state.idle.count { state.templates[$0]?.template == template }
                return Array(repeating: template, count: max(0, configuration.poolSize - present))
            }
            return (missing, stale)
        }
        for slot in stale { discard(slot) }
        try prepare(missing)
    }

    /// All are started before the first is waited for: they prepare side by side.
    private func prepare(_ templates: [RootTemplate]) throws(SandboxError) {
        let changes = mountTable.changes
        var started: [WardenProcess] = []
        var failure: SandboxError?
        for template in templates {
            do throws(SandboxError) {
                started.append(try start(template))
            } catch {
                failure = error
            }
        }
        for warden in started {
            do throws(SandboxError) {
                try warden.awaitReady(path: configuration.wardenPath)
                Failpoint.reach(.wardenReady)
                // It may have copied a mount that was there for a moment only.
                let isTrue = mountTable.changes == changes
                let isWanted = state.withLock { state in
                    guard !state.isShutDown, isTrue else { return false }
                    state.idle.append(warden.identity.slot)
                    return true
                }
                if !isWanted { cancel(warden.identity) }
            } catch {
                failure = error
                cancel(warden.identity)
            }
        }
        if let failure { throw failure }
    }

    /// A warden prepared for this profile, from the pool or made now. The caller launches into it or cancels it.
    ///
    /// - Parameter hasImages: whether a step has another root than the host's; such wardens do not wait in the pool.
    public func reserve(for profile: SandboxProfile, hasImages: Bool = false) throws -> WardenIdentity {
        try requireUserNamespace()
        let template = try template(profile, hasHost: !hasImages)
        while let slot = takeIdle(template) {
            guard let warden = state.withLock({ $0.wardens[slot] }) else { continue }
            if warden.isAlive { return warden.identity }
            cancel(warden.identity)
        }
        let warden = try start(template)
        do throws(SandboxError) {
            try warden.awaitReady(path: configuration.wardenPath)
        } catch {
            cancel(warden.identity)
            throw error
        }
        return warden.identity
    }

    /// Without root nothing can be isolated where no user namespace can be had.
    private func requireUserNamespace() throws(SandboxError) {
        guard isRootless, let check = findings.checks.first(where: { $0.name == HostProbe.userNamespaceName }),
            check.verdict != .ok
        else { return }
        throw SandboxError(
            code: "sandbox.user-namespace-unavailable",
            message: "Without root sandboxes need a user namespace, and this host gives none: \(check.detail)",
            hint: check.hint)
    }

    func template(_ profile: SandboxProfile, hasHost: Bool = true) throws(SandboxError) -> RootTemplate {
        // The count first: a change in between shows at the next look.
        let generation = mountTable.generation
        return try RootTemplate(for: profile, generation: generation, hasHost: hasHost)
    }

    private func takeIdle(_ template: RootTemplate) -> String? {
        state.withLock { state in
            guard let index = state.idle.firstIndex(where: { state.templates[$0]?.template == template }) else {
                return nil
            }
            return state.idle.remove(at: index)
        }
    }

    private func discard(_ slot: String) {
        if let warden = state.withLock({ $0.wardens[slot] }) { cancel(warden.identity) }
    }

    /// Calls `body` when something was mounted or unmounted on the host, and what waits in the pool let go for it: it had
    /// copies of the mounts of before, and kept busy what is unmounted.
    public func onPoolChange(_ body: @escaping @Sendable () -> Void) {
        let isFirst = state.withLock { state in
            defer { state.poolChanged = body }
            return state.poolChanged == nil
        }
        if isFirst { watchMounts() }
    }

    private func watchMounts() {
        do {
            let file = try OwnedDescriptor.open(MountTable.ownPath, O_RDONLY)
            monitor.notify(when: file, .priority) { [weak self] in
                guard let self, !state.withLock({ $0.isShutDown }) else { return }
                watchMounts()
                let generation = mountTable.generation
                let stale = state.withLock { state in
                    state.idle.filter { state.templates[$0]?.template.generation != generation }
                }
                for slot in stale { discard(slot) }
                // Also when nothing was: what was being prepared meanwhile is not taken into the pool.
                state.withLock { $0.poolChanged }?()
            }
        } catch {
            // Out of descriptors: a look at each reservation still finds the change.
        }
    }

    /// Lets a reserved warden go that got no plan, or whose plan is held, and removes its cgroups once it has left them.
    public func cancel(_ warden: WardenIdentity) {
        let process = state.withLock { state in
            state.discarded.insert(warden.slot)
            state.idle.removeAll { $0 == warden.slot }
            return state.wardens[warden.slot]
        }
        process?.dismiss()
        Failpoint.reach(.wardenDismissed)
        if process?.isAlive != true { removeDiscarded(warden.slot) }
    }

    /// Lets the idle wardens go and removes what is empty; wardens with a plan go on without the agent, and keep the
    /// cgroup tree. Blocks until the idle ones have left, which takes some milliseconds.
    public func shutdown() {
        let idle = state.withLock { state -> [WardenIdentity]? in
            // Once: what is there later is another sandbox's.
            if state.isShutDown { return nil }
            state.isShutDown = true
            defer { state.idle = [] }
            return state.idle.compactMap { state.wardens[$0]?.identity }
        }
        guard let idle else { return }
        let processes = idle.compactMap { identity in state.withLock { $0.wardens[identity.slot] } }
        for identity in idle { cancel(identity) }
        // The agent may end right after this, so nobody would be there to hear of their ends.
        for process in processes {
            if process.awaitEnd(milliseconds: 500) { removeDiscarded(process.identity.slot) }
        }
        do {
            // An attempt's directories may be empty for a moment and needed in the next: only an unused tree goes.
            if try tree.slots().isEmpty { try tree.removeAll() }
        } catch {
            // It is in use, by this agent itself on a pure v2 host; the next agent uses it again.
        }
    }

    /// `change` is for tests that take something away from what the warden makes ahead.
    func start(
        _ template: RootTemplate,
        change: (inout [MountOperation], DescriptorList) throws -> Void = { _, _ in }
    ) throws(SandboxError) -> WardenProcess {
        let slot = CgroupTree.newSlot()
        let layout = template.layout()
        let warden: WardenProcess
        do {
            var (mounts, descriptors) = try RootTemplate.operations(of: layout)
            try change(&mounts, descriptors)
            let request = try tree.make(
                slot: slot, template: mounts, bringsLoopbackUp: template.network == .loopback)
            Failpoint.reach(.slotMade)
            let inode = try Cgroup(opening: tree.path(of: slot)).inode()
            warden = try withExtendedLifetime(descriptors) {
                try WardenProcess.start(
                    path: configuration.wardenPath, slot: slot, request: request, descriptors: descriptors.raw,
                    bootID: bootID, cgroupInode: inode)
            }
        } catch {
            removeDiscarded(slot)
            if let error = error as? LinuxError { throw .cgroupUnavailable(error) }
            throw error as? SandboxError ?? .wardenFailed("\(error)", path: configuration.wardenPath)
        }
        state.withLock { state in
            state.wardens[slot] = warden
            state.templates[slot] = PreparedRoot(template: template, layout: layout)
        }
        watch(warden)
        return warden
    }

    // MARK: launching

    /// Builds the attempt's plan, opens everything it names and sends it to the warden. When this throws, nothing ran
    /// and the warden is still reserved: cancel it, or launch again.
    ///
    /// A held launch sets everything up, but no program starts before `start`. If the agent ends or cancels the warden
    /// instead, nothing of the plan runs and nothing is reported of it.
    public func launch(_ spec: AttemptSpec, in warden: WardenIdentity, isHeld: Bool = false) throws {
        let (found, prepared) = state.withLock { ($0.wardens[warden.slot], $0.templates[warden.slot]) }
        guard let process = found, process.identity == warden, let prepared else {
            throw SandboxError.wardenFailed(
                "It is not one that this agent has prepared.", path: configuration.wardenPath)
        }
        guard prepared.template.suits(spec.profile) else {
            throw SandboxError.wardenFailed(
                "It was prepared for another profile than '\(spec.profile.name)'.", path: configuration.wardenPath)
        }
        guard !prepared.template.hasHost || spec.steps.allSatisfy({ $0.rootDirectory == nil }) else {
            throw SandboxError.wardenFailed(
                "It was prepared for the host's root alone.", path: configuration.wardenPath)
        }
        let unmet = unmetRequirements(of: spec.profile)
        if let first = unmet.first {
            let names = unmet.map { "\($0.name) (\($0.detail))" }.joined(separator: "; ")
            throw SandboxError(
                code: "sandbox.requirement-unmet",
                message: "Profile '\(spec.profile.name)' requires what this host cannot enforce: \(names).",
                hint: first.hint)
        }
        let program = try programs.program(named: spec.profile.seccomp)
        let nodes = spec.profile.devices == .leased ? spec.devices : []
        guard nodes.count == spec.devices.count else {
            throw SandboxError(
                code: "sandbox.devices-refused", message: "Profile '\(spec.profile.name)' gives no devices.",
                hint: "Use a profile with 'devices: leased'.")
        }
        let plain = try filter(allowing: [], for: spec.profile)
        let granting = try filter(allowing: nodes, for: spec.profile)
        let builder = PlanBuilder(
            layout: tree.layout, prepared: prepared, seccomp: program.memory.rawValue,
            grantingFilter: granting?.program.rawValue,
            plainFilter: plain?.program.rawValue, hiddenPaths: configuration.hiddenPaths,
            lacking: Set(lacking(spec.profile)))
        let (plan, descriptors) = try builder.build(spec)
        if !tree.hasCgroups { try tree.note(attempt: spec.directories.attempt, in: warden.slot) }
        try withExtendedLifetime((program, plain, granting, descriptors)) {
            try process.send(plan, descriptors.raw, isHeld: isHeld, path: configuration.wardenPath)
        }
        state.withLock { $0.templates[warden.slot] = nil }
    }

    /// Lets the programs of a held launch start.
    ///
    /// - Throws: `sandbox.warden-failed` when the warden is gone; nothing ran then.
    public func start(_ warden: WardenIdentity) throws {
        let found = state.withLock { $0.wardens[warden.slot] }
        guard let process = found, process.identity == warden else {
            throw SandboxError.wardenFailed("It is gone.", path: configuration.wardenPath)
        }
        try process.start(path: configuration.wardenPath)
    }

    /// nil on a host without device filters, for a profile that does not require one. Without root there are none at all:
    /// what a run gets is what its /dev holds.
    private func filter(
        allowing nodes: [DeviceNode], for profile: SandboxProfile
    ) throws(SandboxError) -> DeviceFilters.Entry? {
        if let check = findings.requirements[.deviceFilter], check.verdict != .ok, nodes.isEmpty || isRootless {
            return nil
        }
        return try filters.filter(allowing: nodes)
    }
}
