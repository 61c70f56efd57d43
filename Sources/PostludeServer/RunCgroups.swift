import Glibc

/// Where an agent's runs are in the unified cgroup hierarchy, to tell their processes from other callers.
///
/// A socket of the host's can be reached through a read-only root too, and SO_PEERCRED shows a job's user: without this a
/// job could submit a run with a profile that holds it less.
public struct RunCgroups: Sendable {
    private let path: String

    /// - Parameter path: the cgroup that holds all runs, as `/proc/<pid>/cgroup` shows it.
    public init(path: String) { self.path = path }

    enum Membership: Hashable { case run, other, unknown }

    /// Reads `/proc/<pid>/cgroup`; unknown when the process has ended or is in no PID namespace below this one.
    func membership(of pid: Int32) -> Membership {
        guard pid > 0, let text = Self.text("/proc/\(pid)/cgroup") else { return .unknown }
        return membership(in: text)
    }

    func membership(in text: String) -> Membership {
        // `0::` is the unified hierarchy's line (cgroups(7)); lines of others follow their own rules.
        guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("0::") }) else { return .unknown }
        let cgroup = line.dropFirst(3)
        return cgroup == path || cgroup.hasPrefix("\(path)/") ? .run : .other
    }

    private static func text(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { _ = close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = read(descriptor, &chunk, chunk.count)
            if count > 0 {
                bytes += chunk.prefix(count)
            } else if count == 0 {
                return String(decoding: bytes, as: UTF8.self)
            } else if errno != EINTR {
                return nil
            }
        }
    }
}
