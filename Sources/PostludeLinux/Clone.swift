import CLinux
import Glibc

/// One clone3(2), without a new stack or shared memory: it returns twice, as fork does.
///
/// Sound only in a process of one thread; the agent never is one, the warden always.
public struct CloneRequest: Hashable, Sendable {
    public var namespaces: [Namespace]
    /// A v2 cgroup (descriptor) that the child starts in.
    public var cgroup: Int32?
    /// Whether both use one descriptor table from now on.
    public var sharesDescriptors: Bool
    /// Whether the caller's parent becomes the child's parent; it is then told of the child's end as it is of the
    /// caller's.
    public var asSibling: Bool

    public init(
        namespaces: [Namespace] = [], cgroup: Int32? = nil, sharesDescriptors: Bool = false, asSibling: Bool = false
    ) {
        self.namespaces = namespaces
        self.cgroup = cgroup
        self.sharesDescriptors = sharesDescriptors
        self.asSibling = asSibling
    }

    /// nil in the child; its pid and pidfd (the caller's to close, valid in a shared table too) in the parent.
    public func perform() throws(LinuxError) -> (pid: Int32, descriptor: Int32)? {
        var descriptor: Int32 = -1
        var arguments = linux_clone_args()
        arguments.flags = namespaces.reduce(LINUX_CLONE_PIDFD) { $0 | $1.flag }
        if let cgroup {
            arguments.flags |= LINUX_CLONE_INTO_CGROUP
            arguments.cgroup = UInt64(UInt32(bitPattern: cgroup))
        }
        if sharesDescriptors { arguments.flags |= LINUX_CLONE_FILES }
        if asSibling {
            arguments.flags |= LINUX_CLONE_PARENT
        } else {
            arguments.exit_signal = UInt64(SIGCHLD)
        }
        let result = withUnsafeMutablePointer(to: &descriptor) { pointer in
            arguments.pidfd = UInt64(UInt(bitPattern: pointer))
            return linux_clone3(&arguments)
        }
        guard result >= 0 else { throw LinuxError(last: "clone3") }
        return result == 0 ? nil : (Int32(result), descriptor)
    }
}

/// The children of the calling process.
public enum Children {
    /// Reaps one child that has ended, whichever; nil when none has (or there is none).
    public static func reapAny() -> (pid: Int32, end: ProcessEnd, usage: ResourceUsage)? {
        var status: Int32 = 0
        var usage = rusage()
        let pid = linux_wait4(-1, &status, WNOHANG, &usage)
        guard pid > 0 else { return nil }
        return (pid, ProcessEnd(waitStatus: status), ResourceUsage(usage))
    }

    /// What all children that were waited for have used together; the resident set is the largest of one.
    public static func usage() -> ResourceUsage {
        var usage = rusage()
        _ = linux_getrusage(-1, &usage)
        return ResourceUsage(usage)
    }
}
