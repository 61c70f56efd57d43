import Glibc
import PostludeLinux
import PostludePlan

/// The new root of a step, built by the plan's operations; used inside the step's mount namespace.
///
/// Targets are resolved with the new root as root, so that no symbolic link leads out. Missing mount points are made
/// only on file systems this type mounted, known by their device number: nothing is created on the host. Descriptors
/// stay open until everything is closed at once before the program starts.
struct RootFileSystem: ~Copyable {
    private let base: Int32
    private var ownDevices: [dev_t]
    private var trees: ArraySlice<Int32>
    /// Directories on file systems of ours, by the path that leads to them now.
    private var known: [(path: String, descriptor: Int32)]
    /// The first mask of a directory, which later ones copy; -1 before.
    private var emptyDirectory: Int32 = -1
    /// The same of a file.
    private var emptyFile: Int32 = -1
    /// /proc/sys as it is below its read-only cover; -1 without a user namespace, which alone has use for it.
    private(set) var system: Int32 = -1

    /// Puts `base`, an unattached tmpfs, over the root of the namespace.
    init(base: Int32, trees: [Int32]) throws(LinuxError) {
        try Mounts.attach(base, in: AT_FDCWD, at: "/")
        var status = stat()
        guard fstat(base, &status) == 0 else { throw LinuxError(last: "fstat") }
        self.trees = trees[...]
        self.base = base
        ownDevices = [status.st_dev]
        known = [("", base)]
    }

    /// The file system that becomes a root; made ahead where possible.
    static func makeBase() throws(LinuxError) -> OwnedDescriptor {
        try Mounts.fileSystem(
            "tmpfs", options: [("size", "1m"), ("nr_inodes", "4096"), ("mode", "755")],
            attributes: [.noSetuid, .noDevices])
    }

    mutating func perform(_ operation: MountOperation) throws(LinuxError) {
        switch operation {
        case .bind(_, let target, _, _, _):
            guard let tree = trees.popFirst() else { throw LinuxError("bind", target, errno: EBADF) }
            var status = stat()
            guard fstat(tree, &status) == 0 else { throw LinuxError(last: "fstat", target) }
            try attach(tree, at: target, isDirectory: status.st_mode & S_IFMT == S_IFDIR)
        case .tmpfs(let target, let bytes, let inodes, let mode, let noExec):
            try mountTemporary(at: target, bytes: bytes, inodes: inodes, mode: mode, noExec: noExec)
        case .proc(let target):
            let proc = try Mounts.fileSystem("proc", attributes: [.noSetuid, .noDevices, .noExec]).release()
            try attach(proc, at: target, isDirectory: true)
            try restrictProc(proc)
        case .devpts(let target):
            // In a user's own namespace there is no group tty to give terminals to.
            let options = [("mode", "0620"), ("ptmxmode", "0666")] + (Rootless.isInForce ? [] : [("gid", "5")])
            let pts = try Mounts.fileSystem("devpts", options: options, attributes: [.noSetuid, .noExec])
            try attach(pts.release(), at: target, isDirectory: true)
        case .mqueue(let target):
            let queue = try Mounts.fileSystem("mqueue", attributes: [.noSetuid, .noDevices, .noExec])
            try attach(queue.release(), at: target, isDirectory: true)
        case .directory(let target, let mode, let uid, let gid):
            try makeDirectory(target, mode: mode, uid: uid, gid: gid)
        case .symlink(let target, let text):
            let place = try ownParent(of: target)
            guard symlinkat(text, place.parent, place.name) == 0 else { throw LinuxError(last: "symlinkat", target) }
        case .file(let target, let content, let mode, let uid, let gid):
            try makeFile(target, content, mode: mode, uid: uid, gid: gid)
        case .mask(let target):
            try mask(target)
        case .readOnly(let target):
            try makeReadOnly(target)
        }
    }

    /// Makes it the root of this process; the host's is gone from its namespace then.
    mutating func pivot() throws(LinuxError) {
        try Mounts.pivot(to: base)
        known = [("", base)]
    }

    /// What stays open between the template and the plan.
    var descriptors: [Int32] { [base, emptyDirectory, emptyFile, system].filter { $0 >= 0 } }

    /// Takes the mount trees of the operations that follow.
    mutating func take(_ more: [Int32]) { trees = more[...] }

    /// Closes what is left open to writing.
    consuming func seal() throws(LinuxError) {
        try Mounts.set([.readOnly], on: base, recursive: false)
    }

    // MARK: mounts

