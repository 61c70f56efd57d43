import Foundation
import Testing

@testable import PostludeCLI

/// What a user can get wrong on the command line and in the files named there: each is told by code, message and hint.
@Suite struct BadInputTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var arguments: [String]
        var input: [UInt8] = []
        var environment: [String: String] = [:]
        var files: [String: [UInt8]] = [:]
        var status: Int32 = 2
        var code: String
        var says: String

        init(
            _ name: String, _ arguments: [String], input: [UInt8] = [], environment: [String: String] = [:],
            files: [String: [UInt8]] = [:], status: Int32 = 2, code: String, says: String
        ) {
            testDescription = name
            self.arguments = arguments
            self.input = input
            self.environment = environment
            self.files = files
            self.status = status
            self.code = code
            self.says = says
        }
    }

    static let good = Array(
        """
        version: 1.1
        kind: component
        run:
          kind: job
          container:
            command: [/bin/true]

        """.utf8)

    static let cases: [Case] = [
        Case("no such command", ["rnu"], code: "cli.usage", says: "Unexpected argument"),
        Case("no such option", ["ps", "--al"], code: "cli.usage", says: "--al"),
        Case("no file named", ["run"], code: "cli.usage", says: "<file>"),
        Case("two files named", ["run", "a.yaml", "b.yaml"], code: "cli.usage", says: "b.yaml"),
        Case("an option without its value", ["run", "a.yaml", "--name"], code: "cli.usage", says: "--name"),
        Case("a format that is none", ["report", "--format", "xml"], code: "cli.usage", says: "xml"),
        Case("a time that is none", ["report", "--since", "soon"], code: "cli.usage", says: "soon"),
        Case("a limit that is none", ["ps", "--limit", "0"], code: "cli.usage", says: "--limit"),
        Case("a stream that is none", ["logs", "0123", "--stream", "both"], code: "cli.usage", says: "both"),
        Case("an attempt that is none", ["logs", "0123", "--attempt", "0"], code: "cli.usage", says: "--attempt"),
        Case("a missing file", ["run", "none.yaml"], code: "cli.file-missing", says: "none.yaml"),
        Case(
            "a file below a file", ["run", "a.yaml/b.yaml"], files: ["a.yaml": good], code: "cli.file-missing",
            says: "a.yaml/b.yaml"),
        Case("an empty file name", ["run", ""], code: "cli.file-name-empty", says: "empty"),
        Case(
            "a name that is too long", ["run", String(repeating: "x", count: 300)], code: "cli.file-name-invalid",
            says: "too long"),
        Case("a directory", ["submit", "."], code: "cli.file-is-directory", says: "directory"),
        Case("an empty file", ["validate", "a.yaml"], files: ["a.yaml": []], code: "cli.file-empty", says: "empty"),
        Case(
            "a file of blanks", ["validate", "a.yaml"], files: ["a.yaml": Array(" \n\t\n".utf8)],
            code: "cli.file-empty", says: "empty"),
        Case("nothing on standard input", ["validate", "-"], code: "cli.file-empty", says: "'-'"),
        Case(
            "a file that is not UTF-8", ["run", "a.yaml"], files: ["a.yaml": [0x61, 0x0a, 0xff, 0x0a]],
            code: "spec.not-utf8", says: "UTF-8"),
        Case(
            "a file that is too large", ["run", "a.yaml"],
            files: ["a.yaml": Array(repeating: 0x23, count: (1 << 20) + 1)], code: "cli.file-too-large",
            says: "1024 KiB"),
        Case("a device for a file", ["run", "/dev/zero"], code: "cli.file-not-regular", says: "/dev/zero"),
        Case(
            "too much on standard input", ["validate", "-"], input: Array(repeating: 0x23, count: (1 << 20) + 1),
            code: "cli.file-too-large", says: "'-'"),
        Case(
            "a param without a value", ["run", "a.yaml", "-P", "lr"], files: ["a.yaml": good],
            code: "cli.param-without-value", says: "lr"),
        Case(
            "a param with a bad name", ["run", "a.yaml", "-P", "l r=1"], files: ["a.yaml": good],
            code: "cli.param-name", says: "l r"),
        Case(
            "a param given twice", ["run", "a.yaml", "-P", "a=1", "-P", "a=2"], files: ["a.yaml": good],
            code: "cli.param-twice", says: "'a'"),
        Case(
            "a param with half a list", ["run", "a.yaml", "-P", "a=[1"], files: ["a.yaml": good],
            code: "cli.param-json", says: "'a'"),
        Case("a relative socket", ["ps", "--socket", "x.sock"], code: "cli.socket-path", says: "x.sock"),
        Case("a missing configuration", ["ps", "--config", "none.yaml"], code: "cli.file-missing", says: "none.yaml"),
        Case(
            "a configuration with an unknown key", ["ps", "--config", "c.yaml"],
            files: ["c.yaml": Array("sockets: /x\n".utf8)], code: "cli.configuration", says: "c.yaml"),
        Case(
            "a configuration with a relative path", ["ps"], environment: ["POSTLUDE_CONFIG": "c.yaml"],
            files: ["c.yaml": Array("socket: x.sock\n".utf8)], code: "cli.configuration", says: "c.yaml"),
        Case(
            "no agent", ["ps", "--no-start", "--socket", "/nonexistent/agent.sock"], status: 4, code: "api.not-running",
            says: "/nonexistent/agent.sock"),
        Case(
            "no agent at a socket that was named", ["ps", "--socket", "/nonexistent/agent.sock"], status: 4,
            code: "api.not-running", says: "/nonexistent/agent.sock"),
        Case(
            "no agent at a socket of the environment's", ["run", "a.yaml"],
            environment: ["POSTLUDE_SOCKET": "/nonexistent/agent.sock"], files: ["a.yaml": good], status: 4,
            code: "api.not-running", says: "/nonexistent/agent.sock"),
        Case(
            "no agent, by the environment", ["doctor", "--no-start"],
            environment: ["POSTLUDE_SOCKET": "/nonexistent/agent.sock"], status: 4, code: "api.not-running",
            says: "/nonexistent/agent.sock"),
        Case(
            "a pathRef to a missing file", ["run", "dir/a.yaml"],
            files: [
                "dir/a.yaml": Array(
                    """
                    version: 1.1
                    kind: operation
                    pathRef: other.yaml

                    """.utf8)
            ], code: "cli.file-missing", says: "dir/other.yaml"),
    ]

    @Test(arguments: cases)
    func `bad input is told by code, message and hint, and nothing is started`(_ input: Case) throws {
        let scratch = try Scratch()
        for (name, bytes) in input.files { try scratch.write(Data(bytes), to: name) }
        let text = try Program.run(
            input.arguments, in: scratch.url, input: Data(input.input), environment: input.environment)
        #expect(text.status == input.status)
        #expect(
            text.output.isEmpty && text.error.contains("[\(input.code)]") && text.error.contains(input.says),
            "\(text.error)")
        // A finding's own hint counts; the usual place is the last line.
        #expect(text.error.contains("\nhint: "), "\(text.error)")

        let json = try Program.run(
            input.arguments + ["--json"], in: scratch.url, input: Data(input.input), environment: input.environment)
        guard input.arguments.last != "--name" else { return }  // which takes --json for its value
        #expect(json.status == input.status && json.error.isEmpty, "\(json.error)")
        let document = try JSONDecoder().decode([String: Envelope].self, from: Data(json.output.utf8))
        #expect(document["error"]?.code == input.code && document["error"]?.hint?.isEmpty == false)
        let left = try FileManager.default.contentsOfDirectory(atPath: scratch.url.path)
        #expect(Set(left) == Set(input.files.keys.map { String($0.split(separator: "/")[0]) }))
        #expect(!FileManager.default.fileExists(atPath: "/nonexistent"))
    }

    private struct Envelope: Decodable {
        var code: String
        var message: String
        var hint: String?
    }

    @Test func `help and version are no failures`() throws {
        let scratch = try Scratch()
        for arguments in [["--help"], ["run", "--help"], ["--version"], ["help", "report"], []] {
            let result = try Program.run(arguments, in: scratch.url)
            #expect(result.status == 0 && result.error.isEmpty && !result.output.isEmpty, "\(arguments)")
        }
    }

    @Test func `validate shows every problem with its line and exits with 1`() throws {
        let scratch = try Scratch()
        try scratch.write(
            "version: 1.1\nkind: component\nrun:\n  kind: job\n  contianer:\n    command: [x]\n  container:\n    commands: [y]\n",
            to: "a.yaml")
        let result = try Program.run(["validate", "a.yaml"], in: scratch.url)
        #expect(result.status == 1 && result.output.isEmpty)
        #expect(
            result.error.contains("a.yaml:5:3") && result.error.contains("a.yaml:8:5") && result.error.contains("^"),
            "\(result.error)")
        let json = try Program.run(["validate", "--json", "a.yaml"], in: scratch.url)
        #expect(json.status == 1 && json.output.contains("\"valid\" : false"))
    }

    @Test(arguments: ["validate", "run"]) func `a pipe that nobody writes to is refused at once`(command: String) throws
    {
        let scratch = try Scratch()
        #expect(mkfifo(scratch.url.appendingPathComponent("pipe").path, 0o600) == 0)
        let result = try Program.run([command, "pipe"], in: scratch.url)
        #expect(result.status == 2 && result.error.contains("[cli.file-not-regular]"), "\(result.error)")
    }

    @Test func `what a file says commands no terminal`() throws {
        let scratch = try Scratch()
        try scratch.write(
            #"{version: 1.1, kind: component, "\e[31m\a\x7f\x9b2J": 1, run: {kind: job, container: {command: [x]}}}"#,
            to: "a.yaml")
        let result = try Program.run(["validate", "a.yaml"], in: scratch.url)
        let unsafe = result.error.unicodeScalars.filter {
            $0 != "\n" && ($0.value < 0x20 || (0x7f...0x9f).contains($0.value))
        }
        #expect(unsafe.isEmpty, "\(result.error.debugDescription)")
        #expect(result.status == 1 && result.error.contains(#"\x1b[31m\x07\x7f\x9b2J"#), "\(result.error)")
    }

    @Test func `validate accepts a good file, also from standard input`() throws {
        let scratch = try Scratch()
        try scratch.write(Data(Self.good), to: "a.yaml")
        #expect(try Program.run(["validate", "a.yaml"], in: scratch.url).status == 0)
        #expect(try Program.run(["validate", "-"], in: scratch.url, input: Data(Self.good)).status == 0)
    }

    @Test func `validate takes several files and tells of each`() throws {
        let scratch = try Scratch()
        try scratch.write(Data(Self.good), to: "a.yaml")
        try scratch.write("kind: component\nnme: x\n", to: "b.yaml")
        try scratch.write("isPreset: true\nqueue: a\n", to: "c.yaml")
        let result = try Program.run(["validate", "a.yaml", "b.yaml", "c.yaml"], in: scratch.url)
        #expect(result.status == 1 && result.error.contains("b.yaml:2:1"), "\(result.error)")
        #expect(result.output.contains("a.yaml: valid\n") && result.output.contains("c.yaml: valid preset"))
        let json = try Program.run(["validate", "--json", "a.yaml", "b.yaml"], in: scratch.url)
        #expect(json.status == 1 && json.output.contains("\"source\" : \"nme: x\""), "\(json.output)")
        let twice = try Program.run(["validate", "-", "-"], in: scratch.url)
        #expect(twice.status == 2 && twice.error.contains("cli.usage"), "\(twice.error)")
    }

    @Test func `validate --resolved prints what is valid again, with the place of each value`() throws {
        let scratch = try Scratch()
        let join = "joins: [{query: \"kind: job\", params: {j: {value: outputs.a, contextOnly: true}}}]\n"
        try scratch.write(
            Data(Self.good) + Data("presets: [p]\nenvironment: {nodeName: n}\n\(join)".utf8), to: "a.yaml")
        try scratch.write("isPreset: true\nenv: {A: \"1\"}\n", to: "p.yaml")
        let result = try Program.run(["validate", "--resolved", "a.yaml"], in: scratch.url)
        #expect(result.status == 0 && result.output.contains("p.yaml:2:"), "\(result.output)\(result.error)")
        #expect(result.error.contains("without effect here: run.environment.nodeName"), "\(result.error)")
        #expect(result.error.contains("a.yaml: joins are searched for when it runs: j\n"), "\(result.error)")
        try scratch.write(result.output, to: "b.yaml")
        let again = try Program.run(["validate", "b.yaml"], in: scratch.url)
        #expect(again.status == 0, "\(again.error)")
    }

    @Test func `a mistake in a preset is shown with the preset's own line`() throws {
        let scratch = try Scratch()
        try scratch.write(Data(Self.good) + Data("presets: [p]\n".utf8), to: "a.yaml")
        try scratch.write("isPreset: true\nrunPatch: {contianer: {}}\n", to: "p.yaml")
        let result = try Program.run(["validate", "a.yaml"], in: scratch.url)
        #expect(result.status == 1 && result.error.contains("p.yaml:2:12"), "\(result.error)")
        #expect(result.error.contains(" 2 | runPatch: {contianer: {}}"), "\(result.error)")
    }

    @Test func `the schema is a JSON document`() throws {
        let scratch = try Scratch()
        let result = try Program.run(["schema"], in: scratch.url)
        let document = try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any]
        #expect(document?["$schema"] as? String == "https://json-schema.org/draft/2020-12/schema")
    }

    @Test func `two formats at once are refused`() throws {
        let scratch = try Scratch()
        let result = try Program.run(["report", "--json", "--format", "csv"], in: scratch.url)
        #expect(result.status == 2 && result.output.contains("cli.usage"))
    }

    @Test func `a reader that leaves ends the program quietly`() throws {
        let scratch = try Scratch()
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", "{ \"$1\" --help; echo $? >&2; } | :", "sh", try Program.url("postlude").path]
        process.currentDirectoryURL = scratch.url
        let stderr = Pipe()
        process.standardError = stderr
        try process.run()
        let error = String(decoding: stderr.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(["141\n", "0\n"].contains(error), "\(error)")
    }
}
