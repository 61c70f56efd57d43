import Glibc

/// The claim on a state directory; the kernel gives it up when the process ends, however it ends.
struct StateLock: ~Copyable, Sendable {
    private let descriptor: Int32

    /// How long the claim of a process that is dead is waited for.
    private static let patience = Duration.seconds(10)

    /// Takes `<directory>/lock`, or says who has it.
    init(directory: String) throws(StoreError) {
        let path = "\(directory)/lock"
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw .unusable(directory, String(cString: strerror(errno))) }
        let deadline = ContinuousClock.now + StateLock.patience
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            let pid = StateLock.text(of: descriptor)
            // An agent that was killed while it spawned a process leaves it a copy of the descriptor, until its exec.
            guard let pid, ContinuousClock.now < deadline, StateLock.isDead(pid) else {
                _ = close(descriptor)
                throw .alreadyInUse(directory, pid: pid)
            }
            usleep(10_000)
        }
        self.descriptor = descriptor
        // Only a help for people: on a full disk the claim holds without it.
        let line = "\(getpid())\n"
        if ftruncate(descriptor, 0) == 0 { _ = line.withCString { pwrite(descriptor, $0, strlen($0), 0) } }
    }

    deinit {
        // A process that is being spawned right now has a copy of the descriptor until its exec, and with it the claim.
        _ = flock(descriptor, LOCK_UN)
        _ = close(descriptor)
    }

    /// Whether the process is gone, or only waits for its parent to hear of its end.
    private static func isDead(_ pid: String) -> Bool {
        guard let number = pid_t(pid), kill(number, 0) == 0 || errno != ESRCH else { return true }
        let descriptor = open("/proc/\(number)/stat", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return errno == ENOENT }
        defer { _ = close(descriptor) }
        // The state is behind the name, which may have any characters (proc_pid_stat(5)).
        var buffer = [UInt8](repeating: 0, count: 512)
        let count = read(descriptor, &buffer, buffer.count)
        let text = buffer.prefix(max(0, count))
        guard let end = text.lastIndex(of: UInt8(ascii: ")")), end + 2 < text.endIndex else { return false }
        return text[end + 2] == UInt8(ascii: "Z") || text[end + 2] == UInt8(ascii: "X")
    }

    private static func text(of descriptor: Int32) -> String? {
        var buffer = [UInt8](repeating: 0, count: 32)
        let count = pread(descriptor, &buffer, buffer.count, 0)
        guard count > 0 else { return nil }
        let digits = buffer.prefix(count).filter { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        return digits.isEmpty ? nil : String(decoding: digits, as: UTF8.self)
    }
}
