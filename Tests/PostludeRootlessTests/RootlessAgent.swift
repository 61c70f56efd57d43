import Foundation
import PostludeAPI
import PostludeCore
import Testing

/// An agent of an ordinary user, which a test that is root starts as that user: its programs, its home, its cgroup.
final class RootlessAgent: Sendable {
    struct Result: Sendable {
        var status: Int32
        var output: String
        var error: String

        func decoded<Value: Decodable>(_ type: Value.Type) throws -> Value { try Wire.decode(type, from: output.utf8) }
    }

    struct Failure: Error, CustomStringConvertible { var description: String }

    let directory: String
    let uid: UInt32
    private let groups: [UInt32]
    private let binaries: String
    /// A cgroup that is delegated to the user, in which the agent starts when `startAgent` starts it.
    private let cgroup: String?
    /// A shell command that root runs before, in the same mount namespace of its own.
    private let preparation: String?

    var home: String { "\(directory)/home" }
    var work: String { "\(directory)/work" }
    var state: String { "\(home)/.local/state/postlude" }
    var socket: String { "\(state)/agent.sock" }
    private var profiles: String { "\(directory)/profiles" }

    static let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path

    /// Where the programs are that were built with the tests.
    static let products: String? = {
        let given = ProcessInfo.processInfo.environment["POSTLUDE_PRODUCTS"]
        return [given, "\(repository)/.build/debug", "\(repository)/.build/release"].compactMap { $0 }
            .first { access("\($0)/postluded", X_OK) == 0 && access("\($0)/postlude-warden", X_OK) == 0 }
    }()

    static let isAble = geteuid() == 0 && products != nil

