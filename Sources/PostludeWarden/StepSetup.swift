import Glibc
import PostludeLinux
import PostludePlan

/// What is left to set up in a parked step when its plan is there.
struct StepSetup {
    let plan: LaunchPlan
    let step: Int
    let resources: StepResources
    let control: Int32

    private var own: StepPlan { plan.steps[step] }

    /// When this returns, the process has nothing left that the program may not have. Returns what Landlock enforces.
    func perform(
        _ root: consuming RootFileSystem
    ) throws(SetupFailure) -> (rules: Landlock.Rules, abi: Int32) {
        if let network = resources.network {
            try stage(.network) { () throws(LinuxError) in try Namespace.net.enter(network) }
        }
        let filter = try seccompProgram()
        let system = root.system
        try finish(root)
        if Rootless.isInForce {
            // What needs the namespaces' owner comes before, the look at the step's own place after.
            try detach()
            try leaveOwner(system)
            StepMessage(.mounted).send(to: control)
        } else {
            StepMessage(.mounted).send(to: control)
            try detach()
        }
        try limitResources()
        if own.coreScheduling {
            try stage(.coreScheduling) { () throws(LinuxError) in try CoreScheduling.isolateSelf() }
        }
        try placeDescriptors()
        try giveUpPrivileges()
        try enterWorkingDirectory()
        let landlock = try restrict()
        if let filter { try stage(.seccomp) { () throws(LinuxError) in try ProcessControl.loadSeccomp(filter) } }
        return landlock
    }

    private func restrict() throws(SetupFailure) -> (rules: Landlock.Rules, abi: Int32) {
        guard Layer.landlock.isInForce, own.landlock != 0 else { return ([], 0) }
        let abi = Landlock.abi()
        let rules = Landlock.Rules(rawValue: own.landlock).intersection(.known(in: abi))
        guard !rules.isEmpty else { return ([], abi) }
        let ruleset = try stage(.landlock) { () throws(LinuxError) in try Landlock.Ruleset(rules) }
        if rules.contains(.files) {
            for (index, rule) in own.fileRules.enumerated() {
                do throws(LinuxError) {
                    try ruleset.allow(Landlock.FileAccess(rawValue: rule.access), beneath: rule.path)
                } catch {
                    throw SetupFailure(stage: .landlock, index: index + 1, errno: error.errno)
                }
            }
        }
        do throws(LinuxError) {
            try ruleset.restrictSelf()
        } catch {
            throw SetupFailure(stage: .landlock, index: Int(UInt16.max), errno: error.errno)
        }
        return (rules, abi)
    }

    private func seccompProgram() throws(SetupFailure) -> [UInt8]? {
        guard let program = resources.seccomp else { return nil }
        return try stage(.seccomp) { () throws(LinuxError) in try MemoryFile.content(of: program, limit: 4096 * 8) }
    }

    private func finish(_ root: consuming RootFileSystem) throws(SetupFailure) {
        try root.perform(own.mounts)
        do throws(LinuxError) {
            try root.seal()
        } catch {
            throw SetupFailure(stage: .mount, index: Int(UInt16.max), errno: error.errno)
        }
        _ = umask(0o022)
    }

    /// Away from the host's names, terminal and keys.
    private func detach() throws(SetupFailure) {
        if Layer.utsNamespace.isInForce {
            try stage(.hostname) { () throws(LinuxError) in try HostName.set(plan.hostname) }
        }
        guard setsid() >= 0 else { throw SetupFailure(stage: .session, errno: errno) }
        guard Layer.keyring.isInForce else { return }
        try stage(.session, index: 1) { () throws(LinuxError) in try Credentials.joinNewSessionKeyring() }
    }

    /// Into a user namespace that owns nothing, below which there can be no other: whatever the program might regain in it
    /// is no right over its mounts, its network or anything of the attempt's. A limit of processes counts in it from here
    /// on.
    private func leaveOwner(_ system: Int32) throws(SetupFailure) {
        try stage(.userNamespace) { () throws(LinuxError) in try UserNamespace.enter() }
        try stage(.userNamespace, index: 1) { () throws(LinuxError) in try UserNamespace.forbidFurther(system) }
    }

