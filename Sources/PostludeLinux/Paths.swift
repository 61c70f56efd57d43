import CLinux
import Glibc

/// How openat2(2) may resolve a path.
public struct PathResolution: OptionSet, Hashable, Sendable {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    public static let noCrossing = PathResolution(rawValue: LINUX_RESOLVE_NO_XDEV)
    public static let noMagicLinks = PathResolution(rawValue: LINUX_RESOLVE_NO_MAGICLINKS)
    public static let noSymlinks = PathResolution(rawValue: LINUX_RESOLVE_NO_SYMLINKS)
    /// Fails when the path would leave the directory.
    public static let beneath = PathResolution(rawValue: LINUX_RESOLVE_BENEATH)
    /// Takes the directory for the root, symbolic links too.
    public static let inRoot = PathResolution(rawValue: LINUX_RESOLVE_IN_ROOT)
}

extension OwnedDescriptor {
    /// O_PATH: names a file without opening it; no permission or device filter is asked.
    public static let pathOnly: Int32 = LINUX_O_PATH

    /// Opens a path nobody trusts with openat2(2).
    public static func open(
        _ path: String, _ flags: Int32, mode: UInt32 = 0, at directory: Int32, resolving: PathResolution
    ) throws(LinuxError) -> OwnedDescriptor {
        var how = linux_open_how(
            flags: UInt64(UInt32(bitPattern: flags | O_CLOEXEC)), mode: UInt64(mode), resolve: resolving.rawValue)
        return OwnedDescriptor(
            adopting: try retrying("openat2", path) { () -> Int32 in linux_openat2(directory, path, &how) })
    }
}

/// Device numbers.
public enum DeviceNumber {
    public static func major(_ device: UInt64) -> UInt32 { linux_major(device) }
    public static func minor(_ device: UInt64) -> UInt32 { linux_minor(device) }
    public static func make(_ major: UInt32, _ minor: UInt32) -> UInt64 { linux_makedev(major, minor) }
}

/// Moves bytes out of a pipe without copying them through this process.
public enum Splice {
    public enum Outcome: Hashable, Sendable {
        case moved(Int)
        /// Nothing is in the pipe now.
        case empty
        /// Nothing is in it and nobody can write to it any more.
        case end
        case failed(Int32)
    }

    /// At most `count` bytes from the pipe to a file at its position (which must not be opened for appending).
    public static func move(from pipe: Int32, to file: Int32, count: Int) -> Outcome {
        while true {
            let moved = linux_splice(pipe, file, count, LINUX_SPLICE_F_MOVE | LINUX_SPLICE_F_NONBLOCK)
            if moved > 0 { return .moved(moved) }
            if moved == 0 { return .end }
            if errno == EINTR { continue }
            return errno == EAGAIN ? .empty : .failed(errno)
        }
    }
}

/// What statx(2) says that stat(2) does not.
public struct FileStatus: Hashable, Sendable {
    public var device: UInt64
    public var inode: UInt64
    /// Since the epoch; 0 where the file system does not keep it.
    public var bornNanoseconds: Int64
    /// The file's type, as `st_mode & S_IFMT` of stat(2) has it.
    public var type: UInt32

    /// Of the path itself, also when it is a link; nil when it cannot be seen.
    public init?(of path: String) {
        var status = statx()
        guard
            linux_statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, UInt32(STATX_TYPE | STATX_INO | STATX_BTIME), &status) == 0
        else { return nil }
        type = UInt32(status.stx_mode) & S_IFMT
        device = UInt64(status.stx_dev_major) << 32 | UInt64(status.stx_dev_minor)
        inode = status.stx_ino
        let isKept = status.stx_mask & UInt32(STATX_BTIME) != 0
        bornNanoseconds = isKept ? status.stx_btime.tv_sec &* 1_000_000_000 &+ Int64(status.stx_btime.tv_nsec) : 0
    }
}
