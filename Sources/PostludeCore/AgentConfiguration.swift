/// How an agent is set up: what `postlude.yaml` says, with defaults for what it leaves out.
public struct AgentConfiguration: Hashable, Sendable {
    /// Where the agent keeps its database, runs, logs and artifacts (absolute).
    public var stateDirectory: String
    /// The unix socket the agent listens on (absolute).
    public var socket: String
    /// Holds `sandbox/`, `seccomp/`; nil takes the installation's.
    public var profilesDirectory: String?
    /// The components that a `hubRef` names; nil takes the installation's.
    public var hubDirectory: String?
    /// The site's presets, one file each; nil for none.
    public var presetsDirectory: String?
    /// Presets that are merged into what does not name them.
    public var defaults: [SiteDefaults]
    /// The `postlude-warden` executable; nil takes the one next to the agent.
    public var wardenPath: String?
    /// Devices by declaration, besides those the agent finds by itself.
    public var devices: [DeclaredDeviceSettings]
    /// Host memory that runs may use together, in bytes; nil means all but 1 GiB.
    public var memoryBytes: Int64?
    /// Thousandths of a core that runs may use together; nil means all cores.
    public var milliCPU: Int64?
    /// What runs leave of the state directory's file system; nil takes the smaller of 1 GiB and 2 %.
    public var diskReserveBytes: Int64?
    /// Seconds after which a per-user agent with nothing to do leaves; nil never leaves.
    public var idleExitSeconds: Double?
    /// Members of this group see and stop everybody's runs.
    public var administratorsGroup: String?
    /// What submitters may ask for.
    public var policy: SitePolicy
    /// How many mains a hook run may have above it; nil means 3.
    public var hookDepth: Int?
    /// What operations may name by `connection`.
    public var connections: [Connection]
    /// What the images are that operations name.
    public var images: ImageMap

    /// How the node is shared among queues and users.
    public var rules = SchedulingRules()
    /// What callers of the API may have.
    public var api = APISettings()

    /// A character device that the configuration declares.
    public struct DeclaredDeviceSettings: Hashable, Sendable, Codable {
        public var id: String
        /// What operations ask for in `resources`.
        public var deviceClass: String
        /// Paths of character devices.
        public var nodes: [String]
        /// Variables that tell programs which device they have.
        public var environment: [String: String]

        public init(id: String, deviceClass: String, nodes: [String], environment: [String: String] = [:]) {
            self.id = id
            self.deviceClass = deviceClass
            self.nodes = nodes
            self.environment = environment
        }
    }

    public init(
        stateDirectory: String, socket: String, profilesDirectory: String? = nil, hubDirectory: String? = nil,
        wardenPath: String? = nil, devices: [DeclaredDeviceSettings] = [], memoryBytes: Int64? = nil,
        milliCPU: Int64? = nil, diskReserveBytes: Int64? = nil, idleExitSeconds: Double? = nil,
        administratorsGroup: String? = nil, policy: SitePolicy = SitePolicy(), hookDepth: Int? = nil,
        connections: [Connection] = [], presetsDirectory: String? = nil, defaults: [SiteDefaults] = [],
        images: ImageMap = ImageMap()
    ) {
        self.presetsDirectory = presetsDirectory
        self.defaults = defaults
        self.stateDirectory = stateDirectory
        self.socket = socket
        self.profilesDirectory = profilesDirectory
        self.hubDirectory = hubDirectory
        self.wardenPath = wardenPath
        self.devices = devices
        self.memoryBytes = memoryBytes
        self.milliCPU = milliCPU
        self.diskReserveBytes = diskReserveBytes
        self.idleExitSeconds = idleExitSeconds
        self.administratorsGroup = administratorsGroup
        self.policy = policy
        self.hookDepth = hookDepth
        self.connections = connections
        self.images = images
    }

    /// Seconds a per-user agent waits for work before it leaves, unless the configuration says otherwise.
    public static let defaultIdleExitSeconds: Double = 300

    /// The defaults of the system agent (`uid` 0) or of a user's own, from the user's environment.
    ///
    /// An image that is not mapped is refused by the system agent, and is the host's root for a user's own, who has all of
    /// that root anyway.
    ///
    /// A user's state lies in `XDG_STATE_HOME/postlude` (or `~/.local/state/postlude`), the socket in
    /// `XDG_RUNTIME_DIR/postlude/agent.sock`, or beside the state where there is no runtime directory.
    public static func defaults(uid: UInt32, environment: [String: String], home: String) -> AgentConfiguration {
        guard uid != 0 else {
            return AgentConfiguration(stateDirectory: "/var/lib/postlude", socket: "/run/postlude/agent.sock")
        }
        let state = absolute(environment["XDG_STATE_HOME"]) ?? "\(home)/.local/state"
        let directory = "\(state)/postlude"
        let socket = absolute(environment["XDG_RUNTIME_DIR"]).map { "\($0)/postlude/agent.sock" }
        return AgentConfiguration(
            stateDirectory: directory, socket: socket ?? "\(directory)/agent.sock",
            idleExitSeconds: defaultIdleExitSeconds, images: ImageMap(unmapped: .host))
    }

    /// XDG says that a relative path in these variables is to be ignored.
    private static func absolute(_ path: String?) -> String? {
        guard let path, path.hasPrefix("/") else { return nil }
        return path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    }
}
