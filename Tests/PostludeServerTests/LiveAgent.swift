import Foundation
import Logging
import PostludeAPI
import PostludeCore
import PostludeEngine
import PostludeSandbox
import PostludeServer
import PostludeSpec
import PostludeStore
import ServiceLifecycle
import Testing

/// A real agent in this process: store, sandbox, engine and server, in a directory of its own.
struct LiveAgent: Sendable {
    let directory: URL
    let client: AgentClient
    let engine: Engine

    var socket: String { client.socketPath }
    /// Where runs work: they may not have the agent's state in their working directory.
    var work: URL { directory.appendingPathComponent("work") }

    /// Starts one, runs the test against it, and ends it by graceful shutdown.
    static func run<Result: Sendable>(
        agentUID: UInt32 = geteuid(), administratorsGroup: String? = nil, devices: [Device] = [],
        policy: SitePolicy = SitePolicy(), connections: [Connection] = [], api: APISettings = APISettings(),
        _ test: @Sendable (LiveAgent) async throws -> Result
    ) async throws -> Result {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent(
            "postlude-server-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(
            at: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
        try FileManager.default.createDirectory(
            at: directory.appendingPathComponent("work"), withIntermediateDirectories: true)
        defer {
            do { try FileManager.default.removeItem(at: directory) } catch {
                print("cannot remove \(directory.path), ignoring: \(error)")
            }
        }
        var logger = Logger(label: "test")
        logger.logLevel = .error
        let cgroups = "postlude-server-test-\(UUID().uuidString.prefix(8).lowercased())"
        defer { OwnCgroups.remove(cgroups) }
        let profiles = repository.appendingPathComponent("profiles").path
        let sandbox = try Sandbox(
            configuration: SandboxConfiguration(
                wardenPath: try executable("postlude-warden").path, seccompDirectory: "\(profiles)/seccomp",
                poolSize: 1, cgroupName: cgroups))
        let engine = try engine(
            in: directory.appendingPathComponent("state").path, sandbox, devices, policy, connections, logger)
        let (ready, whenReady) = AsyncStream<Void>.makeStream()
        let socket = directory.appendingPathComponent("agent.sock").path
        let server = APIServer(
            configuration: APIServer.Configuration(
                socketPath: socket,
                info: AgentInfo(version: "test", pid: getpid(), uid: agentUID, stateDirectory: directory.path),
                users: UserDirectory(agentUID: agentUID, administratorsGroup: administratorsGroup),
                runs: RunCgroups(sandbox.runs), settings: api),
            engine: engine, logger: logger, whenReady: { whenReady.finish() })
        let group = ServiceGroup(services: [engine, server], logger: logger)
        return try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            for await _ in ready {}
            let outcome: Swift.Result<Result, any Error>
            do {
                outcome = .success(
                    try await test(
                        LiveAgent(directory: directory, client: AgentClient(socketPath: socket), engine: engine)))
            } catch {
                outcome = .failure(error)
            }
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
            return try outcome.get()
        }
    }

    private static func engine(
        in state: String, _ sandbox: Sandbox, _ devices: [Device], _ policy: SitePolicy,
        _ connections: [Connection], _ logger: Logger
    ) throws -> Engine {
        let profiles = repository.appendingPathComponent("profiles").path
        return try Engine(
            configuration: EngineConfiguration(
                stateDirectory: state, hub: try Hub(directory: "\(profiles)/hub"),
                profiles: try ProfileCatalog.load(directory: "\(profiles)/sandbox"), memoryBytes: 4 << 30,
                milliCPU: 4000, policy: policy, connections: connections,
                groupNames: { UserDirectory(agentUID: 0).groupNames(ofUser: $0.uid) }),
            store: try Store(directory: state), sandbox: sandbox, devices: devices, logger: logger)
    }

    static let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    /// An executable of this package: it lies beside the test bundle.
    static func executable(_ name: String) throws -> URL {
        let runner = URL(fileURLWithPath: try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
        let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") }.map { URL(fileURLWithPath: $0) }
        let found = [runner, bundle].compactMap { $0?.deletingLastPathComponent().appendingPathComponent(name) }
            .first { FileManager.default.isExecutableFile(atPath: $0.path) }
        return try #require(found, "'\(name)' is not built")
    }

    /// An operation that runs a shell script.
    func submission(_ script: String, name: String = "test", resources: String = "", hooks: String = "") -> Submission {
        let text = """
            version: 1.1
            kind: operation
            \(hooks)
            component:
              termination:
                maxRetries: 0
              run:
                kind: job
                container:
                  command: [/bin/sh, -c]
                  args: [\(Self.quoted(script))]
                  \(resources)

            """
        return Submission(path: "test.yaml", text: text, workingDirectory: work.path, name: name)
    }

    private static func quoted(_ text: String) -> String {
        do {
            return String(decoding: try Wire.encode(text), as: UTF8.self)
        } catch {
            preconditionFailure("a text always encodes: \(error)")
        }
    }

    /// The run's events until it and its hooks are final.
    func settled(_ run: RunID) async throws -> [RunEvent] {
        let events = Collected<RunEvent>()
        try await client.events(of: run.description) { await events.add($0) }
        return await events.items
    }

    func log(
        _ run: RunID, _ stream: LogStream = .stdout, step: String = "main", follow: Bool = false, offset: Int64 = 0
    ) async throws -> String {
        let bytes = Collected<UInt8>()
        try await client.logs(of: run.description, step: step, stream: stream, follow: follow, offset: offset) {
            buffer in
            for byte in buffer.readableBytesView { await bytes.add(byte) }
        }
        return String(decoding: await bytes.items, as: UTF8.self)
    }
}

actor Collected<Item: Sendable> {
    private(set) var items: [Item] = []

    func add(_ item: Item) { items.append(item) }
}

/// Tests with real sandboxes need root; CI runs as root and fails if they were skipped.
let isRoot = geteuid() == 0
