import Glibc

/// The claim on a state directory; the kernel gives it up when the process ends, however it ends.
struct StateLock: ~Copyable, Sendable {
    private let descriptor: Int32

    /// Takes `<directory>/lock`, or says who has it.
    init(directory: String) throws(StoreError) {
        let path = "\(directory)/lock"
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw .unusable(directory, String(cString: strerror(errno))) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let pid = StateLock.text(of: descriptor)
            _ = close(descriptor)
            throw .alreadyInUse(directory, pid: pid)
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

    private static func text(of descriptor: Int32) -> String? {
        var buffer = [UInt8](repeating: 0, count: 32)
        let count = pread(descriptor, &buffer, buffer.count, 0)
        guard count > 0 else { return nil }
        let digits = buffer.prefix(count).filter { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        return digits.isEmpty ? nil : String(decoding: digits, as: UTF8.self)
    }
}
