import Glibc
import PostludeCore

/// One pass over every process, for descriptors and mappings of some device nodes, and for descriptors that nobody has
/// received yet and that may be of any node.
struct ProcessScan: ~Copyable {
    struct Finding: Hashable, Sendable {
        /// nil for what cannot be told: it counts for every node.
        var number: NodeNumber?
        var holder: DeviceHolder
    }

    /// What a pass found.
    struct Result: Sendable {
        var findings: [Finding] = []
        /// Processes that this one may not look into, and what refused it.
        var unreadable: [Int32: DeviceError] = [:]
    }

    /// A file as /proc/<pid>/maps names it: the device and inode numbers of its file system, not its own number.
    private struct MappedFile: Hashable {
        var device: UInt64
        var inode: UInt64
    }

    private let paths: [NodeNumber: String]
    /// Where the nodes themselves lie, for hosts where /proc/<pid>/map_files may not be followed.
    private let nodeFiles: [MappedFile: NodeNumber]
    /// What each mapped file turned out to be; libraries are mapped by many processes and asked about once.
    private var mapped: [MappedFile: NodeNumber?] = [:]
    private var files: FileMappings

    /// - Parameter asks: false reads mappings as text even where the kernel has a shorter way.
    init(nodes: [DeviceNode], asks: Bool = true) {
        files = FileMappings(asks: asks)
        var paths: [NodeNumber: String] = [:]
        var nodeFiles: [MappedFile: NodeNumber] = [:]
        for node in nodes {
            paths[NodeNumber(node)] = node.path
            var status = stat()
            if stat(node.path, &status) == 0 {
                let number = UInt64(deviceMajor(status.st_dev)) << 32 | UInt64(deviceMinor(status.st_dev))
                nodeFiles[MappedFile(device: number, inode: UInt64(status.st_ino))] = NodeNumber(node)
            }
        }
        self.paths = paths
        self.nodeFiles = nodeFiles
    }

    /// Looks at every process, one after the other.
    mutating func run(excluding: Set<Int32>) throws(DeviceError) -> Result {
        guard !paths.isEmpty else { return Result() }
        let proc = try Self.openProc()
        return try look(at: try Self.processes(proc)[...], excluding: excluding, in: proc)
    }

    /// Looks at every process, at two at a time: nothing else goes on meanwhile that a run waits for.
    static func run(nodes: [DeviceNode]) async throws(DeviceError) -> Result {
        guard !nodes.isEmpty else { return Result() }
        let processes = try Self.processes(try openProc())
        // What is dear to look at, the agent and the rest of its user's programs, stands together.
        let halves = [0, 1].map { rest in
            processes.indices.filter { $0 % 2 == rest }.map { processes[$0] }
        }
        async let second = look(at: halves[1], for: nodes)
        let first = look(at: halves[0], for: nodes)
        let rest = await second
        var result = try first.get()
        let other = try rest.get()
        result.findings += other.findings
        result.unreadable.merge(other.unreadable) { first, _ in first }
        return result
    }

    private static func look(
        at processes: [Int32], for nodes: [DeviceNode]
    ) -> Swift.Result<Result, DeviceError> {
        Swift.Result { () throws(DeviceError) in
            var scan = ProcessScan(nodes: nodes)
            return try scan.look(at: processes[...], excluding: [], in: try openProc())
        }
    }

    private static func openProc() throws(DeviceError) -> ProcessDirectory {
        guard let proc = try open("/proc", in: AT_FDCWD, path: "/proc") else {
            throw .scanIncomplete("/proc", errno: ENOENT)
        }
        return proc
    }

    private static func processes(_ proc: borrowing ProcessDirectory) throws(DeviceError) -> [Int32] {
        do throws(ProcessDirectory.Failure) {
            return try proc.numbers()
        } catch {
            throw .scanIncomplete("/proc", errno: error.errno)
        }
    }

