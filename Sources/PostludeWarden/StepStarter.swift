import Glibc
import PostludeLinux
import PostludePlan

/// Makes what a step needs (cgroups, limits, device filter, pipes) and has it cloned.
struct StepStarter {
    let sent: SentPlan
    let preparation: Preparation
    /// The attempt's network namespace; -1 for the host's.
    let network: Int32
    /// Read back after the attempt's limits were written.
    let attemptLimits: [String: String]

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

    /// A launcher for each step but main, placed in one batch: the first write into v1 cgroups costs milliseconds, the
    /// rest little.
    func makeLaunchers() throws(SetupFailure) -> [Int: Launcher] {
        guard !preparation.legacy.isEmpty else { return [:] }
        var launchers: [Int: Launcher] = [:]
        for (index, step) in sent.plan.steps.enumerated() where step.role != .main {
            launchers[index] = try stage(.cgroup, index: index) { () throws(LinuxError) in
                let launcher = try Launcher()
                try launcher.place(in: try StepCgroups.makeLegacy(of: step.name, below: preparation.legacy))
                return launcher
            }
        }
        return launchers
    }

    /// Starts one step; it is not let go before its receipt was read.
    func start(_ index: Int, launcher: Launcher?) throws(SetupFailure) -> RunningStep {
        let step = sent.plan.steps[index]
        let cgroup = try stage(.cgroup) { () throws(LinuxError) in try preparation.cgroup.child(step.name) }
        let legacy = StepCgroups.legacy(of: step.name, below: preparation.legacy)
        let limits = try Self.write(step.limits, label: step.name + "/") { legacy[$0] ?? cgroup.path }
        var programs: [UInt32] = []
        if let filter = step.deviceFilter {
            // Before any process is in it: there is no moment without policy.
            programs = try stage(.deviceFilter) { () throws(LinuxError) in
                try DeviceFilter.attach(sent[filter], to: cgroup)
                return try DeviceFilter.programs(on: cgroup)
            }
        }
        let usesNetwork = network >= 0 && !step.usesHostNetwork
        let channel = try stage(.descriptors) { () throws(LinuxError) in try PacketSocket.pair() }
        let output = try stage(.log) { () throws(LinuxError) in try OwnedDescriptor.pipe(readerNonBlocking: true) }
        let error = try stage(.log, index: 1) { () throws(LinuxError) in
            try OwnedDescriptor.pipe(readerNonBlocking: true)
        }
        let resources = StepResources(
            cgroup: cgroup.directory.rawValue, network: usesNetwork ? network : -1,
            control: channel.writer.rawValue, input: preparation.null.rawValue, output: output.writer.rawValue,
            error: error.writer.rawValue)
        let child: (pid: Int32, descriptor: Int32)
        if let launcher {
            child = try launcher.launch(resources)
        } else {
            let launch = try StepLaunch(sent, step: index, base: preparation.takeBase())
            child = try launch.perform(resources, asSibling: false)
            launch.close()
        }
        var receipt = ReceiptReader(pid: child.pid)
        receipt.readCgroup(
            limits: attemptLimits.merging(limits) { $1 }, programs: programs,
            hostNamespaces: preparation.hostNamespaces)
        let null = preparation.null.rawValue
        return RunningStep(
            index: index, plan: step, cgroup: cgroup, legacy: legacy, pid: child.pid,
            process: ProcessDescriptor(adopting: OwnedDescriptor(adopting: child.descriptor)),
            control: channel.reader,
            logs: [
                LogPump(pipe: output.reader, log: sent[step.standardOutput], null: null, limit: step.logBytes),
                LogPump(pipe: error.reader, log: sent[step.standardError], null: null, limit: step.logBytes),
            ], hasOwnNetwork: usesNetwork, receipt: receipt)
    }
}
