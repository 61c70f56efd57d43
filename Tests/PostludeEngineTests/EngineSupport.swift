import Foundation
import Glibc
import Logging
import PostludeCore
import PostludeDevices
import PostludeSandbox
import PostludeSpec
import PostludeStore
import PostludeThreads
import Synchronization
import Testing

@testable import PostludeEngine

/// A directory of the test's own that other users may pass through, removed with it.
final class TemporaryDirectory: Sendable {
    let path: String
    private let disk = Mutex<String?>(nil)

    init() throws {
        path = FileManager.default.temporaryDirectory.appending(path: "postlude-engine-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        chmod(path, 0o755)
    }

    /// Mounts a small file system in memory on a directory of this name. Sandboxes may have copies of the mount for a
    /// moment longer than this has it.
    func mountDisk(at name: String, _ options: String) throws {
        let place = "\(path)/\(name)"
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        guard mount("tmpfs", place, "tmpfs", UInt(MS_NOSUID | MS_NODEV), options) == 0 else {
            throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO)
        }
        disk.withLock { $0 = place }
    }

    deinit {
        if let place = disk.withLock({ $0 }) { umount2(place, Int32(MNT_DETACH)) }
        do {
            try FileManager.default.removeItem(atPath: path)
        } catch {
            print("\(path) stays behind: \(error)")
        }
    }
}

/// The name of a test's own cgroups; whatever is left in them ends with the test.
final class TestCgroups: Sendable {
    let name = "postlude-engine-test-\(UUID().uuidString.prefix(8).lowercased())"

    deinit {
        let trees = places()
        for tree in trees { end(tree) }
        for tree in trees { remove(tree) }
    }

    /// Where the agent makes them: below this process's own cgroup in each hierarchy.
    private func places() -> [String] {
        let own = Set(text("/proc/self/cgroup").split(separator: "\n").compactMap { $0.split(separator: ":").last })
        let mounts = ["/sys/fs/cgroup"] + entries("/sys/fs/cgroup")
        return mounts.flatMap { mount in own.map { "\(mount)\($0 == "/" ? "" : $0)/\(name)" } }
            .filter { access($0, F_OK) == 0 }
    }

    /// Kills what lives there and waits for its end; only the unified hierarchy can.
    private func end(_ tree: String) {
        let kill = open("\(tree)/cgroup.kill", O_WRONLY | O_CLOEXEC)
        guard kill >= 0 else { return }
        _ = write(kill, "1", 1)
        close(kill)
        let events = open("\(tree)/cgroup.events", O_RDONLY | O_CLOEXEC)
        defer { close(events) }
        var entry = pollfd(fd: events, events: Int16(POLLPRI), revents: 0)
        for _ in 0..<100 where text("\(tree)/cgroup.events").contains("populated 1") { poll(&entry, 1, 100) }
    }

    private func remove(_ tree: String) {
        for child in entries(tree) { remove(child) }
        rmdir(tree)
    }

    private func entries(_ path: String) -> [String] {
        do {
            return try FileManager.default.contentsOfDirectory(atPath: path).map { "\(path)/\($0)" }.filter {
                var status = stat()
                return lstat($0, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
            }
        } catch {
            return []
        }
    }

    private func text(_ path: String) -> String {
        do { return try String(contentsOfFile: path, encoding: .utf8) } catch { return "" }
    }
}

/// A node with a state directory, cgroups and an agent of its own.
struct TestNode: Sendable {
    let directory: TemporaryDirectory
    private let cgroups = TestCgroups()
    var cgroupName: String { cgroups.name }
    let devices: [Device]
    let milliCPU: Int64
    let releaseSeconds: Double
    let disk: DiskWatch.Settings
    var rules = SchedulingRules()
    let user = UserIdentity(name: "nobody", uid: 65534, gid: 65534, home: "/nonexistent")

    /// Whether sandboxes can be made here: by root, with the warden's executable beside the tests.
    static let isAble = geteuid() == 0 && access(wardenPath, X_OK) == 0

    static let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path

