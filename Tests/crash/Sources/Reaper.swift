import CLinux
import Foundation
import Glibc
import Synchronization

/// Takes the place of init for everything that a killed agent leaves: its orphans become children of this process, so
/// that none is missed, and their ends are taken as soon as they come.
final class Reaper: Sendable {
    private struct Children {
        /// Those whose ends are asked for; the ends of orphans are not kept, for their numbers come again.
        var own: Set<pid_t> = []
        var ends: [pid_t: Int32] = [:]
    }

    private let state = Mutex(Children())

    /// PR_SET_CHILD_SUBREAPER of <sys/prctl.h>.
    private static let becomeSubreaper: Int32 = 36

    init() throws {
        guard linux_prctl(Self.becomeSubreaper, 1, 0, 0, 0) == 0 else {
            throw CrashError("cannot become the reaper of orphans: \(String(cString: strerror(errno)))")
        }
        let thread = Thread { [self] in
            while true {
                var status: Int32 = 0
                let pid = waitpid(-1, &status, 0)
                // None now; others may come.
                guard pid > 0 else {
                    usleep(2000)
                    continue
                }
                state.withLock { state in if state.own.remove(pid) != nil { state.ends[pid] = status } }
            }
        }
        thread.start()
    }

    /// Calls `body`, which starts a process and returns its number; the process's end is kept until it is asked for.
    func starting(_ body: () throws -> pid_t) rethrows -> pid_t {
        // Nobody takes an end while it is under way, so none comes before it is known whose it is.
        try state.withLock { state in
            let pid = try body()
            state.own.insert(pid)
            return pid
        }
    }

    /// The wait status of a process started that way that has ended; given once.
    func end(of pid: pid_t) -> Int32? { state.withLock { $0.ends.removeValue(forKey: pid) } }

    /// What is left of all agents: children of ours that still live.
    var children: [pid_t] {
        let own = getpid()
        return names(in: "/proc").compactMap { pid_t($0) }.filter { pid in
            guard let stat = text(of: "/proc/\(pid)/stat"), let end = stat.lastIndex(of: ")") else { return false }
            let fields = stat[end...].split(separator: " ")
            return fields.count > 2 && fields[2] == "\(own)" && fields[1] != "Z"
        }
    }
}

/// The names in a directory; none when it cannot be read.
func names(in path: String) -> [String] {
    do { return try FileManager.default.contentsOfDirectory(atPath: path) } catch { return [] }
}

/// A small file's text; nil when it cannot be read.
func text(of path: String) -> String? {
    do { return try String(contentsOfFile: path, encoding: .utf8) } catch { return nil }
}

/// Waits until the body says so, looking every few milliseconds; false when the time is over before.
func wait(seconds: Double, until isThere: () async throws -> Bool) async throws -> Bool {
    let deadline = ContinuousClock.now + .seconds(seconds)
    while try await !isThere() {
        if ContinuousClock.now >= deadline { return false }
        try await Task.sleep(for: .milliseconds(2))
    }
    return true
}
