import Glibc
import PostludeLinux

/// A directory with all that is in it.
enum FileTree {
    /// Removes it, and what is in it; follows no link, and goes into no file system that is mounted in it. What cannot be
    /// removed stays, for the next time.
    static func remove(_ path: String) {
        removeEntry(path, in: AT_FDCWD, of: nil)
    }

    private static func removeEntry(_ name: String, in parent: Int32, of device: dev_t?) {
        if unlinkat(parent, name, 0) == 0 || errno == ENOENT { return }
        do throws(LinuxError) {
            let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW
            // Without root a directory that its owner may not read or change has to be opened first.
            if geteuid() != 0 { fchmodat(parent, name, 0o700, AT_SYMLINK_NOFOLLOW) }
            let directory = try OwnedDescriptor.open(name, flags, at: parent)
            let own = try directory.status().st_dev
            guard device == nil || device == own else { return }
            for child in try children(of: directory) { removeEntry(child, in: directory.rawValue, of: own) }
        } catch {
            return
        }
        unlinkat(parent, name, AT_REMOVEDIR)
    }

    private static func children(of directory: borrowing OwnedDescriptor) throws(LinuxError) -> [String] {
        let copy = try OwnedDescriptor(duplicating: directory.rawValue).release()
        guard let stream = fdopendir(copy) else {
            close(copy)
            throw LinuxError(last: "fdopendir")
        }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }
}
