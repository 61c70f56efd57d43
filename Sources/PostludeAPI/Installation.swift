import Glibc
import PostludeCore

/// Where Postlude's own files are, found from the executable that runs: nothing is configured at build time.
public struct Installation: Hashable, Sendable {
    /// The directory of the running executable.
    public let binaries: String

    public init(binaries: String) { self.binaries = binaries }

    /// The installation that the running executable belongs to; nil where /proc is not mounted.
    public static func current() -> Installation? {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
        guard count > 0 else { return nil }
        let path = String(decoding: buffer.prefix(count).map(UInt8.init(bitPattern:)), as: UTF8.self)
        return Installation(binaries: parent(of: path))
    }

    /// The agent's executable beside this one; nil when there is none.
    public var agent: String? { executable("postluded") }

    /// The warden's executable: beside this one, or in `../libexec/postlude`.
    public var warden: String? {
        executable("postlude-warden")
            ?? Self.existing("\(Self.parent(of: binaries))/libexec/postlude/postlude-warden", mode: X_OK)
    }

    /// What runs write outputs with: beside this one, or in `../libexec/postlude`.
    public var outputCommand: String? {
        executable("postlude-output")
            ?? Self.existing("\(Self.parent(of: binaries))/libexec/postlude/postlude-output", mode: X_OK)
    }

    /// The directory of the Python module that does the same; it comes with the profiles.
    public var python: String? { profiles.flatMap { Self.existing("\($0)/python", mode: R_OK) } }

    /// The directory with `sandbox`, `seccomp` and `hub`: `../share/postlude/profiles` of an installation, or the
    /// `profiles` of the source tree the executable was built in.
    public var profiles: String? {
        if let shared = Self.profiles(in: "\(Self.parent(of: binaries))/share/postlude") { return shared }
        var directory = binaries
        while directory.count > 1 {
            if let found = Self.profiles(in: directory) { return found }
            directory = Self.parent(of: directory)
        }
        return nil
    }

    /// The name of an agent's cgroups. Agents on one host must not share them, so one with a state directory of its own
    /// gets a name made of that.
    public static func cgroupName(stateDirectory: String) -> String {
        let standard = AgentConfiguration.defaults(uid: 0, environment: [:], home: "/root").stateDirectory
        guard stateDirectory != standard else { return "postlude" }
        // FNV-1a: short, and the same in every run.
        let hash = stateDirectory.utf8.reduce(UInt64(0xcbf2_9ce4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        return "postlude-" + String(hash, radix: 16).prefix(12)
    }

    private func executable(_ name: String) -> String? { Self.existing("\(binaries)/\(name)", mode: X_OK) }

    private static func profiles(in directory: String) -> String? {
        existing("\(directory)/profiles/sandbox", mode: R_OK) == nil ? nil : "\(directory)/profiles"
    }

    private static func existing(_ path: String, mode: Int32) -> String? { access(path, mode) == 0 ? path : nil }

    private static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return "/" }
        return String(path[..<slash])
    }
}

/// Versions, as `postlude version` shows them.
public enum Version {
    public static let current = "0.1.0"
}
