import Foundation
import PostludeCore
import PostludeLinux
import Testing

@testable import PostludeSandbox

/// Attacks with more than one actor: something happens on the host, or between steps, while the sandbox is used. Each
/// returns the word that the table expects, or what happened instead.
enum AttackScenario {
    typealias Body = @Sendable (AttackStage) async throws -> String

    static let all: [String: Body] = [
        "NS17": lateMount, "FS11": magicDirectory, "FS14": swappedDirectory, "CG06": memoryBomb,
        "CG08": daemon, "CG09": forkLoop, "CG10": stoppedTree, "DV07": revokedDevice, "DV21": allowingChild,
        "AG01": environment, "AG06": heldOutput, "AG07": flood, "AG09": exitCodes, "AG11": brokenProgram,
    ]

    /// A line that tells these processes from all others on the host.
    private static func marker() -> String { "attack-\(UInt64.random(in: 0 ... .max))" }

    /// Runs a script that waits in the middle: `before` until it prints `up`, then `action`, then the rest.
    private static func interrupted(
        _ stage: AttackStage, before: String, after: String, spec change: (inout AttemptSpec) -> Void = { _ in },
        action: (WardenIdentity, AttemptSpec) async throws -> Void
    ) async throws -> SandboxFixture.Ended {
        var spec = try stage.attempt(script: "\(before); mkfifo go; echo up; read x < go; \(after)")
        spec.steps[0].workingDirectory = spec.directories.artifactsInside
        change(&spec)
        let warden = try stage.fixture.sandbox.reserve(for: spec.profile)
        try stage.fixture.sandbox.launch(spec, in: warden)
        try await stage.fixture.awaitOutput("up", of: "main", in: spec)
        try await action(warden, spec)
        let go = open(spec.directories.artifacts + "/go", O_WRONLY)
        close(go)
        let ended = try await stage.fixture.end(of: spec, in: warden)
        try await stage.fixture.sandbox.remove(warden)
        return ended
    }

    static let lateMount: Body = { stage in
        let late = try stage.fixture.directory.directory("work/late", mode: 0o755)
        let ended = try await interrupted(
            stage, before: "true", after: "test -e \(late)/marker && echo seen || echo absent"
        ) { _, _ in
            #expect(mount("none", late, "tmpfs", 0, nil) == 0)
            try stage.fixture.directory.write("work/late/marker", "x")
        }
        #expect(umount2(late, 0) == 0)
        return ended.output["main.stdout"]?.contains("absent") == true ? "absent" : "\(ended.output)"
    }

    static let magicDirectory: Body = { stage in
        let root = open("/", O_RDONLY | O_DIRECTORY)
        defer { close(root) }
        var codes: Set<String> = []
        for number in Array(Int32(3)...20) + [root] {
            for inStep in [true, false] {
                var spec = try stage.attempt(script: "pwd; ls")
                let path = "/proc/self/fd/\(number)"
                if inStep { spec.steps[0].workingDirectory = path + "/." } else { spec.directories.working = path }
                do {
                    let ended = try await stage.fixture.run(spec)
                    // Inside, the path is the step's own; a magic link of its pid 1 leads nowhere.
                    codes.insert(ended.exit == .code(0) ? "\(ended.output)" : "sandbox.working-directory")
                } catch let error as SandboxError {
                    codes.insert(error.code)
                }
            }
        }
        return codes.count == 1 ? codes.first ?? "" : "\(codes.sorted())"
    }

    static let swappedDirectory: Body = { stage in
        let directory = stage.fixture.directory
        let place = try directory.directory("swap", mode: 0o755, owner: stage.fixture.user.uid)
        try directory.directory("swap/real", mode: 0o755, owner: stage.fixture.user.uid)
        let secret = try directory.directory("state/hoard", mode: 0o755)
        try directory.write("state/hoard/gold", "secret")
        #expect(symlink(secret, "\(place)/link") == 0)
        let swapper = Process()
        swapper.executableURL = URL(fileURLWithPath: try #require(AttackStage.attacker))
        swapper.arguments = ["--swap", "\(place)/real", "\(place)/link"]
        try swapper.run()
        defer {
            // Foundation starts programs with signals blocked.
            kill(swapper.processIdentifier, SIGKILL)
            swapper.waitUntilExit()
        }
        var outcomes: Set<String> = []
        for _ in 0..<30 {
            var spec = try stage.attempt(script: "ls -A .")
            spec.directories.working = "\(place)/real"
            spec.steps[0].workingDirectory = nil
            do {
                let ended = try await stage.fixture.run(spec)
                outcomes.insert(ended.output["main.stdout"]?.contains("gold") == true ? "secret seen" : "ours")
            } catch is SandboxError {
                outcomes.insert("ours")
            }
        }
        return outcomes.sorted().joined(separator: ", ")
    }

    static let memoryBomb: Body = { stage in
        var spec = try stage.attempt(script: "tail /dev/zero; echo status $?")
        spec.limits.memoryBytes = 64 << 20
        spec.steps[0].command = ["/usr/bin/tail", "/dev/zero"]
        let ended = try await stage.fixture.run(spec)
        return ended.exit == .signal(9, coreDumped: false) ? "oom" : "\(String(describing: ended.exit))"
    }

    static let daemon: Body = { stage in
        let mark = marker()
        let script = """
            (setsid sh -c 'trap "" TERM HUP INT; (setsid sh -c "trap \\"\\" TERM HUP; sleep 1000; : \(mark)" &)
            sleep 1000; : \(mark)' &); echo done
            """
        let ended = try await stage.fixture.run(try stage.attempt(script: script))
        let left = try AttackStage.processes(with: mark)
        return ended.exit == .code(0) && left.isEmpty ? "ended" : "\(String(describing: ended.exit)), left \(left)"
    }

    static let forkLoop: Body = { stage in
        let mark = marker()
        let script = "echo up; while :; do sh -c ': \(mark)' & done 2> /dev/null"
        let spec = try stage.attempt(script: script)
        let warden = try stage.fixture.sandbox.reserve(for: spec.profile)
        try stage.fixture.sandbox.launch(spec, in: warden)
        try await stage.fixture.awaitOutput("up", of: "main", in: spec)
        try stage.fixture.sandbox.kill(warden)
        let isEmpty = try await stage.fixture.sandbox.awaitEmpty(warden, until: .now + .seconds(20))
        try await stage.fixture.sandbox.remove(warden)
        let left = try AttackStage.processes(with: mark)
        return isEmpty && left.isEmpty ? "ended" : "empty \(isEmpty), left \(left)"
    }

    static let stoppedTree: Body = { stage in
        let mark = marker()
        let script = "for i in 1 2 3; do sh -c 'kill -STOP $$; : \(mark)' & done; echo up; kill -STOP $$; : \(mark)"
        let spec = try stage.attempt(script: script)
        let warden = try stage.fixture.sandbox.reserve(for: spec.profile)
        try stage.fixture.sandbox.launch(spec, in: warden)
        try await stage.fixture.awaitOutput("up", of: "main", in: spec)
        try stage.fixture.sandbox.requestStop(warden)
        let ended = try await stage.fixture.end(of: spec, in: warden)
        try await stage.fixture.sandbox.remove(warden)
        let left = try AttackStage.processes(with: mark)
        return ended.reason == .stopRequested && left.isEmpty ? "ended" : "\(ended.reports), left \(left)"
    }
}
