import Glibc

/// How ready the kernel is to end this process when memory runs out; inherited by children (proc_pid_oom_score_adj(5)).
///
/// The unit is a thousandth of the memory that ran out: +500 counts like using half of it.
public enum OutOfMemoryScore {
    /// Never chosen. Needs CAP_SYS_RESOURCE.
    public static let never = -1000
    /// For programs of jobs: ahead of anything that looks after them, yet more so the more they use.
    public static let step = 500

    /// Sets this process's value.
    ///
    /// With CAP_SYS_RESOURCE the value is also the least that processes without it may set from then on.
    /// - Throws: EACCES when that would be lower than the least allowed.
    public static func set(_ value: Int) throws(LinuxError) {
        let path = "/proc/self/oom_score_adj"
        let file = try OwnedDescriptor.open(path, O_WRONLY)
        let text = Array("\(value)".utf8)
        _ = try retrying("write", path) { write(file.rawValue, text, text.count) }
    }
}
