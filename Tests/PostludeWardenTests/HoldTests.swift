import Glibc
import PostludeLinux
import PostludePlan
import Testing

/// A held plan is set up at once, but none of its programs starts before the agent's second word.
@Suite(.enabled(if: WardenHarness.isRoot, "the warden needs root"))
struct HoldTests {
    private func held(_ steps: [(String, StepPlan.Role, String)]) throws -> WardenHarness {
        let harness = try WardenHarness()
        let plan = try harness.builder.plan(
            steps: steps.map { try harness.builder.step($0.0, $0.1, script: $0.2) })
        try harness.launch(plan, isHeld: true)
        return harness
    }

    @Test func `nothing runs and nothing is written before the word to start, all of it after`() throws {
        let harness = try held([("sidecar-a", .sidecar, "echo ran"), ("main", .main, "echo ran; exit 3")])
        try harness.waitUntilReady("main")
        try harness.waitUntilReady("sidecar-a")
        #expect(try harness.journal().isEmpty)
        #expect(try harness.log("main").isEmpty)
        try harness.start()
        harness.closeControl()
        let outcome = try Outcome(try harness.finish(), harness)
        #expect(outcome.output == "ran\n")
        // Together: which of the two the warden heard of first is chance.
        #expect(outcome.started.sorted() == ["main", "sidecar-a"])
        #expect(outcome.exit(of: "main") == .code(3))
        guard case .accepted? = outcome.bodies.first else {
            Issue.record("the first record is \(outcome.bodies)")
            return
        }
        #expect(outcome.journal.map(\.sequence) == Array(0..<UInt64(outcome.journal.count)))
    }

    @Test func `the word to start may come before the set-up is done`() throws {
        let harness = try held([("init-0", .initialize, "echo first"), ("main", .main, "echo ran")])
        try harness.start()
        let outcome = try Outcome(try harness.finish(), harness)
        #expect(outcome.started == ["init-0", "main"])
        #expect(outcome.output == "ran\n")
    }

    @Test(arguments: [true, false])
    func `the agent's end before the word ends it all without a record`(isReady: Bool) throws {
        let harness = try held([("sidecar-a", .sidecar, "echo ran"), ("main", .main, "echo ran")])
        if isReady { try harness.waitUntilReady("main") }
        harness.closeControl()
        let outcome = try Outcome(try harness.finish(), harness)
        #expect(outcome.end == .code(0))
        #expect(outcome.journal.isEmpty)
        #expect(outcome.output.isEmpty)
        #expect(try readText(harness.unifiedPath + "/main/cgroup.procs").isEmpty)
    }

    /// The warden stands still meanwhile, so that it hears of both at once, the agent's end first. When it stands still
    /// before it has given the step its plan, or after it has heard of the step, the round shows nothing: so there are
    /// many. A program that is started gets the processor before the warden can end it.
    @Test func `a step that is ready in the moment of the agent's end does not start`() throws {
        // No more than fit in some seconds: whoever waits here keeps a thread from the other tests.
        let deadline = ContinuousClock.now + .seconds(6)
        for (count, round) in (0..<80).shuffled().enumerated() where count < 8 || ContinuousClock.now < deadline {
            let (harness, plan, ran) = try leavingAMark()
            try harness.launch(plan, isHeld: true)
            usleep(UInt32(round) * 125)
            try harness.process.signal(SIGSTOP)
            harness.closeControl()
            // The step goes on alone.
            usleep(15_000)
            let steps = try readText(harness.unifiedPath + "/main/cgroup.procs").split(separator: "\n")
            // On one processor, which the warden has only when the step does not want it.
            for pid in steps.map(String.init) + ["\(harness.pid)"] { system("taskset -p 1 \(pid) > /dev/null") }
            #expect(system("chrt -i -p 0 \(harness.pid)") == 0)
            try harness.process.signal(SIGCONT)
            let outcome = try Outcome(try harness.finish(), harness)
            #expect(outcome.journal.isEmpty && access(ran, F_OK) != 0, "round \(round)")
            unlink(ran)
        }
    }

