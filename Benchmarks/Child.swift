import Glibc

struct BenchmarkError: Error, CustomStringConvertible {
    var description: String

    init(_ description: String) { self.description = description }
}

/// A program started with posix_spawn, as a plain launcher would start it.
struct Child {
    var arguments: [String]
    /// A file that the child reads from its start, under the given number.
    var input: (here: Int32, there: Int32)?

    init(arguments: [String], rewinding here: Int32? = nil, as there: Int32 = 0) {
        self.arguments = arguments
        input = here.map { ($0, there) }
    }

    /// Runs it once; nanoseconds from the call to the reaped exit. Throws when it fails.
    func run() throws -> Int64 {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if let input {
            lseek(input.here, 0, SEEK_SET)
            posix_spawn_file_actions_adddup2(&actions, input.here, input.there)
        }
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
        var status: Int32 = 0
        let start = now()
        let pid = try Self.spawn(arguments, &actions)
        while waitpid(pid, &status, 0) < 0 {
            guard errno == EINTR else { throw BenchmarkError("waitpid: \(String(cString: strerror(errno)))") }
        }
        let elapsed = now() - start
        guard status == 0 else {
            throw BenchmarkError("\(arguments.joined(separator: " ")) ended with wait status \(status)")
        }
        return elapsed
    }

    /// Runs it once; what it printed, by way of a file in the directory. Throws when it fails.
    func output(by directory: String) throws -> String {
        let file = "\(directory)/output.\(getpid())"
        defer { unlink(file) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 1, file, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        var status: Int32 = 0
        let pid = try Self.spawn(arguments, &actions)
        while waitpid(pid, &status, 0) < 0 {
            guard errno == EINTR else { throw BenchmarkError("waitpid: \(String(cString: strerror(errno)))") }
        }
        guard status == 0, let text = contents(file) else {
            throw BenchmarkError("\(arguments.joined(separator: " ")) ended with wait status \(status)")
        }
        return text
    }

    static func spawn(_ arguments: [String], _ actions: inout posix_spawn_file_actions_t) throws -> pid_t {
        var argv: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
        argv.append(nil)
        defer { for pointer in argv { free(pointer) } }
        var pid: pid_t = 0
        let failure = posix_spawnp(&pid, arguments[0], &actions, nil, argv, environ)
        guard failure == 0 else {
            throw BenchmarkError("cannot start \(arguments[0]): \(String(cString: strerror(failure)))")
        }
        return pid
    }

    /// Whether the program can be found in PATH.
    static func exists(_ name: String) -> Bool {
        let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin"
        return path.split(separator: ":").contains { access("\($0)/\(name)", X_OK) == 0 }
    }
}

/// A directory of this benchmark's own, removed at the end.
struct Scratch: ~Copyable {
    let path: String

    init() throws {
        var template = Array("/var/tmp/postlude-bench.XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else {
            throw BenchmarkError("cannot make a directory: \(String(cString: strerror(errno)))")
        }
        path = String(cString: made)
    }

    /// A directory below it, with its parents; returns its path.
    func directory(_ name: String, mode: mode_t = 0o755) throws -> String {
        var current = path
        for part in name.split(separator: "/") {
            current += "/\(part)"
            guard mkdir(current, mode) == 0 || errno == EEXIST else {
                throw BenchmarkError("cannot make \(current): \(String(cString: strerror(errno)))")
            }
        }
        return current
    }

    deinit {
        do { _ = try Child(arguments: ["rm", "-rf", path]).run() } catch { print("cannot remove \(path): \(error)") }
    }
}

/// Writes a file; replaces one that is there.
func write(_ text: String, to path: String) throws {
    guard let file = fopen(path, "we") else { throw BenchmarkError("cannot write \(path)") }
    defer { fclose(file) }
    guard fputs(text, file) >= 0 else { throw BenchmarkError("cannot write \(path)") }
}

/// A small file's text, as /proc has them; nil when it cannot be read.
func contents(_ path: String) -> String? {
    guard let file = fopen(path, "re") else { return nil }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while case let count = fread(&buffer, 1, buffer.count, file), count > 0 { bytes += buffer[..<count] }
    return String(decoding: bytes, as: UTF8.self)
}

/// The names in a directory; empty when it cannot be read.
func entries(_ path: String) -> [String] {
    guard let directory = opendir(path) else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if name != ".", name != ".." { names.append(name) }
    }
    return names
}
