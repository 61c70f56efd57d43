/// The contract between the agent and the warden: what to run, and exactly how. Every choice was made by the agent;
/// the warden only walks the lists. Descriptors are named by their place in the message that carried the plan.
///
/// Layouts and stage numbers are append-only: an old warden may outlive an upgraded agent.
public struct LaunchPlan: Hashable, Sendable {
    public static let version: UInt16 = 3
    /// What is read; 2 knew neither rules for files nor core scheduling.
    static let readableVersions: ClosedRange<UInt16> = 2...3

    /// `<run>.<number>`, for records and messages.
    public var attempt: String
    public var hostname: String
    /// The journal, opened for appending.
    public var journal: DescriptorIndex
    /// Limits to write into the attempt's cgroup before any step starts.
    public var limits: [CgroupWrite]
    public var network: Network
    /// Milliseconds from the first step's start until the attempt is stopped; 0 for never.
    public var timeoutMilliseconds: UInt64
    /// Milliseconds between SIGTERM and SIGKILL.
    public var graceMilliseconds: UInt64
    /// Init steps in order, then sidecars, then main.
    public var steps: [StepPlan]

    public init(
        attempt: String, hostname: String, journal: DescriptorIndex, limits: [CgroupWrite] = [], network: Network,
        timeoutMilliseconds: UInt64 = 0, graceMilliseconds: UInt64 = 30_000, steps: [StepPlan]
    ) {
        self.attempt = attempt
        self.hostname = hostname
        self.journal = journal
        self.limits = limits
        self.network = network
        self.timeoutMilliseconds = timeoutMilliseconds
        self.graceMilliseconds = graceMilliseconds
        self.steps = steps
    }
}

/// The place of a descriptor in the message (SCM_RIGHTS) that carried the plan.
public typealias DescriptorIndex = UInt16

public enum Network: UInt8, Hashable, Sendable {
    /// An own namespace, loopback down.
    case none = 0
    /// An own namespace, loopback up.
    case loopback = 1
    case host = 2
}

/// One write below the attempt's (or a step's) cgroup, into the hierarchy that holds the controller.
public struct CgroupWrite: Hashable, Sendable {
    public enum Controller: UInt8, Hashable, Sendable, CaseIterable {
        case unified = 0, memory = 1, cpu = 2, pids = 3, cpuacct = 4, devices = 5
    }

    public var controller: Controller
    public var file: String
    public var value: String
    /// Whether the launch is refused when the write fails (P7); false for refinements that some kernels lack.
    public var isRequired: Bool

    public init(_ controller: Controller, _ file: String, _ value: String, isRequired: Bool = true) {
        self.controller = controller
        self.file = file
        self.value = value
        self.isRequired = isRequired
    }
}

public struct StepPlan: Hashable, Sendable {
    public enum Role: UInt8, Hashable, Sendable { case initialize = 0, main = 1, sidecar = 2 }

    public var name: String
    public var role: Role
    /// Absolute path inside the new root.
    public var program: String
    public var arguments: [String]
    /// `NAME=value`.
    public var environment: [String]
    public var workingDirectory: String
    public var limits: [CgroupWrite]
    /// Applied in order to the root that the attempt's `RootTemplate` has made.
    public var mounts: [MountOperation]
    public var uid: UInt32
    public var gid: UInt32
    public var groups: [UInt32]
    public var resourceLimits: [ResourceLimit]
    /// A classic BPF program as the kernel takes it (array of struct sock_filter); nil installs none.
    public var seccomp: DescriptorIndex?
    /// A loaded BPF_PROG_TYPE_CGROUP_DEVICE program; nil attaches none.
    public var deviceFilter: DescriptorIndex?
    public var standardOutput: DescriptorIndex
    public var standardError: DescriptorIndex
    /// Bytes kept of each stream.
    public var logBytes: UInt64
    /// Whether the step joins the host's network although the attempt has its own.
    public var usesHostNetwork: Bool
    /// Bits of `Landlock.Rules`; those that the kernel does not know are left out.
    public var landlock: UInt32
    /// What may be done with files, where `landlock` has rules for files; everything else is refused then.
    public var fileRules: [FileRule]
    /// Whether no program but the step's own shares a processor core with it at any moment.
    public var coreScheduling: Bool

