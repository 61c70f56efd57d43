import Glibc
import PostludeCore

/// `postlude-output`: how a shell script writes outputs. It is there in every sandbox and needs nothing of the host.
struct OutputCommand {
    let arguments: [String]

    static let usage = """
        usage: postlude-output NAME=VALUE ...
               postlude-output --json NAME=JSON ...
               postlude-output --json < OBJECT

        Adds outputs to those of this run. Declared outputs get the type they are declared with; of others, numbers,
        true, false, lists and objects are what JSON has them be, and the rest is text. With --json, values are JSON;
        without any, standard input holds one JSON object.

        Exit status: 0 written, 1 the file cannot be written, 2 the outputs are wrong (then nothing is written).

        """

    /// The exit status.
    func run() -> Int32 {
        if arguments == ["--help"] || arguments == ["-h"] {
            write(Self.usage, to: STDOUT_FILENO)
            return 0
        }
        do throws(OutputFailure) {
            let file = try OutputsDocument(path: try path())
            try file.add(try outputs())
            return 0
        } catch {
            write("postlude-output: \(error.message)\n", to: STDERR_FILENO)
            if let hint = error.hint { write("hint: \(hint)\n", to: STDERR_FILENO) }
            return error.status
        }
    }

    private func path() throws(OutputFailure) -> String {
        guard let path = Self.variable("POSTLUDE_OUTPUTS"), path.hasPrefix("/") else {
            throw OutputFailure(
                1, "POSTLUDE_OUTPUTS is not set: this is no step of a run.", hint: "Run it inside an operation.")
        }
        return path
    }

    private func outputs() throws(OutputFailure) -> [String: Value] {
        let isJSON = arguments.first == "--json"
        var words = isJSON ? Array(arguments.dropFirst()) : arguments
        if words.first == "--" { words.removeFirst() }
        let declared = try declarations()
        guard isJSON || !words.isEmpty else {
            throw OutputFailure(2, "No output is named.", hint: "Write postlude-output NAME=VALUE; see --help.")
        }
        var outputs: [String: Value] = [:]
        if words.isEmpty {
            for (name, value) in try standardInput() {
                outputs[name] = try checked { () throws(OutputDeclarations.Problem) in
                    try declared.typed(value, of: name)
                }
            }
            return outputs
        }
        for word in words {
            let (name, value) = try checked { () throws(OutputDeclarations.Problem) in
                try declared.output(from: word, isJSON: isJSON)
            }
            outputs[name] = value
        }
        return outputs
    }

    private func checked<Result>(
        _ body: () throws(OutputDeclarations.Problem) -> Result
    ) throws(OutputFailure) -> Result {
        do throws(OutputDeclarations.Problem) {
            return try body()
        } catch {
            throw OutputFailure(2, error.message, hint: error.hint)
        }
    }

    private func standardInput() throws(OutputFailure) -> [String: Value] {
        let bytes = try FileContent.read(STDIN_FILENO, "standard input")
        do throws(JSONProblem) {
            if case .dict(let entries) = try Value.parse(json: bytes) { return entries }
        } catch {
            throw OutputFailure(2, "Standard input is not JSON: \(error).", hint: "Give it one JSON object.")
        }
        throw OutputFailure(2, "Standard input is not a JSON object.", hint: "Such as {\"accuracy\": 0.93}.")
    }

    /// What the run's component declares; without a context file nothing is known of it.
    private func declarations() throws(OutputFailure) -> OutputDeclarations {
        guard let path = Self.variable("POSTLUDE_CONTEXT") else { return OutputDeclarations([]) }
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw OutputFailure(path, errno) }
        defer { _ = close(file) }
        let bytes = try FileContent.read(file, path)
        do throws(JSONProblem) {
            guard case .dict(let context) = try Value.parse(json: bytes) else { return OutputDeclarations([]) }
            return OutputDeclarations(context["declared_outputs"] ?? .null)
        } catch {
            throw OutputFailure(1, "'\(path)' is not JSON: \(error).", hint: "Leave POSTLUDE_CONTEXT as it is.")
        }
    }

    private static func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

    private func write(_ text: String, to file: Int32) {
        let bytes = Array(text.utf8)
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.write(file, $0.baseAddress?.advanced(by: written), $0.count - written)
            }
            guard count > 0 || (count < 0 && errno == EINTR) else { return }
            written += max(0, count)
        }
    }
}

/// Why nothing was written.
struct OutputFailure: Error {
    /// The exit status.
    var status: Int32
    var message: String
    var hint: String?

    init(_ status: Int32, _ message: String, hint: String? = nil) {
        self.status = status
        self.message = message
        self.hint = hint
    }

    init(_ path: String, _ code: Int32) {
        self.init(
            1, "'\(path)' cannot be used: \(String(cString: strerror(code))).",
            hint: code == ENOSPC ? "Free some space." : nil)
    }
}
