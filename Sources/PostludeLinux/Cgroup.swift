import CLinux
import Glibc

/// One cgroup directory of one hierarchy, held open. Closing it does not remove it.
public struct Cgroup: ~Copyable, Sendable {
    public let path: String
    public let directory: OwnedDescriptor

    public init(opening path: String) throws(LinuxError) {
        directory = try OwnedDescriptor.open(path, LINUX_O_PATH | O_DIRECTORY)
        self.path = path
    }

    /// Makes the directory (and takes it when it is there already) and opens it.
    public init(creating path: String) throws(LinuxError) {
        if mkdir(path, 0o755) != 0 && errno != EEXIST { throw LinuxError(last: "mkdir", path) }
        try self.init(opening: path)
    }

    /// A child of this cgroup, made when it is missing.
    public borrowing func child(_ name: String) throws(LinuxError) -> Cgroup {
        try Cgroup(creating: path + "/" + name)
    }

    public borrowing func read(_ file: String) throws(LinuxError) -> String {
        do {
            return String(decoding: try readSmallFile(file, at: directory.rawValue), as: UTF8.self)
        } catch {
            throw LinuxError(error.call, path + "/" + file, errno: error.errno)
        }
    }

    /// A counter file with one number; nil when the kernel has none such, or it says `max`.
    public borrowing func number(_ file: String) -> UInt64? {
        do {
            return UInt64(try read(file).prefix { $0 != "\n" })
        } catch {
            return nil
        }
    }

    /// One value of a file of `key value` lines; nil when file or key is missing.
    public borrowing func number(_ file: String, key: String) -> UInt64? {
        do {
            return flatKeyed(try read(file), key)
        } catch {
            return nil
        }
    }

    public borrowing func write(_ file: String, _ value: String) throws(LinuxError) {
        do {
            try writeFile(file, value, at: directory.rawValue)
        } catch {
            throw LinuxError(error.call, path + "/" + file, errno: error.errno)
        }
    }

    /// Writes a limit and reads back what the kernel made of it, without the line's end.
    public static func set(_ path: String, _ value: String) throws(LinuxError) -> String {
        let file = try OwnedDescriptor.open(path, O_RDWR)
        let raw = file.rawValue
        var text = value
        _ = try retrying("write", path) { () -> Int in text.withUTF8 { Glibc.write(raw, $0.baseAddress, $0.count) } }
        var result = ""
        try withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 256) { (buffer) throws(LinuxError) in
            let count = try retrying("pread", path) { pread(raw, buffer.baseAddress, buffer.count, 0) }
            result = String(decoding: buffer.prefix(count).prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
        }
        return result
    }

    /// Moves a process (all its threads) here; 0 means the caller. Costs an RCU grace period after a quiet time.
    public borrowing func enter(_ pid: Int32 = 0) throws(LinuxError) {
        try write("cgroup.procs", "\(pid)")
    }

    /// SIGKILL to everything in the subtree, at once (v2 only).
    public borrowing func kill() throws(LinuxError) {
        try write("cgroup.kill", "1")
    }

    /// Stops or lets go everything in the subtree (v2 only); asynchronous, `cgroup.events` says when it is done.
    public borrowing func freeze(_ frozen: Bool) throws(LinuxError) {
        try write("cgroup.freeze", frozen ? "1" : "0")
    }

    /// Whether a live process is in the subtree (v2 only).
    public borrowing func isPopulated() throws(LinuxError) -> Bool {
        flatKeyed(try read("cgroup.events"), "populated") != 0
    }

    /// Whether everything in the subtree is frozen (v2 only).
    public borrowing func isFrozen() throws(LinuxError) -> Bool {
        flatKeyed(try read("cgroup.events"), "frozen") == 1
    }

    /// `cgroup.events` opened for waiting with POLLPRI: read it, wait, read again.
    public borrowing func events() throws(LinuxError) -> CgroupEvents {
        CgroupEvents(file: try OwnedDescriptor.open("cgroup.events", O_RDONLY, at: directory.rawValue))
    }