    /// - Parameters:
    ///   - configuration: `DIRECTORY` stands for the agent's own.
    ///   - profiles: changes the texts of the sandbox profiles.
    init(
        uid: UInt32? = nil, groups: [UInt32] = [], configuration: String = "", cgroup: String? = nil,
        preparation: String? = nil, profiles change: (String) -> String = { $0 }
    ) throws {
        // No account of the host's has it, as a rule: who submits may be known by a number alone.
        self.uid = uid ?? UInt32.random(in: 40_000..<60_000)
        self.groups = groups
        self.cgroup = cgroup
        var template = Array("/tmp/postlude-rootless-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Failure(description: "mkdtemp: \(errno)") }
        directory = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        guard let products = Self.products else { throw Failure(description: "nothing was built") }
        let files = FileManager.default
        let directory = directory
        self.preparation = preparation?.replacingOccurrences(of: "DIRECTORY", with: directory)
        func make(_ name: String, owner: UInt32) throws {
            try files.createDirectory(atPath: "\(directory)/\(name)", withIntermediateDirectories: true)
            guard chown("\(directory)/\(name)", owner, owner) == 0, chmod("\(directory)/\(name)", 0o755) == 0 else {
                throw Failure(description: "chown \(name): \(errno)")
            }
        }
        guard chmod(directory, 0o755) == 0 else { throw Failure(description: "chmod: \(errno)") }
        for name in ["home", "work"] { try make(name, owner: self.uid) }
        binaries = try Self.reachable(products, by: self.uid, directory)
        try files.copyItem(atPath: "\(Self.repository)/profiles", toPath: "\(directory)/profiles")
        for name in try files.contentsOfDirectory(atPath: "\(directory)/profiles/sandbox") {
            let path = "\(directory)/profiles/sandbox/\(name)"
            try change(try String(contentsOfFile: path, encoding: .utf8)).write(
                toFile: path, atomically: false, encoding: .utf8)
        }
        try make("home/.config/postlude", owner: self.uid)
        let settings = configuration.replacingOccurrences(of: "DIRECTORY", with: directory)
        try "profilesDirectory: \(directory)/profiles\n\(settings)\n".write(
            toFile: "\(directory)/home/.config/postlude/postlude.yaml", atomically: false, encoding: .utf8)
        for name in ["home/.config", "home/.config/postlude/postlude.yaml"] {
            guard chown("\(directory)/\(name)", self.uid, self.uid) == 0 else { throw Failure(description: name) }
        }
    }

    /// The programs where they are, or copies where the user can reach them.
    private static func reachable(_ products: String, by uid: UInt32, _ directory: String) throws -> String {
        let look = Process()
        look.executableURL = URL(fileURLWithPath: "/usr/bin/setpriv")
        look.arguments = ["--reuid", "\(uid)", "--clear-groups", "/usr/bin/test", "-x", "\(products)/postluded"]
        try look.run()
        look.waitUntilExit()
        if look.terminationStatus == 0 { return products }
        let copies = "\(directory)/bin"
        try FileManager.default.createDirectory(atPath: copies, withIntermediateDirectories: true)
        // By another process: while this one has a file open for writing, whatever it forks meanwhile has it too, and the
        // kernel refuses to execute it.
        let names = ["postlude", "postluded", "postlude-warden", "postlude-output", "postlude-output"].map {
            "\(products)/\($0)"
        }
        let install = try Process.run(
            URL(fileURLWithPath: "/usr/bin/install"), arguments: ["-m", "755"] + names + [copies])
        install.waitUntilExit()
        return copies
    }

    /// Makes an agent, has the test use it, and leaves nothing of it behind.
    static func run(
        uid: UInt32? = nil, groups: [UInt32] = [], configuration: String = "", cgroup: String? = nil,
        preparation: String? = nil, profiles: (String) -> String = { $0 },
        _ test: @Sendable (RootlessAgent) async throws -> Void
    ) async throws {
        let agent = try RootlessAgent(
            uid: uid, groups: groups, configuration: configuration, cgroup: cgroup, preparation: preparation,
            profiles: profiles)
        do {
            try await test(agent)
        } catch {
            Issue.record(error, "\(agent.log)")
        }
        await agent.end()
    }

    // MARK: programs

    /// A process of the user's: `program` of the installation, or an absolute path.
    func process(_ program: String, _ arguments: [String], in cgroup: String? = nil) -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        let identity =
            ["--reuid", "\(uid)", "--regid", "\(uid)"]
            + (groups.isEmpty ? ["--clear-groups"] : ["--groups", groups.map(String.init).joined(separator: ",")])
        let path = program.hasPrefix("/") ? program : "\(binaries)/\(program)"
        let enter = cgroup.map { "echo $$ > \($0)/cgroup.procs && " } ?? ""
        let prepare = preparation.map { "\($0) && " } ?? ""
        let script = "\(prepare)\(enter)exec /usr/bin/setpriv \"$@\""
        let command = ["/bin/sh", "-c", script, "sh"] + identity + [path] + arguments
        process.executableURL = URL(fileURLWithPath: preparation == nil ? "/usr/bin/env" : "/usr/bin/unshare")
        process.arguments = (preparation == nil ? [] : ["-m"]) + command
        process.currentDirectoryURL = URL(fileURLWithPath: work)
        process.environment = ["HOME": home, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"]
        process.standardInput = FileHandle.nullDevice
        return process
    }

    /// - Parameter place: the directory to be in, instead of `work`.
    func command(_ program: String, _ arguments: [String], at place: String? = nil) async throws -> Result {
        let process = process(program, arguments)
        if let place { process.currentDirectoryURL = URL(fileURLWithPath: place) }
        let (output, error) = (FilePipe(), FilePipe())
        process.standardOutput = output.pipe
        process.standardError = error.pipe
        try process.run()
        async let errors = Self.blocking { error.text() }
        let text = await Self.blocking { output.text() }
        let said = await errors
        let status = await Self.wait(process)
        return Result(status: status, output: text, error: said)
    }

    private struct FilePipe: Sendable {
        let pipe = Pipe()
        func text() -> String { String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self) }
    }

    private static func wait(_ process: Process) async -> Int32 {
        await blocking {
            process.waitUntilExit()
            return process.terminationStatus
        }
    }

