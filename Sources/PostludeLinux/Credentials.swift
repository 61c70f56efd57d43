import CLinux
import Glibc

/// What the calling process may do, and giving it up. All calls act on one thread: for processes of one thread only.
public enum Credentials {
    /// Drops every capability from the bounding set; needs CAP_SETPCAP, so before the user changes.
    public static func clearBoundingSet() throws(LinuxError) {
        for capability in 0..<64 as Range<UInt> {
            if linux_prctl(LINUX_PR_CAPBSET_DROP, capability, 0, 0, 0) == 0 { continue }
            // EINVAL: past the last capability this kernel knows.
            if errno == EINVAL && capability > 0 { return }
            throw LinuxError(last: "prctl", "PR_CAPBSET_DROP")
        }
    }

    /// Real, effective and saved ids and the supplementary groups, exactly these; nil leaves the groups, which nobody can
    /// change in a user namespace of an ordinary user.
    public static func become(uid: UInt32, gid: UInt32, groups: [UInt32]?) throws(LinuxError) {
        if let groups {
            _ = try retrying("setgroups") {
                groups.withUnsafeBufferPointer { linux_setgroups($0.count, $0.baseAddress) }
            }
        }
        _ = try retrying("setresgid") { linux_setresgid(gid, gid, gid) }
        _ = try retrying("setresuid") { linux_setresuid(uid, uid, uid) }
    }

    /// Empties the ambient, inheritable, permitted and effective sets, and reads them back.
    /// - Throws: EPERM when something is left.
    public static func clearCapabilities() throws(LinuxError) {
        _ = try retrying("prctl", "PR_CAP_AMBIENT") {
            linux_prctl(LINUX_PR_CAP_AMBIENT, UInt(LINUX_PR_CAP_AMBIENT_CLEAR_ALL), 0, 0, 0)
        }
        var header = linux_cap_header(version: UInt32(LINUX_CAPABILITY_VERSION_3), pid: 0)
        var sets = (linux_cap_data(), linux_cap_data())
        let failed = withUnsafeMutableBytes(of: &sets) { raw -> String? in
            let two = raw.baseAddress?.assumingMemoryBound(to: linux_cap_data.self)
            if linux_capset(&header, two) != 0 { return "capset" }
            if linux_capget(&header, two) != 0 { return "capget" }
            if raw.contains(where: { $0 != 0 }) {
                errno = EPERM
                return "capget"
            }
            return nil
        }
        if let failed { throw LinuxError(last: failed) }
    }

    /// From here on no exec gives this process or its children more rights.
    public static func setNoNewPrivileges() throws(LinuxError) {
        _ = try retrying("prctl", "PR_SET_NO_NEW_PRIVS") { linux_prctl(LINUX_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }
    }

    /// Leaves the session keyring of whoever started us. A kernel without keys has none to leave.
    public static func joinNewSessionKeyring() throws(LinuxError) {
        if linux_join_session_keyring() < 0 && errno != ENOSYS { throw LinuxError(last: "keyctl") }
    }
}

/// What the calling process asks of the kernel about itself.
public enum ProcessControl {
    /// The signal this process gets when its parent ends. Changing the user clears it.
    public static func setParentDeathSignal(_ signal: Int32) throws(LinuxError) {
        _ = try retrying("prctl", "PR_SET_PDEATHSIG") { linux_prctl(LINUX_PR_SET_PDEATHSIG, UInt(signal), 0, 0, 0) }
    }

    /// Nobody of the same user may look into this process.
    public static func setNotDumpable() throws(LinuxError) {
        _ = try retrying("prctl", "PR_SET_DUMPABLE") { linux_prctl(LINUX_PR_SET_DUMPABLE, 0, 0, 0, 0) }
    }

    /// The name that ps shows, at most 15 bytes.
    public static func setName(_ name: String) { _ = linux_set_name(name) }

    public static func setLimit(resource: UInt32, soft: UInt64, hard: UInt64) throws(LinuxError) {
        var limit = rlimit(rlim_cur: rlim_t(soft), rlim_max: rlim_t(hard))
        _ = try retrying("prlimit") { linux_prlimit(0, resource, &limit, nil) }
    }

    public static func limit(resource: UInt32) throws(LinuxError) -> (soft: UInt64, hard: UInt64) {
        var limit = rlimit()
        _ = try retrying("prlimit") { linux_prlimit(0, resource, nil, &limit) }
        return (UInt64(limit.rlim_cur), UInt64(limit.rlim_max))
    }

    /// Closes every descriptor from `first` on.
    public static func closeDescriptors(from first: Int32) throws(LinuxError) {
        _ = try retrying("close_range") { linux_close_range(UInt32(first), UInt32.max, 0) }
    }

    /// Closes every descriptor from `first` on but those of `kept`.
    public static func closeDescriptors(from first: Int32, keeping kept: [Int32]) throws(LinuxError) {
        var next = UInt32(first)
        for descriptor in kept.map({ UInt32($0) }).sorted() where descriptor >= next {
            let start = next
            if descriptor > start {
                _ = try retrying("close_range") { linux_close_range(start, descriptor - 1, 0) }
            }
            next = descriptor + 1
        }
        try closeDescriptors(from: Int32(next))
    }

    /// Loads a classic BPF program (an array of struct sock_filter) as seccomp filter.
    public static func loadSeccomp(_ program: [UInt8]) throws(LinuxError) {
        let count = program.count / MemoryLayout<linux_sock_filter>.size
        guard count > 0, count <= 4096, program.count % MemoryLayout<linux_sock_filter>.size == 0 else {
            throw LinuxError("seccomp", errno: EINVAL)
        }
        _ = try retrying("seccomp") {
            program.withUnsafeBytes { raw in
                var filter = linux_sock_fprog()
                filter.len = UInt16(count)
                filter.filter = raw.baseAddress?.assumingMemoryBound(to: linux_sock_filter.self)
                return linux_seccomp(LINUX_SECCOMP_SET_MODE_FILTER, 0, &filter)
            }
        }
    }

    /// Blocks every signal that can be blocked.
    public static func blockAllSignals() throws(LinuxError) {
        var all = sigset_t()
        sigfillset(&all)
        guard sigprocmask(SIG_SETMASK, &all, nil) == 0 else { throw LinuxError(last: "sigprocmask") }
    }

    /// A descriptor that becomes readable when one of these (blocked) signals comes.
    public static func signalDescriptor(_ signals: [Int32]) throws(LinuxError) -> OwnedDescriptor {
        var set = sigset_t()
        sigemptyset(&set)
        for signal in signals { sigaddset(&set, signal) }
        return OwnedDescriptor(adopting: try retrying("signalfd") { linux_signalfd(&set) })
    }
}
