import Glibc
import PostludeSpec

/// Reads a file named on the command line, with the user's own rights.
enum InputFile {
    /// Operation files are small; more is a mistake, or data in the wrong place.
    static let limit = 1 << 20

    /// The text of the file, or of standard input for `-`; throws a `CommandFailure` that says what is wrong with it.
    static func text(at path: String, limit: Int = limit) throws(CommandFailure) -> String {
        guard !path.isEmpty else {
            throw CommandFailure(
                .usage, "cli.file-name-empty", "The file's name is empty.",
                hint: "Name a file, or - for standard input.")
        }
        guard !path.utf8.contains(0) else {
            throw CommandFailure(.usage, "cli.file-name-invalid", "The file's name holds a NUL.", hint: nil)
        }
        let bytes = try read(path, limit: limit)
        let text: String
        switch SourceText.decode(bytes, path: path) {
        case .success(let decoded): text = decoded
        case .failure(let error):
            throw CommandFailure(
                .usage, error.code, "'\(path)': \(error.message)", hint: error.hint, details: error.diagnostics)
        }
        guard text.contains(where: { !$0.isWhitespace }) else {
            throw CommandFailure(
                .usage, "cli.file-empty", "'\(path)' is empty.",
                hint: path == "-" ? "Pipe an operation into the command." : "Check that it is the file you mean.")
        }
        return text
    }

    private static func read(_ path: String, limit: Int) throws(CommandFailure) -> [UInt8] {
        // Not blocking: a pipe that nobody writes to would keep the open waiting.
        let descriptor = path == "-" ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw cannotOpen(path, errno) }
        defer { if descriptor != STDIN_FILENO { _ = close(descriptor) } }
        try check(path, descriptor)
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while bytes.count <= limit {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count > 0 {
                bytes += chunk.prefix(count)
            } else if count == 0 {
                return bytes
            } else if errno != EINTR {
                throw CommandFailure(
                    .usage, "cli.file-unreadable", "Cannot read '\(path)': \(String(cString: strerror(errno))).",
                    hint: "Check the file and its disk.")
            }
        }
        throw CommandFailure(
            .usage, "cli.file-too-large", "'\(path)' has more than \(limit >> 10) KiB.",
            hint: "An operation file describes a run; keep data in files of their own.")
    }

    /// Standard input may be anything that ends; a file has to be one.
    private static func check(_ path: String, _ descriptor: Int32) throws(CommandFailure) {
        var info = stat()
        guard fstat(descriptor, &info) == 0 else { throw cannotOpen(path, errno) }
        switch info.st_mode & S_IFMT {
        case S_IFDIR:
            throw CommandFailure(
                .usage, "cli.file-is-directory", "'\(path)' is a directory.", hint: "Name the operation file in it.")
        case S_IFREG: return
        default:
            guard path != "-" else { return }
            throw CommandFailure(
                .usage, "cli.file-not-regular", "'\(path)' is a pipe, a device or a socket, not a file.",
                hint: "Name a file, or - and redirect standard input.")
        }
    }

    private static func cannotOpen(_ path: String, _ code: Int32) -> CommandFailure {
        switch code {
        case ENOENT:
            CommandFailure(
                .usage, "cli.file-missing", "There is no file '\(path)'.",
                hint: "Check the name and the directory you are in.")
        case EACCES, EPERM:
            CommandFailure(
                .usage, "cli.file-denied", "You may not read '\(path)'.",
                hint: "Check the file's owner and mode, and its directories'.")
        case ENOTDIR:
            CommandFailure(
                .usage, "cli.file-missing", "A part of '\(path)' is a file, not a directory.", hint: "Check the path.")
        case ELOOP:
            CommandFailure(
                .usage, "cli.file-link-loop", "The links at '\(path)' lead in a circle.",
                hint: "Repair the symbolic links.")
        case ENAMETOOLONG:
            CommandFailure(.usage, "cli.file-name-invalid", "The file's name is too long.", hint: "Check the path.")
        default:
            CommandFailure(
                .usage, "cli.file-unreadable", "Cannot open '\(path)': \(String(cString: strerror(code))).",
                hint: "Check the file and its disk.")
        }
    }

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// The directory that relative references in the file start from.
    static func directory(of path: String) -> String {
        guard path != "-", let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// The current directory as the kernel names it: absolute, without links.
    static func workingDirectory() throws(CommandFailure) -> String {
        guard let path = getcwd(nil, 0) else {
            throw CommandFailure(
                .usage, "cli.no-working-directory",
                "The current directory cannot be named: \(String(cString: strerror(errno))).",
                hint: "Change to a directory that exists.")
        }
        defer { free(path) }
        return String(cString: path)
    }
}
