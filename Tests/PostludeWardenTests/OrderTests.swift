import Glibc
import PostludeLinux
import PostludePlan
import Testing

@Suite(.enabled(if: WardenHarness.isRoot, "the warden needs root"))
struct OrderTests {
    private func attempt(
        _ harness: WardenHarness, _ steps: [(String, StepPlan.Role, String)], timeout: UInt64 = 0, grace: UInt64 = 2000
    ) throws {
        let plans = try steps.map { try harness.builder.step($0.0, $0.1, script: $0.2) }
        try harness.launch(try harness.builder.plan(steps: plans, timeout: timeout, grace: grace))
    }

    @Test func `init steps run in order, each after the last has ended`() throws {
        let harness = try WardenHarness()
        try attempt(
            harness,
            [("init-0", .initialize, "sleep 0.05"), ("init-1", .initialize, "true"), ("main", .main, "true")])
        let outcome = try Outcome(try harness.finish(), harness)
        let order = outcome.bodies.compactMap { body -> String? in
            switch body {
            case .stepStarted(_, let name, _, _): "+" + name
            case .stepExited(_, let name, _, _): "-" + name
            case .accepted, .stopping, .ended: nil
            }
        }
        #expect(order == ["+init-0", "-init-0", "+init-1", "-init-1", "+main", "-main"])
        #expect(outcome.ended?.0 == .mainExited)
    }

    @Test func `main never starts after an init step failed`() throws {
        let harness = try WardenHarness()
        try attempt(
            harness,
            [("init-0", .initialize, "exit 3"), ("init-1", .initialize, "true"), ("main", .main, "echo ran")])
        let outcome = try Outcome(try harness.finish(), harness)
        #expect(outcome.started == ["init-0"])
        #expect(outcome.ended?.0 == .initFailed)
        #expect(outcome.ended?.1 == .code(3))
        #expect(outcome.output.isEmpty)
        guard case .ended(_, step: 0, _)? = outcome.bodies.last else {
            Issue.record("\(outcome.bodies)")
            return
        }
    }

    @Test func `sidecars are told to stop when main ends`() throws {
        let harness = try WardenHarness()
        try attempt(
            harness,
            [
                ("sidecar-a", .sidecar, "trap 'echo bye; exit 5' TERM; while :; do sleep 0.01; done"),
                ("main", .main, "sleep 0.1; exit 0"),
            ])
        let outcome = try Outcome(try harness.finish(), harness)
        #expect(outcome.exited == ["main", "sidecar-a"])
        #expect(outcome.exit(of: "sidecar-a") == .code(5))
        #expect(try harness.log("sidecar-a") == "bye\n")
        #expect(outcome.bodies.contains(.stopping(.mainEnded)))
        #expect(outcome.ended?.0 == .mainExited)
        #expect(outcome.ended?.1 == .code(0))
    }

    @Test func `a sidecar that ignores SIGTERM is killed after the grace period`() throws {
        let harness = try WardenHarness()
        try attempt(
            harness,
            [
                ("sidecar-a", .sidecar, "trap '' TERM; echo ready; while :; do sleep 0.01; done"),
                ("main", .main, "sleep 0.1"),
            ], grace: 200)
        let outcome = try Outcome(try harness.finish(), harness)
        #expect(outcome.exit(of: "sidecar-a") == .signal(SIGKILL, coreDumped: false))
        #expect(outcome.ended?.1 == .code(0))
    }

    @Test func `a failed sidecar does not fail main`() throws {
        let harness = try WardenHarness()
        var plan = try harness.builder.plan(steps: [
            harness.builder.step("sidecar-a", .sidecar, script: "exit 9"),
            harness.builder.step("sidecar-b", .sidecar, command: ["/no/such/program"]),
            harness.builder.step("sidecar-c", .sidecar, script: "true"),
            harness.builder.step("main", .main, script: "sleep 0.1"),
        ])
        plan.steps[2].workingDirectory = "/nowhere"
        try harness.launch(plan)
        let outcome = try Outcome(try harness.finish(), harness)
        #expect(outcome.exit(of: "sidecar-a") == .code(9))
        #expect(outcome.exit(of: "sidecar-b") == .setupFailed(stage: .exec, index: 0, errno: ENOENT))
        #expect(outcome.exit(of: "sidecar-c") == .setupFailed(stage: .workingDirectory, index: 0, errno: ENOENT))
        #expect(outcome.ended?.0 == .mainExited)
        #expect(outcome.ended?.1 == .code(0))
    }