    /// Processes of this cgroup alone, not of its children.
    public borrowing func processes() throws(LinuxError) -> [Int32] {
        try read("cgroup.procs").split(separator: "\n").compactMap { Int32($0) }
    }

    /// The inode of the directory: the cgroup's id, never used again while the machine runs.
    public borrowing func inode() throws(LinuxError) -> UInt64 {
        UInt64(try directory.status().st_ino)
    }

    /// Removes an empty cgroup.
    /// - Throws: EBUSY while processes or child cgroups are in it.
    public static func remove(_ path: String) throws(LinuxError) {
        if rmdir(path) != 0 { throw LinuxError(last: "rmdir", path) }
    }

    /// Names of the child cgroups.
    public static func children(of path: String) throws(LinuxError) -> [String] {
        guard let stream = opendir(path) else { throw LinuxError(last: "opendir", path) }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            guard entry.pointee.d_type == UInt8(DT_DIR) else { continue }
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }
}

/// An open `cgroup.events`, for waiting until a subtree is empty.
public struct CgroupEvents: ~Copyable, Sendable {
    public let file: OwnedDescriptor

    /// Reads it again, which also arms the next POLLPRI.
    public borrowing func isPopulated() throws(LinuxError) -> Bool {
        let raw = file.rawValue
        guard lseek(raw, 0, SEEK_SET) == 0 else { throw LinuxError(last: "lseek", "cgroup.events") }
        return flatKeyed(String(decoding: try readToEnd(raw, limit: 4096), as: UTF8.self), "populated") != 0
    }

    /// Blocks until the subtree is empty; false when the time is over first.
    public borrowing func waitUntilEmpty(milliseconds: Int32) throws(LinuxError) -> Bool {
        let deadline = Clocks.monotonicNanoseconds() + UInt64(max(0, milliseconds)) * 1_000_000
        while try isPopulated() {
            let now = Clocks.monotonicNanoseconds()
            guard now < deadline else { return false }
            _ = try waitPriority(file.rawValue, milliseconds: Int32((deadline - now + 999_999) / 1_000_000))
        }
        return true
    }
}

/// The value of `key` in `key value` lines.
func flatKeyed(_ text: String, _ key: String) -> UInt64? {
    for line in text.utf8.split(separator: UInt8(ascii: "\n")) {
        let fields = line.split(separator: UInt8(ascii: " "))
        if fields.count == 2, fields[0].elementsEqual(key.utf8) { return UInt64(String(fields[1]) ?? "") }
    }
    return nil
}

extension CgroupLayout {
    /// Prepares the v2 cgroup of a delegated service for children with controllers: moves the calling process to the
    /// child `leaf` (no process may stay in a cgroup that distributes controllers) and enables what is offered of
    /// `controllers`.
    ///
    /// Only the caller is moved: when others share its cgroup (a login session), this fails with EBUSY and they are
    /// left alone.
    /// - Returns: the names that are enabled now.
    @discardableResult
    public func delegate(
        leaf: String, controllers: [String] = ["memory", "cpu", "pids", "io"]
    ) throws(LinuxError) -> [String] {
        let own = try Cgroup(opening: unified)
        let wanted = controllers.filter { unifiedControllers.contains($0) }
        let already = try own.read("cgroup.subtree_control").split(whereSeparator: { $0 == " " || $0 == "\n" })
        if wanted.allSatisfy({ name in already.contains { $0 == name } }) && !wanted.isEmpty { return wanted }
        // The root cgroup alone may hold processes and distribute controllers; it has no cgroup.type.
        if access(unified + "/cgroup.type", F_OK) == 0 { try own.child(leaf).enter() }
        if !wanted.isEmpty { try own.enable(wanted) }
        return wanted
    }
}

extension Cgroup {
    /// Enables controllers for the children of this v2 cgroup.
    /// - Throws: EBUSY while a process is in it.
    public borrowing func enable(_ controllers: [String]) throws(LinuxError) {
        try write("cgroup.subtree_control", controllers.map { "+" + $0 }.joined(separator: " "))
    }
}
