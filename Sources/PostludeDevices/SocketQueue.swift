import Glibc

/// Descriptors that were sent through a unix socket and not received yet: no process has them open, until one receives
/// them.
struct SocketQueue {
    /// /proc/<pid>/fdinfo, opened for the first socket; -1 before.
    private var directory: Int32 = -1
    private let process: Int32

    /// - Parameter process: /proc/<pid>, or that of a thread, which stays open for as long.
    init(of process: Int32) { self.process = process }

    /// - Parameter name: the socket's number, as its entry in /proc/<pid>/fd says it.
    /// - Throws: the errno of a failure; a socket or process that is gone holds nothing.
    mutating func holdsDescriptors(_ name: UnsafePointer<CChar>) throws(Failure) -> Bool {
        if directory < 0 {
            directory = openat(process, "fdinfo", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            if directory < 0 { return try Self.nothing(errno) }
        }
        let file = openat(directory, name, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return try Self.nothing(errno) }
        defer { _ = Glibc.close(file) }
        var count = QueuedCount()
        // To the end: locks on the socket come first in the file, and there may be any number of them.
        while true {
            let (length, code) = withUnsafeTemporaryAllocation(byteCount: Self.chunk, alignment: 1) { buffer in
                let length = read(file, buffer.baseAddress, buffer.count)
                let code = errno
                if length > 0 { buffer[..<length].forEach { count.take($0) } }
                return (length, code)
            }
            if length < 0 {
                if code == EINTR { continue }
                return try Self.nothing(code)
            }
            // The kernel writes the whole text at once, so what does not fill the buffer is its end.
            guard length == Self.chunk, count.value == 0 else { return count.value > 0 }
        }
    }

    private static let chunk = 4096

    mutating func close() {
        if directory >= 0 { _ = Glibc.close(directory) }
        directory = -1
    }

    struct Failure: Error { var errno: Int32 }

    private static func nothing(_ code: Int32) throws(Failure) -> Bool {
        guard code == ENOENT || code == ESRCH else { throw Failure(errno: code) }
        return false
    }
}

/// Reads `scm_fds: <number>` from the lines of a socket's fdinfo (unix(7) sockets have it), byte by byte.
struct QueuedCount {
    private(set) var value: UInt64 = 0
    /// How much of the key the line has matched; -1 for another line.
    private var matched = 0
    private static let key: StaticString = "scm_fds:"

    mutating func take(_ byte: UInt8) {
        if byte == UInt8(ascii: "\n") {
            matched = 0
        } else if matched == Self.key.utf8CodeUnitCount {
            if (0x30...0x39).contains(byte) { value = value &* 10 &+ UInt64(byte - 0x30) }
        } else if matched >= 0 {
            matched = byte == Self.key.utf8Start[matched] ? matched + 1 : -1
        }
    }
}
