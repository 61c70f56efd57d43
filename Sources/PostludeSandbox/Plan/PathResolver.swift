import Glibc
import PostludeLinux

/// The path without links, `.` and `..`; nil when it does not exist or may not be walked.
func canonicalPath(_ path: String) -> String? {
    guard let resolved = realpath(path, nil) else { return nil }
    defer { free(resolved) }
    return String(cString: resolved)
}

/// Resolves paths that share directories as `canonicalPath` does, each directory once and most paths with one call to the
/// kernel: a profile names some ninety. What it knows of directories is true for a moment, so it is not kept.
struct PathResolver {
    struct Found {
        /// Without links, `.` and `..`.
        var path: String
        var identity: FileIdentity
    }

    private var directories: [Substring: String?] = [:]

    /// nil when the path does not exist or may not be walked.
    mutating func canonical(_ path: String) -> String? { find(path[...])?.path }

    mutating func find(_ path: String) -> Found? { find(path[...]) }

    private mutating func find(_ path: Substring) -> Found? {
        guard let slash = path.lastIndex(of: "/"), Self.isPlain(path) else { return Self.walk(String(path)) }
        guard let directory = slash == path.startIndex ? "" : directory(path[..<slash]) else { return nil }
        let file = directory == "/" ? String(path[slash...]) : directory + path[slash...]
        guard let status = FileStatus(of: file) else { return nil }
        return status.type == S_IFLNK ? Self.walk(file) : Found(path: file, identity: FileIdentity(status))
    }

    private mutating func directory(_ path: Substring) -> String? {
        if let known = directories[path] { return known }
        let found = find(path)?.path
        directories[path] = .some(found)
        return found
    }

    /// Whether nothing but links can make another path of it.
    private static func isPlain(_ path: Substring) -> Bool {
        guard path.utf8.first == 0x2f else { return false }
        return path.dropFirst().split(separator: "/", omittingEmptySubsequences: false).allSatisfy { part in
            !part.isEmpty && part != "." && part != ".."
        }
    }

    private static func walk(_ path: String) -> Found? {
        guard let resolved = canonicalPath(path), let status = FileStatus(of: resolved) else { return nil }
        return Found(path: resolved, identity: FileIdentity(status))
    }
}
