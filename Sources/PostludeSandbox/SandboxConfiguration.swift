/// What the sandbox is told by the agent's configuration.
public struct SandboxConfiguration: Hashable, Sendable {
    /// The `postlude-warden` executable.
    public var wardenPath: String
    /// Where the seccomp profiles (`<name>.json`) are.
    public var seccompDirectory: String
    /// How many wardens wait, prepared, for the next attempts.
    public var poolSize: Int
    /// The cgroup made below the agent's own, in each hierarchy. Agents on one host need different names.
    public var cgroupName: String
    /// Files and directories that no job may see wherever they lie, such as the agent's socket; absolute paths.
    public var hiddenPaths: [String]
    /// Where an agent that may make no cgroups keeps note of its wardens; nil refuses to work without cgroups.
    public var slotDirectory: String?

    public init(
        wardenPath: String, seccompDirectory: String, poolSize: Int = 2, cgroupName: String = "postlude",
        hiddenPaths: [String] = [], slotDirectory: String? = nil
    ) {
        self.wardenPath = wardenPath
        self.seccompDirectory = seccompDirectory
        self.poolSize = poolSize
        self.cgroupName = cgroupName
        self.hiddenPaths = hiddenPaths
        self.slotDirectory = slotDirectory
    }
}

/// Which warden an attempt has, as the store keeps it: enough to find it again and never to take another process for
/// it.
public struct WardenIdentity: Hashable, Sendable, Codable {
    /// The name of its cgroups: `w` and 16 hexadecimal digits.
    public var slot: String
    public var pid: Int32
    /// /proc/<pid>/stat field 22: clock ticks after boot.
    public var startTime: UInt64
    /// /proc/sys/kernel/random/boot_id.
    public var bootID: String
    /// The inode of its cgroup in the unified hierarchy.
    public var cgroupInode: UInt64

    public init(slot: String, pid: Int32, startTime: UInt64, bootID: String, cgroupInode: UInt64) {
        self.slot = slot
        self.pid = pid
        self.startTime = startTime
        self.bootID = bootID
        self.cgroupInode = cgroupInode
    }
}
