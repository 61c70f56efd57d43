import CLinux
import Glibc
import PostludeCore
import PostludeLinux
import PostludePlan

/// Opens what planned mounts show, once for all steps.
final class MountSources {
    private let descriptors: DescriptorList
    /// Whose run it is; nil for what belongs to none.
    private let user: UserIdentity?
    private var working: DescriptorIndex?
    private var images: [String: ImageRoot] = [:]

    init(descriptors: DescriptorList, user: UserIdentity?) {
        self.descriptors = descriptors
        self.user = user
    }

    /// The working directory, as the submitter opened it.
    func take(working descriptor: consuming OwnedDescriptor) throws(SandboxError) {
        working = try descriptors.add(descriptor)
    }

    func operations(_ mounts: [PlannedMount]) throws(SandboxError) -> [MountOperation] {
        var operations: [MountOperation] = []
        for mount in mounts { operations.append(try operation(mount)) }
        return operations
    }

    private func operation(_ mount: PlannedMount) throws(SandboxError) -> MountOperation {
        switch mount {
        case .image(let root, let path):
            let source = try descriptors.shared("image:\(root):\(path)") { () throws(SandboxError) in
                try image(root).source(path)
            }
            // As much of it as an agent without root must show: nothing of it may be uncovered.
            return .bind(
                source: source, target: path, readOnly: true, devices: false, recursive: geteuid() != 0)
        case .host(let path, let target, let recursive):
            let source = try descriptors.shared("host:" + path) { () throws(SandboxError) in
                try open(path, OwnedDescriptor.pathOnly | O_NOFOLLOW, resolving: [])
            }
            return .bind(source: source, target: target, readOnly: true, devices: false, recursive: recursive)
        case .working(let target):
            guard let working else {
                throw SandboxError(code: "sandbox.invalid-attempt", message: "There is no working directory to show.")
            }
            return .bind(source: working, target: target, readOnly: true, devices: false, recursive: true)
        case .run(let path, let target, let readOnly):
            let source = try descriptors.shared("run:" + path) { () throws(SandboxError) in
                try runDirectory(path, isWritable: !readOnly)
            }
            return .bind(
                source: source, target: InsideView.normalise(target), readOnly: readOnly, devices: false,
                recursive: true)
        case .shared(let path, let target):
            let source = try descriptors.shared("shared:" + path) { () throws(SandboxError) in
                try open(path, OwnedDescriptor.pathOnly | O_DIRECTORY, resolving: [.noSymlinks, .noMagicLinks])
            }
            return .bind(source: source, target: target, readOnly: false, devices: false, recursive: false)
        case .device(let node):
            let source = try descriptors.shared("device:\(node)") { () throws(SandboxError) in try device(node) }
            // Read-only is the node, not the device: without it a program of uid 0 could change the host's node.
            return .bind(source: source, target: node.path, readOnly: true, devices: true, recursive: false)
        case .operation(let operation): return operation
        }
    }

    private func image(_ path: String) throws(SandboxError) -> ImageRoot {
        if let image = images[path] { return image }
        let image = try ImageRoot(path)
        images[path] = image
        return image
    }

    /// A directory that the agent made for the run. A job could have put a link where it once was, so no link is
    /// followed.
    private func runDirectory(_ path: String, isWritable: Bool) throws(SandboxError) -> OwnedDescriptor {
        let directory = try open(
            path, OwnedDescriptor.pathOnly | O_DIRECTORY, resolving: [.noSymlinks, .noMagicLinks])
        var status = stat()
        guard fstat(directory.rawValue, &status) == 0 else { throw .hostUnreadable(path, errno: errno) }
        guard !isWritable || status.st_uid == user?.uid else {
            throw SandboxError(
                code: "sandbox.artifacts-owner",
                message: "The artifacts directory '\(path)' belongs to uid \(status.st_uid), not to the submitter.",
                hint: "Let postluded make it; do not move run directories by hand.")
        }
        return directory
    }

    /// A device node that still is the device it was when it was found.
    private func device(_ node: DeviceNode) throws(SandboxError) -> OwnedDescriptor {
        let descriptor = try open(node.path, OwnedDescriptor.pathOnly | O_NOFOLLOW, resolving: [.noMagicLinks])
        var status = stat()
        guard fstat(descriptor.rawValue, &status) == 0 else { throw .hostUnreadable(node.path, errno: errno) }
        let number = UInt64(status.st_rdev)
        guard status.st_mode & S_IFMT == S_IFCHR, DeviceNumber.major(number) == node.major,
            DeviceNumber.minor(number) == node.minor
        else {
            throw SandboxError(
                code: "sandbox.device-changed",
                message: "'\(node.path)' is not the character device \(node.major):\(node.minor) any more.",
                hint: "Restart postluded so that it looks for devices again.")
        }
        return descriptor
    }

