import Foundation
import Testing

/// A directory of its own for one test, removed with everything in it.
final class TemporaryDirectory {
    let path: String

    struct Failure: Error { var errno: Int32 }

    /// - Parameter parent: where it is made.
    init(in parent: String = "/tmp") throws {
        var template = Array("\(parent)/postlude-sandbox-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw Failure(errno: errno) }
        path = String(cString: made)
    }

    deinit {
        do {
            try FileManager.default.removeItem(atPath: path)
        } catch {
            Issue.record(error, "could not be removed: \(path)")
        }
    }

    @discardableResult
    func directory(_ name: String, mode: mode_t = 0o755, owner: uid_t = 0) throws -> String {
        var parent = path
        for part in name.split(separator: "/") {
            parent += "/" + part
            if mkdir(parent, 0o755) != 0 && errno != EEXIST { throw Failure(errno: errno) }
        }
        guard chmod(parent, mode) == 0, chown(parent, owner, owner) == 0 else { throw Failure(errno: errno) }
        return parent
    }

    @discardableResult
    func write(_ name: String, _ text: String, mode: mode_t = 0o644) throws -> String {
        let file = "\(path)/\(name)"
        guard let stream = fopen(file, "w") else { throw Failure(errno: errno) }
        fputs(text, stream)
        fclose(stream)
        guard chmod(file, mode) == 0 else { throw Failure(errno: errno) }
        return file
    }

    func read(_ name: String) -> String {
        guard let stream = fopen("\(path)/\(name)", "r") else { return "" }
        defer { fclose(stream) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while case let count = fread(&chunk, 1, chunk.count, stream), count > 0 { bytes += chunk[..<count] }
        return String(decoding: bytes, as: UTF8.self)
    }
}

let isRoot = geteuid() == 0