    static func blocking<Value: Sendable>(_ work: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            Thread.detachNewThread { continuation.resume(returning: work()) }
        }
    }

    /// Starts the agent by itself, as a service is; alone in its cgroup, if it has one.
    func startAgent() async throws {
        let process = process("postluded", ["--idle-exit", "0"], in: cgroup)
        process.standardError = FileHandle.nullDevice
        try process.run()
        for _ in 0..<3000 {
            do {
                _ = try await client.health()
                return
            } catch {
                guard process.isRunning else { throw Failure(description: "the agent ended: \(error)") }
                try await Task.sleep(for: .milliseconds(20))
            }
        }
        throw Failure(description: "the agent does not answer")
    }

    func postlude(_ arguments: String...) async throws -> Result { try await command("postlude", arguments) }

    // MARK: what it is asked

    var client: AgentClient { AgentClient(socketPath: socket) }

    func write(_ text: String, to name: String) throws {
        let path = "\(work)/\(name)"
        try text.write(toFile: path, atomically: false, encoding: .utf8)
        guard chown(path, uid, uid) == 0 else { throw Failure(description: "chown \(name): \(errno)") }
    }

    /// An operation of one script; `more` are lines of the operation, `container` and `run` of those.
    static func job(_ script: String, more: String = "", container: String = "", run: String = "") -> String {
        let lines = script.split(separator: "\n", omittingEmptySubsequences: false).map { "            \($0)" }
        return """
            version: 1.1
            kind: operation
            \(more)
            component:
              termination: {}
              run:
                kind: job
                \(run)
                container:
                  command: [/bin/sh, -c]
                  args:
                  - |
            \(lines.joined(separator: "\n"))
                  \(container)

            """
    }

    /// Runs it to its end, and returns what is known of it then.
    func run(_ text: String) async throws -> (detail: RunDetail, result: Result) {
        try write(text, to: "op.yaml")
        let result = try await postlude("run", "op.yaml")
        let id = try #require(try await client.runs().filter { $0.upstream == nil }.first?.id, "\(result) \(log)")
        return (try await client.run(id.description), result)
    }

    func submit(_ text: String) async throws -> String {
        try write(text, to: "op.yaml")
        let result = try await postlude("submit", "op.yaml")
        try #require(result.status == 0, "\(result) \(log)")
        return result.output.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// Waits until the run has printed `text`.
    func awaitOutput(_ text: String, of run: RunDetail) async throws {
        let file = "\(state)/runs/\(run.summary.id)/attempts/1/main.stdout.log"
        for _ in 0..<3000 {
            let seen = FileManager.default.contents(atPath: file).map { String(decoding: $0, as: UTF8.self) }
            if seen?.contains(text) == true { return }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw Failure(description: "the run never printed \(text)")
    }

    func awaitEnd(of id: String) async throws -> RunDetail {
        try await client.events(of: id) { _ in }
        return try await client.run(id)
    }

    var log: String {
        do { return try String(contentsOfFile: "\(state)/agent.log", encoding: .utf8) } catch { return "no log" }
    }

    /// Processes of this user.
    func processes() throws -> [Int32] {
        try FileManager.default.contentsOfDirectory(atPath: "/proc").compactMap { Int32($0) }.filter { pid in
            guard let status = FileManager.default.contents(atPath: "/proc/\(pid)/status") else { return false }
            let text = String(decoding: status, as: UTF8.self)
            return text.contains("\nUid:\t\(uid)\t") && !text.contains("\nState:\tZ")
        }
    }

    // MARK: the end

    /// Stops what runs and the agent, and removes everything.
    func end() async {
        for _ in 0..<40 {
            do {
                for run in try await client.runs() where !run.status.isFinal {
                    _ = try await client.stop(run.id.description)
                    try await client.events(of: run.id.description) { _ in }
                }
                _ = kill(try await client.info().pid, SIGTERM)
            } catch {
                // No agent answers: it has ended, is ending, or is starting.
            }
            for _ in 0..<50 {
                if isFree { break }
                do { try await Task.sleep(for: .milliseconds(20)) } catch { break }
            }
            if isFree { break }
        }
        if !isFree { Issue.record("an agent keeps \(state)") }
        do { try FileManager.default.removeItem(atPath: directory) } catch {
            print("cannot remove \(directory), ignoring: \(error)")
        }
    }

    private var isFree: Bool {
        let descriptor = open("\(state)/lock", O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { return true }
        defer { close(descriptor) }
        return flock(descriptor, LOCK_EX | LOCK_NB) == 0
    }
}
