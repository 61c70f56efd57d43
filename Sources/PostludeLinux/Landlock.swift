import CLinux
import Glibc

/// Landlock: what a process forbids itself and its children for ever, without any privilege (landlock(7)).
public enum Landlock {
    /// What of it is used. What a kernel does not know is left out, and told.
    public struct Rules: OptionSet, Hashable, Sendable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }

        /// No TCP port can be bound, so nobody can be listened for; since ABI 4 (Linux 6.7).
        public static let noTCPBind = Rules(rawValue: 1)
        /// No abstract Unix socket can be reached that was made outside; since ABI 6 (Linux 6.12).
        public static let ownAbstractSockets = Rules(rawValue: 2)
        /// No process outside can be sent a signal; since ABI 6.
        public static let ownSignals = Rules(rawValue: 4)

        /// Those that a kernel with this ABI knows.
        public static func known(in abi: Int32) -> Rules {
            switch abi {
            case 6...: [.noTCPBind, .ownAbstractSockets, .ownSignals]
            case 4...: [.noTCPBind]
            case _: []
            }
        }
    }

    /// The version of its interface; 0 where the kernel has none, or has it switched off.
    public static func abi() -> Int32 {
        // LANDLOCK_CREATE_RULESET_VERSION
        max(0, linux_landlock_create_ruleset(nil, 0, 1))
    }

    /// Puts the caller under those of the rules that the kernel knows, and returns them. Needs no_new_privs.
    public static func restrict(to rules: Rules) throws(LinuxError) -> Rules {
        let rules = rules.intersection(Rules.known(in: abi()))
        guard !rules.isEmpty else { return [] }
        var attributes = linux_landlock_ruleset_attr()
        // LANDLOCK_ACCESS_NET_BIND_TCP; handled, and allowed by no rule.
        if rules.contains(.noTCPBind) { attributes.handled_access_net = 1 }
        // LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET, LANDLOCK_SCOPE_SIGNAL
        if rules.contains(.ownAbstractSockets) { attributes.scoped |= 1 }
        if rules.contains(.ownSignals) { attributes.scoped |= 2 }
        // An older kernel takes the part of the structure that it knows: the rest is zero then, by the intersection.
        let size = MemoryLayout<linux_landlock_ruleset_attr>.size
        let ruleset = OwnedDescriptor(
            adopting: try retrying("landlock_create_ruleset") {
                linux_landlock_create_ruleset(&attributes, size, 0)
            })
        let raw = ruleset.rawValue
        _ = try retrying("landlock_restrict_self") { linux_landlock_restrict_self(raw, 0) }
        return rules
    }
}
