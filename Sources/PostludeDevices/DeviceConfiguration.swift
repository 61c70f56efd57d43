/// The devices that a site declares in its configuration, besides those that are found.
public struct DeviceConfiguration: Hashable, Sendable, Codable {
    public var declared: [DeclaredDevice]

    public init(declared: [DeclaredDevice] = []) { self.declared = declared }
}

/// One device as the configuration has it: character device nodes that are leased together.
public struct DeclaredDevice: Hashable, Sendable, Codable {
    /// Unique on this node: letters, digits, `-`, `_`, `.`.
    public var id: String
    /// What operations ask for, such as `example.com/tuner`.
    public var deviceClass: String
    /// Absolute paths of character devices on the host.
    public var nodes: [String]
    /// The variable that tells a program which device it has, and its value.
    public var environmentName: String?
    public var environmentValue: String?

    public init(
        id: String, deviceClass: String, nodes: [String], environmentName: String? = nil,
        environmentValue: String? = nil
    ) {
        self.id = id
        self.deviceClass = deviceClass
        self.nodes = nodes
        self.environmentName = environmentName
        self.environmentValue = environmentValue
    }
}
