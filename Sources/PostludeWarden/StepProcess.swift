import Glibc
import PostludeLinux
import PostludePlan

/// Set-up of a step inside its pid 1, from the clone to the point where only the program is missing: first what does
/// not depend on the plan, then, when the plan is there, the rest. Each stage that fails is reported by name, index and
/// errno, and ends the process.
struct StepProcess {
    let template: [MountOperation]
    let base: Int32
    let trees: [Int32]
    /// The socket to the warden, before it is at its place.
    let control: Int32

    /// Where it is from then on.
    private static let control: Int32 = 3

    func run() -> Never {
        do throws(SetupFailure) {
            try place()
        } catch {
            Self.fail(error, on: control)
        }
        do throws(SetupFailure) {
            var root = try makeTemplate()
            let kept = root.descriptors
            if Layer.descriptors.isInForce {
                try stage(.descriptors) { () throws(LinuxError) in
                    try ProcessControl.closeDescriptors(from: Self.control + 1, keeping: kept)
                }
            }
            try clearBoundingSet()
            ProcessControl.setName("postlude-init")
            StepMessage(.parked).send(to: Self.control)
            let plan = try Self.receivePlan()
            let (resources, trees) = try Self.receiveResources()
            root.take(trees)
            let landlock = try StepSetup(
                plan: plan.plan, step: plan.step, resources: resources, control: Self.control
            ).perform(root)
            MiniInit(plan: plan.plan.steps[plan.step], control: Self.control, landlock: landlock).run()
        } catch {
            Self.fail(error, on: Self.control)
        }
    }

    private static func fail(_ failure: SetupFailure, on socket: Int32) -> Never {
        StepMessage(.failed, stage: failure.stage, index: UInt32(clamping: failure.index), value: failure.errno)
            .send(to: socket)
        _exit(127)
    }

    /// To its places in the process tree: descriptor, OOM score, cgroup namespace, death with the warden.
    private func place() throws(SetupFailure) {
        preferForOutOfMemory()
        try stage(.descriptors) { () throws(LinuxError) in
            if control != Self.control {
                guard dup2(control, Self.control) >= 0 else { throw LinuxError(last: "dup2") }
            }
            guard fcntl(Self.control, F_SETFD, FD_CLOEXEC) == 0 else { throw LinuxError(last: "fcntl") }
        }
        // A warden that ended before is noticed as a closed channel.
        try stage(.session, index: 2) { () throws(LinuxError) in try ProcessControl.setParentDeathSignal(SIGKILL) }
        // Not by clone3: the new namespace's root would be the parent's cgroup.
        guard Layer.cgroupNamespace.isInForce else { return }
        try stage(.clone) { () throws(LinuxError) in try Namespace.cgroup.unshare() }
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

    private func makeTemplate() throws(SetupFailure) -> RootFileSystem {
        _ = umask(0)
        var root = try stage(.mount, index: Int(UInt16.max)) { () throws(LinuxError) in
            try Mounts.makeAllPrivate()
            return try RootFileSystem(base: base, trees: trees)
        }
        try root.perform(template)
        do throws(LinuxError) {
            try root.pivot()
        } catch {
            throw SetupFailure(stage: .pivot, errno: error.errno)
        }
        return root
    }

    /// Ahead of the plan, for it takes nothing from this process: it bounds what execve gives. A user namespace that is
    /// entered later would fill it again, so without root that is done behind it.
    private func clearBoundingSet() throws(SetupFailure) {
        guard Layer.capabilities.isInForce, !Rootless.isInForce else { return }
        try stage(.capabilities) { () throws(LinuxError) in try Credentials.clearBoundingSet() }
    }

    // MARK: orders

    private static func receivePlan() throws(SetupFailure) -> (plan: LaunchPlan, step: Int) {
        let (order, descriptors) = try receive()
        guard case .plan(let step)? = order, let memory = descriptors.first, MemoryFile.isSealed(memory) else {
            throw SetupFailure(stage: .plan, errno: EINVAL)
        }
        let plan: LaunchPlan
        do {
            plan = try LaunchPlan(decoding: try MemoryFile.content(of: memory))
        } catch {
            throw SetupFailure(stage: .plan, errno: EINVAL)
        }
        switch step {
        case .last: return (plan, plan.steps.count - 1)
        case .index(let index): return (plan, index)
        }
    }

    private static func receiveResources() throws(SetupFailure) -> (StepResources, trees: [Int32]) {
        let (order, descriptors) = try receive()
        guard case .setUp(let hasNetwork, let hasSeccomp)? = order else {
            throw SetupFailure(stage: .plan, index: 1, errno: EINVAL)
        }
        var rest = descriptors[...]
        guard rest.count >= 2 + (hasNetwork ? 1 : 0) + (hasSeccomp ? 1 : 0) else {
            throw SetupFailure(stage: .descriptors, errno: EBADF)
        }
        let (output, error) = (rest.removeFirst(), rest.removeFirst())
        let network = hasNetwork ? rest.removeFirst() : nil
        let seccomp = hasSeccomp ? rest.removeFirst() : nil
        let resources = StepResources(network: network, seccomp: seccomp, output: output, error: error)
        return (resources, Array(rest))
    }

    /// Ends the process when the warden is gone or wants nothing to run.
    private static func receive() throws(SetupFailure) -> (ParkedOrder?, [Int32]) {
        let message = try stage(.clone, index: 1) { () throws(LinuxError) in
            try PacketSocket.receive(from: control, limit: 16)
        }
        guard let message else { _exit(0) }
        return (ParkedOrder(message.bytes), message.descriptors)
    }
}