    /// Else nobody could tell later whether it ran, and the attempt would be launched again.
    @Test func `a program whose start cannot be written down does not start`() throws {
        let (harness, made, ran) = try leavingAMark()
        var plan = made
        plan.journal = harness.builder.add(try OwnedDescriptor.open("/dev/full", O_WRONLY))
        try harness.launch(plan)
        let outcome = try Outcome(try harness.finish(), harness)
        #expect(outcome.end != .code(0) && outcome.end != nil)
        #expect(access(ran, F_OK) != 0)
        unlink(ran)
    }

    /// A plan whose main makes the file that is named last.
    private func leavingAMark() throws -> (WardenHarness, LaunchPlan, String) {
        let harness = try WardenHarness()
        let out = harness.directory + "/out"
        #expect(mkdir(out, 0o777) == 0 && chmod(out, 0o777) == 0)
        var plan = try harness.builder.plan(
            steps: [try harness.builder.step("main", .main, script: "echo ran > /out/ran")])
        plan.steps[0].mounts.append(
            .bind(
                source: try harness.builder.source(out), target: "/out", readOnly: false, devices: false,
                recursive: false))
        return (harness, plan, out + "/ran")
    }

    /// Launchers are killed by chance here, or by whoever kills all processes of that name. Many of them wait for their turn
    /// for a while, so that some are met.
    @Test(.enabled(if: WardenHarness.isHybrid, "launchers are for v1 hierarchies, and this host has none"))
    func `a launcher that is killed fails the set-up and never leaves the warden waiting`() throws {
        let deadline = ContinuousClock.now + .seconds(10)
        var killed = 0
        while killed < 3, ContinuousClock.now < deadline {
            let steps =
                (0..<20).map { ("init-\($0)", StepPlan.Role.initialize, "true") } + [("main", .main, "echo ran")]
            let harness = try held(steps)
            let wait = ContinuousClock.now + .milliseconds(200)
            var last: Int32?
            while last == nil, ContinuousClock.now < wait {
                let pids = try readText(harness.unifiedPath + "/warden/cgroup.procs").split(separator: "\n")
                last = pids.compactMap { Int32($0) }.last { $0 != harness.pid }
            }
            if let last { kill(last, SIGKILL) }
            harness.closeControl()
            let outcome = try Outcome(try harness.finish(), harness)
            #expect(outcome.end == .code(0), "the warden waits for ever")
            #expect(outcome.journal.isEmpty && outcome.output.isEmpty)
            if last != nil { killed += 1 }
        }
        #expect(killed > 0)
    }

    @Test func `another word than start starts nothing`() throws {
        let harness = try held([("main", .main, "echo ran")])
        try harness.waitUntilReady("main")
        try harness.send([ControlMessage.launch.rawValue])
        let outcome = try Outcome(try harness.finish(), harness)
        #expect(outcome.journal.isEmpty)
        #expect(outcome.output.isEmpty)
    }

    @Test func `a set-up that fails is told after the word`() throws {
        let harness = try WardenHarness()
        var plan = try harness.builder.plan(steps: [harness.builder.step("main", .main, script: "echo ran")])
        plan.steps[0].workingDirectory = "/no/such/place"
        try harness.launch(plan, isHeld: true)
        #expect(try !waitReadable(harness.process.descriptor.rawValue, milliseconds: 300))
        #expect(try harness.journal().isEmpty)
        try harness.start()
        let outcome = try Outcome(try harness.finish(), harness)
        #expect(outcome.exit(of: "main") == .setupFailed(stage: .workingDirectory, index: 0, errno: ENOENT))
        #expect(outcome.ended?.0 == .setupFailed)
        #expect(outcome.started.isEmpty)
    }

    @Test func `what was asked to stop before the word does not start`() throws {
        let harness = try held([("main", .main, "echo ran")])
        try harness.waitUntilReady("main")
        try harness.process.signal(SIGTERM)
        try harness.start()
        let outcome = try Outcome(try harness.finish(), harness)
        #expect(outcome.output.isEmpty)
        #expect(outcome.started.isEmpty)
        #expect(outcome.ended?.0 == .stopRequested)
    }
}