    @Test func `the timeout stops every step`() throws {
        let harness = try WardenHarness()
        try attempt(
            harness, [("sidecar-a", .sidecar, "exec sleep 1000"), ("main", .main, "exec sleep 1000")],
            timeout: 150 * WardenHarness.slowness)
        let outcome = try Outcome(try harness.finish(), harness)
        #expect(outcome.bodies.contains(.stopping(.timeout)))
        #expect(outcome.exit(of: "main") == .signal(SIGTERM, coreDumped: false))
        #expect(outcome.exit(of: "sidecar-a") == .signal(SIGTERM, coreDumped: false))
        #expect(outcome.ended?.0 == .timeout)
    }

    @Test func `the timeout covers init steps`() throws {
        let harness = try WardenHarness()
        try attempt(
            harness, [("init-0", .initialize, "exec sleep 1000"), ("main", .main, "echo ran")],
            timeout: 100 * WardenHarness.slowness)
        let outcome = try Outcome(try harness.finish(), harness)
        #expect(outcome.started == ["init-0"])
        #expect(outcome.ended?.0 == .timeout)
        #expect(outcome.ended?.1 == .signal(SIGTERM, coreDumped: false))
    }

    @Test func `a stop request lets main end by itself within the grace period`() throws {
        let harness = try WardenHarness()
        try attempt(
            harness, [("main", .main, "trap 'echo saved; exit 0' TERM; echo up; while :; do sleep 0.01; done")])
        _ = try #require(try harness.waitForRecord { if case .stepStarted = $0 { true } else { false } })
        try waitForLog(harness, "main", "up")
        try harness.process.signal(SIGTERM)
        let outcome = try Outcome(try harness.finish(), harness)
        #expect(outcome.output == "up\nsaved\n")
        #expect(outcome.bodies.contains(.stopping(.requested)))
        #expect(outcome.ended?.0 == .stopRequested)
        #expect(outcome.ended?.1 == .code(0))
    }

    @Test func `main that ignores a stop request is killed, with all it started`() throws {
        let harness = try WardenHarness()
        try attempt(
            harness,
            [("main", .main, "trap '' TERM; (setsid sleep 1000 &) ; echo up; while :; do sleep 0.01; done")], grace: 150
        )
        try waitForLog(harness, "main", "up")
        try harness.process.signal(SIGTERM)
        let outcome = try Outcome(try harness.finish(), harness)
        #expect(outcome.exit(of: "main") == .signal(SIGKILL, coreDumped: false))
        #expect(outcome.ended?.0 == .stopRequested)
        #expect(try !Cgroup(opening: harness.unifiedPath + "/main").isPopulated())
    }

    @Test func `steps of one attempt share its network, and nothing else`() throws {
        let harness = try WardenHarness()
        let script = "for n in pid mnt ipc uts net cgroup; do readlink /proc/self/ns/$n; done"
        // Both alive at once: numbers of namespaces that are gone are given out again.
        try attempt(
            harness, [("sidecar-a", .sidecar, script + "; exec sleep 1000"), ("main", .main, script + "; sleep 0.2")])
        _ = try harness.finish()
        let first = try harness.log("sidecar-a").split(separator: "\n").map { String($0) }
        let main = try harness.log("main").split(separator: "\n").map { String($0) }
        try #require(first.count == 6 && main.count == 6)
        for (a, b) in zip(first, main) { #expect((a == b) == a.hasPrefix("net:")) }
    }

    @Test func `a plan can hold many steps`() throws {
        let harness = try WardenHarness()
        let steps = (0..<8).map { ("init-\($0)", StepPlan.Role.initialize, "echo \($0)") }
        try attempt(harness, steps + [("main", .main, "echo main")])
        let outcome = try Outcome(try harness.finish(), harness)
        #expect(outcome.started.count == 9)
        #expect(outcome.output == "main\n")
    }

    private func waitForLog(_ harness: WardenHarness, _ step: String, _ text: String) throws {
        let watch = try FileWatch()
        try watch.add(harness.directory, mask: UInt32(IN_MODIFY))
        while try !harness.log(step).contains(text) {
            guard try waitReadable(watch.descriptor.rawValue, milliseconds: 10_000) else { return }
            _ = try watch.changes()
        }
    }
}
