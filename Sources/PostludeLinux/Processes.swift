import CLinux
import Glibc

/// A reference to one process that stays right when its number is used again.
public struct ProcessDescriptor: ~Copyable, Sendable {
    public let descriptor: OwnedDescriptor

    public init(adopting descriptor: consuming OwnedDescriptor) { self.descriptor = descriptor }

    /// - Throws: ESRCH when there is no such process.
    public init(pid: Int32) throws(LinuxError) {
        descriptor = OwnedDescriptor(adopting: try retrying("pidfd_open", "\(pid)") { linux_pidfd_open(pid) })
    }

    /// - Throws: ESRCH when it has ended and was reaped.
    public borrowing func signal(_ number: Int32) throws(LinuxError) {
        _ = try retrying("pidfd_send_signal") { linux_pidfd_send_signal(descriptor.rawValue, number) }
    }

    /// Whether it ended (a zombie has ended); true also for one that somebody else reaped.
    public borrowing func hasEnded() throws(LinuxError) -> Bool {
        try waitReadable(descriptor.rawValue, milliseconds: 0)
    }

    /// Reaps a child. Returns nil while it still runs and `block` is false.
    public borrowing func reap(block: Bool) throws(LinuxError) -> ReapedProcess? {
        var info = siginfo_t()
        var usage = rusage()
        let options = WEXITED | (block ? 0 : WNOHANG)
        _ = try retrying("waitid") { linux_waitid_pidfd(descriptor.rawValue, &info, options, &usage) }
        guard linux_siginfo_pid(&info) != 0 else { return nil }
        return ReapedProcess(
            end: ProcessEnd(siginfoCode: linux_siginfo_code(&info), status: linux_siginfo_status(&info)),
            usage: ResourceUsage(usage))
    }
}

/// A child that was waited for.
public struct ReapedProcess: Hashable, Sendable {
    public var end: ProcessEnd
    /// Its own and that of the children it waited for.
    public var usage: ResourceUsage
}

/// How a process ended.
public enum ProcessEnd: Hashable, Sendable {
    case code(Int32)
    case signal(Int32, coreDumped: Bool)

    /// From the status of wait4(2).
    public init(waitStatus: Int32) {
        if linux_wifsignaled(waitStatus) != 0 {
            self = .signal(linux_wtermsig(waitStatus), coreDumped: linux_wcoredump(waitStatus) != 0)
        } else {
            self = .code(linux_wexitstatus(waitStatus))
        }
    }

    /// From `si_code` and `si_status` of waitid(2).
    init(siginfoCode: Int32, status: Int32) {
        switch siginfoCode {
        case 1: self = .code(status)  // CLD_EXITED
        case 3: self = .signal(status, coreDumped: true)  // CLD_DUMPED
        case _: self = .signal(status, coreDumped: false)
        }
    }
}

/// The parts of getrusage(2) that mean something on Linux.
public struct ResourceUsage: Hashable, Sendable {
    public var userMicroseconds: UInt64
    public var systemMicroseconds: UInt64
    /// The largest resident set of one process.
    public var maxRSSBytes: UInt64
    /// Storage input and output, in bytes (the kernel counts blocks of 512).
    public var readBytes: UInt64
    public var writtenBytes: UInt64

    public init(_ usage: rusage) {
        userMicroseconds = Self.microseconds(usage.ru_utime)
        systemMicroseconds = Self.microseconds(usage.ru_stime)
        maxRSSBytes = UInt64(max(0, usage.ru_maxrss)) &* 1024
        readBytes = UInt64(max(0, usage.ru_inblock)) &* 512
        writtenBytes = UInt64(max(0, usage.ru_oublock)) &* 512
    }

    private static func microseconds(_ time: timeval) -> UInt64 {
        UInt64(max(0, time.tv_sec)) &* 1_000_000 &+ UInt64(max(0, time.tv_usec))
    }
}

/// What identifies processes across a restart of whoever watches them.
public enum ProcessIdentity {
    /// Field 22 of /proc/<pid>/stat: ticks since boot at which the process started; nil when there is no such process.
    ///
    /// - Throws: when nobody can say, as when this process is out of descriptors.
    public static func startTime(of pid: Int32) throws(LinuxError) -> UInt64? {
        try stat(of: pid)?.startTime
    }

    /// Parent pid and start time; nil when there is no such process.
    public static func stat(of pid: Int32) throws(LinuxError) -> (parent: Int32, startTime: UInt64)? {
        guard let fields = try fields(of: pid), fields.count > 19, let parent = Int32(fields[1]),
            let start = UInt64(fields[19])
        else { return nil }
        return (parent, start)
    }

    /// Whether job control has stopped it, as SIGSTOP does; false when it is gone, and for one that is traced.
    public static func isStopped(_ pid: Int32) throws(LinuxError) -> Bool { try fields(of: pid)?.first == "T" }

    /// The fields of /proc/<pid>/stat after the command's name; nil when there is no such process.
    private static func fields(of pid: Int32) throws(LinuxError) -> [String]? {
        let text: [UInt8]
        do throws(LinuxError) {
            text = try readFile("/proc/\(pid)/stat")
        } catch {
            // ESRCH: it ended between the opening and the reading.
            if error.errno == ENOENT || error.errno == ESRCH { return nil }
            throw error
        }
        // The command name may hold anything, parentheses too: fields start after the last one.
        guard let end = text.lastIndex(of: UInt8(ascii: ")")) else { return nil }
        return text[(end + 1)...].split(separator: UInt8(ascii: " ")).map { String(decoding: $0, as: UTF8.self) }
    }

    /// The random id of this boot.
    public static func bootID() throws(LinuxError) -> String {
        let text = try readText("/proc/sys/kernel/random/boot_id")
        return String(text.prefix { $0 != "\n" })
    }
}

/// Clocks that both sides of a journal understand.
public enum Clocks {
    /// Wall clock, µs since 1970.
    public static func wallMicroseconds() -> Int64 {
        let now = read(CLOCK_REALTIME)
        return Int64(now.tv_sec) &* 1_000_000 &+ Int64(now.tv_nsec / 1000)
    }

    /// CLOCK_BOOTTIME in ns: goes on while the machine sleeps, never jumps.
    public static func bootNanoseconds() -> UInt64 { nanoseconds(CLOCK_BOOTTIME) }

    /// CLOCK_MONOTONIC in ns.
    public static func monotonicNanoseconds() -> UInt64 { nanoseconds(CLOCK_MONOTONIC) }

    private static func nanoseconds(_ clock: clockid_t) -> UInt64 {
        let now = read(clock)
        return UInt64(now.tv_sec) &* 1_000_000_000 &+ UInt64(now.tv_nsec)
    }

    private static func read(_ clock: clockid_t) -> timespec {
        var now = timespec()
        clock_gettime(clock, &now)
        return now
    }
}
