import CLinux
import Glibc

/// A file descriptor with exactly one owner: closed once, on every path.
public struct OwnedDescriptor: ~Copyable, Sendable {
    public let rawValue: Int32

    /// Takes over a descriptor that nobody else closes.
    public init(adopting rawValue: Int32) { self.rawValue = rawValue }

    deinit { _ = close(rawValue) }

    /// Gives the descriptor up without closing it; the caller owns it now.
    public consuming func release() -> Int32 {
        let raw = rawValue
        discard self
        return raw
    }

    /// A second descriptor of the same open file, close-on-exec.
    public init(duplicating descriptor: Int32) throws(LinuxError) {
        self.init(adopting: try retrying("dup") { linux_fcntl(descriptor, F_DUPFD_CLOEXEC, 3) })
    }

    /// Opens `path` (relative to `directory` when given), close-on-exec always added.
    public static func open(
        _ path: String, _ flags: Int32, mode: mode_t = 0, at directory: Int32 = AT_FDCWD
    ) throws(LinuxError) -> OwnedDescriptor {
        OwnedDescriptor(
            adopting: try retrying("open", path) { openat_mode(directory, path, flags | O_CLOEXEC, mode) })
    }

    /// A pipe; both ends close-on-exec, the reading end non-blocking when asked.
    public static func pipe(readerNonBlocking: Bool = false) throws(LinuxError) -> Pipe {
        var ends: (Int32, Int32) = (-1, -1)
        let result = withUnsafeMutableBytes(of: &ends) { raw -> Int32 in
            linux_pipe2(raw.baseAddress?.assumingMemoryBound(to: Int32.self), O_CLOEXEC)
        }
        guard result == 0 else { throw LinuxError(last: "pipe2") }
        let pipe = Pipe(reader: OwnedDescriptor(adopting: ends.0), writer: OwnedDescriptor(adopting: ends.1))
        if readerNonBlocking { try pipe.reader.setNonBlocking() }
        return pipe
    }

    public borrowing func setNonBlocking() throws(LinuxError) {
        let flags = try retrying("fcntl") { linux_fcntl(rawValue, F_GETFL, 0) }
        _ = try retrying("fcntl") { linux_fcntl(rawValue, F_SETFL, Int(flags | O_NONBLOCK)) }
    }

    /// Whether it stays open over an exec; only for descriptors handed to a child on purpose.
    public borrowing func setInheritable(_ inheritable: Bool) throws(LinuxError) {
        _ = try retrying("fcntl") { linux_fcntl(rawValue, F_SETFD, inheritable ? 0 : Int(FD_CLOEXEC)) }
    }

    public borrowing func status() throws(LinuxError) -> stat {
        var status = stat()
        guard fstat(rawValue, &status) == 0 else { throw LinuxError(last: "fstat") }
        return status
    }

    /// Writes all of it, at the descriptor's position.
    public borrowing func write(_ bytes: [UInt8]) throws(LinuxError) {
        try writeAll(bytes, to: rawValue)
    }

    /// Returns when all that was written to its file system is on the disk.
    public borrowing func syncFileSystem() throws(LinuxError) {
        _ = try retrying("syncfs") { linux_syncfs(rawValue) }
    }

    /// Reads to the end of the file, at most `limit` bytes.
    public borrowing func readAll(limit: Int = 1 << 24) throws(LinuxError) -> [UInt8] {
        try readToEnd(rawValue, limit: limit)
    }
}

/// Both ends of a pipe or of a socket pair (then `reader` and `writer` are its two sides).
@frozen
public struct Pipe: ~Copyable, Sendable {
    public var reader: OwnedDescriptor
    public var writer: OwnedDescriptor

    public init(reader: consuming OwnedDescriptor, writer: consuming OwnedDescriptor) {
        self.reader = reader
        self.writer = writer
    }
}

/// openat(2) with a mode; the library's is variadic.
@inline(__always)
func openat_mode(_ directory: Int32, _ path: String, _ flags: Int32, _ mode: mode_t) -> Int32 {
    openat(directory, path, flags, mode)
}

/// Writes every byte, going on after short writes and signals.
public func writeAll(_ bytes: [UInt8], to descriptor: Int32) throws(LinuxError) {
    var offset = 0
    while offset < bytes.count {
        let start = offset
        offset += try retrying("write") { () -> Int in
            bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress.map { $0 + start }, $0.count - start) }
        }
    }
}

/// Reads until end of file; a longer file is cut at `limit` bytes.
public func readToEnd(_ descriptor: Int32, limit: Int = 1 << 24) throws(LinuxError) -> [UInt8] {
    var bytes: [UInt8] = []
    var size = 4096
    while bytes.count < limit {
        let room = min(size, limit - bytes.count)
        var failure: Int32 = 0
        let chunk = [UInt8](unsafeUninitializedCapacity: room) { buffer, count in
            var got = Glibc.read(descriptor, buffer.baseAddress, room)
            while got < 0 && errno == EINTR { got = Glibc.read(descriptor, buffer.baseAddress, room) }
            if got < 0 { failure = errno }
            count = max(0, got)
        }
        if failure != 0 { throw LinuxError("read", errno: failure) }
        if chunk.isEmpty { break }
        bytes += chunk
        // A short read is not the end for files of procfs and sysfs: go on until a read gives nothing.
        size = min(1 << 20, size * 2)
    }
    return bytes
}

/// A whole small file, such as one of /proc or of a cgroup.
public func readFile(_ path: String, at directory: Int32 = AT_FDCWD, limit: Int = 1 << 24) throws(LinuxError) -> [UInt8]
{
    let file = try OwnedDescriptor.open(path, O_RDONLY, at: directory)
    return try file.readAll(limit: limit)
}

/// A file of procfs, sysfs or a cgroup whose content the kernel gives with one read when it fits into a page.
public func readSmallFile(_ path: String, at directory: Int32 = AT_FDCWD) throws(LinuxError) -> [UInt8] {
    let file = try OwnedDescriptor.open(path, O_RDONLY, at: directory)
    let raw = file.rawValue
    var failure: Int32 = 0
    let bytes = [UInt8](unsafeUninitializedCapacity: 4096) { buffer, count in
        let got = Glibc.read(raw, buffer.baseAddress, 4096)
        if got < 0 { failure = errno }
        count = max(0, got)
    }
    if failure == EINTR || bytes.count == 4096 { return try readFile(path, at: directory) }
    if failure != 0 { throw LinuxError("read", path, errno: failure) }
    return bytes
}

/// The same as text; bytes that are not UTF-8 are replaced.
public func readText(_ path: String, at directory: Int32 = AT_FDCWD) throws(LinuxError) -> String {
    String(decoding: try readFile(path, at: directory), as: UTF8.self)
}

/// Writes `value` with one call, as cgroup and proc files want it.
public func writeFile(_ path: String, _ value: String, at directory: Int32 = AT_FDCWD) throws(LinuxError) {
    let file = try OwnedDescriptor.open(path, O_WRONLY, at: directory)
    var text = value
    let written = try retrying("write", path) { () -> Int in
        text.withUTF8 { Glibc.write(file.rawValue, $0.baseAddress, $0.count) }
    }
    guard written == value.utf8.count else { throw LinuxError("write", path, errno: EIO) }
}