    private mutating func attach(_ tree: Int32, at target: String, isDirectory: Bool) throws(LinuxError) {
        if let place = try existing(target, unless: isDirectory) {
            try Mounts.attach(tree, to: place.rawValue)
            // What was known below is covered now.
            known.removeAll { $0.path == target || $0.path.hasPrefix(target + "/") }
            return
        }
        let place = try ownParent(of: target)
        try Mounts.attach(tree, in: place.parent, at: place.name)
    }

    private mutating func mountTemporary(
        at target: String, bytes: UInt64, inodes: UInt64, mode: UInt32, noExec: Bool
    ) throws(LinuxError) {
        var attributes: MountAttributes = [.noSetuid, .noDevices]
        if noExec { attributes.insert(.noExec) }
        let options = [
            ("size", "\(bytes)"), ("nr_inodes", "\(inodes)"), ("mode", String(mode & 0o7777, radix: 8)),
        ]
        let mount = try Mounts.fileSystem("tmpfs", options: options, attributes: attributes).release()
        var status = stat()
        guard fstat(mount, &status) == 0 else { throw LinuxError(last: "fstat", target) }
        try attach(mount, at: target, isDirectory: true)
        ownDevices.append(status.st_dev)
        if target.utf8.last != UInt8(ascii: "/") { known.append((target, mount)) }
    }

    /// What of procfs changes or shows the host: written to it could (as uid 0, without any capability), read from it
    /// might.
    private mutating func restrictProc(_ proc: Int32) throws(LinuxError) {
        if Rootless.isInForce {
            system = try OwnedDescriptor.open("sys", OwnedDescriptor.pathOnly | O_DIRECTORY, at: proc).release()
        }
        // What kernels have there differs by their configuration (`dynamic_debug`, `mtrr`, drivers' own), so it is not a
        // list: everything but the processes' directories that is, or may hold, a file to write to.
        for name in try Self.writable(in: proc) {
            let copy = try Mounts.cloneTree(of: proc, path: name, recursive: true, adding: [.readOnly])
            try Mounts.attach(copy.rawValue, in: proc, at: name)
        }
        for name in [
            "kcore", "keys", "latency_stats", "timer_list", "scsi", "acpi", "slabinfo", "vmallocinfo", "pagetypeinfo",
            "kpagecount", "kpageflags", "kpagecgroup", "pressure",
        ] {
            do throws(LinuxError) {
                let place = try OwnedDescriptor.open(name, OwnedDescriptor.pathOnly | O_NOFOLLOW, at: proc)
                try cover(place)
            } catch {
                if error.errno != ENOENT { throw error }
            }
        }
    }

    /// Directories that are no process's, and files that anybody may write to, at the top of a procfs.
    private static func writable(in proc: Int32) throws(LinuxError) -> [String] {
        let directory = try OwnedDescriptor.open(".", O_RDONLY | O_DIRECTORY, at: proc).release()
        guard let stream = fdopendir(directory) else {
            close(directory)
            throw LinuxError(last: "fdopendir", "/proc")
        }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard name != ".", name != "..", name.first?.isNumber == false else { continue }
            var status = stat()
            guard fstatat(proc, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { continue }
            let isFile = status.st_mode & S_IFMT == S_IFREG && status.st_mode & 0o222 != 0
            if isFile || status.st_mode & S_IFMT == S_IFDIR { names.append(name) }
        }
        return names
    }

    private mutating func mask(_ target: String) throws(LinuxError) {
        if let place = try existing(target) { try cover(place) }
    }

    private mutating func cover(_ place: borrowing OwnedDescriptor) throws(LinuxError) {
        if try place.status().st_mode & S_IFMT != S_IFDIR {
            let null = try Mounts.cloneTree(
                of: emptyFile >= 0 ? emptyFile : AT_FDCWD, path: emptyFile >= 0 ? "" : "/dev/null", recursive: false,
                adding: [.readOnly, .noSetuid, .noExec])
            try Mounts.attach(null.rawValue, to: place.rawValue)
            if emptyFile < 0 { emptyFile = null.release() }
        } else if emptyDirectory >= 0 {
            let copy = try Mounts.cloneTree(of: emptyDirectory, recursive: false, adding: [.readOnly])
            try Mounts.attach(copy.rawValue, to: place.rawValue)
        } else {
            let empty = try Mounts.fileSystem(
                "tmpfs", options: [("size", "4k"), ("nr_inodes", "2"), ("mode", "555")],
                attributes: [.readOnly, .noSetuid, .noDevices, .noExec])
            try Mounts.attach(empty.rawValue, to: place.rawValue)
            emptyDirectory = empty.release()
        }
    }

