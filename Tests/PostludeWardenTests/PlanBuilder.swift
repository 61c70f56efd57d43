import Glibc
import PostludeLinux
import PostludePlan

/// Plans over the host's programs: a read-only root with private /dev, /proc and /tmp, for a user without rights.
final class PlanBuilder {
    static let uid: UInt32 = 65534

    private let directory: String
    private(set) var descriptors: [Int32] = []
    private var sources: [String: DescriptorIndex] = [:]

    init(directory: String) { self.directory = directory }

    deinit { for descriptor in descriptors { close(descriptor) } }

    func removeFiles() {
        guard let stream = opendir(directory) else { return }
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." && unlink(directory + "/" + name) != 0 { rmdir(directory + "/" + name) }
        }
        closedir(stream)
        rmdir(directory)
    }

    /// Gives a descriptor to the plan; the builder owns it now.
    func add(_ descriptor: consuming OwnedDescriptor) -> DescriptorIndex {
        descriptors.append(descriptor.release())
        return DescriptorIndex(descriptors.count - 1)
    }

    /// A path of the host, as a source of binds.
    func source(_ path: String) throws -> DescriptorIndex {
        if let known = sources[path] { return known }
        let index = add(try OwnedDescriptor.open(path, OwnedDescriptor.pathOnly))
        sources[path] = index
        return index
    }

    func logFile(_ name: String) throws -> DescriptorIndex {
        add(try OwnedDescriptor.open(directory + "/" + name, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600))
    }

    func plan(
        steps: [StepPlan], network: Network = .none, limits: [CgroupWrite] = [], timeout: UInt64 = 0,
        grace: UInt64 = 2000
    ) throws -> LaunchPlan {
        let journal = add(
            try OwnedDescriptor.open(directory + "/journal", O_WRONLY | O_CREAT | O_APPEND, mode: 0o600))
        return LaunchPlan(
            attempt: "test.1", hostname: "inside", journal: journal, limits: limits, network: network,
            timeoutMilliseconds: timeout, graceMilliseconds: grace, steps: steps)
    }

    func step(
        _ name: String, _ role: StepPlan.Role, script: String, seccomp: [UInt8]? = Seccomp.program,
        devices: [DeviceRule] = []
    ) throws -> StepPlan {
        try step(name, role, command: ["/bin/sh", "-c", script], seccomp: seccomp, devices: devices)
    }

    func step(
        _ name: String, _ role: StepPlan.Role, command: [String], seccomp: [UInt8]? = Seccomp.program,
        devices: [DeviceRule] = []
    ) throws -> StepPlan {
        StepPlan(
            name: name, role: role, program: command[0], arguments: command,
            environment: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/tmp"], workingDirectory: "/tmp",
            mounts: try mounts(), uid: Self.uid, gid: Self.uid, groups: [],
            resourceLimits: [ResourceLimit(resource: UInt32(RLIMIT_NOFILE.rawValue), soft: 256, hard: 256)],
            seccomp: try seccomp.map { add(try MemoryFile.sealed("seccomp", $0)) },
            deviceFilter: add(try DeviceFilterProgram(allowing: devices).load()),
            standardOutput: try logFile(name + ".stdout.log"), standardError: try logFile(name + ".stderr.log"))
    }

    func mounts() throws -> [MountOperation] {
        var mounts: [MountOperation] = []
        for path in ["/usr", "/etc", "/bin", "/sbin", "/lib", "/lib64"] {
            var status = stat()
            guard lstat(path, &status) == 0 else { continue }
            if status.st_mode & S_IFMT == S_IFLNK {
                var buffer = [CChar](repeating: 0, count: 256)
                let count = readlink(path, &buffer, 256)
                let text = String(decoding: buffer.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
                mounts.append(.symlink(target: path, text: text))
            } else {
                mounts.append(
                    .bind(source: try source(path), target: path, readOnly: true, devices: false, recursive: true))
            }
        }
        mounts.append(
            .bind(source: try source("/sys"), target: "/sys", readOnly: true, devices: false, recursive: false))
        mounts.append(.mask(target: "/sys/firmware"))
        mounts.append(.tmpfs(target: "/dev", bytes: 65536, inodes: 256, mode: 0o755, noExec: true))
        for name in ["null", "zero", "full", "random", "urandom", "tty"] {
            mounts.append(
                .bind(
                    source: try source("/dev/" + name), target: "/dev/" + name, readOnly: false, devices: true,
                    recursive: true))
        }
        for (name, text) in [
            ("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2"), ("ptmx", "pts/ptmx"),
        ] {
            mounts.append(.symlink(target: "/dev/" + name, text: text))
        }
        mounts += [
            .directory(target: "/dev/shm", mode: 0o755, uid: 0, gid: 0),
            .directory(target: "/dev/pts", mode: 0o755, uid: 0, gid: 0),
            .directory(target: "/dev/mqueue", mode: 0o755, uid: 0, gid: 0),
            .readOnly(target: "/dev"),
            .tmpfs(target: "/dev/shm", bytes: 1 << 20, inodes: 1024, mode: 0o1777, noExec: true),
            .devpts(target: "/dev/pts"),
            .mqueue(target: "/dev/mqueue"),
            .proc(target: "/proc"),
            .tmpfs(target: "/tmp", bytes: 16 << 20, inodes: 4096, mode: 0o1777, noExec: false),
            .file(target: "/plx-context/context.json", content: Array("{}\n".utf8), mode: 0o444, uid: 0, gid: 0),
        ]
        return mounts
    }
}

/// A filter that refuses unshare(2) and answers clone3 as old kernels do; enough to see that one is in force.
enum Seccomp {
    static let program: [UInt8] = {
        #if arch(x86_64)
        let unshare: UInt32 = 272
        #else
        let unshare: UInt32 = 97
        #endif
        let instructions: [(UInt16, UInt8, UInt8, UInt32)] = [
            (0x20, 0, 0, 0),  // A = nr
            (0x15, 2, 0, unshare), (0x15, 2, 0, 435),
            (0x06, 0, 0, 0x7fff_0000),  // allow
            (0x06, 0, 0, 0x0005_0001),  // EPERM
            (0x06, 0, 0, 0x0005_0026),  // ENOSYS
        ]
        return instructions.flatMap { code, jt, jf, k in
            withUnsafeBytes(of: code.littleEndian) { Array($0) } + [jt, jf]
                + withUnsafeBytes(of: k.littleEndian) { Array($0) }
        }
    }()
}
