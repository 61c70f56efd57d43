import Glibc
import PostludeLinux
import PostludePlan

/// The new root of a step, built by the plan's operations; used inside the step's mount namespace.
///
/// Targets are resolved with the new root as root, so that no symbolic link leads out. Missing mount points are made only
/// on file systems this type mounted, known by their device number: nothing is created on the host.
struct RootFileSystem: ~Copyable {
    private var root: OwnedDescriptor
    private let base: OwnedDescriptor
    private var ownDevices: [dev_t]
    private var trees: ArraySlice<Int32>
    /// The first mask of a directory, which later ones copy; -1 before. Closed with everything else before the program.
    private var emptyDirectory: Int32 = -1
    private var masksFirmware = false
    /// How many operations had "/" as their target.
    private var covers = 0

    init(trees: [Int32]) throws(LinuxError) {
        let mount = try Mounts.fileSystem(
            "tmpfs", options: [("size", "1m"), ("nr_inodes", "4096"), ("mode", "755")],
            attributes: [.noSetuid, .noDevices])
        let old = try OwnedDescriptor.open("/", OwnedDescriptor.pathOnly | O_DIRECTORY)
        try Mounts.attach(mount.rawValue, to: old.rawValue)
        let device = try mount.status().st_dev
        let top = try OwnedDescriptor(duplicating: mount.rawValue)
        self.trees = trees[...]
        base = mount
        root = top
        ownDevices = [device]
    }

    mutating func perform(_ operation: MountOperation) throws(LinuxError) {
        switch operation {
        case .bind(_, let target, _, _):
            guard let tree = trees.popFirst() else { throw LinuxError("bind", target, errno: EBADF) }
            var status = stat()
            guard fstat(tree, &status) == 0 else { throw LinuxError(last: "fstat", target) }
            try attach(tree, at: target, isDirectory: status.st_mode & S_IFMT == S_IFDIR)
        case .tmpfs(let target, let bytes, let inodes, let mode, let noExec):
            try mountTemporary(at: target, bytes: bytes, inodes: inodes, mode: mode, noExec: noExec)
        case .proc(let target):
            let proc = try Mounts.fileSystem("proc", attributes: [.noSetuid, .noDevices, .noExec])
            try attach(proc.rawValue, at: target, isDirectory: true)
            try restrictProc(target)
        case .devpts(let target):
            let options = [("mode", "0620"), ("ptmxmode", "0666"), ("gid", "5")]
            let pts = try Mounts.fileSystem("devpts", options: options, attributes: [.noSetuid, .noExec])
            try attach(pts.rawValue, at: target, isDirectory: true)
        case .mqueue(let target):
            let queue = try Mounts.fileSystem("mqueue", attributes: [.noSetuid, .noDevices, .noExec])
            try attach(queue.rawValue, at: target, isDirectory: true)
        case .directory(let target, let mode, let uid, let gid):
            try makeDirectory(target, mode: mode, uid: uid, gid: gid)
        case .symlink(let target, let text):
            let place = try ownParent(of: target)
            guard symlinkat(text, place.parent.rawValue, place.name) == 0 else {
                throw LinuxError(last: "symlinkat", target)
            }
        case .file(let target, let content, let mode, let uid, let gid):
            try makeFile(target, content, mode: mode, uid: uid, gid: gid)
        case .mask(let target):
            try mask(target)
        case .readOnly(let target):
            try makeReadOnly(target)
        }
    }

    /// Closes what is left open to writing and makes it the root of this process.
    consuming func enter() throws(LinuxError) {
        if masksFirmware { try mask("/sys/firmware") }
        try Mounts.set([.readOnly], on: base.rawValue, recursive: false)
        try Mounts.pivot(to: root.rawValue, covered: covers)
    }

    // MARK: mounts

    private mutating func attach(_ tree: Int32, at target: String, isDirectory: Bool) throws(LinuxError) {
        let place = try ensure(target, isDirectory: isDirectory)
        try Mounts.attach(tree, to: place.rawValue)
        // What covers the root is the root from now on; the old descriptor shows what lies below it.
        if target.utf8.allSatisfy({ $0 == UInt8(ascii: "/") }) {
            root = try OwnedDescriptor(duplicating: tree)
            covers += 1
        }
    }

    private mutating func mountTemporary(
        at target: String, bytes: UInt64, inodes: UInt64, mode: UInt32, noExec: Bool
    ) throws(LinuxError) {
        var attributes: MountAttributes = [.noSetuid, .noDevices]
        if noExec { attributes.insert(.noExec) }
        let options = [
            ("size", "\(bytes)"), ("nr_inodes", "\(inodes)"), ("mode", String(mode & 0o7777, radix: 8)),
        ]
        let mount = try Mounts.fileSystem("tmpfs", options: options, attributes: attributes)
        ownDevices.append(try mount.status().st_dev)
        try attach(mount.rawValue, at: target, isDirectory: true)
    }