    private func makeReadOnly(_ target: String) throws(LinuxError) {
        guard let place = try existing(target) else { throw LinuxError("openat2", target, errno: ENOENT) }
        do {
            try Mounts.set([.readOnly], on: place.rawValue, recursive: false)
        } catch {
            // Not the root of a mount: it becomes one.
            guard error.errno == EINVAL else { throw error }
            let copy = try Mounts.cloneTree(of: place.rawValue, recursive: true, adding: [.readOnly])
            try Mounts.attach(copy.rawValue, to: place.rawValue)
        }
    }

    // MARK: places

    private func existing(_ target: String) throws(LinuxError) -> OwnedDescriptor? {
        do {
            return try OwnedDescriptor.open(
                target, OwnedDescriptor.pathOnly, at: base, resolving: [.inRoot, .noMagicLinks])
        } catch {
            if error.errno == ENOENT { return nil }
            throw error
        }
    }

    /// nil after making the missing place itself, a directory or an empty file, on a file system of ours.
    private mutating func existing(_ target: String, unless isDirectory: Bool) throws(LinuxError) -> OwnedDescriptor? {
        let parent = Self.split(target).parent
        if !known.contains(where: { $0.path == parent }), let place = try existing(target) { return place }
        let place = try ownParent(of: target)
        if isDirectory {
            if mkdirat(place.parent, place.name, 0o755) == 0 { return nil }
        } else {
            let file = openat(place.parent, place.name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0o644)
            if file >= 0 {
                _ = close(file)
                return nil
            }
        }
        guard errno == EEXIST else { throw LinuxError(last: "mkdirat", target) }
        return try existing(target)
    }

    /// The directory that holds `target`, on a file system of ours; missing ones are made.
    private mutating func ownParent(of target: String) throws(LinuxError) -> (parent: Int32, name: String) {
        let (parent, name) = Self.split(target)
        guard !name.isEmpty, name != "." else { throw LinuxError("mkdir", target, errno: EEXIST) }
        if let directory = known.last(where: { $0.path == parent }) { return (directory.descriptor, name) }
        let directory: OwnedDescriptor
        if let there = try existing(parent.isEmpty ? "/" : parent) {
            directory = there
        } else {
            let upper = try ownParent(of: parent)
            guard mkdirat(upper.parent, upper.name, 0o755) == 0 else { throw LinuxError(last: "mkdirat", parent) }
            directory = try OwnedDescriptor.open(
                upper.name, OwnedDescriptor.pathOnly | O_DIRECTORY | O_NOFOLLOW, at: upper.parent)
        }
        // EROFS also for a writable mount of the host: what it holds is not ours to change.
        guard ownDevices.contains(try directory.status().st_dev) else {
            throw LinuxError("mkdir", target, errno: EROFS)
        }
        let descriptor = directory.release()
        known.append((parent, descriptor))
        return (descriptor, name)
    }

    /// `/a/b/` into `/a` and `b`; the root's own path is empty.
    private static func split(_ target: String) -> (parent: String, name: String) {
        var path = target.utf8[...]
        while path.last == UInt8(ascii: "/") { path = path.dropLast() }
        guard let slash = path.lastIndex(of: UInt8(ascii: "/")) else { return ("", String(Substring(path))) }
        return (String(Substring(path[..<slash])), String(Substring(path[path.index(after: slash)...])))
    }

    private mutating func makeDirectory(_ target: String, mode: UInt32, uid: UInt32, gid: UInt32) throws(LinuxError) {
        if let place = try existing(target, unless: true) {
            let status = try place.status()
            guard status.st_mode & S_IFMT == S_IFDIR else { throw LinuxError("mkdir", target, errno: ENOTDIR) }
            guard ownDevices.contains(status.st_dev) else { throw LinuxError("mkdir", target, errno: EEXIST) }
        }
        guard let place = try existing(target) else { throw LinuxError("mkdir", target, errno: ENOENT) }
        // "." of an O_PATH descriptor: chmod and chown take no O_PATH descriptor before fchmodat2.
        let directory = try OwnedDescriptor.open(".", O_RDONLY | O_DIRECTORY, at: place.rawValue)
        guard fchown(directory.rawValue, uid, gid) == 0 else { throw LinuxError(last: "fchown", target) }
        guard fchmod(directory.rawValue, mode & 0o7777) == 0 else { throw LinuxError(last: "fchmod", target) }
    }

    private mutating func makeFile(
        _ target: String, _ content: [UInt8], mode: UInt32, uid: UInt32, gid: UInt32
    ) throws(LinuxError) {
        let place = try ownParent(of: target)
        let file = try OwnedDescriptor.open(
            place.name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW, mode: 0o600, at: place.parent)
        try file.write(content)
        guard fchown(file.rawValue, uid, gid) == 0 else { throw LinuxError(last: "fchown", target) }
        guard fchmod(file.rawValue, mode & 0o7777) == 0 else { throw LinuxError(last: "fchmod", target) }
    }
}
