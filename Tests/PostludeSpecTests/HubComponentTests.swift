import Foundation
import PostludeCore
import Testing

@testable import PostludeSpec

/// The hub's components, really run: compiled as the engine compiles them, with their paths in a temporary directory.
@Suite struct HubComponentTests {
    struct Outcome {
        var status: Int32
        var output: String
        var errors: String
        var outputs: Value?
        var files: [String: String]
    }

    /// Resolves the hook, compiles the hook run, and runs its main step outside of a sandbox.
    static func run(_ hook: String, main: HookResolution.MainContext, logs: [String: String] = [:]) throws -> Outcome {
        let operation = try Reading.operation(Reading.job + "hooks:\n- \(hook)\n")
        let resolved = try #require(HookResolution.resolve(operation.hooks, main: main).first)
        let hookRun = try #require(resolved.operation, "\(resolved.detail)")
        let compiled = try JobCompiler.compile(hookRun, facts: try Reading.facts(main: main))
        let step = try #require(compiled.steps.last)
        return try Files.withTemporaryDirectory { directory in
            for name in ["artifacts", "logs"] {
                try FileManager.default.createDirectory(
                    at: directory.appendingPathComponent(name), withIntermediateDirectories: true)
            }
            for (name, text) in logs {
                try text.write(to: directory.appendingPathComponent("logs/\(name)"), atomically: true, encoding: .utf8)
            }
            let context = directory.appendingPathComponent("context.json")
            try (step.files[InsidePaths.contextFile] ?? "").write(to: context, atomically: true, encoding: .utf8)
            var environment = step.environment
            environment["POSTLUDE_CONTEXT"] = context.path
            environment["POSTLUDE_OUTPUTS"] = directory.appendingPathComponent("artifacts/outputs.json").path
            environment["POSTLUDE_ARTIFACTS"] = directory.appendingPathComponent("artifacts").path
            environment["POSTLUDE_MAIN_LOGS"] = directory.appendingPathComponent("logs").path
            environment["POSTLUDE_MESSAGE"] = directory.appendingPathComponent("artifacts/message.txt").path
            environment["PYTHONDONTWRITEBYTECODE"] = "1"
            let programs = Files.profiles.appendingPathComponent("hub/lib").path
            let command = step.command.map { $0.replacingOccurrences(of: InsidePaths.hub, with: programs) }
            let (status, output, errors) = try execute(command, environment)
            var files: [String: String] = [:]
            let artifacts = directory.appendingPathComponent("artifacts")
            for name in try FileManager.default.contentsOfDirectory(atPath: artifacts.path) {
                files[name] = try Files.text(artifacts.appendingPathComponent(name))
            }
            let outputs = try files["outputs.json"].map { try JSONDecoder().decode(Value.self, from: Data($0.utf8)) }
            return Outcome(status: status, output: output, errors: errors, outputs: outputs, files: files)
        }
    }

    static func execute(_ command: [String], _ environment: [String: String]) throws -> (Int32, String, String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try #require(command.first))
        process.arguments = Array(command.dropFirst())
        process.environment = environment
        let output = Pipe()
        let errors = Pipe()
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        let shown = output.fileHandleForReading.readDataToEndOfFile()
        let failed = errors.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (
            process.terminationStatus, String(decoding: shown, as: UTF8.self), String(decoding: failed, as: UTF8.self)
        )
    }

    static func main() throws -> HookResolution.MainContext {
        let time = Timestamp(microseconds: 1_795_343_438_810_000)
        var usage = StepUsage()
        usage.peakMemoryBytes = 3 << 20
        usage.userSeconds = 1.25
        return HookResolution.MainContext(
            id: try #require(RunID("0123456789abcdef0123456789abcdef")), name: "digits", project: "lab", owner: "ada",
            status: .failed, condition: RunCondition(status: .failed, reason: "Exited", message: "code 3", at: time),
            inputs: ["lr": .double(0.1), "evil": .string("| <b>{{ 7*7 }}\n# x")], outputs: ["loss": .double(0.5)],
            createdAt: time, startedAt: time, finishedAt: time, waitSeconds: 0.5, durationSeconds: 2, exit: .code(3),
            usage: usage)
    }

