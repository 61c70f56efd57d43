import Glibc
import PostludeLinux
import PostludePlan
import Testing

@Suite(.enabled(if: WardenHarness.isRoot, "the warden needs root"))
struct LaunchTests {
    @Test func `a program runs and its exit code is recorded`() throws {
        let outcome = try WardenHarness().run("echo out; echo err >&2; exit 7")
        #expect(outcome.end == .code(0))
        #expect(outcome.output == "out\n")
        #expect(outcome.errors == "err\n")
        #expect(outcome.exit(of: "main") == .code(7))
        #expect(outcome.ended?.0 == .mainExited)
        #expect(outcome.ended?.1 == .code(7))
        #expect(outcome.journal.map(\.sequence) == Array(0..<4))
        guard case .accepted("test.1", _)? = outcome.bodies.first else {
            Issue.record("the first record is \(outcome.bodies)")
            return
        }
    }

    @Test(arguments: [0, 1, 127, 255]) func `every exit code arrives`(code: Int32) throws {
        #expect(try WardenHarness().run("exit \(code)").exit(of: "main") == .code(code))
    }

    @Test(arguments: [SIGKILL, SIGTERM, SIGSEGV, SIGUSR1]) func `a signal is not an exit code`(number: Int32) throws {
        let outcome = try WardenHarness().run("kill -\(number) $$")
        guard case .signal(number, _)? = outcome.exit(of: "main") else {
            Issue.record("\(String(describing: outcome.exit(of: "main")))")
            return
        }
    }

    @Test func `counters tell time, memory and wall time`() throws {
        let outcome = try WardenHarness().run("i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done")
        let counters = try #require(outcome.counters(of: "main"))
        #expect(counters.userMicroseconds ?? 0 > 1000)
        #expect(counters.wallNanoseconds ?? 0 > 1_000_000)
        #expect(counters.maxRSSBytes ?? 0 > 100_000)
        #expect(counters.peakMemoryBytes ?? 0 > 10_000)
        #expect(counters.oomKills == 0)
        #expect(counters.logBytesDropped == 0)
    }

    @Test func `a program that is not there fails at exec`() throws {
        let harness = try WardenHarness()
        let plan = try harness.builder.plan(steps: [harness.builder.step("main", .main, command: ["/no/such/program"])])
        try harness.launch(plan)
        let result = try Outcome(try harness.finish(), harness)
        #expect(result.exit(of: "main") == .setupFailed(stage: .exec, index: 0, errno: ENOENT))
        #expect(result.ended?.0 == .setupFailed)
    }

    @Test func `a missing working directory fails by name`() throws {
        let outcome = try WardenHarness().run("true") { $0.steps[0].workingDirectory = "/no/such/place" }
        #expect(outcome.exit(of: "main") == .setupFailed(stage: .workingDirectory, index: 0, errno: ENOENT))
        #expect(outcome.started.isEmpty)
    }

    @Test func `a mount that cannot be made fails with its number`() throws {
        let outcome = try WardenHarness().run("true") {
            $0.steps[0].mounts.append(.tmpfs(target: "/usr/no-such", bytes: 4096, inodes: 4, mode: 0o755, noExec: true))
        }
        let last = UInt16(try WardenHarness().builder.mounts().count)
        #expect(outcome.exit(of: "main") == .setupFailed(stage: .mount, index: last, errno: EROFS))
        #expect(access("/usr/no-such", F_OK) != 0)
    }

    @Test func `a required limit that cannot be written refuses the attempt`() throws {
        let outcome = try WardenHarness().run("true") {
            $0.limits = [
                CgroupWrite(.unified, "no.such.file", "1", isRequired: false),
                CgroupWrite(.memory, "no.such.file", "1"),
            ]
        }
        #expect(outcome.ended?.0 == .setupFailed)
        #expect(outcome.ended?.1 == .setupFailed(stage: .limit, index: 1, errno: ENOENT))
        #expect(outcome.started.isEmpty)
    }

    @Test func `output beyond the limit is cut, marked and counted`() throws {
        let outcome = try WardenHarness().run("head -c 300000 /dev/zero | tr '\\0' x; echo tail >&2") {
            $0.steps[0].logBytes = 100_000
        }
        #expect(outcome.exit(of: "main") == .code(0))
        #expect(outcome.output.prefix(100_000).allSatisfy { $0 == "x" })
        #expect(outcome.output.dropFirst(100_000).hasPrefix("\n[postlude: the output is longer than 100000 bytes"))
        #expect(outcome.output.utf8.count < 100_200)
        #expect(outcome.errors == "tail\n")
        #expect(outcome.counters(of: "main")?.logBytesDropped == 200_000)
    }

