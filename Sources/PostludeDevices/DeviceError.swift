import Glibc
import PostludeCore

/// What went wrong with a device: a stable code, a sentence, and what the reader can do.
public struct DeviceError: Error, Hashable, Sendable, CustomStringConvertible {
    public var code: String
    public var message: String
    public var hint: String?
    /// Whether the same may succeed later: this process is short of descriptors or memory.
    public var isTemporary: Bool

    public init(code: String, message: String, hint: String? = nil, isTemporary: Bool = false) {
        self.code = code
        self.message = message
        self.hint = hint
        self.isTemporary = isTemporary
    }

    public var description: String { hint.map { "\(code): \(message)\nhint: \($0)" } ?? "\(code): \(message)" }
}

extension DeviceError {
    static func nodeMissing(_ path: String, device: String, errno: Int32) -> DeviceError {
        DeviceError(
            code: "devices.node-missing",
            message: "Device '\(device)' names the node '\(path)', which cannot be read: \(errorText(errno)).",
            hint: "Load the driver, or correct the path under 'devices' in postlude.yaml.")
    }

    static func notACharacterDevice(_ path: String, device: String, what: String) -> DeviceError {
        DeviceError(
            code: "devices.not-a-character-device",
            message: "Device '\(device)' names '\(path)', which is \(what), not a character device.",
            hint: "Only character devices can be leased; block devices and files never are.")
    }

    static func duplicateID(_ id: String) -> DeviceError {
        DeviceError(
            code: "devices.duplicate-id", message: "Two devices are called '\(id)'.",
            hint: "Give each entry under 'devices' in postlude.yaml its own id.")
    }

    static func duplicateNode(_ path: String, first: String, second: String) -> DeviceError {
        DeviceError(
            code: "devices.duplicate-node",
            message: "The node '\(path)' belongs to both '\(first)' and '\(second)', so neither could be leased alone.",
            hint: "Name each node in one entry under 'devices' in postlude.yaml.")
    }

    static func invalid(_ device: String, _ message: String, hint: String? = nil) -> DeviceError {
        DeviceError(code: "devices.invalid", message: "Device '\(device)': \(message)", hint: hint)
    }

    static func stillHeld(_ device: String, by holder: DeviceHolder) -> DeviceError {
        DeviceError(
            code: "devices.still-held",
            message: "Device '\(device)' cannot be granted: process \(holder.pid) (\(holder.command)) of another run"
                + " still has '\(holder.node)'.",
            hint: "It is granted again once that process has let go of it; 'postlude devices' shows who holds it.")
    }

    private static let scanRefusedCode = "devices.scan-refused"

    /// Whether a process may not be looked into, rather than that looking failed.
    var isRefusal: Bool { code == Self.scanRefusedCode }

    static func scanIncomplete(_ path: String, errno: Int32) -> DeviceError {
        let isShortage = [EMFILE, ENFILE, ENOMEM, EAGAIN].contains(errno)
        return DeviceError(
            code: errno == EACCES || errno == EPERM ? scanRefusedCode : "devices.scan-incomplete",
            message: "Cannot tell who holds the device: '\(path)' cannot be read: \(errorText(errno)).",
            hint: isShortage
                ? "It is looked at again; raise the limit of open files (LimitNOFILE) of postluded."
                : "Run postluded as root in the host's pid namespace, so that every process can be looked at.",
            isTemporary: isShortage)
    }
}