    /// An HTTP receiver that answers with the given statuses in turn and tells what it got, one JSON object a line.
    final class Receiver {
        let port: Int
        private let process = Process()
        private let output = Pipe()

        init(_ answers: [Int]) throws {
            let program = """
                import http.server, json, sys
                answers = [int(code) for code in sys.argv[1:]]
                class Handler(http.server.BaseHTTPRequestHandler):
                    def do_POST(self):
                        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                        print(json.dumps({"path": self.path, "token": self.headers.get("X-Token"),
                                          "type": self.headers["Content-Type"], "body": json.loads(body)}), flush=True)
                        code = answers.pop(0)
                        self.send_response(code)
                        if code == 302: self.send_header("Location", "/elsewhere")
                        if code == 503: self.send_header("Retry-After", "0.01")
                        self.end_headers()
                        self.wfile.write(b"receiver says %d" % code)
                    def log_message(self, *arguments): pass
                server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
                print(server.server_port, flush=True)
                while answers: server.handle_request()
                """
            process.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
            process.arguments = ["-I", "-c", program] + answers.map(String.init)
            process.standardOutput = output
            try process.run()
            var line = Data()
            while let byte = try output.fileHandleForReading.read(upToCount: 1), byte != Data([0x0a]) { line += byte }
            port = try #require(Int(String(decoding: line, as: UTF8.self)))
        }

        /// What came in; ends the receiver when it still waits for more.
        func requests() throws -> [Value] {
            if process.isRunning { process.terminate() }
            let data = output.fileHandleForReading.readDataToEndOfFile()
            process.waitUntilExit()
            return try data.split(separator: 0x0a).map { try JSONDecoder().decode(Value.self, from: Data($0)) }
        }
    }

    static func member(_ value: Value?, _ path: String...) -> Value? {
        path.reduce(value) { value, name in
            if case .dict(let entries)? = value { entries[name] } else { nil }
        }
    }

