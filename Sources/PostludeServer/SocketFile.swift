import Glibc
import Synchronization

/// The file a unix socket is reached by.
final class SocketFile: Sendable {
    let path: String
    /// The system's agent serves every user and tells them apart by SO_PEERCRED; a user's own serves that user.
    let isShared: Bool
    /// The file that this process made, so that it never removes another's at the same path.
    private let own = Mutex<Identity?>(nil)

    private struct Identity: Hashable {
        var device: UInt64
        var inode: UInt64

        init(_ info: stat) {
            device = UInt64(info.st_dev)
            inode = UInt64(info.st_ino)
        }
    }

    init(path: String, isShared: Bool) {
        self.path = path
        self.isShared = isShared
    }

    /// Makes the directory, and checks that the path can be a socket's and that nobody listens there.
    func prepare() throws {
        // sun_path has 108 bytes with the closing NUL (unix(7)).
        guard path.utf8.count <= 107, path.hasPrefix("/") else {
            throw ServerError.badSocket(
                path, "a socket's path is absolute and has at most 107 bytes", hint: "Set `socket` to a shorter path.")
        }
        try makeDirectory(String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)]))
        var info = stat()
        guard lstat(path, &info) == 0 else {
            guard errno == ENOENT else {
                throw ServerError.badSocket(
                    path, String(cString: strerror(errno)),
                    hint: "Set `socket` to a path in a directory of the agent's.")
            }
            return
        }
        guard info.st_mode & S_IFMT == S_IFSOCK else {
            throw ServerError.badSocket(
                path, "there is a file of another kind", hint: "Move it away, or set `socket` to another path.")
        }
        guard try isStale() else { throw ServerError.socketInUse(path) }
    }

    /// Lets its users in; until then only the agent's own user could connect.
    func open() throws {
        var info = stat()
        guard lstat(path, &info) == 0 else { throw cannotOpen() }
        own.withLock { $0 = Identity(info) }
        guard chmod(path, isShared ? 0o666 : 0o600) == 0 else { throw cannotOpen() }
    }

    /// Removes the file if it is still the one that was opened here.
    func remove() {
        var info = stat()
        guard lstat(path, &info) == 0, own.withLock({ $0 }) == Identity(info) else { return }
        _ = unlink(path)
    }

    private func cannotOpen() -> ServerError {
        ServerError.badSocket(path, String(cString: strerror(errno)), hint: "Check its directory's owner.")
    }

    /// Whether the file is what an agent that died left: the kernel refuses connections that nobody listens for.
    private func isStale() throws -> Bool {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        // Not blocking: connect(2) otherwise waits while the listener's queue is full.
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let descriptor = socket(AF_UNIX, kind, 0)
        guard descriptor >= 0 else {
            throw ServerError.badSocket(
                path, String(cString: strerror(errno)), hint: "Check the limit of open files (ulimit -n).")
        }
        defer { _ = close(descriptor) }
        let code = withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        return code != 0 && (errno == ECONNREFUSED || errno == ENOENT)
    }

    private func makeDirectory(_ directory: String) throws {
        guard !directory.isEmpty, mkdir(directory, isShared ? 0o755 : 0o700) != 0, errno != EEXIST else { return }
        guard errno == ENOENT else {
            throw ServerError.badSocket(
                path, "cannot make '\(directory)': \(String(cString: strerror(errno)))",
                hint: "Make the directory, or set `socket` to another path.")
        }
        try makeDirectory(String(directory[..<(directory.lastIndex(of: "/") ?? directory.startIndex)]))
        try makeDirectory(directory)
    }
}
