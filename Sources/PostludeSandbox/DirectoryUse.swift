import Glibc
import PostludeCore
import PostludeLinux
import Synchronization

/// What a directory tree takes on its disk. The tree is a user's, who may change it meanwhile: it is walked by descriptors,
/// no link is followed, nothing but directories is opened, and what it takes to walk does not grow with the tree.
///
/// Not seen are files that have no name any more but are open still, and what is moved about during the walk.
public struct DirectoryUse: Sendable {
    /// How deep directories may lie in each other; each level is held open.
    public static let maximumDepth = 128

    private let path: String

    /// - Parameter path: nobody but the agent may rename what lies above it.
    public init(of path: String) { self.path = path }

    /// Lets a walk end before its time.
    public final class Stop: Sendable {
        private let isAsked = Atomic<Bool>(false)

        public init() {}

        public func ask() { isAsked.store(true, ordering: .relaxed) }

        var isDue: Bool { isAsked.load(ordering: .relaxed) }
    }

    /// Adds up blocks, as `du` does: a file with holes counts as what is written of it, one with several names once. What
    /// is mounted below is another file system's.
    ///
    /// - Parameters:
    ///   - entries: after so many the walk ends, and the result is not complete.
    ///   - mayGoOn: asked now and then; the walk ends likewise when it says no.
    /// - Returns: nil when the directory is not there or cannot be read, so that nothing is known of it.
    public func measured(
        entries: Int = .max, stop: Stop = Stop(), mayGoOn: () -> Bool = { true }
    ) -> DiskUse? {
        guard let root = Level(openat(AT_FDCWD, path, Level.flags)) else { return nil }
        var use = DiskUse()
        guard let status = root.status() else { return nil }
        use.add(status)
        var levels = [root]
        var seen = 0
        while let level = levels.last {
            guard let name = level.next() else {
                if level.hasFailed { use.isComplete = false }
                levels.removeLast()
                continue
            }
            seen += 1
            if seen > entries || stop.isDue || (seen & 1023 == 0 && !mayGoOn()) {
                use.isComplete = false
                return use
            }
            var status = stat()
            guard fstatat(level.descriptor, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else {
                // Removed since its name was read.
                if errno != ENOENT { use.isComplete = false }
                continue
            }
            use.add(status)
            guard status.st_mode & S_IFMT == S_IFDIR else { continue }
            guard levels.count < Self.maximumDepth else {
                use.isComplete = false
                use.isTooDeep = true
                continue
            }
            switch level.opened(name) {
            case .level(let below): levels.append(below)
            case .gone: continue
            case .closed: use.isComplete = false
            }
        }
        return use
    }
}

/// A directory that is being read.
private final class Level {
    enum Below {
        case level(Level)
        /// It is not there any more, is something else by now, or another file system is mounted there.
        case gone
        /// It cannot be read.
        case closed
    }

    static let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC

    let descriptor: Int32
    private let stream: OpaquePointer
    private(set) var hasFailed = false

    /// nil when there is no descriptor, or no memory for a stream.
    init?(_ descriptor: Int32) {
        guard descriptor >= 0 else { return nil }
        guard let stream = fdopendir(descriptor) else {
            _ = close(descriptor)
            return nil
        }
        self.descriptor = descriptor
        self.stream = stream
    }

    deinit { closedir(stream) }

    func status() -> stat? {
        var status = stat()
        return fstat(descriptor, &status) == 0 ? status : nil
    }

    /// Valid until the next call; nil at the end, or when reading failed.
    func next() -> UnsafePointer<CChar>? {
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                hasFailed = errno != 0
                return nil
            }
            guard let offset = MemoryLayout<dirent>.offset(of: \.d_name) else { return nil }
            let name = UnsafeRawPointer(entry).advanced(by: offset).assumingMemoryBound(to: CChar.self)
            if strcmp(name, ".") != 0, strcmp(name, "..") != 0 { return name }
        }
    }

    func opened(_ name: UnsafePointer<CChar>) -> Below {
        do {
            let below = try OwnedDescriptor.open(
                String(cString: name), O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: descriptor,
                resolving: [.beneath, .noSymlinks, .noMagicLinks, .noCrossing])
            return Level(below.release()).map(Below.level) ?? .closed
        } catch {
            switch error.errno {
            case ENOENT, ENOTDIR, ELOOP, EXDEV: return .gone
            default: return .closed
            }
        }
    }
}

extension DiskUse {
    /// A file with several names is met as often as it has some, and counts by its part each time.
    fileprivate mutating func add(_ status: stat) {
        let bytes = Int64(clamping: status.st_blocks).multipliedReportingOverflow(by: 512)
        let names = status.st_mode & S_IFMT == S_IFDIR ? 1 : max(1, Int64(clamping: status.st_nlink))
        self.bytes += bytes.overflow ? 0 : bytes.partialValue / names
        files += 1
    }
}

extension DiskSpace {
    /// What the file system has on which the path lies; nil when it cannot be asked.
    public init?(at path: String) {
        var status = statvfs()
        guard statvfs(path, &status) == 0 else { return nil }
        func bytes(_ blocks: fsblkcnt_t) -> Int64 {
            let (bytes, overflow) = UInt64(blocks).multipliedReportingOverflow(by: UInt64(status.f_frsize))
            return overflow ? .max : Int64(clamping: bytes)
        }
        self.init(
            availableBytes: bytes(status.f_bavail), totalBytes: bytes(status.f_blocks),
            availableFiles: Int64(clamping: status.f_favail), totalFiles: Int64(clamping: status.f_files))
    }
}
