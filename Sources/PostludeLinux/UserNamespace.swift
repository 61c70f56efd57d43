import CLinux
import Glibc

/// User namespaces of the caller's own: how isolation is put up without being root (user_namespaces(7)).
public enum UserNamespace {
    /// Enters a new user namespace in which the caller keeps its ids and nobody can change groups, together with `more`
    /// namespaces that then belong to it.
    ///
    /// The caller has every capability in it, none outside. One id alone is mapped: all others show as the overflow id.
    public static func enter(with more: [Namespace] = []) throws(LinuxError) {
        let (uid, gid) = (geteuid(), getegid())
        let flags = more.reduce(Namespace.user.flag) { $0 | $1.flag }
        _ = try retrying("unshare", "user") { linux_unshare(flags) }
        // Whoever could leave a group could reach what is closed to that group; so gid_map wants this first.
        try writeFile("/proc/self/setgroups", "deny")
        try writeFile("/proc/self/uid_map", "\(uid) \(uid) 1")
        try writeFile("/proc/self/gid_map", "\(gid) \(gid) 1")
    }

    /// Keeps the caller's capabilities over an exec, which a user other than 0 loses else.
    public static func keepCapabilitiesAcrossExec() throws(LinuxError) {
        var header = linux_cap_header(version: UInt32(LINUX_CAPABILITY_VERSION_3), pid: 0)
        var sets = (linux_cap_data(), linux_cap_data())
        let failed = withUnsafeMutableBytes(of: &sets) { raw -> String? in
            guard let two = raw.baseAddress?.assumingMemoryBound(to: linux_cap_data.self) else { return "capget" }
            if linux_capget(&header, two) != 0 { return "capget" }
            // Ambient ones must be inheritable too.
            for index in 0..<2 { two[index].inheritable = two[index].permitted }
            return linux_capset(&header, two) == 0 ? nil : "capset"
        }
        if let failed { throw LinuxError(last: failed) }
        for capability in 0..<64 as Range<UInt> {
            if linux_prctl(LINUX_PR_CAP_AMBIENT, UInt(LINUX_PR_CAP_AMBIENT_RAISE), capability, 0, 0) == 0 { continue }
            // EINVAL: past the last capability this kernel knows.
            if errno == EINVAL && capability > 0 { return }
            throw LinuxError(last: "prctl", "PR_CAP_AMBIENT")
        }
    }

    /// No further user namespace can be made below the caller's own; only a capability in it could undo that.
    ///
    /// - Parameter system: a writable /proc/sys, of a procfs that may show it read-only elsewhere.
    /// - Throws: EPERM when the kernel says another limit than zero afterwards.
    public static func forbidFurther(_ system: Int32) throws(LinuxError) {
        let path = "user/max_user_namespaces"
        try writeFile(path, "0", at: system)
        guard try readText(path, at: system).first == "0" else { throw LinuxError("write", path, errno: EPERM) }
    }

    /// The supplementary groups of the caller.
    public static func groups() throws(LinuxError) -> [UInt32] {
        let count = try retrying("getgroups") { getgroups(0, nil) }
        guard count > 0 else { return [] }
        var failed = false
        let groups = [UInt32](unsafeUninitializedCapacity: Int(count)) { buffer, filled in
            let got = getgroups(count, buffer.baseAddress)
            failed = got < 0
            filled = max(0, Int(got))
        }
        if failed { throw LinuxError(last: "getgroups") }
        return groups
    }
}

/// What a descriptor names, found again in the caller's mount namespace.
public enum MountSource {
    /// The same file or directory, by its path; for a caller that has left the mount namespace in which it was opened,
    /// since the kernel copies only mounts of the caller's own.
    ///
    /// - Throws: ESTALE when another file has that path by now.
    public static func reopen(_ descriptor: Int32) throws(LinuxError) -> OwnedDescriptor {
        let link = "/proc/self/fd/\(descriptor)"
        var path = ""
        try withUnsafeTemporaryAllocation(of: CChar.self, capacity: 4097) { (buffer) throws(LinuxError) in
            guard let text = buffer.baseAddress else { throw LinuxError("readlink", link, errno: ENOMEM) }
            let count = try retrying("readlink", link) { readlink(link, text, 4096) }
            guard count < 4096 else { throw LinuxError("readlink", link, errno: ENAMETOOLONG) }
            text[count] = 0
            path = String(cString: text)
        }
        let found = try OwnedDescriptor.open(
            path, OwnedDescriptor.pathOnly | O_NOFOLLOW, at: AT_FDCWD, resolving: [.noMagicLinks, .noSymlinks])
        var wanted = stat()
        guard fstat(descriptor, &wanted) == 0 else { throw LinuxError(last: "fstat", path) }
        let status = try found.status()
        guard status.st_dev == wanted.st_dev, status.st_ino == wanted.st_ino else {
            throw LinuxError("reopen", path, errno: ESTALE)
        }
        return found
    }
}
