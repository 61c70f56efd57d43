/// Everything the sandbox needs to run one attempt: literal values only, every template already rendered.
public struct AttemptSpec: Hashable, Sendable {
    public var attempt: AttemptID
    public var user: UserIdentity
    public var profile: SandboxProfile
    /// In the order they run: init steps one after the other; then sidecars and main together.
    public var steps: [StepSpec]
    /// Devices leased to this attempt; granted to every step whose `getsDevices` says so.
    public var devices: [DeviceNode]
    public var directories: AttemptDirectories
    /// Hard limits of the whole attempt.
    public var limits: AttemptLimits
    public var timeoutSeconds: Double?
    public var graceSeconds: Double

    public init(
        attempt: AttemptID, user: UserIdentity, profile: SandboxProfile, steps: [StepSpec], devices: [DeviceNode] = [],
        directories: AttemptDirectories, limits: AttemptLimits, timeoutSeconds: Double? = nil, graceSeconds: Double = 30
    ) {
        self.attempt = attempt
        self.user = user
        self.profile = profile
        self.steps = steps
        self.devices = devices
        self.directories = directories
        self.limits = limits
        self.timeoutSeconds = timeoutSeconds
        self.graceSeconds = graceSeconds
    }
}

/// Who submitted the run; its steps run as this user.
public struct UserIdentity: Hashable, Sendable, Codable {
    public var name: String
    public var uid: UInt32
    public var gid: UInt32
    /// Supplementary groups, without privileged ones.
    public var groups: [UInt32]
    public var home: String

    public init(name: String, uid: UInt32, gid: UInt32, groups: [UInt32] = [], home: String) {
        self.name = name
        self.uid = uid
        self.gid = gid
        self.groups = groups
        self.home = home
    }
}

public enum StepRole: String, Hashable, Sendable, Codable { case initialize = "init", main, sidecar }

/// One program of an attempt.
public struct StepSpec: Hashable, Sendable {
    /// `init-0`, `main`, `sidecar-tensorboard`: the cgroup's and the log files' name. Letters, digits, `-`, `_`, `.`.
    public var name: String
    public var role: StepRole
    /// argv; the first is a path, or a name that is looked up in PATH.
    public var command: [String]
    public var environment: [String: String]
    /// nil takes the attempt's working directory.
    public var workingDirectory: String?
    /// Limits of this step alone, within the attempt's.
    public var limits: AttemptLimits
    public var getsDevices: Bool
    /// Small read-only files that appear at these paths inside this step (path -> content).
    public var files: [String: String]
    /// Another network than the profile's, for the built-in git step only.
    public var network: SandboxProfile.Network?
    /// Connections that it named.
    public var connections: [String]
    /// What it gets of them; their secrets are in nothing else that the agent makes of a run, and are never stored.
    public var grants: [ConnectionGrant]
    /// The image that it named; nil for none, which is the host's root.
    public var image: String?
    /// What that is by the agent's configuration.
    public var root: RootSource
    /// Where that root lies on the host (absolute, without links); nil for the host's own.
    public var rootDirectory: String?

    public init(
        name: String, role: StepRole, command: [String], environment: [String: String] = [:],
        workingDirectory: String? = nil, limits: AttemptLimits = AttemptLimits(), getsDevices: Bool = false,
        files: [String: String] = [:], network: SandboxProfile.Network? = nil, connections: [String] = [],
        grants: [ConnectionGrant] = [], image: String? = nil, root: RootSource = .host, rootDirectory: String? = nil
    ) {
        self.name = name
        self.role = role
        self.command = command
        self.environment = environment
        self.workingDirectory = workingDirectory
        self.limits = limits
        self.getsDevices = getsDevices
        self.files = files
        self.network = network
        self.connections = connections
        self.grants = grants
        self.image = image
        self.root = root
        self.rootDirectory = rootDirectory
    }
}

public struct AttemptLimits: Hashable, Sendable, Codable {
    public var memoryBytes: Int64?
    public var milliCPU: Int64?
    public var maxPIDs: Int64?

    public init(memoryBytes: Int64? = nil, milliCPU: Int64? = nil, maxPIDs: Int64? = nil) {
        self.memoryBytes = memoryBytes
        self.milliCPU = milliCPU
        self.maxPIDs = maxPIDs
    }
}

/// Where an attempt reads and writes, on the host and inside.
public struct AttemptDirectories: Hashable, Sendable, Codable {
    /// Host: the agent's own directory of this attempt: journal and logs. Never visible inside.
    public var attempt: String
    /// Host: the run's artifacts, owned by the submitter; bound read-write at `artifactsInside`.
    public var artifacts: String
    public var artifactsInside: String
    /// The submitter's working directory: bound read-only at the same path; nil for hooks of the hub.
    public var working: String?
    /// Where `working` must lie when all links are followed: at one of these or below; nil for anywhere.
    public var workingBounds: [String]?
    /// More directories bound read-only (host path -> path inside): main's artifacts and logs for a hook.
    public var readOnly: [String: String]
    /// Postlude's own files and directories that every step sees (host path -> path inside), read-only.
    public var tools: [String: String]

    public init(
        attempt: String, artifacts: String, artifactsInside: String, working: String? = nil,
        workingBounds: [String]? = nil, readOnly: [String: String] = [:], tools: [String: String] = [:]
    ) {
        self.attempt = attempt
        self.artifacts = artifacts
        self.artifactsInside = artifactsInside
        self.working = working
        self.workingBounds = workingBounds
        self.readOnly = readOnly
        self.tools = tools
    }
}