    public init(
        name: String, role: Role, program: String, arguments: [String], environment: [String],
        workingDirectory: String, limits: [CgroupWrite] = [], mounts: [MountOperation], uid: UInt32, gid: UInt32,
        groups: [UInt32], resourceLimits: [ResourceLimit] = [], seccomp: DescriptorIndex?,
        deviceFilter: DescriptorIndex?, standardOutput: DescriptorIndex, standardError: DescriptorIndex,
        logBytes: UInt64 = 64 << 20, usesHostNetwork: Bool = false,
        landlock: UInt32 = 0, fileRules: [FileRule] = [], coreScheduling: Bool = false
    ) {
        self.name = name
        self.role = role
        self.program = program
        self.arguments = arguments
        self.environment = environment
        self.workingDirectory = workingDirectory
        self.limits = limits
        self.mounts = mounts
        self.uid = uid
        self.gid = gid
        self.groups = groups
        self.resourceLimits = resourceLimits
        self.seccomp = seccomp
        self.deviceFilter = deviceFilter
        self.standardOutput = standardOutput
        self.standardError = standardError
        self.logBytes = logBytes
        self.usesHostNetwork = usesHostNetwork
        self.landlock = landlock
        self.fileRules = fileRules
        self.coreScheduling = coreScheduling
    }
}

/// Allows something beneath a path of the finished root, or with the one file that it names.
public struct FileRule: Hashable, Sendable {
    /// Absolute, inside the new root.
    public var path: String
    /// The kernel's bits (LANDLOCK_ACCESS_FS_*); those that it does not know are left out.
    public var access: UInt64

    public init(path: String, access: UInt64) {
        self.path = path
        self.access = access
    }
}

public struct ResourceLimit: Hashable, Sendable {
    /// RLIMIT_* of setrlimit(2).
    public var resource: UInt32
    public var soft: UInt64
    public var hard: UInt64

    public init(resource: UInt32, soft: UInt64, hard: UInt64) {
        self.resource = resource
        self.soft = soft
        self.hard = hard
    }
}

/// One operation on the new root; paths are absolute inside it. Sources are descriptors that the agent opened (O_PATH).
/// A missing mount point is made by the operation (directory or empty file, as the source is), but only while it lies
/// on a file system this plan mounted (the root tmpfs or a later tmpfs): nothing is ever created on the host.
///
/// Symbolic links on the way to a target are followed inside the new root and never leave it. After the last operation
/// the root tmpfs itself becomes read-only (what is mounted on it keeps its own flags).
public enum MountOperation: Hashable, Sendable {
    /// Binds the source, with what is mounted below it when `recursive`; read-only applies to all of it, nosuid always;
    /// nodev unless `devices`.
    case bind(source: DescriptorIndex, target: String, readOnly: Bool, devices: Bool, recursive: Bool)
    case tmpfs(target: String, bytes: UInt64, inodes: UInt64, mode: UInt32, noExec: Bool)
    /// A fresh procfs of the step's pid namespace, with the paths the kernel lets a job write made read-only or masked.
    case proc(target: String)
    /// A private devpts with its ptmx.
    case devpts(target: String)
    case mqueue(target: String)
    case directory(target: String, mode: UInt32, uid: UInt32, gid: UInt32)
    case symlink(target: String, text: String)
    /// A small file on a file system that this plan mounted.
    case file(target: String, content: [UInt8], mode: UInt32, uid: UInt32, gid: UInt32)
    /// Covers a path (if it exists) so that nothing of it is seen: an empty read-only directory or /dev/null.
    case mask(target: String)
    /// Makes the mount at target read-only; what is mounted below it keeps its own flags.
    case readOnly(target: String)
}
