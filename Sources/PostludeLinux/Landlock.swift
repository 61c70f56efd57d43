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
        /// Files are opened, executed, made, renamed and removed only beneath what was allowed. Since ABI 2 (Linux 5.19):
        /// with the first one nothing could be renamed from one directory to another.
        public static let files = Rules(rawValue: 8)
        /// Shortening a file by its name counts as one of these; since ABI 3 (Linux 6.2).
        public static let truncation = Rules(rawValue: 16)
        /// Devices take ioctl(2) only where it was allowed; since ABI 5 (Linux 6.10).
        public static let deviceCommands = Rules(rawValue: 32)

        /// Those that a kernel with this ABI knows.
        public static func known(in abi: Int32) -> Rules {
            var rules: Rules = []
            if abi >= 2 { rules.insert(.files) }
            if abi >= 3 { rules.insert(.truncation) }
            if abi >= 4 { rules.insert(.noTCPBind) }
            if abi >= 5 { rules.insert(.deviceCommands) }
            if abi >= 6 { rules.formUnion([.ownAbstractSockets, .ownSignals]) }
            return rules
        }

        /// The file rights that are refused where nothing allows them.
        var handledFiles: FileAccess {
            var access: FileAccess = contains(.files) ? .first.union(.refer) : []
            if contains(.truncation) { access.insert(.truncate) }
            if contains(.deviceCommands) { access.insert(.deviceCommand) }
            return access
        }
    }

    /// Rights over files, with the kernel's bits (LANDLOCK_ACCESS_FS_*).
    public struct FileAccess: OptionSet, Hashable, Sendable {
        public let rawValue: UInt64
        public init(rawValue: UInt64) { self.rawValue = rawValue }

        public static let execute = FileAccess(rawValue: 1 << 0)
        public static let writeFile = FileAccess(rawValue: 1 << 1)
        public static let readFile = FileAccess(rawValue: 1 << 2)
        public static let readDirectory = FileAccess(rawValue: 1 << 3)
        public static let removeDirectory = FileAccess(rawValue: 1 << 4)
        public static let removeFile = FileAccess(rawValue: 1 << 5)
        public static let makeCharacterDevice = FileAccess(rawValue: 1 << 6)
        public static let makeDirectory = FileAccess(rawValue: 1 << 7)
        public static let makeFile = FileAccess(rawValue: 1 << 8)
        public static let makeSocket = FileAccess(rawValue: 1 << 9)
        public static let makePipe = FileAccess(rawValue: 1 << 10)
        public static let makeBlockDevice = FileAccess(rawValue: 1 << 11)
        public static let makeLink = FileAccess(rawValue: 1 << 12)
        /// Renaming and hard links from one directory to another; both have to allow it.
        public static let refer = FileAccess(rawValue: 1 << 13)
        public static let truncate = FileAccess(rawValue: 1 << 14)
        /// ioctl(2) on a device.
        public static let deviceCommand = FileAccess(rawValue: 1 << 15)

        /// Those of the first ABI.
        static let first = FileAccess(rawValue: (1 << 13) - 1)

        /// Looking at everything beneath a directory, and executing it.
        public static let look: FileAccess = [.execute, .readFile, .readDirectory]
        /// Making, changing and removing everything beneath a directory but device nodes.
        public static let change: FileAccess = [
            .writeFile, .removeDirectory, .removeFile, .makeDirectory, .makeFile, .makeSocket, .makePipe, .makeLink,
            .refer, .truncate,
        ]
    }

    /// The version of its interface; 0 where the kernel has none, or has it switched off.
    public static func abi() -> Int32 {
        // LANDLOCK_CREATE_RULESET_VERSION
        max(0, linux_landlock_create_ruleset(nil, 0, 1))
    }

    /// Rules being collected; they hold for nobody before `restrictSelf`.
    public struct Ruleset: ~Copyable {
        private let descriptor: OwnedDescriptor
        private let handled: FileAccess

        /// - Parameter rules: only ones that the kernel knows, and at least one.
        public init(_ rules: Rules) throws(LinuxError) {
            handled = rules.handledFiles
            var attributes = linux_landlock_ruleset_attr()
            attributes.handled_access_fs = handled.rawValue
            // LANDLOCK_ACCESS_NET_BIND_TCP; handled, and allowed by no rule.
            if rules.contains(.noTCPBind) { attributes.handled_access_net = 1 }
            // LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET, LANDLOCK_SCOPE_SIGNAL
            if rules.contains(.ownAbstractSockets) { attributes.scoped |= 1 }
            if rules.contains(.ownSignals) { attributes.scoped |= 2 }
            // An older kernel takes the part of the structure that it knows: the rest is zero then.
            let size = MemoryLayout<linux_landlock_ruleset_attr>.size
            descriptor = OwnedDescriptor(
                adopting: try retrying("landlock_create_ruleset") {
                    linux_landlock_create_ruleset(&attributes, size, 0)
                })
        }

        /// Allows as much of `access` as is refused otherwise: for a directory and all that lies or is mounted beneath it, or
        /// for one file. What is not a directory takes only rights that a file has.
        public borrowing func allow(_ access: FileAccess, beneath path: String) throws(LinuxError) {
            let access = access.intersection(handled)
            guard !access.isEmpty else { return }
            let place = try OwnedDescriptor.open(path, OwnedDescriptor.pathOnly)
            let (raw, ruleset) = (place.rawValue, descriptor.rawValue)
            _ = try retrying("landlock_add_rule", path) {
                linux_landlock_add_path_rule(ruleset, access.rawValue, raw)
            }
        }

        /// Puts the caller under them, for ever. Needs no_new_privs.
        public borrowing func restrictSelf() throws(LinuxError) {
            let raw = descriptor.rawValue
            _ = try retrying("landlock_restrict_self") { linux_landlock_restrict_self(raw, 0) }
        }
    }
}