    @Test func `output of exactly the limit is whole`() throws {
        let outcome = try WardenHarness().run("head -c 5000 /dev/zero | tr '\\0' x") { $0.steps[0].logBytes = 5000 }
        #expect(outcome.output == String(repeating: "x", count: 5000))
        #expect(outcome.counters(of: "main")?.logBytesDropped == 0)
    }

    @Test func `a log file opened for appending works too`() throws {
        let harness = try WardenHarness()
        var plan = try harness.builder.plan(steps: [harness.builder.step("main", .main, script: "echo more")])
        plan.steps[0].standardOutput = harness.builder.add(
            try OwnedDescriptor.open(harness.directory + "/main.stdout.log", O_WRONLY | O_APPEND))
        try harness.launch(plan)
        #expect(try Outcome(try harness.finish(), harness).output == "more\n")
    }

    @Test func `an orphan that left its session is killed and does not hold up the end`() throws {
        let harness = try WardenHarness()
        // The orphan keeps both pipes open and ignores what can be ignored.
        let outcome = try harness.run(
            "setsid sh -c 'trap \"\" TERM HUP; sleep 1000 & sleep 1000' & sleep 0.05; echo done")
        #expect(outcome.end == .code(0))
        #expect(outcome.output == "done\n")
        #expect(outcome.exit(of: "main") == .code(0))
        let cgroup = try Cgroup(opening: harness.unifiedPath + "/main")
        #expect(try !cgroup.isPopulated())
    }

    @Test func `the agent's end before the plan ends an idle warden`() throws {
        let harness = try WardenHarness()
        harness.closeControl()
        #expect(try waitReadable(harness.process.descriptor.rawValue, milliseconds: 5000))
        #expect(try harness.process.reap(block: true)?.end == .code(0))
    }

    @Test(arguments: [[], [4], [4, 1, 2, 3], [9]] as [[UInt8]])
    func `a message that is no plan is refused`(message: [UInt8]) throws {
        let harness = try WardenHarness()
        let file = try MemoryFile.sealed("plan", Array("PLPN and then nonsense".utf8))
        try harness.send(message.isEmpty ? [4] : message, descriptors: message.isEmpty ? [] : [file.rawValue])
        let answer = try #require(try harness.receive())
        let failure = try #require(try ControlMessage.failure(in: answer))
        #expect(failure.stage == .plan)
        #expect(try harness.process.reap(block: true)?.end == .code(2))
    }

    @Test func `a plan that could still change is refused`() throws {
        let harness = try WardenHarness()
        let plan = try harness.builder.plan(steps: [harness.builder.step("main", .main, script: "true")])
        let file = try MemoryFile.create("plan")
        try file.write(plan.encoded())
        try harness.send([4], descriptors: [file.rawValue] + harness.builder.descriptors)
        let answer = try #require(try harness.receive())
        #expect(try ControlMessage.failure(in: answer)?.stage == .plan)
    }

    @Test func `the warden's death takes the steps with it`() throws {
        let harness = try WardenHarness()
        try harness.launch(
            try harness.builder.plan(steps: [harness.builder.step("main", .main, script: "echo $$; exec sleep 1000")]))
        _ = try #require(try harness.waitForRecord { if case .stepStarted = $0 { true } else { false } })
        let cgroup = try Cgroup(opening: harness.unifiedPath + "/main")
        #expect(try cgroup.isPopulated())
        kill(harness.pid, SIGKILL)
        #expect(try cgroup.events().waitUntilEmpty(milliseconds: 5000))
        #expect(try harness.journal().count == 2)
    }

    @Test func `the warden keeps little memory`() throws {
        let harness = try WardenHarness()
        try harness.launch(
            try harness.builder.plan(steps: [harness.builder.step("main", .main, script: "exec sleep 1000")]))
        _ = try #require(try harness.waitForRecord { if case .stepStarted = $0 { true } else { false } })
        // Of what it can write: its text is shared with every other warden.
        var isWritable = false
        var kilobytes = 0
        for line in try readText("/proc/\(harness.pid)/smaps").split(separator: "\n") {
            let fields = line.split(separator: " ")
            if !fields[0].hasSuffix(":") { isWritable = fields[1].contains("w") }
            if isWritable, fields[0].hasPrefix("Private_") { kilobytes += Int(fields[1]) ?? 0 }
        }
        #expect(kilobytes > 0 && kilobytes < 500)
    }
}
