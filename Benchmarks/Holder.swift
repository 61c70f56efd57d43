import Glibc

/// A mount namespace without the cgroup v2 tree, kept by a process: crun 1.8 refuses hosts that show it beside v1
/// controllers. What is started in it sees v1 only.
final class Holder {
    private let pid: pid_t

    /// Where the host has its v2 tree although controllers are v1; nil on a pure v2 host.
    static var unifiedTree: String? {
        guard let mounts = contents("/proc/self/mounts") else { return nil }
        let points = mounts.split(separator: "\n").map { $0.split(separator: " ") }.filter { $0.count > 2 }
        guard points.contains(where: { $0[2] == "cgroup" }) else { return nil }
        return points.first { $0[2] == "cgroup2" }.map { String($0[1]) }
    }

    init(hiding path: String) throws { pid = try Self.start(hiding: path) }

    private static func start(hiding path: String) throws -> pid_t {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw BenchmarkError("pipe: \(String(cString: strerror(errno)))") }
        defer { close(ends[0]) }
        let script = "umount \"$1\" && echo ready && exec sleep infinity"
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
        posix_spawn_file_actions_addclose(&actions, ends[0])
        posix_spawn_file_actions_addclose(&actions, ends[1])
        let arguments = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", path]
        let pid = try Child.spawn(arguments, &actions)
        close(ends[1])
        var byte: UInt8 = 0
        guard read(ends[0], &byte, 1) == 1 else { throw BenchmarkError("cannot hide \(path)") }
        return pid
    }

    /// What starts a command in the namespace; costs the exec of one small program more.
    var prefix: [String] { ["nsenter", "--mount=/proc/\(pid)/ns/mnt"] }

    deinit {
        kill(pid, SIGKILL)
        waitpid(pid, nil, 0)
    }
}
