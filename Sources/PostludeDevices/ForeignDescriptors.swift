import CLinux
import Glibc

/// The descriptors of a process whose /proc/<pid>/fd may not be read: without root that of any process that made itself
/// undumpable is root's, whoever the process belongs to. Copies of its descriptors are had all the same from a process in
/// a user namespace that this user owns, as every process of a run is (pidfd_getfd(2), ptrace(2)).
enum ForeignDescriptors {
    /// Calls `body` with a copy of each descriptor, until it returns false.
    ///
    /// - Throws: the errno of a refusal, or ESRCH when the process is gone.
    static func forEach(
        of pid: Int32, _ body: (Int32) throws(ProcessDirectory.Failure) -> Bool
    ) throws(ProcessDirectory.Failure) {
        let process = linux_pidfd_open(pid)
        guard process >= 0 else { throw ProcessDirectory.Failure(errno: errno) }
        defer { close(process) }
        // The table may grow meanwhile, but what is held is held at every moment, as for any other scan.
        guard let size = tableSize(of: pid) else { throw ProcessDirectory.Failure(errno: ESRCH) }
        for number in 0..<size {
            let copy = linux_pidfd_getfd(process, number)
            guard copy >= 0 else {
                if errno == EBADF { continue }
                throw ProcessDirectory.Failure(errno: errno)
            }
            defer { close(copy) }
            guard try body(copy) else { return }
        }
    }

    /// FDSize of /proc/<pid>/status: no descriptor has a higher number.
    private static func tableSize(of pid: Int32) -> Int32? {
        for line in (SmallFile.read("/proc/\(pid)/status") ?? "").split(separator: "\n")
        where line.hasPrefix("FDSize:") {
            return line.dropFirst(7).split(whereSeparator: { $0 == "\t" || $0 == " " }).first.flatMap { Int32($0) }
        }
        return nil
    }
}
