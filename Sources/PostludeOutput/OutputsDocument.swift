import Glibc
import PostludeCore

/// The outputs file of a run. Whoever adds to it has its directory locked, and the file is exchanged as a whole: readers see
/// all of a change or nothing, and of several writers none loses what another wrote.
struct OutputsDocument {
    let path: String
    private let directory: String
    private let name: String

    init(path: String) throws(OutputFailure) {
        guard let slash = path.lastIndex(of: "/") else { throw OutputFailure(path, ENOENT) }
        self.path = path
        directory = slash == path.startIndex ? "/" : String(path[..<slash])
        name = String(path[path.index(after: slash)...])
    }

    func add(_ outputs: [String: Value]) throws(OutputFailure) {
        let folder = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { throw OutputFailure(directory, errno) }
        // Closing gives the lock back, also when this process is killed.
        defer { _ = close(folder) }
        while flock(folder, LOCK_EX) != 0 { guard errno == EINTR else { throw OutputFailure(directory, errno) } }
        let all = try written(in: folder).merging(outputs) { _, new in new }
        let text: String
        do throws(ExpressionError) {
            text = try Value.dict(all).json() + "\n"
        } catch {
            throw OutputFailure(2, "The outputs cannot be written as JSON: \(error.message)", hint: error.hint)
        }
        try exchange(Array(text.utf8), in: folder)
    }

    private func written(in folder: Int32) throws(OutputFailure) -> [String: Value] {
        let file = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        guard file >= 0 else {
            if errno == ENOENT { return [:] }
            throw OutputFailure(path, errno)
        }
        defer { _ = close(file) }
        let bytes = try FileContent.read(file, path)
        if bytes.isEmpty { return [:] }
        do throws(JSONProblem) {
            if case .dict(let entries) = try Value.parse(json: bytes) { return entries }
        } catch {
            throw OutputFailure(
                1, "'\(path)' is not JSON: \(error).", hint: "Remove it, or write one JSON object to it.")
        }
        throw OutputFailure(1, "'\(path)' is not a JSON object.", hint: "Remove it, or write one JSON object to it.")
    }

    private func exchange(_ bytes: [UInt8], in folder: Int32) throws(OutputFailure) {
        // One name is enough, for only the one with the lock writes; what a killed one left is overwritten.
        let draft = ".\(name).new"
        let file = openat(folder, draft, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw OutputFailure("\(directory)/\(draft)", errno) }
        defer { _ = close(file) }
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { write(file, $0.baseAddress?.advanced(by: written), $0.count - written) }
            if count < 0 {
                if errno == EINTR { continue }
                throw OutputFailure("\(directory)/\(draft)", errno)
            }
            written += count
        }
        guard renameat(folder, draft, folder, name) == 0 else { throw OutputFailure(path, errno) }
    }
}

enum FileContent {
    /// What fits into an outputs file, and more than any context file.
    static let maximumBytes = 4 << 20

    static func read(_ file: Int32, _ name: String) throws(OutputFailure) -> [UInt8] {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = Glibc.read(file, &buffer, buffer.count)
            if count < 0 {
                if errno == EINTR { continue }
                throw OutputFailure(name, errno)
            }
            if count == 0 { return bytes }
            bytes += buffer.prefix(count)
            guard bytes.count <= maximumBytes else { throw OutputFailure(name, EFBIG) }
        }
    }
}
