/// How a process ended. What is not known is `unknown`, never 0 (P9).
public enum ProcessExit: Hashable, Sendable, Codable {
    case code(Int32)
    case signal(Int32, coreDumped: Bool)
    /// The step could not be set up; the program never ran. `stage` is the sandbox stage's name.
    case setupFailed(stage: String, errno: Int32, detail: String)
    case unknown

    public var isSuccess: Bool { self == .code(0) }
}

extension ProcessExit {
    private enum Key: String, CodingKey { case code, signal, coreDumped, setupFailed, errno, detail, unknown }

    /// `{"code": 3}`, `{"signal": 9, "coreDumped": false}`, `{"setupFailed": "exec", "errno": 2, "detail": ""}` or
    /// `{"unknown": true}`.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        switch self {
        case .code(let code):
            try container.encode(code, forKey: .code)
        case .signal(let number, let coreDumped):
            try container.encode(number, forKey: .signal)
            try container.encode(coreDumped, forKey: .coreDumped)
        case .setupFailed(let stage, let errno, let detail):
            try container.encode(stage, forKey: .setupFailed)
            try container.encode(errno, forKey: .errno)
            try container.encode(detail, forKey: .detail)
        case .unknown:
            try container.encode(true, forKey: .unknown)
        }
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        if let code = try container.decodeIfPresent(Int32.self, forKey: .code) {
            self = .code(code)
        } else if let number = try container.decodeIfPresent(Int32.self, forKey: .signal) {
            self = .signal(number, coreDumped: try container.decodeIfPresent(Bool.self, forKey: .coreDumped) ?? false)
        } else if let stage = try container.decodeIfPresent(String.self, forKey: .setupFailed) {
            self = .setupFailed(
                stage: stage, errno: try container.decode(Int32.self, forKey: .errno),
                detail: try container.decodeIfPresent(String.self, forKey: .detail) ?? "")
        } else {
            self = .unknown
        }
    }
}

/// What one step used; a counter the host could not provide is nil (P9).
public struct StepUsage: Hashable, Sendable, Codable {
    public var wallSeconds: Double?
    public var userSeconds: Double?
    public var systemSeconds: Double?
    /// The highest memory charged to the step's cgroup, in bytes.
    public var peakMemoryBytes: Int64?
    /// The largest resident set of one process of the step, in bytes (getrusage(2) ru_maxrss).
    public var maxRSSBytes: Int64?
    public var oomKills: Int64?
    public var peakPIDs: Int64?
    /// How often another process or thread was refused because of the limit of them (`pids.events`).
    public var forksRefused: Int64?
    public var throttledSeconds: Double?
    public var readBytes: Int64?
    public var writtenBytes: Int64?
    /// Bytes of output that were dropped because of the log cap.
    public var logBytesDropped: Int64?

    public init() {}
}

/// The isolation that was really in force for a step, read back from the kernel after set-up.
public struct Receipt: Hashable, Sendable, Codable {
    /// Namespace kind (`pid`, `mnt`, `net`, ...) to inode; a kind that is shared with the host is in `sharedNamespaces`.
    public var namespaces: [String: UInt64]
    public var sharedNamespaces: [String]
    /// cgroup paths by hierarchy (`unified`, `memory`, ...).
    public var cgroups: [String: String]
    /// Limits read back: file name to content.
    public var limits: [String: String]
    /// Kernel ids of the device filters attached to the step's cgroup.
    public var deviceFilterPrograms: [UInt32]
    public var seccompProfile: String
    /// `Seccomp:` and `Seccomp_filters:` of /proc/<pid>/status.
    public var seccompMode: Int32
    public var seccompFilters: Int32
    public var noNewPrivileges: Bool
    /// CapInh, CapPrm, CapEff, CapBnd, CapAmb.
    public var capabilities: [String: UInt64]
    public var uid: UInt32
    public var gid: UInt32
    public var groups: [UInt32]
    /// Number of mounts in the step's namespace, and of those, how many are writable.
    public var mounts: Int
    public var writableMounts: [String]
    public var profile: String
    public var devices: [String]
    /// Landlock's ABI and the rules that it enforces; nil where the kernel has none. It has no place in /proc: this is
    /// what its calls answered to the step's first process.
    public var landlock: String?
    /// What keeps the step from other devices: `device-filter`, and `private-dev` (nodes of others are not there, and
    /// none can be made); nil in receipts of older agents.
    public var deviceIsolation: String?
    /// Where the step's usage comes from: `cgroup`, or `rusage` of its first process and all that this one reaped.
    public var accounting: String?
    /// What the profile requires and the run went without, as it lets agents without root do; nil when nothing.
    public var lacking: [String]?
    /// Whether the kernel keeps other programs off the cores that the step runs on; nil when the profile did not ask.
    public var coreScheduling: Bool?
    /// What the step's root was made of; nil in receipts of older agents.
    public var root: RootSource?

    public init(
        namespaces: [String: UInt64] = [:], sharedNamespaces: [String] = [], cgroups: [String: String] = [:],
        limits: [String: String] = [:], deviceFilterPrograms: [UInt32] = [], seccompProfile: String = "",
        seccompMode: Int32 = 0, seccompFilters: Int32 = 0, noNewPrivileges: Bool = false,
        capabilities: [String: UInt64] = [:], uid: UInt32 = 0, gid: UInt32 = 0, groups: [UInt32] = [], mounts: Int = 0,
        writableMounts: [String] = [], profile: String = "", devices: [String] = [],
        landlock: String? = nil, deviceIsolation: String? = nil, accounting: String? = nil, lacking: [String]? = nil,
        coreScheduling: Bool? = nil, root: RootSource? = nil
    ) {
        self.namespaces = namespaces
        self.sharedNamespaces = sharedNamespaces
        self.cgroups = cgroups
        self.limits = limits
        self.deviceFilterPrograms = deviceFilterPrograms
        self.seccompProfile = seccompProfile
        self.seccompMode = seccompMode
        self.seccompFilters = seccompFilters
        self.noNewPrivileges = noNewPrivileges
        self.capabilities = capabilities
        self.uid = uid
        self.gid = gid
        self.groups = groups
        self.mounts = mounts
        self.writableMounts = writableMounts
        self.profile = profile
        self.devices = devices
        self.landlock = landlock
        self.deviceIsolation = deviceIsolation
        self.accounting = accounting
        self.lacking = lacking
        self.coreScheduling = coreScheduling
        self.root = root
    }
}

/// Something a warden reported about its attempt, in the order it happened.
public enum AttemptReport: Hashable, Sendable, Codable {
    /// The warden took the plan; from here on it runs without the agent.
    case accepted(at: Timestamp)
    case stepStarted(step: String, pid: Int32, receipt: Receipt, at: Timestamp)
    case stepExited(step: String, exit: ProcessExit, usage: StepUsage, at: Timestamp)
    /// SIGTERM went out: because of a stop request, the timeout, or a failed init step or sidecar.
    case stopping(reason: StopReason, at: Timestamp)
    /// All step cgroups are empty and all children are reaped.
    case ended(exit: ProcessExit, reason: AttemptEndReason, at: Timestamp)

    public enum StopReason: String, Sendable, Codable { case requested, timeout, mainEnded = "main-ended" }

    public enum AttemptEndReason: Hashable, Sendable, Codable {
        /// Main ended by itself.
        case mainExited
        /// An init step failed; main never started.
        case initFailed(step: String)
        case setupFailed(step: String)
        case stopRequested
        case timeout
    }
}
