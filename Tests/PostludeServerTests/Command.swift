import Foundation
import PostludeAPI
import PostludeCore
import Testing

/// A program that runs beside the test, its output collected as it comes.
final class Command: Sendable {
    struct Result: Sendable {
        var status: Int32
        var output: String
        var error: String
    }

    private let process: Process
    private let output: FileHandle
    private let error: FileHandle

    init(_ program: URL, _ arguments: [String], in directory: URL, environment: [String: String] = [:]) throws {
        let process = Process()
        process.executableURL = program
        process.arguments = arguments
        process.currentDirectoryURL = directory
        process.environment = ["HOME": directory.path, "PATH": "/usr/bin:/bin"].merging(environment) { _, given in given
        }
        let (stdout, stderr) = (Pipe(), Pipe())
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = stdout
        process.standardError = stderr
        output = stdout.fileHandleForReading
        error = stderr.fileHandleForReading
        self.process = process
        try process.run()
    }

    var pid: Int32 { process.processIdentifier }

    /// Waits until the text is on standard output; what was read stays for the result.
    func reads(_ text: String, into seen: inout String) async throws {
        while !seen.contains(text) {
            let handle = output
            let data = await Self.blocking { handle.availableData }
            try #require(!data.isEmpty, "the output ended without '\(text)': \(seen)")
            seen += String(decoding: data, as: UTF8.self)
        }
    }

    /// Waited for on threads of their own: the tasks' threads are needed by the agents in this process.
    func result(after seen: String = "") async -> Result {
        let (process, output, error) = (process, output, error)
        async let errors = Self.blocking { error.readDataToEndOfFile() }
        let rest = await Self.blocking { output.readDataToEndOfFile() }
        let text = String(decoding: await errors, as: UTF8.self)
        let status = await Self.blocking {
            process.waitUntilExit()
            return process.terminationReason == .exit ? process.terminationStatus : 128 + process.terminationStatus
        }
        return Result(status: status, output: seen + String(decoding: rest, as: UTF8.self), error: text)
    }

    /// On a thread of its own. Those of Dispatch are few, and the same that tasks run on: with enough calls that wait, the
    /// agents in this process would stand still.
    static func blocking<Value: Sendable>(_ work: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            Thread.detachNewThread { continuation.resume(returning: work()) }
        }
    }
}

/// A state directory with a configuration, for agents that are programs of their own.
struct OwnAgent: Sendable {
    let directory: URL
    var state: String { directory.appendingPathComponent("state").path }
    var socket: String { directory.appendingPathComponent("agent.sock").path }
    /// Where commands are called: runs may not have the agent's state in their working directory.
    var work: URL { directory.appendingPathComponent("work") }

    static func run<Value: Sendable>(
        configuration: String = "", _ test: @Sendable (OwnAgent) async throws -> Value
    ) async throws -> Value {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent(
            "postlude-own-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(
            at: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
        let agent = OwnAgent(directory: directory)
        try FileManager.default.createDirectory(at: agent.work, withIntermediateDirectories: true)
        let profiles = LiveAgent.repository.appendingPathComponent("profiles").path
        // A setting of the test's replaces the one made here.
        let settings = ["stateDirectory: \(agent.state)", "socket: \(agent.socket)", "profilesDirectory: \(profiles)"]
        let key = configuration.prefix { $0 != ":" } + ":"
        let lines = settings.filter { !$0.hasPrefix(key) } + [configuration]
        try agent.write(lines.map { $0 + "\n" }.joined(), to: "../postlude.yaml")
        let outcome: Swift.Result<Value, any Error>
        do { outcome = .success(try await test(agent)) } catch { outcome = .failure(error) }
        await agent.end()
        OwnCgroups.remove(Installation.cgroupName(stateDirectory: agent.state))
        do { try FileManager.default.removeItem(at: directory) } catch {
            print("cannot remove \(directory.path), ignoring: \(error)")
        }
        return try outcome.get()
    }

    func write(_ text: String, to name: String) throws {
        try text.write(to: work.appendingPathComponent(name), atomically: true, encoding: .utf8)
    }

    func start(_ arguments: [String]) throws -> Command {
        try Command(
            LiveAgent.executable("postlude"), arguments, in: work,
            environment: ["POSTLUDE_CONFIG": directory.appendingPathComponent("postlude.yaml").path])
    }

    func postlude(_ arguments: String...) async throws -> Command.Result { try await start(arguments).result() }

    func daemon(_ arguments: String...) throws -> Command {
        try Command(
            LiveAgent.executable("postluded"),
            ["--config", directory.appendingPathComponent("postlude.yaml").path] + arguments, in: directory)
    }

    func pid() async throws -> Int32 { try await AgentClient(socketPath: socket).info().pid }

    /// Waits until no agent has the state directory: the kernel frees its lock when it ends.
    func awaitEnd() async {
        let path = state + "/lock"
        await Command.blocking {
            let descriptor = open(path, O_RDWR | O_CLOEXEC)
            guard descriptor >= 0 else { return }
            while flock(descriptor, LOCK_EX) != 0, errno == EINTR {}
            _ = close(descriptor)
        }
    }

    /// Waits until the process has ended: then it has no program any more, whether somebody has reaped it or not.
    func awaitDeath(of pid: Int32) async {
        while access("/proc/\(pid)/exe", F_OK) == 0 { await Task.yield() }
    }

    /// Stops what runs, then the agent; again as long as one has the state directory, for commands start them on demand.
    private func end() async {
        for _ in 0..<40 {
            do {
                let client = AgentClient(socketPath: socket)
                for run in try await client.runs() where !run.status.isFinal {
                    _ = try await client.stop(run.id.description)
                    try await client.events(of: run.id.description) { _ in }
                }
                _ = kill(try await pid(), SIGTERM)
            } catch {
                // No agent answers: it has ended, is ending, or is starting.
            }
            for _ in 0..<50 {
                if isFree { return }
                do { try await Task.sleep(for: .milliseconds(20)) } catch { return }
            }
        }
        Issue.record("an agent keeps \(state)")
    }

    /// Whether no agent has the state directory now.
    private var isFree: Bool {
        let descriptor = open(state + "/lock", O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { return true }
        defer { close(descriptor) }
        return flock(descriptor, LOCK_EX | LOCK_NB) == 0
    }
}