    static let wardenPath: String = {
        if let path = ProcessInfo.processInfo.environment["POSTLUDE_WARDEN"] { return path }
        let tests = (CommandLine.arguments.first { $0.contains(".xctest") }) ?? CommandLine.arguments[0]
        return URL(filePath: tests).deletingLastPathComponent().appending(path: "postlude-warden").path
    }()

    /// Postlude's own programs inside, where they were built.
    static let tools: [String: String] = {
        let output = URL(filePath: wardenPath).deletingLastPathComponent().appending(path: "postlude-output").path
        return [output: InsidePaths.outputCommand, "\(repository)/profiles/python": InsidePaths.python].filter {
            access($0.key, R_OK) == 0
        }
    }()

    /// - Parameter stateDisk: options of a tmpfs that the state lies on, instead of the temporary directory's disk.
    init(
        devices: [Device] = [], milliCPU: Int64 = 16_000, releaseSeconds: Double = 10,
        disk: DiskWatch.Settings = DiskWatch.Settings(), stateDisk: String? = nil
    ) throws {
        directory = try TemporaryDirectory()
        self.disk = disk
        if let stateDisk { try directory.mountDisk(at: "state", stateDisk) }
        self.devices = devices
        self.milliCPU = milliCPU
        self.releaseSeconds = releaseSeconds
        try FileManager.default.createDirectory(atPath: work, withIntermediateDirectories: true)
        chmod(work, 0o755)
    }

    /// The submitter's working directory.
    var work: String { workingDirectory ?? "\(directory.path)/work" }
    var workingDirectory: String?
    var images = ImageMap()
    var memoryBytes: Int64 = 1 << 34
    var profiles = TestNode.profiles

    static let profiles: [String: SandboxProfile] = [
        "main": SandboxProfile(name: "main", hide: ["/root"], network: .loopback, devices: .leased, seccomp: "main"),
        "hook": SandboxProfile(name: "hook", hide: ["/root"], seccomp: "hook"),
        "small": SandboxProfile(name: "small", hide: ["/root"], seccomp: "main", tmpBytes: 1 << 20, maxPIDs: 16),
    ]

    func engine() throws -> Engine {
        var logger = Logger(label: "test")
        logger.logLevel = ProcessInfo.processInfo.environment["POSTLUDE_TEST_LOG"] == nil ? .critical : .debug
        let hub = "\(directory.path)/hub"
        try FileManager.default.createDirectory(atPath: hub, withIntermediateDirectories: true)
        let sandbox = try Sandbox(
            configuration: SandboxConfiguration(
                wardenPath: Self.wardenPath, seccompDirectory: "\(Self.repository)/profiles/seccomp",
                cgroupName: cgroupName))
        return try Engine(
            configuration: EngineConfiguration(
                stateDirectory: "\(directory.path)/state", hub: try Hub(directory: hub), profiles: profiles,
                memoryBytes: memoryBytes, milliCPU: milliCPU, releaseDeadlineSeconds: releaseSeconds,
                quarantineRecheckSeconds: 0.2, tools: Self.tools, disk: disk, images: images,
                rules: rules),
            store: try Store(directory: "\(directory.path)/state"), sandbox: sandbox, devices: devices, logger: logger)
    }

    /// What the agent runs on; libdispatch's threads are as many as there are cores, and other tests block them.
    private static let threads = Result { try ThreadPool(name: "engine", maximum: 8) }

    /// Runs an agent for as long as the body takes, on threads as the agent's own.
    func running<Result: Sendable>(_ body: @escaping @Sendable (Engine) async throws -> Result) async throws -> Result {
        try await withTaskExecutorPreference(try Self.threads.get()) { try await runs(body) }
    }

    private func runs<Result: Sendable>(
        _ body: @escaping @Sendable (Engine) async throws -> Result
    ) async throws -> Result {
        let engine = try engine()
        return try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addTask {
                try await engine.run()
                return nil
            }
            group.addTask { try await body(engine) }
            while let value = try await group.next() {
                if let value {
                    group.cancelAll()
                    try await group.waitForAll()
                    // The next agent of this test may come before the last task has let go of this one.
                    try engine.leave()
                    return value
                }
            }
            throw CancellationError()
        }
    }

