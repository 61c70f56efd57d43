/// One record of an attempt's journal: appended by the warden, fsynced, read by the agent.
///
/// On disk: u32 length of what follows the header, u32 CRC-32C of that, u16 type, u16 zero, u64 sequence number (from
/// 0), i64 wall clock µs, u64 CLOCK_BOOTTIME ns, then the payload; all little-endian. A reader stops at the first
/// record that is not whole. Unknown types are passed over.
public struct JournalRecord: Hashable, Sendable {
    public var sequence: UInt64
    public var wallMicroseconds: Int64
    public var bootNanoseconds: UInt64
    public var body: Body

    public init(sequence: UInt64, wallMicroseconds: Int64, bootNanoseconds: UInt64, body: Body) {
        self.sequence = sequence
        self.wallMicroseconds = wallMicroseconds
        self.bootNanoseconds = bootNanoseconds
        self.body = body
    }

    public enum Body: Hashable, Sendable {
        case accepted(attempt: String, wardenPID: Int32)
        case stepStarted(step: UInt16, name: String, pid: Int32, receipt: StepReceipt)
        case stepExited(step: UInt16, name: String, exit: StepExit, usage: StepCounters)
        case stopping(StopReason)
        case ended(EndReason, step: UInt16?, exit: StepExit)
    }

    public enum StopReason: UInt8, Hashable, Sendable { case requested = 0, timeout = 1, mainEnded = 2 }

    public enum EndReason: UInt8, Hashable, Sendable {
        case mainExited = 0, initFailed = 1, setupFailed = 2, stopRequested = 3, timeout = 4
    }

    public enum StepExit: Hashable, Sendable {
        case code(Int32)
        case signal(Int32, coreDumped: Bool)
        case setupFailed(stage: SetupStage, index: UInt16, errno: Int32)
        case unknown
    }
}

/// Where a step's set-up failed; numbers are append-only.
public enum SetupStage: UInt8, Hashable, Sendable, CaseIterable {
    case plan = 0, cgroup = 1, limit = 2, deviceFilter = 3, clone = 4, network = 5, mount = 6, pivot = 7, hostname = 8,
        session = 9, resourceLimit = 10, credentials = 11, capabilities = 12, noNewPrivileges = 13, descriptors = 14,
        seccomp = 15, workingDirectory = 16, receipt = 17, exec = 18, log = 19,
        landlock = 20, userNamespace = 21, coreScheduling = 22
}

/// Counters at a step's end; nil where the host has none.
public struct StepCounters: Hashable, Sendable {
    public var wallNanoseconds: UInt64?
    public var userMicroseconds: UInt64?
    public var systemMicroseconds: UInt64?
    public var maxRSSBytes: UInt64?
    public var peakMemoryBytes: UInt64?
    public var oomKills: UInt64?
    public var peakPIDs: UInt64?
    public var throttledMicroseconds: UInt64?
    public var readBytes: UInt64?
    public var writtenBytes: UInt64?
    public var logBytesDropped: UInt64?
    public var forksRefused: UInt64?

    public init() {}
}

/// What the kernel said of a step just before its program was started.
public struct StepReceipt: Hashable, Sendable {
    /// Namespace kind to inode, of the step and of the host (kinds that are equal are shared).
    public var namespaces: [String: UInt64]
    public var hostNamespaces: [String: UInt64]
    /// /proc/<pid>/cgroup, as it is.
    public var cgroupText: String
    /// Limits read back: `memory/memory.limit_in_bytes` to content.
    public var limits: [String: String]
    public var deviceFilterPrograms: [UInt32]
    public var seccompMode: Int32
    public var seccompFilters: Int32
    public var noNewPrivileges: Bool
    public var capabilities: [UInt64]
    public var uid: UInt32
    public var gid: UInt32
    public var groups: [UInt32]
    public var mounts: UInt32
    public var writableMounts: [String]
    /// What the step's first process was told by the kernel: Landlock's ABI, and the bits of `Landlock.Rules` in force.
    public var landlockABI: Int32
    public var landlockRules: UInt32
    /// Field 22 of /proc/<pid>/stat of the step's first process; with the pid, that process and no other. 0 when unknown.
    public var startTime: UInt64
    /// Whether it has a cgroup of its own; without one, limits and counts are those of processes.
    public var hasCgroup: Bool
    /// Whether the kernel has given it a core scheduling cookie, where the plan asks for one.
    public var hasCoreCookie: Bool

    public init(
        namespaces: [String: UInt64] = [:], hostNamespaces: [String: UInt64] = [:], cgroupText: String = "",
        limits: [String: String] = [:], deviceFilterPrograms: [UInt32] = [], seccompMode: Int32 = 0,
        seccompFilters: Int32 = 0, noNewPrivileges: Bool = false, capabilities: [UInt64] = [], uid: UInt32 = 0,
        gid: UInt32 = 0, groups: [UInt32] = [], mounts: UInt32 = 0, writableMounts: [String] = [],
        landlockABI: Int32 = 0, landlockRules: UInt32 = 0, startTime: UInt64 = 0, hasCgroup: Bool = true,
        hasCoreCookie: Bool = false
    ) {
        self.namespaces = namespaces
        self.hostNamespaces = hostNamespaces
        self.cgroupText = cgroupText
        self.limits = limits
        self.deviceFilterPrograms = deviceFilterPrograms
        self.seccompMode = seccompMode
        self.seccompFilters = seccompFilters
        self.noNewPrivileges = noNewPrivileges
        self.capabilities = capabilities
        self.uid = uid
        self.gid = gid
        self.groups = groups
        self.mounts = mounts
        self.writableMounts = writableMounts
        self.landlockABI = landlockABI
        self.landlockRules = landlockRules
        self.startTime = startTime
        self.hasCgroup = hasCgroup
        self.hasCoreCookie = hasCoreCookie
    }
}
