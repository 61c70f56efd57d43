import CLinux
import Glibc

/// Core scheduling: the threads of one processor core run, at any moment, only tasks with the same cookie
/// (Documentation/admin-guide/hw-vuln/core-scheduling.rst).
public enum CoreScheduling {
    public enum Availability: Hashable, Sendable {
        case available
        /// No core of the machine has a second thread that is in use.
        case noThreads
        /// The kernel is built without it (CONFIG_SCHED_CORE), or older than Linux 5.14.
        case notBuilt
    }

    private static let get: UInt = 0, create: UInt = 1
    /// PIDTYPE_PID and PIDTYPE_TGID.
    private static let thread: UInt = 0, process: UInt = 1

    /// What prctl(2) says of the caller's own cookie.
    public static func availability() -> Availability {
        do throws(LinuxError) {
            _ = try cookie(of: 0)
            return .available
        } catch {
            return error.errno == ENODEV ? .noThreads : .notBuilt
        }
    }

    /// Gives the calling process a cookie of its own, which its children inherit.
    public static func isolateSelf() throws(LinuxError) {
        _ = try retrying("prctl", "PR_SCHED_CORE_CREATE") {
            linux_prctl(LINUX_PR_SCHED_CORE, create, 0, process, 0)
        }
    }

    /// A number for the cookie of a process's first thread (0 for the caller's); 0 when it has none.
    public static func cookie(of pid: Int32) throws(LinuxError) -> UInt64 {
        var cookie: UInt64 = 0
        let result = withUnsafeMutablePointer(to: &cookie) {
            linux_prctl(LINUX_PR_SCHED_CORE, get, UInt(pid), thread, UInt(bitPattern: $0))
        }
        guard result == 0 else { throw LinuxError(last: "prctl", "PR_SCHED_CORE_GET") }
        return cookie
    }
}
