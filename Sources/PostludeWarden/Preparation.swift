import Glibc
import PostludeLinux
import PostludePlan

/// Everything slow that does not depend on the plan, done while nobody waits: cgroups made and entered, a launcher
/// parked where main will be, a network namespace.
final class Preparation {
    struct Failure: Error {
        var stage: SetupStage
        var cause: LinuxError
    }

    /// The attempt's v2 cgroup, and its directories in v1 hierarchies that hold controllers.
    let cgroup: Cgroup
    let legacy: [CgroupController: String]
    private var network: NetworkNamespace?
    /// Already a member of main's v1 cgroups; nil on a pure v2 host.
    private(set) var launcher: Launcher?
    /// The root of the first step that the warden clones itself.
    private var base: OwnedDescriptor?
    let hostNamespaces: [String: UInt64]
    /// /dev/null: standard input of every step, and where surplus output goes.
    let null: OwnedDescriptor

    init(_ request: PrepareRequest) throws(Failure) {
        var legacy: [CgroupController: String] = [:]
        if request.isHybrid {
            for (controller, path) in request.cgroups {
                guard let known = CgroupController(rawValue: controller.rawValue), known != .unified else { continue }
                legacy[known] = path
            }
        }
        self.legacy = legacy
        let root = request.cgroups[.unified] ?? ""
        cgroup = try Self.stage(.cgroup) { () throws(LinuxError) in
            try Self.enterCgroups(unified: root, legacy: legacy)
        }
        null = try Self.stage(.descriptors) { () throws(LinuxError) in try OwnedDescriptor.open("/dev/null", O_RDWR) }
        if request.makesNetworkNamespace {
            network = try Self.stage(.network) { () throws(LinuxError) in try NetworkNamespace() }
        } else {
            network = nil
        }
        hostNamespaces = Namespace.inodes(of: "self")
        if legacy.isEmpty {
            base = try Self.stage(.mount) { () throws(LinuxError) in try RootFileSystem.makeBase() }
        } else {
            launcher = try Self.stage(.clone) { () throws(LinuxError) in
                let launcher = try Launcher()
                try launcher.place(in: try StepCgroups.makeLegacy(of: "main", below: legacy))
                return launcher
            }
        }
        try Self.stage(.cgroup) { () throws(LinuxError) in _ = try cgroup.child("main") }
    }

    func takeBase() -> OwnedDescriptor? {
        let taken = base.take()
        return taken
    }

    /// Takes the launcher for main away; it serves once.
    func takeLauncher() -> Launcher? {
        defer { launcher = nil }
        return launcher
    }

    /// The attempt's own network namespace, as a descriptor; made now when it was not made ahead.
    func makeNetwork(withLoopback: Bool) throws(LinuxError) -> Int32 {
        let ready = network?.descriptor.rawValue ?? -1
        if ready < 0 { network = try NetworkNamespace() }
        if withLoopback { try network?.bringLoopbackUp() }
        return network?.descriptor.rawValue ?? -1
    }

    /// The directory in which a controller's files of the attempt are.
    func directory(of controller: CgroupController) -> String {
        legacy[controller] ?? cgroup.path
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

    private static func stage<Result: ~Copyable>(
        _ stage: SetupStage, _ body: () throws(LinuxError) -> Result
    ) throws(Failure) -> Result {
        do { return try body() } catch { throw Failure(stage: stage, cause: error) }
    }
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
