import Foundation
import Glibc
import PostludeCore

/// What a run wrote to `$POSTLUDE_OUTPUTS`. The file is the user's: nothing about it is taken on trust.
enum OutputsFile {
    enum Reading: Hashable, Sendable {
        /// The run wrote none.
        case absent
        case values([String: Value])
        case unusable(reason: String)
    }

    static let name = "outputs.json"

    /// Reads `<artifacts>/outputs.json`: a regular file of the user's own, not a link, of at most `limit` bytes, that
    /// holds one JSON object.
    static func read(artifacts: String, owner: UInt32, limit: Int) -> Reading {
        // Above the artifacts directory everything is the agent's, so only these two steps can be tampered with.
        let directory = open(artifacts, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard directory >= 0 else { return errno == ENOENT ? .absent : .unusable(reason: words(errno)) }
        defer { _ = close(directory) }
        let file = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
        guard file >= 0 else {
            switch errno {
            case ENOENT: return .absent
            case ELOOP: return .unusable(reason: "it is a symbolic link")
            default: return .unusable(reason: words(errno))
            }
        }
        defer { _ = close(file) }
        var status = stat()
        guard fstat(file, &status) == 0 else { return .unusable(reason: words(errno)) }
        guard status.st_mode & S_IFMT == S_IFREG else { return .unusable(reason: "it is not a regular file") }
        guard status.st_uid == owner, status.st_nlink == 1 else {
            return .unusable(reason: "it is another user's file, or has more than one name")
        }
        guard status.st_size <= limit else {
            return .unusable(reason: "it has \(status.st_size) bytes, more than the \(limit) that are read")
        }
        guard let bytes = contents(of: file, limit: limit) else { return .unusable(reason: words(errno)) }
        return parse(bytes)
    }

    static func parse(_ bytes: [UInt8]) -> Reading {
        do {
            return .values(try JSONDecoder().decode([String: Value].self, from: Data(bytes)))
        } catch DecodingError.typeMismatch {
            return .unusable(reason: "it holds something else than one JSON object")
        } catch {
            return .unusable(reason: "it is not JSON")
        }
    }

    /// At most `limit` bytes, whatever the size seemed to be: the file may still grow.
    private static func contents(of file: Int32, limit: Int) -> [UInt8]? {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while bytes.count <= limit {
            let count = Glibc.read(file, &buffer, min(buffer.count, limit + 1 - bytes.count))
            if count < 0 {
                if errno == EINTR { continue }
                return nil
            }
            if count == 0 { return bytes }
            bytes += buffer.prefix(count)
        }
        errno = EFBIG
        return nil
    }

    private static func words(_ code: Int32) -> String { String(cString: strerror(code)) }
}
