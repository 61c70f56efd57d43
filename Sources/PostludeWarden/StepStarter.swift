import Glibc
import PostludeLinux
import PostludePlan

/// Makes what a step needs besides its first process: limits, device filter, pipes, mount trees.
struct StepStarter {
    let sent: SentPlan
    let preparation: Preparation
    /// The attempt's network namespace; -1 for the host's.
    let network: Int32
    /// Writes limits and reads them back, by `controller/file`.
    static func write(
        _ limits: [CgroupWrite], label: String, directory: (CgroupController) -> String?
    ) throws(SetupFailure) -> [String: String] {
        var readBack: [String: String] = [:]
        for (index, limit) in limits.enumerated() {
            let controller = CgroupController(rawValue: limit.controller.rawValue) ?? .unified
            do throws(LinuxError) {
                guard let path = directory(controller) else { throw LinuxError("cgroup", limit.file, errno: ENOENT) }
                let name = (controller.kernelName ?? "unified") + "/" + label + limit.file
                readBack[name] = try Cgroup.set(path + "/" + limit.file, limit.value)
            } catch {
                if limit.isRequired { throw SetupFailure(stage: .limit, index: index, errno: error.errno) }
            }
        }
        return readBack
    }

    /// Has one parked step set up; it is not let go before its receipt was read. `attemptLimits` writes the attempt's
    /// limits, once, and gives what was read back.
    func start(
        _ index: Int, parked: ParkedStep, attemptLimits: () throws(SetupFailure) -> [String: String]
    ) throws(SetupFailure) -> RunningStep {
        let step = sent.plan.steps[index]
        let cgroup = try preparation.step(step.name)
        let legacy = StepCgroups.legacy(of: step.name, below: preparation.legacy)
        let usesNetwork = network >= 0 && !step.usesHostNetwork
        let output = try stage(.log) { () throws(LinuxError) in try OwnedDescriptor.pipe(readerNonBlocking: true) }
        let error = try stage(.log, index: 1) { () throws(LinuxError) in
            try OwnedDescriptor.pipe(readerNonBlocking: true)
        }
        let resources = StepResources(
            network: usesNetwork ? network : nil, seccomp: step.seccomp.map { sent[$0] },
            output: output.writer.rawValue, error: error.writer.rawValue)
        let trees = try MountTrees.copy(for: step.mounts, from: sent.descriptors)
        defer { for tree in trees { close(tree) } }
        try parked.setUp(resources, trees: trees)
        // While it does: limits and filter have to be there before the program is, not before our own code.
        var limits = try attemptLimits()
        limits.merge(try Self.write(step.limits, label: step.name + "/") { legacy[$0] ?? cgroup?.cgroup.path }) { $1 }
        var programs: [UInt32] = []
        if let filter = step.deviceFilter {
            programs = try stage(.deviceFilter) { () throws(LinuxError) in
                guard let cgroup else { throw LinuxError("cgroup", errno: ENOENT) }
                try DeviceFilter.attach(sent[filter], to: cgroup.cgroup)
                return try DeviceFilter.programs(on: cgroup.cgroup)
            }
        }
        var receipt = ReceiptReader(pid: parked.pid)
        receipt.readCgroup(
            limits: limits, programs: programs, hostNamespaces: preparation.hostNamespaces,
            hasCgroup: cgroup != nil)
        let null = preparation.null.rawValue
        return RunningStep(
            index: index, plan: step, cgroup: cgroup, legacy: legacy, parked: parked,
            logs: [
                LogPump(pipe: output.reader, log: sent[step.standardOutput], null: null, limit: step.logBytes),
                LogPump(pipe: error.reader, log: sent[step.standardError], null: null, limit: step.logBytes),
            ], hasOwnNetwork: usesNetwork, receipt: receipt)
    }
}
