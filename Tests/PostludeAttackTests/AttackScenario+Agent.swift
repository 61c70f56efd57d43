import Foundation
import PostludeCore
import PostludeLinux
import Testing

@testable import PostludeSandbox

extension AttackScenario {
    /// Opens a granted device; after it was revoked, what is open cannot be opened again.
    static let revokedDevice: Body = { stage in
        var (spec, node) = try stage.attemptWithInjectedNode([], user: .plain)
        spec.steps = [spec.steps[1]]
        spec.steps[0].workingDirectory = spec.directories.artifactsInside
        spec.steps[0].command = [
            "/bin/sh", "-c",
            "exec 5< \(node.path) && mkfifo go && echo up; read x < go; exec 6< /proc/self/fd/5 && echo again",
        ]
        let warden = try stage.fixture.sandbox.reserve(for: spec.profile)
        try stage.fixture.sandbox.launch(spec, in: warden)
        try await stage.fixture.awaitOutput("up", of: "main", in: spec)
        try stage.fixture.sandbox.revokeDevices(warden)
        let go = open(spec.directories.artifacts + "/go", O_WRONLY)
        close(go)
        let ended = try await stage.fixture.end(of: spec, in: warden)
        try await stage.fixture.sandbox.remove(warden)
        let isDenied = ended.output["main.stderr"]?.contains("Operation not permitted") == true
        return isDenied && ended.output["main.stdout"]?.contains("again") == false ? "EPERM" : "\(ended.output)"
    }

    /// A cgroup below the step's with a filter that allows everything: the parent's still denies.
    static let allowingChild: Body = { stage in
        var (spec, node) = try stage.attemptWithInjectedNode([], user: .plain)
        spec.steps = [spec.steps[1]]
        spec.steps[0].workingDirectory = spec.directories.artifactsInside
        spec.steps[0].command = [
            "/bin/sh", "-c", "mkfifo go && echo up; read x < go; exec 6< \(node.path) && echo opened",
        ]
        let warden = try stage.fixture.sandbox.reserve(for: spec.profile)
        try stage.launch(spec, in: warden, granting: []) { _, _ in }
        try await stage.fixture.awaitOutput("up", of: "main", in: spec)
        let step = try Cgroup(opening: "\(stage.fixture.sandbox.tree.path(of: warden.slot))/main")
        let child = try step.child("allowing")
        let allowing = try DeviceFilters().filter(allowing: [node])
        try DeviceFilter.attach(allowing.program.rawValue, to: child)
        let members = try step.processes()
        // Pid 1 of the step stays where it is.
        for pid in members.dropFirst() { try child.enter(pid) }
        #expect(members.count > 1)
        let go = open(spec.directories.artifacts + "/go", O_WRONLY)
        close(go)
        _ = try child.events().waitUntilEmpty(milliseconds: 10_000)
        try Cgroup.remove(child.path)
        let ended = try await stage.fixture.end(of: spec, in: warden)
        try await stage.fixture.sandbox.remove(warden)
        let isDenied = ended.output["main.stderr"]?.contains("Operation not permitted") == true
        return isDenied && ended.output["main.stdout"]?.contains("opened") == false ? "EPERM" : "\(ended.output)"
    }

    /// What a job sets for itself reaches no process of the agent's: CVE-2025-23266.
    static let environment: Body = { stage in
        var spec = try stage.attempt(script: "mkfifo go; echo up; read x < go; echo $LD_PRELOAD")
        spec.steps[0].workingDirectory = spec.directories.artifactsInside
        for name in ["LD_PRELOAD", "LD_AUDIT", "GCONV_PATH", "PYTHONPATH", "BASH_ENV"] {
            spec.steps[0].environment[name] = "/no/such/evil.so"
        }
        let warden = try stage.fixture.sandbox.reserve(for: spec.profile)
        try stage.fixture.sandbox.launch(spec, in: warden)
        try await stage.fixture.awaitOutput("up", of: "main", in: spec)
        let slot = stage.fixture.sandbox.tree.path(of: warden.slot)
        var seen: [String] = []
        let step = try Cgroup(opening: "\(slot)/main").processes()
        let init1 = try #require(step.min())
        for pid in try Cgroup(opening: "\(slot)/warden").processes() + [init1] {
            let environment = FileManager.default.contents(atPath: "/proc/\(pid)/environ") ?? Data()
            if !environment.isEmpty { seen.append("\(pid): \(String(decoding: environment, as: UTF8.self))") }
        }
        let go = open(spec.directories.artifacts + "/go", O_WRONLY)
        close(go)
        let ended = try await stage.fixture.end(of: spec, in: warden)
        try await stage.fixture.sandbox.remove(warden)
        #expect(ended.output["main.stdout"]?.contains("evil.so") == true, "the job itself has it")
        return seen.isEmpty ? "clean" : "\(seen)"
    }

    static let heldOutput: Body = { stage in
        let started = ContinuousClock.now
        let ended = try await stage.fixture.run(try stage.attempt(script: "(setsid sleep 1000 &); exit 7"))
        let taken = ContinuousClock.now - started
        return ended.exit == .code(7) && taken < .seconds(30) ? "ended" : "\(ended.reports) after \(taken)"
    }

    static let flood: Body = { stage in
        let script = """
            head -c 300000000 /dev/zero; printf '\\033]0;title\\007\\377\\376\\000'; yes | head -c 100000000
            """
        let spec = try stage.attempt(script: script) { $0.logBytes = 1 << 20 }
        let ended = try await stage.fixture.run(spec)
        var status = stat()
        #expect(stat(spec.directories.attempt + "/main.stdout.log", &status) == 0)
        return ended.exit == .code(0) && status.st_size <= (1 << 20) + 4096 ? "bounded" : "\(status.st_size) bytes"
    }

    static let exitCodes: Body = { stage in
        var seen: [ProcessExit?] = []
        for script in ["exit 300", "kill -9 $$", "kill -SEGV $$", "exit 137"] {
            seen.append(try await stage.fixture.run(try stage.attempt(script: script)).exit)
        }
        let expected: [ProcessExit?] = [
            .code(44), .signal(9, coreDumped: false), .signal(11, coreDumped: false), .code(137),
        ]
        return seen == expected ? "exact" : "\(seen)"
    }

    /// A filter that the kernel does not take: nothing may run without.
    static let brokenProgram: Body = { stage in
        let spec = try stage.attempt(script: "echo ran")
        let ended = try await stage.run(spec) { plan, descriptors in
            let broken = try MemoryFile.sealed("broken", [UInt8](repeating: 0xff, count: 64))
            let index = try descriptors.add(broken)
            for step in plan.steps.indices { plan.steps[step].seccomp = index }
        }
        let hasRun = ended.output["main.stdout"]?.contains("ran") == true
        guard case .setupFailed = ended.reason, !hasRun else { return "\(ended.reports) \(ended.output)" }
        return "refused"
    }
}

extension AttackTests {
    @Test(arguments: AttackScenario.all.keys.sorted())
    func `scenarios end as expected`(id: String) async throws {
        let row = try #require(table[id])
        let body = try #require(AttackScenario.all[id])
        let outcome = try await body(try AttackStage())
        let place = Place(profile: "scenario", user: .plain)
        let expected = row.expected(place)
        if let reason = row.knownOpen(place) {
            // A race may be lost by the attacker: neither outcome is news.
            print("    KNOWN OPEN: \(id) (\(row.action)): \(reason): \(outcome)")
            return
        }
        #expect(expected.contains(outcome), "\(id) (\(row.action)): \(outcome)")
    }
}
