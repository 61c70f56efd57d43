/// How the processes of runs are told from all others.
public enum RunMark: Hashable, Sendable {
    /// They are in this cgroup of the v2 hierarchy or below, as /proc/<pid>/cgroup shows it.
    case cgroup(String)
    /// They are in a pid namespace below the agent's own. So may others be, but no process of a run is not: nothing leaves
    /// a pid namespace.
    case pidNamespace

    /// Whether a process is one of a run's (or may be), from its /proc/<pid>/cgroup and /proc/<pid>/status; nil when the
    /// text does not say.
    public func covers(cgroup: String, status: String) -> Bool? {
        switch self {
        case .cgroup(let path):
            // `0::` is the unified hierarchy's line (cgroups(7)); lines of others follow their own rules.
            guard let line = cgroup.split(separator: "\n").first(where: { $0.hasPrefix("0::") }) else { return nil }
            let own = line.dropFirst(3)
            return path == "/" || own == path || own.hasPrefix("\(path)/")
        case .pidNamespace:
            // One number for each pid namespace from that of this /proc to the process's own (proc_pid_status(5)).
            guard let line = status.split(separator: "\n").first(where: { $0.hasPrefix("NSpid:") }) else { return nil }
            return line.dropFirst(6).split(whereSeparator: { $0 == "\t" || $0 == " " }).count > 1
        }
    }
}
