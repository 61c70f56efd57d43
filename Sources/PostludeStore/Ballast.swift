import Glibc

/// A file that takes some space for nothing, so that there is space for what must be written down on a disk that is full.
///
/// Submissions are refused long before (`DiskReserve`), but a run may fill the rest faster than it is ended. Then that it
/// ended would not be stored before somebody makes room, and nobody would be told to.
final class Ballast: Sendable {
    /// Enough for the ends of some thousand runs.
    static let bytes: off_t = 4 << 20

    private let path: String

    init(path: String) { self.path = path }

    /// Takes the space where it is not taken yet and the disk has plenty; else another time.
    func fill() {
        guard access(path, F_OK) != 0 else { return }
        var disk = statvfs()
        let directory = path.prefix(upTo: path.lastIndex(of: "/") ?? path.startIndex)
        guard statvfs(String(directory), &disk) == 0,
            UInt64(disk.f_bavail) * UInt64(disk.f_frsize) >= 16 * UInt64(Self.bytes)
        else { return }
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { return }
        defer { close(file) }
        if posix_fallocate(file, 0, Self.bytes) != 0 { unlink(path) }
    }

    /// Gives the space back; false when it was given back already.
    func drop() -> Bool { unlink(path) == 0 }
}
