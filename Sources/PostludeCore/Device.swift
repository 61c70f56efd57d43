/// A device that can be leased: `class` is what operations ask for, `id` is unique on the node.
public struct Device: Hashable, Sendable, Codable, Identifiable {
    /// Such as `nvidia0` or the name the configuration declares.
    public var id: String
    /// Such as `nvidia.com/gpu`.
    public var deviceClass: String
    /// The nodes a holder may open. Shared control nodes (nvidiactl, nvidia-uvm) are marked so: they are granted, but
    /// their being open elsewhere says nothing about this device.
    public var nodes: [DeviceNode]
    /// The variable that tells programs which device they have (`CUDA_VISIBLE_DEVICES`), and its value for this device.
    public var environmentName: String?
    public var environmentValue: String?
    /// What people recognise it by: model name, uuid; null when unknown.
    public var model: String?
    public var uuid: String?

    public init(
        id: String, deviceClass: String, nodes: [DeviceNode], environmentName: String? = nil,
        environmentValue: String? = nil, model: String? = nil, uuid: String? = nil
    ) {
        self.id = id
        self.deviceClass = deviceClass
        self.nodes = nodes
        self.environmentName = environmentName
        self.environmentValue = environmentValue
        self.model = model
        self.uuid = uuid
    }
}

/// One device node on the host.
public struct DeviceNode: Hashable, Sendable, Codable {
    /// The path on the host and inside.
    public var path: String
    public var major: UInt32
    public var minor: UInt32
    /// Character devices are what accelerators have; block devices are never granted.
    public var isShared: Bool

    public init(path: String, major: UInt32, minor: UInt32, isShared: Bool = false) {
        self.path = path
        self.major = major
        self.minor = minor
        self.isShared = isShared
    }
}

/// What was found when a device was to be released.
public enum ReleaseVerdict: Hashable, Sendable, Codable {
    case free
    /// Somebody still holds it; the evidence names pids, commands and how they hold it.
    case held([DeviceHolder])
}

/// A process that has a device node open or mapped, or may receive a descriptor of it.
public struct DeviceHolder: Hashable, Sendable, Codable {
    public enum How: String, Sendable, Codable {
        case descriptor, mapping
        /// Descriptors that were sent to a socket of the process and not received yet; of which node cannot be told.
        case inFlight = "in-flight"
    }

    public var pid: Int32
    public var command: String
    public var uid: UInt32
    public var how: How
    /// The node's path; words for what cannot be told.
    public var node: String

    public init(pid: Int32, command: String, uid: UInt32, how: How, node: String) {
        self.pid = pid
        self.command = command
        self.uid = uid
        self.how = how
        self.node = node
    }
}
