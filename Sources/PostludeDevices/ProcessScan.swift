import Glibc
import PostludeCore

/// One pass over every process, for descriptors and mappings of some device nodes.
struct ProcessScan {
    struct Finding: Hashable {
        var number: NodeNumber
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

    mutating func run(excluding: Set<Int32>) throws(DeviceError) -> [Finding] {
        guard !paths.isEmpty else { return [] }
        let processes = try entries(of: "/proc").compactMap { Int32($0) }
        var findings: [Finding] = []
        for pid in processes where !excluding.contains(pid) {
            let held = try look(at: pid)
            guard !held.isEmpty else { continue }
            let command = SmallFile.read("/proc/\(pid)/comm")?.dropLast() ?? ""
            let uid = Self.realUser(of: pid)
            for hold in held {
                let holder = DeviceHolder(
                    pid: pid, command: String(command), uid: uid, how: hold.how, node: paths[hold.number] ?? "")
                findings.append(Finding(number: hold.number, holder: holder))
            }
        }
        return findings
    }

    private struct Hold: Hashable {
        var number: NodeNumber
        var how: DeviceHolder.How
    }

    private struct Look {
        var holds: Set<Hold> = []
        /// Whether the process (or thread) had any descriptor or mapping at all.
        var sawSomething = false
    }

    private mutating func look(at pid: Int32) throws(DeviceError) -> Set<Hold> {
        var whole = try look(in: "/proc/\(pid)")
        guard !whole.sawSomething else { return whole.holds }
        // A kernel thread, or a process whose first thread has ended while others go on: those still have it all.
        for thread in try entries(of: "/proc/\(pid)/task") where thread != String(pid) && Int32(thread) != nil {
            whole.holds.formUnion(try look(in: "/proc/\(pid)/task/\(thread)").holds)
        }
        return whole.holds
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
        let handle = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard handle >= 0 else {
            if Self.isGone(errno) { return Look() }
            throw .scanIncomplete(path, errno: errno)
        }
        defer { close(handle) }
        var look = Look()
        try forEachEntry(of: handle, path) { name in
            look.sawSomething = true
            var status = stat()
            guard fstatat(handle, name, &status, 0) == 0, status.st_mode & S_IFMT == S_IFCHR else {
                return  // closed since it was listed, or no device
            }
            let number = NodeNumber(major: deviceMajor(status.st_rdev), minor: deviceMinor(status.st_rdev))
            if paths[number] != nil { look.holds.insert(Hold(number: number, how: .descriptor)) }
        }
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
                if let line = MapsLine(buffer[start..<newline]), line.inode != 0,
                    let number = number(of: line, in: directory)
                {
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
        if stat("\(directory)/map_files/\(line.range)", &status) == 0 {
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
        let handle = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard handle >= 0 else {
            if Self.isGone(errno) { return [] }
            throw .scanIncomplete(path, errno: errno)
        }
        defer { close(handle) }
        var names: [String] = []
        try forEachEntry(of: handle, path) { names.append(String(cString: $0)) }
        return names
    }

    private func forEachEntry(
        of handle: Int32, _ path: String, _ body: (UnsafePointer<CChar>) -> Void
    ) throws(DeviceError) {
        // The stream owns its descriptor; the caller keeps using the other one for its look-ups.
        let copy = fcntl(handle, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0, let stream = fdopendir(copy) else {
            if copy >= 0 { close(copy) }
            throw .scanIncomplete(path, errno: errno)
        }
        defer { closedir(stream) }
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                guard errno == 0 || Self.isGone(errno) else { throw .scanIncomplete(path, errno: errno) }
                return
            }
            withUnsafePointer(to: &entry.pointee.d_name) { tuple in
                tuple.withMemoryRebound(to: CChar.self, capacity: 256) { name in
                    if name[0] != CChar(UInt8(ascii: ".")) { body(name) }
                }
            }
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
struct MapsLine {
    /// The address range as the line has it, which also names the entry in map_files.
    var range: String
    /// Major in the upper, minor in the lower half.
    var device: UInt64
    var inode: UInt64

    /// nil for a line of another form and for anonymous memory.
    init?(_ line: ArraySlice<UInt8>) {
        // address perms offset major:minor inode [path]
        let fields = line.split(separator: UInt8(ascii: " "), maxSplits: 5, omittingEmptySubsequences: true)
        guard fields.count >= 5, fields[4].first != UInt8(ascii: "0") else { return nil }
        let numbers = fields[3].split(separator: UInt8(ascii: ":"))
        guard numbers.count == 2, let major = UInt64(String(decoding: numbers[0], as: UTF8.self), radix: 16),
            let minor = UInt64(String(decoding: numbers[1], as: UTF8.self), radix: 16),
            let inode = UInt64(String(decoding: fields[4], as: UTF8.self))
        else { return nil }
        range = Self.normalised(fields[0])
        device = major << 32 | minor
        self.inode = inode
    }

    /// maps pads addresses with zeros to eight digits, map_files does not.
    private static func normalised(_ range: ArraySlice<UInt8>) -> String {
        range.split(separator: UInt8(ascii: "-")).map { part in
            let digits = part.drop { $0 == UInt8(ascii: "0") }
            return digits.isEmpty ? "0" : String(decoding: digits, as: UTF8.self)
        }.joined(separator: "-")
    }
}