    /// What of procfs changes or shows the host: written to it could (as uid 0, without any capability), read from it might.
    private mutating func restrictProc(_ target: String) throws(LinuxError) {
        masksFirmware = true
        let prefix = target == "/" ? "" : target
        for name in ["sys", "sysrq-trigger", "irq", "bus", "fs"] { try makeReadOnly(prefix + "/" + name, ifThere: true) }
        for name in ["kcore", "keys", "latency_stats", "timer_list", "scsi", "acpi"] {
            try mask(prefix + "/" + name)
        }
    }

    private mutating func mask(_ target: String) throws(LinuxError) {
        guard let place = try existing(target) else { return }
        let isDirectory = try place.status().st_mode & S_IFMT == S_IFDIR
        if isDirectory {
            if emptyDirectory >= 0 {
                let copy = try Mounts.cloneTree(of: emptyDirectory, recursive: false, adding: [.readOnly])
                try Mounts.attach(copy.rawValue, to: place.rawValue)
                return
            }
            let empty = try Mounts.fileSystem(
                "tmpfs", options: [("size", "4k"), ("nr_inodes", "2"), ("mode", "555")],
                attributes: [.readOnly, .noSetuid, .noDevices, .noExec])
            try Mounts.attach(empty.rawValue, to: place.rawValue)
            emptyDirectory = empty.release()
        } else {
            let null = try Mounts.cloneTree(
                of: AT_FDCWD, path: "/dev/null", recursive: false, adding: [.readOnly, .noSetuid, .noExec])
            try Mounts.attach(null.rawValue, to: place.rawValue)
        }
    }

    private func makeReadOnly(_ target: String, ifThere: Bool = false) throws(LinuxError) {
        guard let place = try existing(target) else {
            if ifThere { return }
            throw LinuxError("openat2", target, errno: ENOENT)
        }
        do {
            try Mounts.set([.readOnly], on: place.rawValue, recursive: true)
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
                target, OwnedDescriptor.pathOnly, at: root.rawValue, resolving: [.inRoot, .noMagicLinks])
        } catch {
            if error.errno == ENOENT { return nil }
            throw error
        }
    }

    /// The place of a target, made when it is missing and may be made.
    private func ensure(_ target: String, isDirectory: Bool) throws(LinuxError) -> OwnedDescriptor {
        if let place = try existing(target) { return place }
        let place = try ownParent(of: target)
        let parent = place.parent.rawValue
        if isDirectory {
            guard mkdirat(parent, place.name, 0o755) == 0 else { throw LinuxError(last: "mkdirat", target) }
            return try OwnedDescriptor.open(place.name, OwnedDescriptor.pathOnly | O_DIRECTORY | O_NOFOLLOW, at: parent)
        }
        return try OwnedDescriptor.open(place.name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW, mode: 0o644, at: parent)
    }

    private struct Place: ~Copyable {
        var parent: OwnedDescriptor
        var name: String
    }

    /// The directory that holds `target`, on a file system of ours; missing ones are made.
    private func ownParent(of target: String) throws(LinuxError) -> Place {
        var path = target[...]
        while path.utf8.count > 1, path.utf8.last == UInt8(ascii: "/") { path = path.dropLast() }
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { throw LinuxError("mkdir", target, errno: EINVAL) }
        let name = String(path[path.index(after: slash)...])
        guard !name.isEmpty, name != "." else { throw LinuxError("mkdir", target, errno: EEXIST) }
        let parent = path[..<slash]
        let directory = try ensure(parent.isEmpty ? "/" : String(parent), isDirectory: true)
        // EROFS also for a writable mount of the host: what it holds is not ours to change.
        guard ownDevices.contains(try directory.status().st_dev) else { throw LinuxError("mkdir", target, errno: EROFS) }
        return Place(parent: directory, name: name)
    }

    private func makeDirectory(_ target: String, mode: UInt32, uid: UInt32, gid: UInt32) throws(LinuxError) {
        if let place = try existing(target) {
            let status = try place.status()
            guard status.st_mode & S_IFMT == S_IFDIR else { throw LinuxError("mkdir", target, errno: ENOTDIR) }
            guard ownDevices.contains(status.st_dev) else { throw LinuxError("mkdir", target, errno: EEXIST) }
        }
        let place = try ensure(target, isDirectory: true)
        // "." of an O_PATH descriptor: chmod and chown take no O_PATH descriptor before fchmodat2.
        let directory = try OwnedDescriptor.open(".", O_RDONLY | O_DIRECTORY, at: place.rawValue)
        guard fchown(directory.rawValue, uid, gid) == 0 else { throw LinuxError(last: "fchown", target) }
        guard fchmod(directory.rawValue, mode & 0o7777) == 0 else { throw LinuxError(last: "fchmod", target) }
    }

    private func makeFile(
        _ target: String, _ content: [UInt8], mode: UInt32, uid: UInt32, gid: UInt32
    ) throws(LinuxError) {
        let place = try ownParent(of: target)
        let file = try OwnedDescriptor.open(
            place.name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW, mode: 0o600, at: place.parent.rawValue)
        try file.write(content)
        guard fchown(file.rawValue, uid, gid) == 0 else { throw LinuxError(last: "fchown", target) }
        guard fchmod(file.rawValue, mode & 0o7777) == 0 else { throw LinuxError(last: "fchmod", target) }
    }
}
