import Glibc
import PostludeLinux
import PostludePlan

/// Everything slow that does not depend on the plan, done while nobody waits: cgroups made and entered, a network
/// namespace, main's first process parked where it will run.
final class Preparation {
    struct Failure: Error {
        var stage: SetupStage
        var cause: LinuxError
    }

    /// The attempt's v2 cgroup, and its directories in v1 hierarchies that hold controllers; nil where the agent may make
    /// none.
    let cgroup: HeldCgroup?
    let legacy: [CgroupController: String]
    private var network: NetworkNamespace?
    private var isLoopbackUp = false
    private let groundwork: Groundwork
    private var main: ParkedStep?
    let hostNamespaces: [String: UInt64]
    /// /dev/null, where surplus output goes.
    let null: OwnedDescriptor

    init(_ request: PrepareRequest, descriptors: [Int32]) throws(Failure) {
        var legacy: [CgroupController: String] = [:]
        if request.isHybrid {
            for (controller, path) in request.cgroups {
                guard let known = CgroupController(rawValue: controller.rawValue), known != .unified else { continue }
                legacy[known] = path
            }
        }
        self.legacy = legacy
        if let root = request.cgroups[.unified] {
            cgroup = try Self.staged(.cgroup) { () throws(LinuxError) in
                HeldCgroup(try Self.enterCgroups(unified: root, legacy: legacy))
            }
        } else {
            cgroup = nil
        }
        null = try Self.staged(.descriptors) { () throws(LinuxError) in try OwnedDescriptor.open("/dev/null", O_RDWR) }
        if request.makesNetworkNamespace {
            network = try Self.staged(.network) { () throws(LinuxError) in
                let network = try Self.newNetwork()
                if request.bringsLoopbackUp { try network.setLoopback(up: true) }
                return network
            }
            isLoopbackUp = request.bringsLoopbackUp
        } else {
            network = nil
        }
        hostNamespaces = Rootless.hostNamespaces
        var sources = descriptors
        try Self.staged(.mount) { () throws(LinuxError) in try Rootless.reopen(request.template, in: &sources) }
        groundwork = Groundwork(template: request.template, sources: sources)
        do throws(SetupFailure) {
            main = try park(["main"])["main"]
            try main?.awaitParked()
        } catch {
            main?.dismiss()
            throw Failure(stage: error.stage, cause: LinuxError("park", "\(error.index)", errno: error.errno))
        }
    }

    /// Parks the first processes of these steps; those of v1 cgroups go there in one batch, for the first write into
    /// them costs milliseconds, the rest little.
    func park(_ names: [String]) throws(SetupFailure) -> [String: ParkedStep] {
        var launchers: [(name: String, launcher: Launcher)] = []
        defer { for entry in launchers { entry.launcher.reap() } }
        if !legacy.isEmpty {
            for (index, name) in names.enumerated() {
                try stage(.cgroup, index: index) { () throws(LinuxError) in
                    let launcher = try Launcher(groundwork)
                    launchers.append((name, launcher))
                    try launcher.place(in: try StepCgroups.makeLegacy(of: name, below: legacy))
                }
            }
        }
        var parked: [String: ParkedStep] = [:]
        do throws(SetupFailure) {
            for (index, name) in names.enumerated() {
                guard let cgroup = try step(name) else {
                    parked[name] = try groundwork.park(in: nil)
                    continue
                }
                parked[name] =
                    try legacy.isEmpty
                    ? groundwork.park(in: cgroup.cgroup.directory.rawValue)
                    : launchers[index].launcher.park(in: cgroup.cgroup)
            }
        } catch {
            for step in parked.values { step.dismiss() }
            throw error
        }
        return parked
    }

    /// The v2 cgroup of a step; nil where there are none.
    func step(_ name: String) throws(SetupFailure) -> HeldCgroup? {
        guard let cgroup else { return nil }
        return try stage(.cgroup) { () throws(LinuxError) in HeldCgroup(try cgroup.cgroup.child(name)) }
    }

    private static func newNetwork() throws(LinuxError) -> NetworkNamespace {
        // Without root there is no way back into the host's.
        try Rootless.isInForce ? NetworkNamespace.madeAside() : NetworkNamespace()
    }

    /// Takes main's first process away; nil when somebody has it.
    func takeMain() -> ParkedStep? {
        defer { main = nil }
        return main
    }

    /// Gives main's first process the plan, while the caller reads it too.
    func announce(_ memory: Int32) throws(SetupFailure) {
        try main?.give(plan: memory, step: .last)
    }

    /// Ends what waits for a plan that does not come.
    func dismiss() { takeMain()?.dismiss() }

    /// The attempt's own network namespace, as a descriptor; made now when it was not made ahead.
    func makeNetwork(withLoopback: Bool) throws(LinuxError) -> Int32 {
        let ready = network?.descriptor.rawValue ?? -1
        if ready < 0 { network = try Self.newNetwork() }
        if withLoopback != isLoopbackUp { try network?.setLoopback(up: withLoopback) }
        isLoopbackUp = withLoopback
        return network?.descriptor.rawValue ?? -1
    }

    /// The directory in which a controller's files of the attempt are.
    func directory(of controller: CgroupController) -> String? {
        legacy[controller] ?? cgroup?.cgroup.path
    }

    private static func enterCgroups(
        unified: String, legacy: [CgroupController: String]
    ) throws(LinuxError) -> Cgroup {
        let root = try Cgroup(opening: unified)
        // All writes back to back: the first one pays for the grace period, the rest are almost free.
        try root.child("warden").enter()
        for directory in Set(CgroupController.stepControllers.compactMap { legacy[$0] }) {
            try Cgroup(creating: directory + "/warden").enter()
        }
        let offered = try root.read("cgroup.controllers").split(whereSeparator: { $0 == " " || $0 == "\n" })
        let wanted = ["memory", "cpu", "pids", "io"].filter { name in offered.contains { $0 == name } }
        if !wanted.isEmpty { try root.enable(wanted) }
        return root
    }

    private static func staged<Result: ~Copyable>(
        _ stage: SetupStage, _ body: () throws(LinuxError) -> Result
    ) throws(Failure) -> Result {
        do { return try body() } catch { throw Failure(stage: stage, cause: error) }
    }
}

/// A cgroup that is there or not.
final class HeldCgroup {
    let cgroup: Cgroup
    init(_ cgroup: consuming Cgroup) { self.cgroup = cgroup }
}

/// The cgroup directories of one step.
enum StepCgroups {
    /// The step's directories in the v1 hierarchies, by controller.
    static func legacy(of step: String, below attempt: [CgroupController: String]) -> [CgroupController: String] {
        var paths: [CgroupController: String] = [:]
        for controller in CgroupController.stepControllers {
            if let parent = attempt[controller] { paths[controller] = parent + "/" + step }
        }
        return paths
    }

    /// Makes them and returns them.
    static func makeLegacy(
        of step: String, below attempt: [CgroupController: String]
    ) throws(LinuxError) -> [CgroupController: String] {
        let paths = legacy(of: step, below: attempt)
        for path in Set(paths.values) { _ = try Cgroup(creating: path) }
        return paths
    }
}
