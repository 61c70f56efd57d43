import Testing

@testable import PostludeCore

/// What hooks are told of their main: in templates, in the context file and in the environment.
@Suite struct HookFactsTests {
    static func main() throws -> HookResolution.MainContext {
        var main = try HookResolutionTests.main(.failed, outputs: ["loss": .double(0.5)])
        main.startedAt = main.createdAt
        main.exit = .signal(9, coreDumped: false)
        main.attempts = 2
        main.oomKilled = true
        main.deviceSeconds = 12.5
        var usage = StepUsage()
        usage.userSeconds = 1.5
        usage.systemSeconds = 0.25
        usage.peakMemoryBytes = 4096
        main.usage = usage
        main.logTail = LogTail(step: "main", standardOutput: "epoch 1\n{{ 7*7 }}", standardError: "a\0b")
        return main
    }

    static func step(of main: HookResolution.MainContext, args: [Template]) throws -> StepSpec {
        let hook = HookResolutionTests.hook()
        var operation = try #require(HookResolution.resolve([hook], main: main).first?.operation)
        operation.component.job.container.args = args
        let facts = RunFacts(
            id: try #require(RunID("fedcba9876543210fedcba9876543210")), name: "h", project: "p",
            user: UserIdentity(name: "ada", uid: 1, gid: 1, home: "/"), createdAt: Timestamp(microseconds: 0),
            main: main)
        return try #require(try JobCompiler.compile(operation, facts: facts).steps.last)
    }

    @Test(arguments: [
        "{{ globals.main.signal == 9 and globals.main.exit_code | default('none') == 'none' }}",
        "{{ globals.main.oom_killed }}", "{{ globals.main.attempts == 2 }}", "{{ globals.main.cpu_seconds == 1.75 }}",
        "{{ globals.main.peak_memory_bytes == 4096 }}", "{{ globals.main.device_seconds == 12.5 }}",
        "{{ globals.main.outputs.loss == 0.5 }}", "{{ globals.main.status == globals.status }}",
        "{{ globals.main.log_tail.step == 'main' }}", "{{ 'epoch' in globals.main.log_tail.stdout }}",
    ])
    func `a condition sees all of it`(condition: String) throws {
        let hook = HookResolutionTests.hook(conditions: Template(condition))
        let resolved = try #require(HookResolution.resolve([hook], main: try Self.main()).first)
        #expect(resolved.outcome == .fired, "\(resolved.detail)")
    }

    @Test func `what a hook runs sees the same under the same names, as data`() throws {
        let main = try Self.main()
        let step = try Self.step(
            of: main,
            args: [
                "{{ globals.main.signal }}", "{{ globals.main.log_tail.stdout }}", "{{ globals.main.artifacts_path }}",
                "{{ globals.main.logs_path }}", "{{ globals.main.outputs_file }}", "{{ globals.main.exit_code }}",
            ])
        let id = main.id.description
        #expect(
            step.command.dropFirst() == [
                "9", "epoch 1\n{{ 7*7 }}", "/plx-context/artifacts/\(id)", "/plx-context/logs/\(id)",
                "/plx-context/artifacts/\(id)/outputs.json",
            ])
        // The file says what templates see.
        let file = try #require(step.files[InsidePaths.contextFile])
        #expect(file.contains(#""log_tail": {"stderr": "a\u0000b", "stdout": "epoch 1\n{{ 7*7 }}", "step": "main"}"#))
        #expect(file.contains(#""exit_code": null"#) && file.contains(#""signal": 9"#))
    }

    @Test func `each fact has a variable under both names, and what is not known has none`() throws {
        let environment = try Self.step(of: try Self.main(), args: []).environment
        let expected = [
            "MAIN_STATUS": "failed", "MAIN_REASON": "Test", "MAIN_MESSAGE": "why", "MAIN_NAME": "main",
            "MAIN_SIGNAL": "9", "MAIN_OOM_KILLED": "true", "MAIN_ATTEMPTS": "2", "MAIN_CPU_SECONDS": "1.75",
            "MAIN_PEAK_MEMORY_BYTES": "4096", "MAIN_DEVICE_SECONDS": "12.5", "MAIN_DURATION": "1.5",
            "MAIN_LOG_STEP": "main", "MAIN_STDOUT_TAIL": "epoch 1\n{{ 7*7 }}", "MAIN_STDERR_TAIL": "a\u{FFFD}b",
            "RUN_NAME": "h",
        ]
        for (name, value) in expected {
            #expect(environment["POSTLUDE_\(name)"] == value, "\(name)")
            #expect(environment["POLYAXON_\(name)"] == value, "\(name)")
        }
        #expect(environment["POSTLUDE_MAIN_EXIT_CODE"] == nil)
        #expect(environment["POLYAXON_RUN_UUID"] == "fedcba9876543210fedcba9876543210")
        #expect(environment["POLYAXON_RUN_INSTANCE"] == "ada.p.runs.fedcba9876543210fedcba9876543210")
        #expect(environment["POLYAXON_CONTEXT_ROOT"] == "/plx-context")
        // A main that never started has no exit, no usage and no logs.
        let skipped = try Self.step(of: try HookResolutionTests.main(.skipped), args: []).environment
        let unknown = ["SIGNAL", "OOM_KILLED", "CPU_SECONDS", "STDOUT_TAIL", "STDERR_TAIL", "STARTED_AT", "LOG_STEP"]
        for name in unknown { #expect(skipped["POSTLUDE_MAIN_\(name)"] == nil, "\(name)") }
    }

    @Test func `no variable of a main is there in a run that is no hook`() throws {
        let facts = RunFacts(
            id: try Self.main().id, name: "r", project: "p",
            user: UserIdentity(name: "ada", uid: 1, gid: 1, home: "/"), createdAt: Timestamp(microseconds: 0))
        let operation = Operation(component: Component(job: JobSpec(container: ContainerSpec(command: ["/bin/true"]))))
        let environment = try #require(try JobCompiler.compile(operation, facts: facts).steps.last).environment
        #expect(!environment.keys.contains { $0.contains("_MAIN_") })
        #expect(environment["POLYAXON_RUN_UUID"] == facts.id.description)
    }

    static func tail(_ text: String, isCut: Bool = false) -> String {
        LogTail.lines(of: Array(text.utf8), isCut: isCut)
    }

    @Test func `the tail of a log is its last whole lines, within its bounds`() {
        #expect(Self.tail("") == "")
        #expect(Self.tail("a\nb\n") == "a\nb")
        #expect(Self.tail("a\nb") == "a\nb")
        #expect(Self.tail("half\nwhole\n", isCut: true) == "whole")
        #expect(Self.tail((1...30).map { "\($0)\n" }.joined()) == (11...30).map(String.init).joined(separator: "\n"))
        let long = String(repeating: "x", count: 10_000)
        #expect(Self.tail(long).utf8.count == LogTail.maximumBytes)
        #expect(Self.tail("\(long)\nlast\n") == "last")
        // The rest of a character that was cut is not shown, and what is no UTF-8 is repaired.
        #expect(LogTail.lines(of: [0x82, 0xac, 0x78], isCut: true) == "x")
        #expect(LogTail.lines(of: [0x78, 0xff], isCut: false) == "x\u{FFFD}")
    }
}
