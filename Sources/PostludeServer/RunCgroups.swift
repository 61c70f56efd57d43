import Glibc
import PostludeCore

/// How processes of an agent's runs are told from other callers: by their cgroup, or by their pid namespace.
///
/// A socket of the host's can be reached through a read-only root too, and SO_PEERCRED shows a job's user: without this a
/// job could submit a run with a profile that holds it less.
public struct RunCgroups: Sendable {
    private let mark: RunMark

    public init(_ mark: RunMark) { self.mark = mark }

    /// - Parameter path: the cgroup that holds all runs, as `/proc/<pid>/cgroup` shows it.
    public init(path: String) { mark = .cgroup(path) }

    enum Membership: Hashable {
        case run, other, unknown
        /// This process is short of what it takes to look.
        case unreadable
    }

    /// Reads `/proc/<pid>`; unknown when the process has ended or is in no PID namespace below this one.
    func membership(of pid: Int32) -> Membership {
        let file =
            switch mark {
            case .cgroup: "cgroup"
            case .pidNamespace: "status"
            }
        guard pid > 0 else { return .unknown }
        if let text = Self.text("/proc/\(pid)/\(file)") { return membership(in: text) }
        return [EMFILE, ENFILE, ENOMEM].contains(errno) ? .unreadable : .unknown
    }

    /// - Parameter text: the file that the mark is read from.
    func membership(in text: String) -> Membership {
        guard let isRun = mark.covers(cgroup: text, status: text) else { return .unknown }
        return isRun ? .run : .other
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