    private func open(_ path: String, _ flags: Int32, resolving: PathResolution) throws(SandboxError) -> OwnedDescriptor
    {
        do {
            return try OwnedDescriptor.open(path, flags, at: AT_FDCWD, resolving: resolving)
        } catch {
            if error.errno == EMFILE || error.errno == ENFILE { throw .outOfDescriptors(errno: error.errno) }
            throw .hostUnreadable(path, errno: error.errno)
        }
    }
}

/// The files of an attempt's own directory.
struct AttemptFiles: ~Copyable {
    private let path: String
    private let directory: OwnedDescriptor

    init(directory path: String) throws(SandboxError) {
        self.path = path
        do {
            directory = try OwnedDescriptor.open(
                path, OwnedDescriptor.pathOnly | O_DIRECTORY, at: AT_FDCWD, resolving: [.noSymlinks])
        } catch {
            throw .hostUnreadable(path, errno: error.errno)
        }
    }

    static let journalName = "journal"

    /// The journal, for appending.
    /// - Throws: `sandbox.attempt-exists` when an earlier launch has written to it.
    borrowing func journal() throws(SandboxError) -> OwnedDescriptor {
        let file = try create(Self.journalName, O_APPEND)
        var status = stat()
        guard fstat(file.rawValue, &status) == 0 else { throw .hostUnreadable(path, errno: errno) }
        guard status.st_size == 0 else {
            throw SandboxError(
                code: "sandbox.attempt-exists", message: "The attempt in '\(path)' has been launched before.",
                hint: "Adopt its warden, or start a new attempt.")
        }
        // So that the last word is written also where the job has filled the disk. Where it cannot be had, the warden says
        // so when it comes to it.
        _ = linux_fallocate_keeping_size(file.rawValue, 64 << 10)
        return file
    }

    /// A log file. Not for appending: splice(2) refuses such files. The submitter may read it, and so may hooks of the
    /// run, which run as the same user; nobody may write to it but the warden, which has it open.
    borrowing func log(_ name: String, owner: UserIdentity) throws(SandboxError) -> OwnedDescriptor {
        let file = try create(name, 0)
        guard fchown(file.rawValue, owner.uid, owner.gid) == 0, fchmod(file.rawValue, 0o400) == 0 else {
            throw SandboxError(
                code: "sandbox.log-unavailable",
                message: "Cannot give '\(path)/\(name)' to '\(owner.name)': \(errorText(errno)).",
                hint: "Keep the state directory on a file system with Unix permissions.")
        }
        return file
    }

    /// A file of the agent's that everybody may read.
    borrowing func show(_ name: String, _ content: [UInt8]) throws(SandboxError) {
        let file = try create(name, O_TRUNC)
        do {
            try file.write(content)
        } catch {
            throw SandboxError(
                code: "sandbox.log-unavailable",
                message: "Cannot write '\(path)/\(name)': \(errorText(error.errno)).", hint: error.hint)
        }
        guard fchmod(file.rawValue, 0o444) == 0 else { throw .hostUnreadable("\(path)/\(name)", errno: errno) }
    }

    private borrowing func create(_ name: String, _ flags: Int32) throws(SandboxError) -> OwnedDescriptor {
        do {
            return try OwnedDescriptor.open(
                name, O_WRONLY | O_CREAT | O_NOFOLLOW | flags, mode: 0o600, at: directory.rawValue)
        } catch {
            throw SandboxError(
                code: "sandbox.log-unavailable",
                message: "Cannot create '\(path)/\(name)': \(errorText(error.errno)).", hint: error.hint,
                isTemporary: SandboxError.isShortage(error.errno))
        }
    }
}

extension SandboxError {
    static func outOfDescriptors(errno: Int32) -> SandboxError {
        SandboxError(
            code: "sandbox.out-of-descriptors", message: "Cannot open another file: \(errorText(errno)).",
            hint: "Raise the limit of open files (LimitNOFILE) of postluded.", isTemporary: true)
    }
}
