import CLinux
import Glibc

/// A system call that failed: which, on what, and the kernel's reason.
public struct LinuxError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The call, such as `openat2`; part of `code`.
    public var call: String
    /// What it was about: a path, a cgroup file; may be empty.
    public var subject: String
    /// errno as the call left it.
    public var errno: Int32

    public init(_ call: String, _ subject: String = "", errno: Int32) {
        self.call = call
        self.subject = subject
        self.errno = errno
    }

    /// Takes errno of the call that has just failed.
    public init(last call: String, _ subject: String = "") {
        self.init(call, subject, errno: Glibc.errno)
    }

    /// `linux.<call>`, stable.
    public var code: String { "linux.\(call)" }

    public var message: String {
        let reason = strerror(errno).map { String(cString: $0) } ?? "errno \(errno)"
        return subject.isEmpty ? "\(call) failed: \(reason)." : "\(call) failed for '\(subject)': \(reason)."
    }

    /// What the reader can do about it; nil when nothing general can be said.
    public var hint: String? {
        switch errno {
        case EPERM, EACCES: "Run the agent as root, or give its unit Delegate=yes."
        case ENOSYS: "The kernel lacks this call; Postlude needs Linux 6.1 or newer."
        case EMFILE, ENFILE: "Raise the limit of open files (LimitNOFILE)."
        case ENOSPC: "Free some disk space."
        default: nil
        }
    }

    public var description: String { "\(code): \(message)" }
}

/// Repeats a call that a signal interrupted; negative results become errors.
@inline(__always)
public func retrying<Result: FixedWidthInteger & SignedInteger>(
    _ call: @autoclosure () -> String, _ subject: @autoclosure () -> String = "", _ body: () -> Result
) throws(LinuxError) -> Result {
    while true {
        let result = body()
        if result >= 0 { return result }
        if errno != EINTR { throw LinuxError(call(), subject(), errno: errno) }
    }
}
