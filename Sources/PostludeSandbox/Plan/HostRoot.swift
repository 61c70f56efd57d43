import Glibc
import PostludeLinux

/// The entries of the host's root directory, which the root inside is made of.
struct HostRoot: Hashable, Sendable {
    enum Kind: Hashable, Sendable {
        case directory
        case file
        case link(String)
    }

    struct Entry: Hashable, Sendable {
        var name: String
        var kind: Kind
        /// Which file it is, so that one that was replaced under its name is noticed; nil of a link.
        var identity: FileIdentity?
    }

    /// By name.
    var entries: [Entry]

    /// Lists `/`; sockets, pipes and device nodes in it are left out.
    static func read() throws(SandboxError) -> HostRoot {
        guard let stream = opendir("/") else { throw .hostUnreadable("/", errno: errno) }
        defer { closedir(stream) }
        var entries: [Entry] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard name != ".", name != ".." else { continue }
            guard let status = FileStatus(of: "/" + name) else { continue }
            switch status.type {
            case S_IFDIR: entries.append(Entry(name: name, kind: .directory, identity: FileIdentity(status)))
            case S_IFREG: entries.append(Entry(name: name, kind: .file, identity: FileIdentity(status)))
            case S_IFLNK:
                if let text = readLink("/" + name) { entries.append(Entry(name: name, kind: .link(text))) }
            case _: continue
            }
        }
        return HostRoot(entries: entries.sorted { $0.name < $1.name })
    }
}

/// A file, whatever its names are. Numbers of inodes are used again at once on some file systems, so the time of its
/// making belongs to it, where the file system keeps that.
struct FileIdentity: Hashable, Sendable {
    private var device: UInt64
    private var inode: UInt64
    private var born: Int64

    init(_ file: FileStatus) {
        device = file.device
        inode = file.inode
        born = file.bornNanoseconds
    }
}

/// The text of a symbolic link, relative to an open directory when one is given; nil when it cannot be read.
func readLink(_ path: String, in directory: Int32 = AT_FDCWD) -> String? {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = buffer.withUnsafeMutableBytes { raw in
        raw.withMemoryRebound(to: CChar.self) { text in
            text.baseAddress.map { readlinkat(directory, path, $0, text.count) } ?? -1
        }
    }
    guard count > 0 else { return nil }
    return String(decoding: buffer[..<count], as: UTF8.self)
}

extension SandboxError {
    static func hostUnreadable(_ path: String, errno: Int32) -> SandboxError {
        SandboxError(
            code: "sandbox.host-unreadable", message: "Cannot read '\(path)' on the host: \(errorText(errno)).",
            hint: errno == EACCES || errno == EPERM ? "Run postluded as root." : nil,
            isTemporary: isShortage(errno))
    }
}
