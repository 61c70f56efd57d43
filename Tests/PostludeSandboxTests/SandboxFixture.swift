import Foundation
import PostludeCore
import PostludeLinux
import Testing

@testable import PostludeSandbox

/// A real sandbox with a cgroup tree, a state directory and a user of its own.
final class SandboxFixture {
    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path

    /// The warden next to the test bundle, or where POSTLUDE_WARDEN says.
    static let warden: String? = {
        let given = ProcessInfo.processInfo.environment["POSTLUDE_WARDEN"]
        return [given, "\(root)/.build/debug/postlude-warden", "\(root)/.build/release/postlude-warden"]
            .compactMap { $0 }.first { access($0, X_OK) == 0 }
    }()

    static let isAvailable = isRoot && warden != nil

    /// A node that everybody may open, by permission, of a real device that few programs use.
    func device() throws -> DeviceNode {
        var status = stat()
        try #require(stat("/dev/vga_arbiter", &status) == 0)
        let path = "\(directory.path)/arbiter"
        try #require(mknod(path, S_IFCHR | 0o666, status.st_rdev) == 0 && chmod(path, 0o666) == 0)
        let number = UInt64(status.st_rdev)
        return DeviceNode(path: path, major: DeviceNumber.major(number), minor: DeviceNumber.minor(number))
    }

    let sandbox: Sandbox
    let configuration: SandboxConfiguration
    let directory: TemporaryDirectory
    let user = UserIdentity(name: "tester", uid: 23_456, gid: 23_456, home: "/home/tester")
    private var number = 0

    /// - Parameters:
    ///   - hiddenPaths: relative to the fixture's directory.
    ///   - seccomp: a directory of profiles in place of the shipped ones.
    init(poolSize: Int = 1, hiddenPaths: [String] = [], wardenPath: String? = nil, seccomp: String? = nil) throws {
        directory = try TemporaryDirectory()
        // The submitter must be able to walk to what is theirs.
        try directory.directory("", mode: 0o755)
        configuration = SandboxConfiguration(
            wardenPath: wardenPath ?? Self.warden ?? "", seccompDirectory: seccomp ?? "\(Self.root)/profiles/seccomp",
            poolSize: poolSize,
            cgroupName: "postlude-test-\(UInt32.random(in: 0 ... .max))",
            hiddenPaths: hiddenPaths.map { [path = directory.path] in "\(path)/\($0)" })
        sandbox = try Sandbox(configuration: configuration)
    }

    deinit {
        sandbox.shutdown()
        do {
            // Wardens with a plan need a moment to leave; then nothing of the tree may remain. Without any it is gone.
            let path = sandbox.tree.layout.unified
            guard access(path, F_OK) == 0 else { return }
            let runs = try Cgroup(opening: path)
            if try !runs.events().waitUntilEmpty(milliseconds: 10_000) {
                Issue.record("processes are left in \(runs.path)")
            }
            do {
                try sandbox.tree.removeAll()
            } catch let error where error.errno == EBUSY && holdsThisProcess(path) {
                // On pure v2 the first sandbox of a process moves it to a leaf of its tree, where it stays.
            }
        } catch {
            Issue.record(error, "the cgroup tree could not be removed")
        }
    }

    /// Whether this process stands in the agent's leaf beside the cgroup of all runs, and nothing of the runs is left.
    private func holdsThisProcess(_ runs: String) -> Bool {
        let leaf = String(runs.dropLast("runs".count)) + "agent"
        do {
            let members = try String(contentsOfFile: leaf + "/cgroup.procs", encoding: .utf8).split(separator: "\n")
            return members.contains("\(getpid())") && access(runs, F_OK) != 0
        } catch {
            return false
        }
    }

    func profile(_ change: (inout SandboxProfile) -> Void = { _ in }) -> SandboxProfile {
        var profile = SandboxProfile(
            name: "test", hide: ["/root", "/home"], seccomp: "main", tmpBytes: 16 << 20, shmBytes: 16 << 20,
            tmpInodes: 4096, maxPIDs: 64, logBytes: 1 << 20, requires: [.deviceFilter, .seccomp, .networkNamespace])
        change(&profile)
        return profile
    }

