import Glibc
import PostludeLinux
import Synchronization

/// Tells when what is mounted in the agent's namespace is no longer what it was. A copy made before such a change does
/// not show it, and keeps busy what was unmounted since.
///
/// A mount that comes and goes (other container runtimes make one for each start) is no such change: the table is what it
/// was before. That the same lines mean the same mounts is certain as long as somebody holds a copy: it keeps the file
/// system's device number from being given to another.
final class MountTable: Sendable {
    private struct Known {
        var changes: UInt64 = 0
        var generation: UInt64 = 0
        /// Nil when it could not be read.
        var lines: [UInt8]?
    }

    private let path: String
    private let file: OwnedDescriptor
    private let known: Mutex<Known>

    /// The paths below `directory` on which something is mounted.
    static func points(below directory: String) throws(SandboxError) -> [String] {
        let text: String
        do {
            text = try readText(ownPath)
        } catch {
            throw .hostUnreadable(ownPath, errno: error.errno)
        }
        let points = text.split(separator: "\n").compactMap { line -> String? in
            let fields = line.split(separator: " ")
            return fields.count > 4 ? unescapeMountPath(String(fields[4])) : nil
        }
        return points.filter { $0.hasPrefix(directory + "/") }
    }

    /// - Parameter path: the mountinfo file of any process in the namespace.
    init(path: String = ownPath) throws(LinuxError) {
        self.path = path
        file = try OwnedDescriptor.open(path, O_RDONLY)
        known = Mutex(Known(lines: Self.read(path)))
    }

    /// Another number for each state of the table.
    var generation: UInt64 { look().generation }

    /// How often it was seen to have changed, also when nothing of that was left.
    var changes: UInt64 { look().changes }

    private func look() -> Known {
        known.withLock { known in
            // proc(5): mountinfo polls as exceptional after each change, once. What changes while it is read below does so
            // again.
            var request = pollfd(fd: file.rawValue, events: Int16(POLLPRI), revents: 0)
            guard poll(&request, 1, 0) > 0 else { return known }
            known.changes += 1
            let lines = Self.read(path)
            if lines == nil || lines != known.lines { known.generation += 1 }
            known.lines = lines
            return known
        }
    }

    static let ownPath = "/proc/self/mountinfo"

    private static func read(_ path: String) -> [UInt8]? {
        do {
            return try readFile(path)
        } catch {
            return nil
        }
    }
}
