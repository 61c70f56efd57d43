import Glibc
import PostludeLinux

/// The root file system of an image, as a directory of the host that is held open. Whatever is asked about it is looked up
/// beneath this very directory, and no link of the image's leads out of it.
final class ImageRoot: Sendable {
    let path: String
    private let directory: OwnedDescriptor

    /// - Throws: `sandbox.image-missing` when there is no such directory.
    init(_ path: String) throws(SandboxError) {
        self.path = path
        do {
            directory = try OwnedDescriptor.open(
                path, OwnedDescriptor.pathOnly | O_DIRECTORY, at: AT_FDCWD, resolving: [.noSymlinks, .noMagicLinks])
        } catch {
            if error.errno == EMFILE || error.errno == ENFILE { throw .outOfDescriptors(errno: error.errno) }
            throw SandboxError(
                code: "sandbox.image-missing",
                message: "The root file system '\(path)' cannot be opened: \(errorText(error.errno)).",
                hint: "Correct `images` in the agent's configuration.")
        }
    }

    /// What is at an absolute path of the image when no link is followed; nil when nothing is, or a link is on the way.
    func kind(of path: String) -> HostRoot.Kind? {
        do {
            let place = try open(path, OwnedDescriptor.pathOnly | O_NOFOLLOW, [.beneath, .noSymlinks])
            return Self.kind(try place.status(), in: place.rawValue, name: "")
        } catch {
            return nil
        }
    }

    /// What is in a directory of the image, by name; sockets, pipes and device nodes are left out.
    func entries(of path: String) throws(SandboxError) -> [HostRoot.Entry] {
        let held: Int32
        do {
            held = try open(path, O_RDONLY | O_DIRECTORY, [.beneath, .noSymlinks]).release()
        } catch {
            throw .hostUnreadable(self.path + path, errno: error.errno)
        }
        guard let stream = fdopendir(held) else {
            close(held)
            throw .hostUnreadable(self.path + path, errno: errno)
        }
        defer { closedir(stream) }
        var entries: [HostRoot.Entry] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard name != ".", name != ".." else { continue }
            var status = stat()
            guard fstatat(dirfd(stream), name, &status, AT_SYMLINK_NOFOLLOW) == 0,
                let kind = Self.kind(status, in: dirfd(stream), name: name)
            else { continue }
            entries.append(HostRoot.Entry(name: name, kind: kind))
        }
        return entries.sorted { $0.name < $1.name }
    }

    /// The file's path in the image when links are followed as they are inside, and its status; nil when it is not there.
    func resolve(_ path: String) throws(LinuxError) -> (path: String, status: stat, mayExecute: Bool) {
        let file = try open(path, OwnedDescriptor.pathOnly, [.inRoot, .noMagicLinks])
        guard let found = readLink("/proc/self/fd/\(file.rawValue)"), InsideView.contains(self.path, found) else {
            throw LinuxError("openat2", path, errno: ENOENT)
        }
        let inside = String(found.dropFirst(self.path.count))
        let mayExecute = faccessat(file.rawValue, "", X_OK, AT_EACCESS | Self.emptyPath) == 0
        return (inside.isEmpty ? "/" : inside, try file.status(), mayExecute)
    }

    /// A file or directory of the image that no link leads to, to be shown.
    func source(_ path: String) throws(SandboxError) -> OwnedDescriptor {
        do {
            return try open(path, OwnedDescriptor.pathOnly | O_NOFOLLOW, [.beneath, .noSymlinks])
        } catch {
            if error.errno == EMFILE || error.errno == ENFILE { throw .outOfDescriptors(errno: error.errno) }
            throw .hostUnreadable(self.path + path, errno: error.errno)
        }
    }

    /// The content of a small file of the image that no link leads to; nil when there is none.
    func text(of path: String) -> String? {
        guard case .file? = kind(of: path) else { return nil }
        do {
            let file = try open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, [.beneath, .noSymlinks])
            return String(decoding: try file.readAll(limit: 1 << 20), as: UTF8.self)
        } catch {
            return nil
        }
    }

    private static let emptyPath: Int32 = 0x1000

    private func open(
        _ path: String, _ flags: Int32, _ resolving: PathResolution
    ) throws(LinuxError) -> OwnedDescriptor {
        let relative = path.drop { $0 == "/" }
        return try OwnedDescriptor.open(
            relative.isEmpty ? "." : String(relative), flags, at: directory.rawValue, resolving: resolving)
    }

    private static func kind(_ status: stat, in directory: Int32, name: String) -> HostRoot.Kind? {
        switch status.st_mode & S_IFMT {
        case S_IFDIR: return .directory
        case S_IFREG: return .file
        case S_IFLNK: return readLink(name, in: directory).map(HostRoot.Kind.link)
        case _: return nil
        }
    }
}
