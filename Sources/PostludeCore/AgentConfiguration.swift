/// How an agent is set up: what `postlude.yaml` says, with defaults for what it leaves out.
public struct AgentConfiguration: Hashable, Sendable, Codable {
    /// Where the agent keeps its database, runs, logs and artifacts (absolute).
    public var stateDirectory: String
    /// The unix socket the agent listens on (absolute).
    public var socket: String
    /// Holds `sandbox/`, `seccomp/`; nil takes the installation's.
    public var profilesDirectory: String?
    /// The components that a `hubRef` names; nil takes the installation's.
    public var hubDirectory: String?
    /// The `postlude-warden` executable; nil takes the one next to the agent.
    public var wardenPath: String?
    /// Devices by declaration, besides those the agent finds by itself.
    public var devices: [DeclaredDeviceSettings]
    /// Host memory that runs may use together, in bytes; nil means all but 1 GiB.
    public var memoryBytes: Int64?
    /// Thousandths of a core that runs may use together; nil means all cores.
    public var milliCPU: Int64?
    /// Seconds after which a per-user agent with nothing to do leaves; nil never leaves.
    public var idleExitSeconds: Double?
    /// Members of this group see and stop everybody's runs.
    public var administratorsGroup: String?
    /// What submitters may ask for.
    public var policy: SitePolicy

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
        milliCPU: Int64? = nil, idleExitSeconds: Double? = nil, administratorsGroup: String? = nil,
        policy: SitePolicy = SitePolicy()
    ) {
        self.stateDirectory = stateDirectory
        self.socket = socket
        self.profilesDirectory = profilesDirectory
        self.hubDirectory = hubDirectory
        self.wardenPath = wardenPath
        self.devices = devices
        self.memoryBytes = memoryBytes
        self.milliCPU = milliCPU
        self.idleExitSeconds = idleExitSeconds
        self.administratorsGroup = administratorsGroup
        self.policy = policy
    }

    /// Seconds a per-user agent waits for work before it leaves, unless the configuration says otherwise.
    public static let defaultIdleExitSeconds: Double = 300

    /// The defaults of the system agent (`uid` 0) or of a user's own, from the user's environment.
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
            idleExitSeconds: defaultIdleExitSeconds)
    }

    /// XDG says that a relative path in these variables is to be ignored.
    private static func absolute(_ path: String?) -> String? {
        guard let path, path.hasPrefix("/") else { return nil }
        return path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    }
}
