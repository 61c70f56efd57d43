import PostludeCore
import PostludeSpec

/// How the engine is set up. Plain values: who reads which file is the caller's business.
public struct EngineConfiguration: Sendable {
    /// Where runs, logs and artifacts lie (absolute); the store has its own files there too.
    public var stateDirectory: String
    /// The components that a `hubRef` names.
    public var hub: Hub
    /// Sandbox profiles by name; `main` and `hook` are what operations and hooks take when they name none.
    public var profiles: [String: SandboxProfile]
    /// What submitters may ask for.
    public var policy: SitePolicy
    /// What operations may name by `connection`.
    public var connections: [Connection]
    /// Names of all the groups of a user, to judge by who may use a connection.
    public var groupNames: @Sendable (UserIdentity) -> Set<String>
    /// The site's presets.
    public var presets: PresetCatalog
    /// Those of them that are merged into what does not name them.
    public var defaults: [SiteDefaults]
    /// What the images are that operations name.
    public var images: ImageMap
    /// How the node is shared among queues and users.
    public var rules: SchedulingRules
    /// Host memory that attempts may hold together, in bytes.
    public var memoryBytes: Int64
    /// Thousandths of a core that attempts may hold together.
    public var milliCPU: Int64
    /// Seconds from main's end until a device that is still held is quarantined.
    public var releaseDeadlineSeconds: Double
    /// Seconds between two looks at quarantined devices.
    public var quarantineRecheckSeconds: Double
    /// Bytes an outputs file may have.
    public var outputsBytes: Int
    /// How many mains a hook run may have above it: 1 lets operations have hooks, 2 these have hooks of their own.
    public var hookDepth: Int
    /// Postlude's own files and directories that every step sees (host path, without links -> path inside).
    public var tools: [String: String]
    /// What is left of the disk, and how often it is looked at while runs are running.
    public var disk: DiskWatch.Settings

    public init(
        stateDirectory: String, hub: Hub, profiles: [String: SandboxProfile], memoryBytes: Int64, milliCPU: Int64,
        policy: SitePolicy = SitePolicy(), releaseDeadlineSeconds: Double = 10, quarantineRecheckSeconds: Double = 30,
        outputsBytes: Int = 1 << 20, tools: [String: String] = [:], hookDepth: Int = 3,
        disk: DiskWatch.Settings = DiskWatch.Settings(), connections: [Connection] = [],
        groupNames: @escaping @Sendable (UserIdentity) -> Set<String> = { _ in [] },
        presets: PresetCatalog = .empty, defaults: [SiteDefaults] = [], images: ImageMap = ImageMap(),
        rules: SchedulingRules = SchedulingRules()
    ) {
        self.rules = rules
        self.images = images
        self.presets = presets
        self.defaults = defaults
        self.stateDirectory = stateDirectory
        self.hub = hub
        self.profiles = profiles
        self.policy = policy
        self.memoryBytes = memoryBytes
        self.milliCPU = milliCPU
        self.releaseDeadlineSeconds = releaseDeadlineSeconds
        self.quarantineRecheckSeconds = quarantineRecheckSeconds
        self.outputsBytes = outputsBytes
        self.tools = tools
        self.disk = disk
        self.hookDepth = hookDepth
        self.connections = connections
        self.groupNames = groupNames
    }
}

/// Who calls the API; runs of other users are hidden from all but administrators (P10).
public struct Caller: Sendable, Hashable {
    public var uid: UInt32
    public var isAdministrator: Bool

    public init(uid: UInt32, isAdministrator: Bool = false) {
        self.uid = uid
        self.isAdministrator = isAdministrator
    }

    /// Whose runs the caller sees; nil for everybody's.
    var visibleUID: UInt32? { isAdministrator || uid == 0 ? nil : uid }
}
