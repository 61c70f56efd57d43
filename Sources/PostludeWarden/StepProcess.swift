import Glibc
import PostludeLinux
import PostludePlan

/// Set-up of a step inside its pid 1, from the clone to the point where only the program is missing. Each stage that
/// fails is reported by name, index and errno, and ends the process.
struct StepProcess {
    let sent: SentPlan
    let step: Int
    let base: Int32
    let trees: [Int32]
    let resources: StepResources

    private var plan: StepPlan { sent.plan.steps[step] }
    /// Where the control descriptor is once the others are closed.
    private static let control: Int32 = 3

    func run() -> Never {
        do throws(SetupFailure) {
            preferForOutOfMemory()
            try joinNamespaces()
            let filter = try seccompProgram()
            try buildRoot()
            StepMessage(.mounted).send(to: resources.control)
            try detach()
            try limitResources()
            try placeDescriptors()
            try giveUpPrivileges()
            try enterWorkingDirectory()
            if let filter { try stage(.seccomp) { () throws(LinuxError) in try ProcessControl.loadSeccomp(filter) } }
        } catch {
            // The descriptor is at its new place or still at its old one; the other number is closed, or the same
            // socket.
            let message = StepMessage(
                .failed, stage: error.stage, index: UInt32(clamping: error.index), value: error.errno)
            message.send(to: descriptorsArePlaced(error.stage) ? Self.control : resources.control)
            _exit(127)
        }
        MiniInit(plan: plan, control: Self.control).run()
    }

    private func descriptorsArePlaced(_ failed: SetupStage) -> Bool {
        switch failed {
        case .credentials, .capabilities, .noNewPrivileges, .seccomp, .workingDirectory, .exec: true
        case .plan, .cgroup, .limit, .deviceFilter, .clone, .network, .mount, .pivot, .hostname, .session,
            .resourceLimit, .descriptors, .receipt, .log:
            false
        }
    }

    /// The limit of the attempt holds the warden too: the kernel shall end programs instead. A program cannot lower the
    /// value it inherits where the agent has CAP_SYS_RESOURCE; elsewhere it can go back to the agent's, and then takes
    /// its chances with the warden.
    private func preferForOutOfMemory() {
        do throws(LinuxError) {
            try OutOfMemoryScore.set(OutOfMemoryScore.step)
        } catch {
            // EACCES: whoever started the agent set a higher value and forbade a lower one. That one stays.
        }
    }

    private func joinNamespaces() throws(SetupFailure) {
        if resources.network >= 0 {
            try stage(.network) { () throws(LinuxError) in try Namespace.net.enter(resources.network) }
        }
        // Not by clone3: the new namespace's root would be the parent's cgroup.
        guard Layer.cgroupNamespace.isInForce else { return }
        try stage(.clone) { () throws(LinuxError) in try Namespace.cgroup.unshare() }
    }

    private func seccompProgram() throws(SetupFailure) -> [UInt8]? {
        guard let index = plan.seccomp else { return nil }
        return try stage(.seccomp) { () throws(LinuxError) in
            try MemoryFile.content(of: sent[index], limit: 4096 * 8)
        }
    }

    private func buildRoot() throws(SetupFailure) {
        _ = umask(0)
        var root = try stage(.mount, index: Int(UInt16.max)) { () throws(LinuxError) in
            try Mounts.makeAllPrivate()
            return try RootFileSystem(base: base, trees: trees)
        }
        for (index, operation) in plan.mounts.enumerated() {
            do throws(LinuxError) {
                try root.perform(operation)
            } catch {
                throw SetupFailure(stage: .mount, index: index, errno: error.errno)
            }
        }
        do throws(LinuxError) {
            try root.enter()
        } catch {
            throw SetupFailure(stage: .pivot, errno: error.errno)
        }
        _ = umask(0o022)
    }

    /// Away from the host's names, terminal and keys.
    private func detach() throws(SetupFailure) {
        if Layer.utsNamespace.isInForce {
            try stage(.hostname) { () throws(LinuxError) in try HostName.set(sent.plan.hostname) }
        }
        guard setsid() >= 0 else { throw SetupFailure(stage: .session, errno: errno) }
        guard Layer.keyring.isInForce else { return }
        try stage(.session, index: 1) { () throws(LinuxError) in try Credentials.joinNewSessionKeyring() }
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
        for (index, limit) in plan.resourceLimits.enumerated() where limit.resource != core {
            try stage(.resourceLimit, index: index) { () throws(LinuxError) in
                try ProcessControl.setLimit(resource: limit.resource, soft: limit.soft, hard: limit.hard)
            }
        }
    }

    private func placeDescriptors() throws(SetupFailure) {
        try stage(.descriptors) { () throws(LinuxError) in
            // A program opens /dev/stdout by name with its own user's rights.
            guard fchown(resources.output, plan.uid, plan.gid) == 0, fchown(resources.error, plan.uid, plan.gid) == 0
            else { throw LinuxError(last: "fchown") }
            let places = [resources.input, resources.output, resources.error, resources.control]
            for (place, source) in places.enumerated() where source != Int32(place) {
                guard dup2(source, Int32(place)) >= 0 else { throw LinuxError(last: "dup2") }
            }
            guard fcntl(Self.control, F_SETFD, FD_CLOEXEC) == 0 else { throw LinuxError(last: "fcntl") }
            if Layer.descriptors.isInForce { try ProcessControl.closeDescriptors(from: Self.control + 1) }
        }
    }

    private func giveUpPrivileges() throws(SetupFailure) {
        if Layer.capabilities.isInForce {
            try stage(.capabilities) { () throws(LinuxError) in try Credentials.clearBoundingSet() }
        }
        try stage(.credentials) { () throws(LinuxError) in
            try Credentials.become(uid: plan.uid, gid: plan.gid, groups: plan.groups)
        }
        if Layer.capabilities.isInForce {
            try stage(.capabilities, index: 1) { () throws(LinuxError) in try Credentials.clearCapabilities() }
        }
        // After the user: changing it clears the death signal. A warden that died before is noticed as a closed
        // channel.
        try stage(.session, index: 2) { () throws(LinuxError) in
            try ProcessControl.setParentDeathSignal(SIGKILL)
            if Layer.dumpable.isInForce { try ProcessControl.setNotDumpable() }
        }
        guard Layer.noNewPrivileges.isInForce else { return }
        try stage(.noNewPrivileges) { () throws(LinuxError) in try Credentials.setNoNewPrivileges() }
    }

    private func enterWorkingDirectory() throws(SetupFailure) {
        try stage(.workingDirectory) { () throws(LinuxError) in
            guard chdir(plan.workingDirectory) == 0 else { throw LinuxError(last: "chdir") }
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