    @Test func `webhook delivers what happened`() throws {
        let receiver = try Receiver([200])
        let outcome = try Self.run(
            "{hubRef: webhook, params: {url: {value: \"http://127.0.0.1:\(receiver.port)/hook\"}, "
                + "headers: {value: {X-Token: t}}}}",
            main: try Self.main())
        let request = try #require(try receiver.requests().first)
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(Self.member(request, "path") == .string("/hook") && Self.member(request, "token") == .string("t"))
        #expect(Self.member(request, "type") == .string("application/json"))
        let body = Self.member(request, "body")
        #expect(
            Self.member(body, "context")
                == .dict([
                    "owner": .string("ada"), "project": .string("lab"), "name": .string("digits"),
                    "uuid": .string("0123456789abcdef0123456789abcdef"),
                ]))
        #expect(Self.member(body, "title") == .string("digits failed"))
        #expect(Self.member(body, "details") == .string("Exited code 3"))
        #expect(Self.member(body, "finished_at") == .string("2026-11-22T10:30:38.810000Z"))
        #expect(Self.member(body, "main", "inputs", "evil") == .string("| <b>{{ 7*7 }}\n# x"))
        #expect(Self.member(body, "main", "outputs", "loss") == .double(0.5))
        #expect(Self.member(outcome.outputs, "status_code") == .int(200))
    }

    @Test func `webhook tries again when the receiver asks for it`() throws {
        let receiver = try Receiver([503, 201])
        let outcome = try Self.run(
            "{hubRef: webhook, params: {url: {value: \"http://127.0.0.1:\(receiver.port)/\"}}}", main: try Self.main())
        #expect(try receiver.requests().count == 2)
        #expect(outcome.status == 0 && Self.member(outcome.outputs, "tries") == .int(2), "\(outcome.errors)")
        #expect(outcome.errors.contains("try 1: 503: receiver says 503"))
    }

    @Test(arguments: [404, 302, 400])
    func `webhook fails with the receiver's answer`(code: Int) throws {
        let receiver = try Receiver([code])
        let outcome = try Self.run(
            "{hubRef: webhook, params: {url: {value: \"http://127.0.0.1:\(receiver.port)/\"}}}", main: try Self.main())
        #expect(try receiver.requests().count == 1)
        #expect(outcome.status == 1)
        #expect(
            outcome.errors.contains("\(code): receiver says \(code)")
                && outcome.errors.contains("not delivered after 1 tries"))
        #expect(Self.member(outcome.outputs, "status_code") == .int(Int64(code)))
    }

    @Test func `webhook fails when nobody listens`() throws {
        let outcome = try Self.run(
            "{hubRef: webhook, params: {url: {value: \"http://127.0.0.1:9/\"}, attempts: {value: 2}}}",
            main: try Self.main())
        #expect(outcome.status == 1)
        #expect(outcome.files["message.txt"]?.hasPrefix("not delivered after 2 tries: no answer: ") == true)
        #expect(outcome.errors.contains("try 2: no answer") && outcome.errors.contains("not delivered after 2 tries"))
        #expect(Self.member(outcome.outputs, "status_code") == .null)
    }

    @Test func `summary writes a page in which nothing of main's is markup`() throws {
        let log = (1...30).map { "line \($0)" }.joined(separator: "\n") + "\n"
        let outcome = try Self.run(
            "{hubRef: summary, params: {lines: {value: 2}}}", main: try Self.main(), logs: ["main.stdout.log": log])
        #expect(outcome.status == 0, "\(outcome.errors)")
        let page = try #require(outcome.files["summary.md"])
        #expect(page.hasPrefix("# digits: failed\n"))
        #expect(page.contains("| peak memory | 3.0 MiB |") && page.contains("| wall | unknown |"))
        #expect(page.contains("| evil | \\| \\<b\\>{{ 7\\*7 }} \\# x |"))
        #expect(page.contains("    line 29\n    line 30\n") && !page.contains("line 28"))
        #expect(Self.member(outcome.outputs, "page") != nil && Self.member(outcome.outputs, "html") != nil)
        let html = try #require(outcome.files["summary.html"])
        #expect(html.contains("<title>digits: failed</title>"))
        #expect(html.contains("<tr><th>evil</th><td>| &lt;b&gt;{{ 7*7 }} # x</td></tr>"))
        #expect(html.contains("<pre>line 29\nline 30</pre>") && !html.contains("line 28"))
    }

    // MARK: Init steps, really run

    @Test func `init scripts put things in place`() throws {
        try Files.withTemporaryDirectory { directory in
            let source = directory.appendingPathComponent("a b.txt")
            try "content".write(to: source, atomically: true, encoding: .utf8)
            let job = JobSpec(
                initSteps: [
                    .paths(
                        [.init(from: Template(source.path), to: Template(directory.path + "/in/x; touch y"))], path: nil
                    ),
                    .git(
                        url: Template("file://" + directory.path + "/repo"), revision: "v1", flags: ["--quiet"],
                        path: Template(directory.path + "/code")),
                ], container: ContainerSpec(command: ["m"]))
            let steps = try JobCompiler.compile(Operation(component: Component(job: job)), facts: try Reading.facts())
                .steps
            let copied = try Self.execute(steps[0].command, steps[0].environment)
            #expect(copied.0 == 0, "\(copied.2)")
            #expect(try Files.text(directory.appendingPathComponent("in/x; touch y")) == "content")
            let make = """
                set -e; cd "$1"; git init -q repo; cd repo; git config user.email a@b; git config user.name a
                echo one > f; git add f; git commit -qm one; git tag v1; echo two > f; git commit -qam two
                """
            let made = try Self.execute(["/bin/sh", "-c", make, "make", directory.path], steps[1].environment)
            try #require(made.0 == 0, "\(made.2)")
            for _ in 0..<2 {
                var environment = steps[1].environment
                environment["HOME"] = directory.path
                let cloned = try Self.execute(steps[1].command, environment)
                #expect(cloned.0 == 0, "\(cloned.2)")
                #expect(try Files.text(directory.appendingPathComponent("code/repo/f")) == "one\n")
            }
        }
    }
}