    private mutating func look(
        at processes: ArraySlice<Int32>, excluding: Set<Int32>, in proc: borrowing ProcessDirectory
    ) throws(DeviceError) -> Result {
        var result = Result()
        for pid in processes where !excluding.contains(pid) && ScanScope.includes(pid, in: proc) {
            let held: Set<Hold>
            do {
                held = try look(at: pid, in: proc)
            } catch {
                guard error.isRefusal else { throw error }
                result.unreadable[pid] = error
                continue
            }
            guard !held.isEmpty else { continue }
            let command = SmallFile.read("/proc/\(pid)/comm")?.dropLast() ?? ""
            let uid = Self.realUser(of: pid)
            for hold in held {
                let node = hold.number.map { paths[$0] ?? "" } ?? "unknown descriptors in a socket"
                let holder = DeviceHolder(pid: pid, command: String(command), uid: uid, how: hold.how, node: node)
                result.findings.append(Finding(number: hold.number, holder: holder))
            }
        }
        return result
    }

    private struct Hold: Hashable {
        var number: NodeNumber?
        var how: DeviceHolder.How
    }

    private struct Look {
        var holds: Set<Hold> = []
        /// Whether the process (or thread) had any descriptor or mapping at all.
        var sawSomething = false
    }

    private mutating func look(
        at pid: Int32, in proc: borrowing ProcessDirectory
    ) throws(DeviceError) -> Set<Hold> {
        var whole = Look()
        // Without a program there is no memory: a kernel thread (most of the processes, and none holds a device), a
        // zombie, or a process whose first thread has ended. One link for each thread, besides the directory's own two.
        let hasProgram = proc.has("\(pid)/exe")
        guard hasProgram || proc.links(of: "\(pid)/task") - 2 > 1,
            let process = try Self.open("\(pid)", in: proc.descriptor, path: "/proc/\(pid)")
        else { return [] }
        if hasProgram { whole = try look(in: process) }
        guard !whole.sawSomething, process.links(of: "task") - 2 > 1 else { return whole.holds }
        // The first thread has ended while others go on: those still have it all.
        guard let tasks = try Self.open("task", in: process.descriptor, path: "/proc/\(pid)/task") else { return [] }
        let threads: [Int32]
        do throws(ProcessDirectory.Failure) {
            threads = try tasks.numbers()
        } catch {
            if error.isGone { return whole.holds }
            throw .scanIncomplete(tasks.path, errno: error.errno)
        }
        for thread in threads where thread != pid {
            let path = "\(tasks.path)/\(thread)"
            guard let directory = try Self.open("\(thread)", in: tasks.descriptor, path: path) else { continue }
            whole.holds.formUnion(try look(in: directory).holds)
        }
        return whole.holds
    }

    /// nil when it is gone.
    private static func open(
        _ name: String, in parent: Int32, path: @autoclosure () -> String
    ) throws(DeviceError) -> ProcessDirectory? {
        do throws(ProcessDirectory.Failure) {
            return try ProcessDirectory(name, in: parent, path: path())
        } catch {
            if error.isGone { return nil }
            throw .scanIncomplete(path(), errno: error.errno)
        }
    }

    private mutating func look(in process: borrowing ProcessDirectory) throws(DeviceError) -> Look {
        var look = try descriptors(of: process)
        let mappings = try mappings(of: process)
        look.holds.formUnion(mappings.holds)
        look.sawSomething = look.sawSomething || mappings.sawSomething
        return look
    }

