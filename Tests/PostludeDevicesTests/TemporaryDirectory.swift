import Foundation
import Testing

/// A directory of its own for one test, removed with everything in it.
final class TemporaryDirectory {
    let path: String

    init() throws {
        var template = Array("/tmp/postlude-devices-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw Failure(errno: errno) }
        path = String(cString: made)
    }

    struct Failure: Error { var errno: Int32 }

    deinit {
        do {
            try FileManager.default.removeItem(atPath: path)
        } catch {
            Issue.record(error, "could not be removed: \(path)")
        }
    }

    /// A device node, or any other kind of file by its mode.
    func node(_ name: String, _ mode: mode_t, major: UInt32 = 0, minor: UInt32 = 0) throws -> String {
        let number = dev_t(minor & 0xff) | dev_t(major & 0xfff) << 8 | dev_t(minor & ~0xff) << 12
        let file = "\(path)/\(name)"
        guard mknod(file, mode | 0o666, number) == 0 else { throw Failure(errno: errno) }
        return file
    }

    func file(_ name: String, _ text: String) throws -> String {
        var parent = path
        for part in name.split(separator: "/").dropLast() {
            parent += "/" + part
            mkdir(parent, 0o755)
        }
        let file = "\(path)/\(name)"
        guard let stream = fopen(file, "w") else { throw Failure(errno: errno) }
        defer { fclose(stream) }
        fputs(text, stream)
        return file
    }
}

let isRoot = geteuid() == 0
