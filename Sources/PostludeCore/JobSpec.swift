/// What runs: init steps in order, then sidecars and main together. Texts are templates until a run is compiled.
public struct JobSpec: Hashable, Sendable, Codable {
    /// The sandbox profile's name; nil means `main`, or `hook` for a hook's component.
    public var profile: String?
    public var initSteps: [InitSpec]
    public var sidecars: [ContainerSpec]
    public var container: ContainerSpec
    /// What the site's policy bounds it to, if one does.
    public var bounds: JobBounds?
    /// Whether it is the hub's and runs programs of the hub, which are shown to it; nil in older runs.
    public var usesHub: Bool?
    /// Set for a service: the ports that it says it listens on, on its own loopback.
    public var service: ServiceSpec?

    public init(
        profile: String? = nil, initSteps: [InitSpec] = [], sidecars: [ContainerSpec] = [], container: ContainerSpec,
        bounds: JobBounds? = nil, usesHub: Bool? = nil, service: ServiceSpec? = nil
    ) {
        self.profile = profile
        self.initSteps = initSteps
        self.sidecars = sidecars
        self.container = container
        self.bounds = bounds
        self.usesHub = usesHub
        self.service = service
    }
}

/// What makes a service of a job: it runs until it is stopped, and `termination.timeout` stops it normally.
public struct ServiceSpec: Hashable, Sendable, Codable {
    public var ports: [Int]

    public init(ports: [Int] = []) { self.ports = ports }
}

/// When the outputs of an earlier run may stand for this one's.
public struct CachePolicy: Hashable, Sendable, Codable {
    public enum Section: String, Sendable, Codable, CaseIterable { case initialize = "init", connections, containers }

    /// Seconds that a succeeded run may be old; nil for any age.
    public var ttlSeconds: Double?
    /// The inputs that count; nil for all.
    public var io: [String]?
    /// The sections that count; nil for all.
    public var sections: [Section]?

    public init(ttlSeconds: Double? = nil, io: [String]? = nil, sections: [Section]? = nil) {
        self.ttlSeconds = ttlSeconds
        self.io = io
        self.sections = sections
    }
}

/// An init step.
public enum InitSpec: Hashable, Sendable, Codable {
    case container(ContainerSpec)
    /// Writes one file below the run's artifacts directory (or `path`). `mode` is octal permission bits.
    case file(name: Template, content: Template, mode: Int, path: Template?)
    /// Copies files or directories of the host, as the submitter, into the run's artifacts directory (or `path`).
    case paths([CopyPath], path: Template?)
    case git(url: Template, revision: Template?, flags: [Template], path: Template?)

    public struct CopyPath: Hashable, Sendable, Codable {
        public var from: Template
        public var to: Template?

        public init(from: Template, to: Template? = nil) {
            self.from = from
            self.to = to
        }
    }
}

/// One program to run.
public struct ContainerSpec: Hashable, Sendable, Codable {
    public var name: String?
    public var image: Template?
    public var command: [Template]
    public var args: [Template]
    public var environment: [EnvironmentVariable]
    public var workingDirectory: Template?
    public var resources: ResourceRequest
    /// Connections whose secrets this program gets; nil in older runs.
    public var connections: [ConnectionReference]?
    public var place: SourcePlace?

    public init(
        name: String? = nil, image: Template? = nil, command: [Template] = [], args: [Template] = [],
        environment: [EnvironmentVariable] = [], workingDirectory: Template? = nil,
        resources: ResourceRequest = ResourceRequest(), connections: [ConnectionReference]? = nil,
        place: SourcePlace? = nil
    ) {
        self.name = name
        self.image = image
        self.command = command
        self.args = args
        self.environment = environment
        self.workingDirectory = workingDirectory
        self.resources = resources
        self.connections = connections
        self.place = place
    }

    public struct EnvironmentVariable: Hashable, Sendable, Codable {
        public var name: String
        public var value: Template

        public init(_ name: String, _ value: Template) {
            self.name = name
            self.value = value
        }
    }
}

/// What a container asks for; requests without a limit are raised to one, so that what is asked is what is enforced.
public struct ResourceRequest: Hashable, Sendable, Codable {
    /// Bytes; nil takes the profile's default.
    public var memoryBytes: Int64?
    /// Thousandths of a core; nil takes the profile's default.
    public var milliCPU: Int64?
    /// Bytes on disk (`ephemeral-storage`); nil takes the profile's default.
    public var storageBytes: Int64?
    /// Devices by class name (`nvidia.com/gpu`, or a class the agent's configuration declares) and count.
    public var devices: [String: Int]

    public init(
        memoryBytes: Int64? = nil, milliCPU: Int64? = nil, storageBytes: Int64? = nil, devices: [String: Int] = [:]
    ) {
        self.memoryBytes = memoryBytes
        self.milliCPU = milliCPU
        self.storageBytes = storageBytes
        self.devices = devices
    }
}
