import Glibc

/// A mapping of a file, as /proc/<pid>/maps tells of it.
struct FileMapping: Hashable {
    var start: UInt64
    var end: UInt64
    /// Of the file system: major in the upper, minor in the lower half.
    var device: UInt64
    var inode: UInt64

    /// The entry in map_files, which does not pad addresses with zeros as maps does.
    var name: String { "\(String(start, radix: 16))-\(String(end, radix: 16))" }
}

/// The file mappings of processes, one process after the other.
///
/// Linux 6.11 and newer answer for one mapping at a time and say no more than what is asked for; older ones write all
/// of them down as text, with the paths, which takes three times as long.
struct FileMappings: ~Copyable {
    private var lines = LineBuffer(capacity: 64 << 10)
    /// Whether the kernel answers questions; found out with the first.
    private var asks: Bool

    /// - Parameter asks: false reads the text on every kernel.
    init(asks: Bool = true) { self.asks = asks }

    /// Calls `body` with each mapping of a file in an open /proc/<pid>/maps; returns whether there was anything.
    ///
    /// - Throws: the errno of a failure; ESRCH when the process has no memory any more.
    mutating func read(
        _ maps: Int32, _ body: (FileMapping) -> Void
    ) throws(ProcessDirectory.Failure) -> Bool {
        var sawSomething = false
        while asks {
            var query = Query()
            while query.next(in: maps) {
                sawSomething = true
                body(query.mapping)
            }
            switch query.failure {
            case ENOENT: return sawSomething
            case ENOTTY, EINVAL:
                // Before 6.11. The first question of all is answered so, before anything was found.
                asks = false
            case let failure: throw ProcessDirectory.Failure(errno: failure)
            }
        }
        return try lines.read(maps) { text in
            if let mapping = FileMapping(text) { body(mapping) }
        }
    }
}

/// `struct procmap_query` of linux/fs.h: asks for the next mapping of a file at or after an address.
private struct Query {
    // PROCMAP_QUERY: _IOWR('f', 17, struct procmap_query)
    private static let request: UInt = 0xc068_6611
    // PROCMAP_QUERY_COVERING_OR_NEXT_VMA, PROCMAP_QUERY_FILE_BACKED_VMA
    private static let flags: UInt64 = 0x10 | 0x20

    private var raw: Layout = (104, flags, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    /// errno of the last question, if it was not answered.
    private(set) var failure: Int32 = 0

    private typealias Layout = (
        size: UInt64, flags: UInt64, address: UInt64, start: UInt64, end: UInt64, access: UInt64, pageSize: UInt64,
        offset: UInt64, inode: UInt64, major: UInt32, minor: UInt32, nameSize: UInt32, buildIDSize: UInt32,
        name: UInt64, buildID: UInt64
    )

    var mapping: FileMapping {
        FileMapping(
            start: raw.start, end: raw.end, device: UInt64(raw.major) << 32 | UInt64(raw.minor), inode: raw.inode)
    }

    /// Goes on to the next mapping; false when there is none, or the question failed.
    mutating func next(in maps: Int32) -> Bool {
        // Zero at first.
        raw.address = raw.end
        while withUnsafeMutablePointer(to: &raw, { ioctl(maps, Self.request, UnsafeMutableRawPointer($0)) }) != 0 {
            if errno == EINTR || errno == EAGAIN { continue }
            failure = errno
            return false
        }
        return true
    }
}
