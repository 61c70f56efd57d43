import PostludeCore

extension RunMark {
    /// Whether the process is one of a run's; false when it is gone.
    func covers(_ pid: Int32) -> Bool {
        switch self {
        case .cgroup: covers(cgroup: SmallFile.read("/proc/\(pid)/cgroup") ?? "", status: "") ?? false
        case .pidNamespace: covers(cgroup: "", status: SmallFile.read("/proc/\(pid)/status") ?? "") ?? false
        }
    }
}