    private func descriptors(of process: borrowing ProcessDirectory) throws(DeviceError) -> Look {
        var look = Look()
        let table: ProcessDirectory
        do {
            guard let found = try Self.open("fd", in: process.descriptor, path: "\(process.path)/fd") else {
                return look
            }
            table = found
        } catch {
            guard error.isRefusal, ScanScope.isOwnUser else { throw error }
            return try copies(of: process)
        }
        var refusal: Int32?
        var failure: Int32?
        let directory = process.descriptor
        var queue = SocketQueue(of: process.descriptor)
        defer { queue.close() }
        do throws(ProcessDirectory.Failure) {
            let handle = table.descriptor
            try table.forEachName { name in
                look.sawSomething = true
                var status = stat()
                guard fstatat(handle, name, &status, 0) == 0 else {
                    // Anything else is a file that was closed meanwhile, or lies on a file system that is gone: no
                    // device.
                    if errno == EACCES || errno == EPERM { refusal = errno }
                    return refusal == nil
                }
                if status.st_mode & S_IFMT == S_IFSOCK {
                    do throws(SocketQueue.Failure) {
                        if try queue.holdsDescriptors(name) { look.holds.insert(Hold(number: nil, how: .inFlight)) }
                    } catch {
                        failure = error.errno
                    }
                    return failure == nil
                }
                guard status.st_mode & S_IFMT == S_IFCHR else { return true }
                let number = NodeNumber(major: deviceMajor(status.st_rdev), minor: deviceMinor(status.st_rdev))
                if paths[number] != nil, !Self.isMerePath(name, in: directory),
                    Self.isStill(status.st_rdev, name, in: handle)
                {
                    look.holds.insert(Hold(number: number, how: .descriptor))
                }
                return true
            }
        } catch {
            if !error.isGone { throw .scanIncomplete(table.path, errno: error.errno) }
        }
        if let refusal { throw .scanIncomplete(table.path, errno: refusal) }
        if let failure { throw .scanIncomplete("\(process.path)/fdinfo", errno: failure) }
        return look
    }

    /// Whether the descriptor is the same device's after its flags were read: they may have been another file's that got
    /// its number, as where a warden sets up steps. What cannot be told is taken for the same.
    private static func isStill(_ device: dev_t, _ name: UnsafePointer<CChar>, in table: Int32) -> Bool {
        var status = stat()
        guard fstatat(table, name, &status, 0) == 0 else { return errno != ENOENT && errno != ESRCH }
        return status.st_mode & S_IFMT == S_IFCHR && status.st_rdev == device
    }

