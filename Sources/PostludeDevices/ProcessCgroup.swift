/// Where a process stands in the v2 hierarchy.
enum ProcessCgroup {
    /// Whether the process is in the cgroup `path` or below; false when it is gone.
    static func isBelow(_ path: String, pid: Int32) -> Bool {
        guard let membership = SmallFile.read("/proc/\(pid)/cgroup") else { return false }
        return isBelow(path, membership: membership)
    }

    static func isBelow(_ path: String, membership: String) -> Bool {
        membership.split(separator: "\n").contains { line in
            guard line.hasPrefix("0::") else { return false }
            let own = line.dropFirst(3)
            return path == "/" || own == path || own.hasPrefix(path + "/")
        }
    }
}
