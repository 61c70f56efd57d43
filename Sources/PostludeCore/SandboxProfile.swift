/// A named sandbox policy, read from `profiles/sandbox/<name>.yaml`.
public struct SandboxProfile: Hashable, Sendable, Codable {
    public enum Network: String, Sendable, Codable {
        /// An own network namespace whose loopback stays down: no address can be reached, not even 127.0.0.1.
        case none
        /// An own network namespace with only loopback.
        case loopback
        /// The host's network.
        case host
    }

    public enum Devices: String, Sendable, Codable {
        case none
        /// What the attempt leased.
        case leased
    }

    /// Whether programs may listen on TCP ports of their network.
    public enum Listen: String, Sendable, Codable {
        case none, any
    }

    /// What the host must be able to enforce, else the run is refused (P7).
    public enum Requirement: String, Sendable, Codable, CaseIterable {
        case memoryLimit = "memory-limit"
        case cpuLimit = "cpu-limit"
        case pidsLimit = "pids-limit"
        case deviceFilter = "device-filter"
        case seccomp
        case networkNamespace = "network-namespace"
        /// Landlock with rules for files, devices and TCP, and scopes: ABI 6, Linux 6.12.
        case landlock
    }

    public var name: String
    public var description: String
    /// Directories replaced by empty read-only ones (the submitter's working directory is bound back where it lies below one).
    public var hide: [String]
    /// Paths below the submitter's home that are never shown, though the home is the working directory or `hide` leaves it
    /// out: keys, tokens, browser profiles. Missing ones are skipped.
    public var hideInHome: [String]
    /// Files and directories of the host bound read-only although `hide` covers them; a missing one is skipped when it ends in `?`.
    public var readOnly: [String]
    public var network: Network
    /// Enforced by Landlock, since Linux 6.7; on an older host nothing does, unless `requires` has `landlock`.
    public var listen: Listen
    public var devices: Devices
    /// File name in `profiles/seccomp`, without `.json`.
    public var seccomp: String
    public var tmpBytes: Int64
    public var shmBytes: Int64
    public var tmpInodes: Int64
    /// Limits of an attempt when the operation asks for none; nil leaves memory to the node's bound, and cpu unlimited.
    public var defaultMemoryBytes: Int64?
    public var defaultMilliCPU: Int64?
    /// What a run's artifacts may take on disk when the operation asks for nothing, in bytes; nil for no limit but the
    /// reserve of the disk.
    public var defaultStorageBytes: Int64?
    public var maxPIDs: Int64
    /// RLIMIT_NOFILE; lowered to the agent's own hard limit, which the receipt shows.
    public var openFiles: UInt64
    /// RLIMIT_MEMLOCK in bytes; nil leaves the hard limit that the agent has.
    public var lockedMemoryBytes: UInt64?
    /// Bytes of output kept for each step and stream.
    public var logBytes: Int64
    public var requires: [Requirement]
    /// What a run of an agent without root may go without although `requires` names it: such an agent has no device
    /// filters, and limits only where a cgroup is delegated to it. The receipt names what was missing. What an operation
    /// itself asks for is refused all the same where it cannot be enforced.
    public var withoutRoot: [Requirement]
    /// Whether no program but a step's own may run on the other threads of a processor core that the step runs on. A host
    /// that cannot do it refuses the run.
    public var coreScheduling: Bool

    public init(
        name: String, description: String = "", hide: [String] = [], hideInHome: [String] = [], readOnly: [String] = [],
        network: Network = .none, listen: Listen = .any,
        devices: Devices = .none, seccomp: String, tmpBytes: Int64 = 1 << 30,
        shmBytes: Int64 = 1 << 30, tmpInodes: Int64 = 1 << 18, defaultMemoryBytes: Int64? = nil,
        defaultMilliCPU: Int64? = nil, defaultStorageBytes: Int64? = nil, maxPIDs: Int64 = 4096,
        openFiles: UInt64 = 65536,
        lockedMemoryBytes: UInt64? = nil, logBytes: Int64 = 64 << 20, requires: [Requirement] = [],
        withoutRoot: [Requirement] = [], coreScheduling: Bool = false
    ) {
        self.name = name
        self.description = description
        self.hide = hide
        self.hideInHome = hideInHome
        self.readOnly = readOnly
        self.network = network
        self.listen = listen
        self.devices = devices
        self.seccomp = seccomp
        self.tmpBytes = tmpBytes
        self.shmBytes = shmBytes
        self.tmpInodes = tmpInodes
        self.defaultMemoryBytes = defaultMemoryBytes
        self.defaultMilliCPU = defaultMilliCPU
        self.defaultStorageBytes = defaultStorageBytes
        self.maxPIDs = maxPIDs
        self.openFiles = openFiles
        self.lockedMemoryBytes = lockedMemoryBytes
        self.logBytes = logBytes
        self.requires = requires
        self.withoutRoot = withoutRoot
        self.coreScheduling = coreScheduling
    }
}