    func step(
        _ script: String, _ name: String = "main", _ role: StepRole = .main, getsDevices: Bool = false
    ) -> StepSpec {
        StepSpec(name: name, role: role, command: ["/bin/sh", "-c", script], getsDevices: getsDevices)
    }

    func attempt(_ steps: [StepSpec], profile: SandboxProfile? = nil) throws -> AttemptSpec {
        number += 1
        let id = RunID.random()
        let run = "state/runs/\(id)"
        for part in ["state", "state/runs", run, "\(run)/attempts"] { try directory.directory(part, mode: 0o711) }
        let attempt = try directory.directory("\(run)/attempts/1", mode: 0o700)
        let artifacts = try directory.directory("\(run)/artifacts", mode: 0o700, owner: user.uid)
        return AttemptSpec(
            attempt: AttemptID(run: id, number: 1), user: user, profile: profile ?? self.profile(), steps: steps,
            directories: AttemptDirectories(
                attempt: attempt, artifacts: artifacts, artifactsInside: "/plx-context/artifacts/\(id)"),
            limits: AttemptLimits(memoryBytes: 256 << 20, milliCPU: 2000, maxPIDs: 64), timeoutSeconds: 60,
            graceSeconds: 2)
    }

    /// What an attempt reported and printed.
    struct Ended {
        var spec: AttemptSpec
        var warden: WardenIdentity
        var reports: [AttemptReport]
        var output: [String: String]

        var exit: ProcessExit? {
            for case .ended(let exit, _, _) in reports { return exit }
            return nil
        }

        var reason: AttemptReport.AttemptEndReason? {
            for case .ended(_, let reason, _) in reports { return reason }
            return nil
        }

        func exit(of step: String) -> ProcessExit? {
            for case .stepExited(step, let exit, _, _) in reports { return exit }
            return nil
        }

        func receipt(of step: String) -> Receipt? {
            for case .stepStarted(step, _, let receipt, _) in reports { return receipt }
            return nil
        }
    }

    /// Runs an attempt to its end and removes it.
    func run(_ spec: AttemptSpec) async throws -> Ended {
        let warden = try sandbox.reserve(
            for: spec.profile, hasImages: spec.steps.contains { $0.rootDirectory != nil })
        do {
            try sandbox.launch(spec, in: warden)
        } catch {
            sandbox.cancel(warden)
            throw error
        }
        let ended = try await end(of: spec, in: warden)
        try await sandbox.remove(warden)
        return ended
    }

    func run(_ script: String, profile: SandboxProfile? = nil) async throws -> Ended {
        try await run(try attempt([step(script)], profile: profile))
    }

    func end(of spec: AttemptSpec, in warden: WardenIdentity) async throws -> Ended {
        await sandbox.awaitExit(of: warden)
        let journal = try AttemptJournal(directory: spec.directories.attempt)
        return Ended(
            spec: spec, warden: warden, reports: try journal.reports(from: 0).map(\.report), output: output(of: spec))
    }

    func output(of spec: AttemptSpec) -> [String: String] {
        var output: [String: String] = [:]
        for step in spec.steps {
            for stream in ["stdout", "stderr"] {
                let path = "\(spec.directories.attempt)/\(step.name).\(stream).log"
                output["\(step.name).\(stream)"] = FileManager.default.contents(atPath: path).map {
                    String(decoding: $0, as: UTF8.self)
                }
            }
        }
        return output
    }

    /// Waits until a step has printed `text`, by its file's changes.
    func awaitOutput(_ text: String, of step: String, in spec: AttemptSpec) async throws {
        let path = "\(spec.directories.attempt)/\(step).stdout.log"
        let changes = AsyncStream<Void>(bufferingPolicy: .bufferingNewest(1)) { continuation in
            let token = Result { try FileWatcher.common().add(path) { continuation.yield() } }
            continuation.yield()
            continuation.onTermination = { _ in
                if case .success(let token) = token { _ = Result { try FileWatcher.common().remove(token) } }
            }
        }
        for await _ in changes {
            let now = FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
            if now?.contains(text) == true { return }
        }
    }

    /// The directories of a slot that exist, over all hierarchies.
    func remains(of warden: WardenIdentity) -> [String] {
        sandbox.tree.layout.directories.map { "\($0)/\(warden.slot)" }.filter { access($0, F_OK) == 0 }
    }
}
