import CLinux
import Glibc

/// Attributes of a mount; each only ever takes rights away.
public struct MountAttributes: OptionSet, Hashable, Sendable {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    public static let readOnly = MountAttributes(rawValue: LINUX_MOUNT_ATTR_RDONLY)
    public static let noSetuid = MountAttributes(rawValue: LINUX_MOUNT_ATTR_NOSUID)
    public static let noDevices = MountAttributes(rawValue: LINUX_MOUNT_ATTR_NODEV)
    public static let noExec = MountAttributes(rawValue: LINUX_MOUNT_ATTR_NOEXEC)
}

/// The descriptor-based mount calls: no path is looked up twice.
public enum Mounts {
    /// A detached copy of the mount tree at `source` (O_PATH), cut off from propagation, with attributes added to all
    /// of it. Works only in the mount namespace in which `source` was opened; the copy can be attached in any.
    public static func cloneTree(
        of source: Int32, path: String = "", recursive: Bool, adding attributes: MountAttributes
    ) throws(LinuxError) -> OwnedDescriptor {
        var flags = LINUX_OPEN_TREE_CLONE | LINUX_OPEN_TREE_CLOEXEC
        if path.isEmpty { flags |= UInt32(LINUX_AT_EMPTY_PATH) }
        if recursive { flags |= UInt32(LINUX_AT_RECURSIVE) }
        let tree = OwnedDescriptor(
            adopting: try retrying("open_tree", path) { linux_open_tree(source, path, flags) })
        try set(attributes, on: tree.rawValue, recursive: recursive, makePrivate: true)
        return tree
    }

    /// Adds attributes to the mount whose root `mount` is.
    /// - Throws: EINVAL when `mount` is not the root of a mount.
    public static func set(
        _ attributes: MountAttributes, on mount: Int32, recursive: Bool, makePrivate: Bool = false
    ) throws(LinuxError) {
        var change = linux_mount_attr()
        change.attr_set = attributes.rawValue
        if makePrivate { change.propagation = LINUX_MS_PRIVATE }
        let flags = UInt32(LINUX_AT_EMPTY_PATH | (recursive ? LINUX_AT_RECURSIVE : 0))
        _ = try retrying("mount_setattr") { linux_mount_setattr(mount, "", flags, &change) }
    }

    /// A new file system, not attached anywhere yet.
    public static func fileSystem(
        _ type: String, options: [(key: String, value: String)] = [], attributes: MountAttributes
    ) throws(LinuxError) -> OwnedDescriptor {
        let context = OwnedDescriptor(
            adopting: try retrying("fsopen", type) { linux_fsopen(type, LINUX_FSOPEN_CLOEXEC) })
        let raw = context.rawValue
        for option in options {
            _ = try retrying("fsconfig", option.key) {
                linux_fsconfig(raw, LINUX_FSCONFIG_SET_STRING, option.key, option.value, 0)
            }
        }
        _ = try retrying("fsconfig", type) { linux_fsconfig(raw, LINUX_FSCONFIG_CMD_CREATE, nil, nil, 0) }
        return OwnedDescriptor(
            adopting: try retrying("fsmount", type) {
                linux_fsmount(raw, LINUX_FSMOUNT_CLOEXEC, UInt32(attributes.rawValue))
            })
    }

    /// Attaches a detached mount over `target`.
    public static func attach(_ tree: Int32, to target: Int32) throws(LinuxError) {
        _ = try retrying("move_mount") {
            linux_move_mount(tree, "", target, "", LINUX_MOVE_MOUNT_F_EMPTY_PATH | LINUX_MOVE_MOUNT_T_EMPTY_PATH)
        }
    }

    /// Attaches a detached mount over `name` in `directory`; a symbolic link there is not followed.
    public static func attach(_ tree: Int32, in directory: Int32, at name: String) throws(LinuxError) {
        _ = try retrying("move_mount", name) {
            linux_move_mount(tree, "", directory, name, LINUX_MOVE_MOUNT_F_EMPTY_PATH)
        }
    }

    /// Cuts every mount of the caller's namespace off from propagation.
    public static func makeAllPrivate() throws(LinuxError) {
        _ = try retrying("mount", "/") { linux_mount(nil, "/", nil, LINUX_MS_REC | LINUX_MS_PRIVATE, nil) }
    }

    /// Makes the mount `newRoot` the root and detaches the old one with all that is mounted on it.
    public static func pivot(to newRoot: Int32) throws(LinuxError) {
        _ = try retrying("fchdir") { fchdir(newRoot) }
        // Both arguments the same: the old root ends up on top of the new one, and "." names the topmost mount there.
        _ = try retrying("pivot_root") { linux_pivot_root(".", ".") }
        _ = try retrying("umount2") { linux_umount2(".", LINUX_MNT_DETACH) }
        _ = try retrying("chdir", "/") { chdir("/") }
    }
}