    func submit(
        _ operation: PostludeCore.Operation, to engine: Engine, name: String = "test", as other: UserIdentity? = nil
    ) async throws -> RunID {
        let submission = Submission(path: "test.yaml", text: "", workingDirectory: work, name: name)
        return try await engine.submit(operation, from: submission, as: other ?? user).summary.id
    }
}

extension Engine {
    static let root = Caller(uid: 0)

    /// Waits for the commit after which the run is as asked.
    func wait(for id: RunID, until isThere: @Sendable (RunDetail) -> Bool) async throws -> RunDetail {
        let changes = changes()
        var detail = try await detail(id, for: Self.root)
        if isThere(detail) { return detail }
        for await _ in changes {
            detail = try await self.detail(id, for: Self.root)
            if isThere(detail) { return detail }
        }
        throw CancellationError()
    }

    /// Waits until the run and all of its hook runs are over.
    func finish(_ id: RunID) async throws -> RunDetail {
        try await wait(for: id) { detail in
            detail.summary.status.isFinal
                && detail.hooks.allSatisfy { hook in
                    guard let outcome = hook.outcome else { return false }
                    return outcome != .fired || hook.status?.isFinal == true
                }
        }
    }

    func output(_ id: RunID, step: String = "main", _ stream: LogStream = .stdout) async throws -> String {
        let path = try await logFile(id, step: step, stream: stream, for: Self.root)
        return String(decoding: try Data(contentsOf: URL(filePath: path)), as: UTF8.self)
    }
}

extension RunDetail {
    var statuses: [RunStatus] { conditions.map(\.status) }

    func step(_ name: String) -> StepRecord? { attempts.last?.steps.first { $0.name == name } }
}

extension ContainerSpec {
    /// A shell script; its braces are nobody's templates.
    static func script(
        _ text: String, name: String? = nil, devices: [String: Int] = [:], memory: Int64? = nil, storage: Int64? = nil
    ) -> ContainerSpec {
        ContainerSpec(
            name: name, command: ["/bin/sh", "-c"], args: [Template(text)],
            resources: ResourceRequest(memoryBytes: memory, storageBytes: storage, devices: devices))
    }
}

extension PostludeCore.Operation {
    static func script(
        _ text: String, initial: [String] = [], sidecars: [String] = [], hooks: [Hook] = [],
        devices: [String: Int] = [:], memory: Int64? = nil, storage: Int64? = nil, outputs: [IODeclaration] = [],
        termination: Termination = Termination(graceSeconds: 5)
    ) -> PostludeCore.Operation {
        PostludeCore.Operation(
            component: Component(
                outputs: outputs, termination: termination,
                job: JobSpec(
                    initSteps: initial.map { .container(.script($0)) }, sidecars: sidecars.map { .script($0) },
                    container: .script(text, devices: devices, memory: memory, storage: storage))), hooks: hooks)
    }
}

extension Hook {
    static func script(
        _ name: String, _ text: String, trigger: Trigger = .done, when condition: Template? = nil,
        params: [String: Param] = [:], inputs: [IODeclaration] = []
    ) -> Hook {
        Hook(
            name: name, origin: "inline",
            component: Component(inputs: inputs, job: JobSpec(container: .script(text))), trigger: trigger,
            conditions: condition, params: params)
    }
}

/// A device node of the test's own that every user may open: the number of /dev/fuse, which any process may hold.
final class DeclaredNode: Sendable {
    static let isAble = geteuid() == 0 && access("/dev/fuse", F_OK) == 0

    let device: Device
    private let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
        let path = "\(directory.path)/tuner"
        var status = stat()
        guard stat("/dev/fuse", &status) == 0, mknod(path, S_IFCHR | 0o666, status.st_rdev) == 0,
            chmod(path, 0o666) == 0
        else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
        let found = try Inventory.discover(declared: [
            DeclaredDevice(
                id: "tuner", deviceClass: "example.com/tuner", nodes: [path], environmentName: "TEST_DEVICE",
                environmentValue: path)
        ])
        device = try #require(found.first { $0.id == "tuner" })
    }
}

extension Engine {
    /// What is left of an agent that ended, now rather than when the last task lets go of it: the next one of the test
    /// may be there by then.
    func leave() throws {
        sandbox.shutdown()
        try store.close()
    }
}