    /// Whether the descriptor stands for a path only (O_PATH), as those do that nodes are shown to a step by: the device
    /// behind it is not open. What cannot be told is taken for open.
    private static func isMerePath(_ name: UnsafePointer<CChar>, in process: Int32) -> Bool {
        let file = openat(process, "fdinfo/\(String(cString: name))", O_RDONLY | O_CLOEXEC)
        // Closed since it was listed, as a warden does while it sets up its steps: it holds nothing any more.
        guard file >= 0 else { return errno == ENOENT || errno == ESRCH }
        defer { close(file) }
        // The flags are in the second line, right after the position.
        return withUnsafeTemporaryAllocation(byteCount: 128, alignment: 1) { buffer in
            let length = read(file, buffer.baseAddress, buffer.count)
            guard length > 0 else { return length < 0 && (errno == ENOENT || errno == ESRCH) }
            let text = String(decoding: buffer[..<length], as: UTF8.self)
            guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("flags:\t") }),
                let flags = UInt32(line.dropFirst(7), radix: 8)
            else { return false }
            return flags & 0o10000000 != 0
        }
    }

    /// As `descriptors`, of a process whose list of them may not be read.
    private func copies(of process: borrowing ProcessDirectory) throws(DeviceError) -> Look {
        var look = Look()
        let path = process.path
        // `/proc/<pid>`, or a thread of it.
        guard let pid = path.split(separator: "/").last.flatMap({ Int32($0) }) else {
            throw .scanIncomplete(path, errno: EINVAL)
        }
        do throws(ProcessDirectory.Failure) {
            let own = try ProcessDirectory("/proc/self", path: "/proc/self")
            try ForeignDescriptors.forEach(of: pid) { (copy) throws(ProcessDirectory.Failure) in
                look.sawSomething = true
                var status = stat()
                guard fstat(copy, &status) == 0 else { throw ProcessDirectory.Failure(errno: errno) }
                if status.st_mode & S_IFMT == S_IFSOCK {
                    var queue = SocketQueue(of: own.descriptor)
                    defer { queue.close() }
                    do throws(SocketQueue.Failure) {
                        if try queue.holdsDescriptors("\(copy)") {
                            look.holds.insert(Hold(number: nil, how: .inFlight))
                        }
                    } catch {
                        throw ProcessDirectory.Failure(errno: error.errno)
                    }
                }
                guard status.st_mode & S_IFMT == S_IFCHR else { return true }
                let number = NodeNumber(major: deviceMajor(status.st_rdev), minor: deviceMinor(status.st_rdev))
                if paths[number] != nil { look.holds.insert(Hold(number: number, how: .descriptor)) }
                return true
            }
        } catch {
            if !error.isGone { throw .scanIncomplete("\(path)/fd", errno: error.errno) }
        }
        return look
    }

    private mutating func mappings(of process: borrowing ProcessDirectory) throws(DeviceError) -> Look {
        var look = Look()
        let handle = openat(process.descriptor, "maps", O_RDONLY | O_CLOEXEC)
        guard handle >= 0 else {
            let failure = ProcessDirectory.Failure(errno: errno)
            if failure.isGone { return look }
            throw .scanIncomplete("\(process.path)/maps", errno: failure.errno)
        }
        defer { close(handle) }
        // The segments of a library follow each other.
        var last: MappedFile?
        let directory = process.descriptor
        let (paths, nodeFiles) = (paths, nodeFiles)
        do throws(ProcessDirectory.Failure) {
            var mapped = mapped
            self.mapped = [:]
            defer { self.mapped = mapped }
            look.sawSomething = try files.read(handle) { mapping in
                let file = MappedFile(device: mapping.device, inode: mapping.inode)
                if file == last { return }
                last = file
                if let known = mapped[file] {
                    if let known { look.holds.insert(Hold(number: known, how: .mapping)) }
                    return
                }
                guard let number = Self.number(of: mapping, file, in: directory, paths, nodeFiles) else {
                    last = nil
                    return
                }
                mapped[file] = .some(number)
                if let number { look.holds.insert(Hold(number: number, how: .mapping)) }
            }
        } catch {
            if !error.isGone { throw .scanIncomplete("\(process.path)/maps", errno: error.errno) }
        }
        return look
    }

    /// Which of the nodes the mapped file is, or none of them; nil when it was unmapped meanwhile, for another process
    /// may still have it.
    private static func number(
        of mapping: FileMapping, _ file: MappedFile, in directory: Int32, _ paths: [NodeNumber: String],
        _ nodeFiles: [MappedFile: NodeNumber]
    ) -> NodeNumber?? {
        var status = stat()
        guard fstatat(directory, "map_files/\(mapping.name)", &status, 0) == 0 else {
            return ProcessDirectory.Failure(errno: errno).isGone ? nil : .some(nodeFiles[file])
        }
        guard status.st_mode & S_IFMT == S_IFCHR else { return .some(nil) }
        let number = NodeNumber(major: deviceMajor(status.st_rdev), minor: deviceMinor(status.st_rdev))
        return .some(paths[number] == nil ? nil : number)
    }

    /// Field 22 of /proc/<pid>/stat; nil when there is no such process.
    static func startTime(of pid: Int32) -> UInt64? {
        guard let text = SmallFile.read("/proc/\(pid)/stat"), let end = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: end)...].split(separator: " ")
        return fields.count > 19 ? UInt64(fields[19]) : nil
    }

    private static func realUser(of pid: Int32) -> UInt32 {
        let status = SmallFile.read("/proc/\(pid)/status") ?? ""
        for line in status.split(separator: "\n") where line.hasPrefix("Uid:") {
            let fields = line.split(whereSeparator: { $0 == "\t" || $0 == " " })
            if fields.count > 1, let uid = UInt32(fields[1]) { return uid }
        }
        return UInt32.max
    }
}
