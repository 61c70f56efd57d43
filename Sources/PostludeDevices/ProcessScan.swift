import Glibc
import PostludeCore

/// One pass over every process, for descriptors and mappings of some device nodes, and for descriptors that nobody has
/// received yet and that may be of any node.
struct ProcessScan {
    struct Finding: Hashable {
        /// nil for what cannot be told: it counts for every node.
        var number: NodeNumber?
        var holder: DeviceHolder
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
    private var buffer = [UInt8](repeating: 0, count: 65536)

    init(nodes: [DeviceNode]) {
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

    /// What a pass found.
    struct Result {
        var findings: [Finding] = []
        /// Processes that this one may not look into, and what refused it.
        var unreadable: [Int32: DeviceError] = [:]
    }

    mutating func run(excluding: Set<Int32>) throws(DeviceError) -> Result {
        var result = Result()
        guard !paths.isEmpty else { return result }
        for pid in try entries(of: "/proc").compactMap({ Int32($0) }) where !excluding.contains(pid) {
            let held: Set<Hold>
            do {
                held = try look(at: pid)
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

    private mutating func look(at pid: Int32) throws(DeviceError) -> Set<Hold> {
        let directory = "/proc/\(pid)"
        var whole = Look()
        // Without a program there is no memory: a kernel thread (most of the processes, and none holds a device), a
        // zombie, or a process whose first thread has ended.
        if access("\(directory)/exe", F_OK) == 0 || errno != ENOENT { whole = try look(in: directory) }
        guard !whole.sawSomething, threadCount(of: directory) > 1 else { return whole.holds }
        // The first thread has ended while others go on: those still have it all.
        for thread in try entries(of: "\(directory)/task") where thread != String(pid) && Int32(thread) != nil {
            whole.holds.formUnion(try look(in: "\(directory)/task/\(thread)").holds)
        }
        return whole.holds
    }

    /// 0 when the process is gone.
    private func threadCount(of directory: String) -> Int {
        var status = stat()
        // One link for each thread, besides the directory's own two.
        return stat("\(directory)/task", &status) == 0 ? Int(status.st_nlink) - 2 : 0
    }

    private mutating func look(in directory: String) throws(DeviceError) -> Look {
        var look = try descriptors(in: directory)
        let mappings = try mappings(in: directory)
        look.holds.formUnion(mappings.holds)
        look.sawSomething = look.sawSomething || mappings.sawSomething
        return look
    }

    private func descriptors(in directory: String) throws(DeviceError) -> Look {
        let path = "\(directory)/fd"
        var look = Look()
        var refusal: Int32?
        var failure: Int32?
        var queue = SocketQueue(of: directory)
        defer { queue.close() }
        try forEachEntry(of: path) { handle, name in
            look.sawSomething = true
            var status = stat()
            guard fstatat(handle, name, &status, 0) == 0 else {
                // Anything else is a file that was closed meanwhile, or lies on a file system that is gone: no device.
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
            if paths[number] != nil { look.holds.insert(Hold(number: number, how: .descriptor)) }
            return true
        }
        if let refusal { throw .scanIncomplete(path, errno: refusal) }
        if let failure { throw .scanIncomplete("\(directory)/fdinfo", errno: failure) }
        return look
    }

    private mutating func mappings(in directory: String) throws(DeviceError) -> Look {
        let path = "\(directory)/maps"
        let handle = open(path, O_RDONLY | O_CLOEXEC)
        guard handle >= 0 else {
            if Self.isGone(errno) { return Look() }
            throw .scanIncomplete(path, errno: errno)
        }
        defer { close(handle) }
        var look = Look()
        var rest = 0
        while true {
            let count = buffer.withUnsafeMutableBytes { raw in
                read(handle, raw.baseAddress.map { $0 + rest }, raw.count - rest)
            }
            if count < 0 {
                if errno == EINTR { continue }
                if Self.isGone(errno) { return look }
                throw .scanIncomplete(path, errno: errno)
            }
            guard count > 0 else { return look }
            look.sawSomething = true
            let end = rest + count
            var start = 0
            while let newline = buffer[start..<end].firstIndex(of: UInt8(ascii: "\n")) {
                let line = buffer.withUnsafeBytes { MapsLine(UnsafeRawBufferPointer(rebasing: $0[start..<newline])) }
                if let line, let number = number(of: line, in: directory) {
                    look.holds.insert(Hold(number: number, how: .mapping))
                }
                start = newline + 1
            }
            // What is left is the beginning of a line; a line longer than the buffer cannot be (paths end at 4 KiB).
            rest = end - start
            if start > 0, rest > 0 {
                for offset in 0..<rest { buffer[offset] = buffer[start + offset] }
            }
        }
    }

    private mutating func number(of line: MapsLine, in directory: String) -> NodeNumber? {
        let file = MappedFile(device: line.device, inode: line.inode)
        if let known = mapped[file] { return known }
        var status = stat()
        var result: NodeNumber?
        if stat("\(directory)/map_files/\(line.name)", &status) == 0 {
            if status.st_mode & S_IFMT == S_IFCHR {
                let number = NodeNumber(major: deviceMajor(status.st_rdev), minor: deviceMinor(status.st_rdev))
                result = paths[number] == nil ? nil : number
            }
        } else {
            if Self.isGone(errno) { return nil }  // unmapped meanwhile; another process may still have it
            result = nodeFiles[file]
        }
        mapped[file] = .some(result)
        return result
    }

    private func entries(of path: String) throws(DeviceError) -> [String] {
        var names: [String] = []
        try forEachEntry(of: path) { _, name in
            names.append(String(cString: name))
            return true
        }
        return names
    }

    /// Calls `body` with the directory's descriptor and each name until it returns false; a directory that is gone has
    /// none.
    private func forEachEntry(
        of path: String, _ body: (Int32, UnsafePointer<CChar>) -> Bool
    ) throws(DeviceError) {
        guard let stream = opendir(path) else {
            if Self.isGone(errno) { return }
            throw .scanIncomplete(path, errno: errno)
        }
        defer { closedir(stream) }
        let handle = dirfd(stream)
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                guard errno == 0 || Self.isGone(errno) else { throw .scanIncomplete(path, errno: errno) }
                return
            }
            let goesOn = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
                tuple.withMemoryRebound(to: CChar.self, capacity: 256) { name in
                    name[0] == CChar(UInt8(ascii: ".")) || body(handle, name)
                }
            }
            if !goesOn { return }
        }
    }

    private static func isGone(_ code: Int32) -> Bool { code == ENOENT || code == ESRCH }

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

/// The fields of a line of /proc/<pid>/maps that tell which file is mapped.
struct MapsLine: Hashable {
    var start: UInt64
    var end: UInt64
    /// Major in the upper, minor in the lower half.
    var device: UInt64
    var inode: UInt64

    /// The entry in map_files, which does not pad addresses with zeros as maps does.
    var name: String { "\(String(start, radix: 16))-\(String(end, radix: 16))" }

    /// nil for a line of another form and for anonymous memory. Read byte by byte: there are thousands of lines.
    init?(_ line: UnsafeRawBufferPointer) {
        // start-end perms offset major:minor inode [path]
        var position = 0
        func number(radix: UInt64, until stop: UInt8) -> UInt64? {
            var value: UInt64 = 0
            let first = position
            while position < line.count, line[position] != stop {
                let digit: UInt64
                switch line[position] {
                case let byte where byte >= 0x30 && byte <= 0x39: digit = UInt64(byte - 0x30)
                case let byte where byte >= 0x61 && byte <= 0x66: digit = UInt64(byte - 0x61 + 10)
                case _: return nil
                }
                guard digit < radix else { return nil }
                value = value &* radix &+ digit
                position += 1
            }
            guard position > first else { return nil }
            position += 1
            return value
        }
        func skip() -> Bool {
            while position < line.count, line[position] != 0x20 { position += 1 }
            position += 1
            return position < line.count
        }
        guard let start = number(radix: 16, until: UInt8(ascii: "-")),
            let end = number(radix: 16, until: UInt8(ascii: " ")), skip(), skip(),
            let major = number(radix: 16, until: UInt8(ascii: ":")),
            let minor = number(radix: 16, until: UInt8(ascii: " ")),
            let inode = number(radix: 10, until: UInt8(ascii: " ")), inode != 0
        else { return nil }
        self.start = start
        self.end = end
        device = major << 32 | minor
        self.inode = inode
    }
}
