import Glibc
import PostludeCore

/// The devices of this node that can be leased.
public struct Inventory {
    /// Finds NVIDIA devices and checks the declared ones, in that order, by id within each.
    ///
    /// - Throws: `DeviceError` when a declared device is not what it must be; a host without NVIDIA devices is no
    /// error.
    public static func discover(declared: [DeclaredDevice]) throws(DeviceError) -> [Device] {
        try discover(declared: declared, places: HostPlaces())
    }

    static func discover(declared: [DeclaredDevice], places: HostPlaces) throws(DeviceError) -> [Device] {
        var devices: [Device] = []
        for entry in declared { devices.append(try device(entry)) }
        try checkUnique(devices)
        // A declared entry for a node that would also be found takes it over: the site knows better.
        let taken = Set(devices.flatMap(\.nodes).map(NodeNumber.init))
        let found = NVIDIADevices.find(places).filter { device in
            !device.nodes.contains { !$0.isShared && taken.contains(NodeNumber($0)) }
        }
        for device in found where devices.contains(where: { $0.id == device.id }) {
            throw .duplicateID(device.id)
        }
        return found + devices
    }

    private static func device(_ entry: DeclaredDevice) throws(DeviceError) -> Device {
        guard !entry.id.isEmpty, entry.id.utf8.allSatisfy(isIDByte) else {
            throw .invalid(entry.id, "an id has letters, digits, '-', '_' and '.' only.")
        }
        guard !entry.deviceClass.isEmpty else { throw .invalid(entry.id, "its class is empty.") }
        guard !entry.nodes.isEmpty else {
            throw .invalid(entry.id, "it has no nodes.", hint: "Name at least one character device under 'nodes'.")
        }
        if let name = entry.environmentName, name.isEmpty || name.contains("=") || name.contains("\0") {
            throw .invalid(entry.id, "'\(name)' cannot name an environment variable.")
        }
        var nodes: [DeviceNode] = []
        for path in entry.nodes { nodes.append(try node(path, of: entry.id)) }
        return Device(
            id: entry.id, deviceClass: entry.deviceClass, nodes: nodes, environmentName: entry.environmentName,
            environmentValue: entry.environmentName == nil ? nil : entry.environmentValue ?? entry.id)
    }

    private static func node(_ path: String, of device: String) throws(DeviceError) -> DeviceNode {
        guard path.hasPrefix("/"), !path.utf8.contains(0), !path.split(separator: "/").contains("..") else {
            throw .invalid(device, "'\(path)' is not an absolute path without '..'.")
        }
        var status = stat()
        // lstat: a link could lead elsewhere at the time of the grant.
        guard lstat(path, &status) == 0 else { throw .nodeMissing(path, device: device, errno: errno) }
        guard status.st_mode & S_IFMT == S_IFCHR else {
            throw .notACharacterDevice(path, device: device, what: kind(status.st_mode))
        }
        return DeviceNode(path: path, major: deviceMajor(status.st_rdev), minor: deviceMinor(status.st_rdev))
    }

    private static func checkUnique(_ devices: [Device]) throws(DeviceError) {
        var ids: Set<String> = []
        var owners: [NodeNumber: String] = [:]
        for device in devices {
            guard ids.insert(device.id).inserted else { throw .duplicateID(device.id) }
            for node in device.nodes {
                // By number, not by path: two paths may lead to one device.
                if let owner = owners.updateValue(device.id, forKey: NodeNumber(node)) {
                    throw .duplicateNode(node.path, first: owner, second: device.id)
                }
            }
        }
    }

    private static func kind(_ mode: mode_t) -> String {
        switch mode & S_IFMT {
        case S_IFBLK: "a block device"
        case S_IFDIR: "a directory"
        case S_IFLNK: "a symbolic link"
        case S_IFREG: "a regular file"
        case S_IFIFO: "a named pipe"
        case S_IFSOCK: "a socket"
        default: "of an unknown kind"
        }
    }

    private static func isIDByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
            true
        default: false
        }
    }
}

/// Where the host keeps what discovery reads; tests point it elsewhere.
struct HostPlaces: Sendable {
    var dev = "/dev"
    var nvidia = "/proc/driver/nvidia"
}

/// What the kernel knows a device by.
struct NodeNumber: Hashable, Sendable {
    var major: UInt32
    var minor: UInt32

    init(_ node: DeviceNode) {
        major = node.major
        minor = node.minor
    }

    init(major: UInt32, minor: UInt32) {
        self.major = major
        self.minor = minor
    }
}

/// The major number in a dev_t (glibc's macros are not importable).
func deviceMajor(_ number: dev_t) -> UInt32 {
    UInt32(truncatingIfNeeded: (number >> 8) & 0xfff) | UInt32(truncatingIfNeeded: (number >> 32) & 0xffff_f000)
}

/// The minor number in a dev_t.
func deviceMinor(_ number: dev_t) -> UInt32 {
    UInt32(truncatingIfNeeded: number & 0xff) | UInt32(truncatingIfNeeded: (number >> 12) & 0xffff_ff00)
}
