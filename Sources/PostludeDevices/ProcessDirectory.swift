import Glibc
import PostludeCore

/// A directory of /proc, held open: what is asked below it is about the same process, and costs one step of a path.
struct ProcessDirectory: ~Copyable {
    let descriptor: Int32
    /// For messages only.
    let path: String

    /// - Throws: the errno of a failure.
    init(_ name: UnsafePointer<CChar>, in parent: Int32 = AT_FDCWD, path: String) throws(Failure) {
        descriptor = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Failure(errno: errno) }
        self.path = path
    }

    deinit { _ = close(descriptor) }

    struct Failure: Error {
        var errno: Int32

        /// Whether the process (or its descriptor, or its mapping) has gone meanwhile.
        var isGone: Bool { errno == ENOENT || errno == ESRCH }
    }

    /// Whether there is an entry that can be followed; what may not be asked about counts as there.
    func has(_ name: UnsafePointer<CChar>) -> Bool {
        faccessat(descriptor, name, F_OK, 0) == 0 || errno != ENOENT
    }

    /// An entry's link count; 0 when it is gone.
    func links(of name: UnsafePointer<CChar>) -> Int {
        var status = stat()
        return fstatat(descriptor, name, &status, 0) == 0 ? Int(status.st_nlink) : 0
    }

    /// Calls `body` with each name until it returns false. Names that begin with a dot are left out.
    func forEachName(_ body: (UnsafePointer<CChar>) -> Bool) throws(Failure) {
        // A copy that shares the position: the stream closes it.
        let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0 else { throw Failure(errno: errno) }
        guard let stream = fdopendir(copy) else {
            let code = errno
            _ = close(copy)
            throw Failure(errno: code)
        }
        defer { closedir(stream) }
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                guard errno == 0 else { throw Failure(errno: errno) }
                return
            }
            let goesOn = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
                tuple.withMemoryRebound(to: CChar.self, capacity: 256) { name in
                    name[0] == CChar(UInt8(ascii: ".")) || body(name)
                }
            }
            if !goesOn { return }
        }
    }

    /// The entries that are numbers.
    func numbers() throws(Failure) -> [Int32] {
        var numbers: [Int32] = []
        try forEachName { name in
            if let number = Int32(String(cString: name)) { numbers.append(number) }
            return true
        }
        return numbers
    }
}
