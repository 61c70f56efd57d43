/// What the warden is told before it has a plan, so that what is slow is paid ahead: its cgroup, its network namespace,
/// and main's first process, which waits in its cgroups and namespaces with the root made as far as the plan does not
/// matter. The descriptors that `template` names come with the request.
public struct PrepareRequest: Hashable, Sendable {
    /// Absolute paths of the attempt's cgroup directory by hierarchy; on a pure v2 host only `.unified`. The agent made
    /// the directories; the warden makes and enters `warden` below each, and the steps' below that. Empty where the agent
    /// may make no cgroups: then a step is what is in its pid namespace.
    public var cgroups: [CgroupWrite.Controller: String]
    /// Whether controllers live in v1 hierarchies (then a launcher process is put into a step's cgroups and clones the
    /// step's first process).
    public var isHybrid: Bool
    public var makesNetworkNamespace: Bool
    /// Whether its loopback is brought up.
    public var bringsLoopbackUp: Bool
    /// The root that every step of the attempt begins with, made on an empty tmpfs.
    public var template: [MountOperation]

    public init(
        cgroups: [CgroupWrite.Controller: String], isHybrid: Bool, makesNetworkNamespace: Bool,
        bringsLoopbackUp: Bool = false, template: [MountOperation] = []
    ) {
        self.cgroups = cgroups
        self.isHybrid = isHybrid
        self.makesNetworkNamespace = makesNetworkNamespace
        self.bringsLoopbackUp = bringsLoopbackUp
        self.template = template
    }
}