    private func limitResources() throws(SetupFailure) {
        guard Layer.resourceLimits.isInForce else { return }
        // 1 and not 0: a core_pattern that pipes into a program ignores 0, but not a limit that is too small for any
        // core.
        let core = UInt32(RLIMIT_CORE.rawValue)
        try stage(.resourceLimit, index: Int(UInt16.max)) { () throws(LinuxError) in
            let hard = try ProcessControl.limit(resource: core).hard
            try ProcessControl.setLimit(resource: core, soft: min(1, hard), hard: min(1, hard))
        }
        for (index, limit) in own.resourceLimits.enumerated() where limit.resource != core {
            try stage(.resourceLimit, index: index) { () throws(LinuxError) in
                try ProcessControl.setLimit(resource: limit.resource, soft: limit.soft, hard: limit.hard)
            }
        }
    }

    private func placeDescriptors() throws(SetupFailure) {
        try stage(.descriptors) { () throws(LinuxError) in
            // A program opens /dev/stdout by name with its own user's rights.
            guard fchown(resources.output, own.uid, own.gid) == 0, fchown(resources.error, own.uid, own.gid) == 0
            else { throw LinuxError(last: "fchown") }
            // Not one of the host's: a program of uid 0 could change the mode of the node behind it.
            let null = try OwnedDescriptor.open("/dev/null", O_RDWR)
            // What came by message has numbers above these.
            for (place, source) in [null.rawValue, resources.output, resources.error].enumerated() {
                guard dup2(source, Int32(place)) >= 0 else { throw LinuxError(last: "dup2") }
            }
            if Layer.descriptors.isInForce { try ProcessControl.closeDescriptors(from: control + 1) }
        }
    }

    private func giveUpPrivileges() throws(SetupFailure) {
        if Layer.capabilities.isInForce, Rootless.isInForce {
            try stage(.capabilities) { () throws(LinuxError) in try Credentials.clearBoundingSet() }
        }
        try stage(.credentials) { () throws(LinuxError) in
            try Credentials.become(uid: own.uid, gid: own.gid, groups: Rootless.isInForce ? nil : own.groups)
        }
        if Layer.capabilities.isInForce {
            try stage(.capabilities, index: 1) { () throws(LinuxError) in try Credentials.clearCapabilities() }
        }
        // Once more after the user: changing it clears the death signal.
        try stage(.session, index: 2) { () throws(LinuxError) in
            try ProcessControl.setParentDeathSignal(SIGKILL)
            if Layer.dumpable.isInForce { try ProcessControl.setNotDumpable() }
        }
        guard Layer.noNewPrivileges.isInForce else { return }
        try stage(.noNewPrivileges) { () throws(LinuxError) in try Credentials.setNoNewPrivileges() }
    }

    private func enterWorkingDirectory() throws(SetupFailure) {
        try stage(.workingDirectory) { () throws(LinuxError) in
            guard chdir(own.workingDirectory) == 0 else { throw LinuxError(last: "chdir") }
            // A directory that is not below the root reads as "(unreachable)/...".
            var first: UInt8 = 0
            try withUnsafeTemporaryAllocation(of: CChar.self, capacity: 4096) { (buffer) throws(LinuxError) in
                guard getcwd(buffer.baseAddress, buffer.count) != nil else { throw LinuxError(last: "getcwd") }
                first = UInt8(bitPattern: buffer[0])
            }
            guard first == UInt8(ascii: "/") else { throw LinuxError("getcwd", errno: ENOTDIR) }
        }
    }
}

extension RootFileSystem {
    /// - Throws: stage `mount` with the place of the operation that failed.
    mutating func perform(_ operations: [MountOperation]) throws(SetupFailure) {
        for (index, operation) in operations.enumerated() {
            do throws(LinuxError) {
                try perform(operation)
            } catch {
                throw SetupFailure(stage: .mount, index: index, errno: error.errno)
            }
        }
    }
}
