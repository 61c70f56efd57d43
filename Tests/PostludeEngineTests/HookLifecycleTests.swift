import Foundation
import Glibc
import GRDB
import PostludeCore
import PostludeSpec
import PostludeStore
import Testing

@testable import PostludeEngine

/// Hooks fire exactly as their triggers say for every way in which a run can end, and live a life of their own.
@Suite(.enabled(if: TestNode.isAble, "needs root and the warden"), .timeLimit(.minutes(4)))
struct HookLifecycleTests {
    /// How a run is made to end.
    enum Ending: String, CaseIterable, CustomTestStringConvertible {
        case succeeded, failed, initFailed, timeout, outOfMemory, diskFull, processLimit, stopBeforeStart,
            stopAfterStart
        case skipped, launchFailed, wardenLost, directoryMissing
        var testDescription: String { rawValue }

        var expected: (status: RunStatus, reason: String) {
            switch self {
            case .succeeded: (.succeeded, "Completed")
            case .failed, .diskFull: (.failed, "MainFailed")
            case .initFailed: (.failed, "InitFailed")
            case .timeout: (.failed, "Timeout")
            case .outOfMemory: (.failed, "OOMKilled")
            case .processLimit: (.failed, "PidsLimit")
            case .stopBeforeStart, .stopAfterStart: (.stopped, "Stopped")
            case .skipped: (.skipped, "ConditionFalse")
            case .launchFailed, .directoryMissing: (.failed, "LaunchFailed")
            case .wardenLost: (.failed, "WardenLost")
            }
        }

        func operation(hooks: [Hook]) -> PostludeCore.Operation {
            let python = "/usr/bin/python3 -c"
            switch self {
            case .succeeded: return .script("true", hooks: hooks)
            case .failed: return .script("exit 3", hooks: hooks)
            case .initFailed: return .script("true", initial: ["exit 4"], hooks: hooks)
            case .timeout:
                return .script(
                    "exec sleep 600", hooks: hooks, termination: Termination(timeoutSeconds: 0.2, graceSeconds: 1))
            case .outOfMemory:
                return .script("exec \(python) 'print(len(bytearray(512 << 20)))'", hooks: hooks, memory: 48 << 20)
            case .diskFull: return HookLifecycleTests.small("exec head -c 3M /dev/zero > /tmp/full", hooks)
            case .processLimit:
                return HookLifecycleTests.small(
                    "exec \(python) 'import os, signal; [os.fork() or signal.pause() for _ in range(64)]' 2> /dev/null",
                    hooks)
            case .stopBeforeStart, .stopAfterStart, .wardenLost: return .script("exec sleep 600", hooks: hooks)
            case .skipped:
                var operation = PostludeCore.Operation.script("true", hooks: hooks)
                operation.conditions = "{{ 1 > 2 }}"
                return operation
            case .launchFailed:
                var operation = PostludeCore.Operation.script("true", hooks: hooks)
                operation.component.job.container.command = ["/nonexistent/program"]
                return operation
            case .directoryMissing:
                var operation = PostludeCore.Operation.script("true", hooks: hooks)
                operation.component.job.container.workingDirectory = "/nonexistent/directory"
                return operation
            }
        }
    }

    /// In a sandbox with little room for files and processes.
    fileprivate static func small(_ script: String, _ hooks: [Hook]) -> PostludeCore.Operation {
        var operation = PostludeCore.Operation.script(script, hooks: hooks)
        operation.component.job.profile = "small"
        return operation
    }

    static let triggers = Hook.Trigger.allCases

    @Test(arguments: Ending.allCases)
    func `each trigger fires as it should, once, however the run ends`(ending: Ending) async throws {
        // What a stop before the start waits behind takes all of the cpu.
        let node = try TestNode(milliCPU: ending == .stopBeforeStart ? 150 : 16_000)
        let hooks =
            Self.triggers.map {
                Hook.script($0.rawValue, "echo \"$POSTLUDE_MAIN_STATUS $POSTLUDE_MAIN_REASON\"", trigger: $0)
            } + [
                .script("bad", "true", when: "{{ nope }}"), .script("no", "true", when: "{{ 1 > 2 }}"),
            ]
        try await node.running { engine in
            var blocker: RunID?
            if ending == .stopBeforeStart {
                blocker = try await node.submit(.script("exec sleep 600"), to: engine)
            }
            let id = try await node.submit(ending.operation(hooks: hooks), to: engine)
            switch ending {
            case .stopBeforeStart:
                try await engine.stop(id, for: Engine.root)
                if let blocker { try await engine.stop(blocker, for: Engine.root) }
            case .stopAfterStart:
                _ = try await engine.wait(for: id) { $0.summary.status == .running }
                try await engine.stop(id, for: Engine.root)
            case .wardenLost:
                _ = try await engine.wait(for: id) { $0.summary.status == .running }
                let attempt = try #require(try await engine.store.attempt(AttemptID(run: id, number: 1)))
                kill(try #require(try engine.identity(attempt)).pid, SIGKILL)
            case .succeeded, .failed, .initFailed, .timeout, .outOfMemory, .diskFull, .processLimit, .skipped,
                .launchFailed, .directoryMissing:
                break
            }
            let done = try await engine.finish(id)
            let (status, reason) = ending.expected
            #expect(done.summary.status == status && done.summary.reason == reason, "\(done.summary)")
            for (trigger, hook) in zip(Self.triggers, done.hooks) {
                let isDue = trigger == .done || trigger.rawValue == status.rawValue
                #expect(hook.outcome == (isDue ? .fired : .triggerMismatch), "\(trigger)")
                #expect((hook.run != nil) == isDue)
                guard let run = hook.run else { continue }
                #expect(hook.status == .succeeded)
                #expect(try await engine.output(run) == "\(status.rawValue) \(reason)\n")
            }
            #expect(done.hooks.suffix(2).map(\.outcome) == [.error, .conditionFalse])
            // Of each hook there is one run at most, and nothing of the main changed after its end.
            let below = try await engine.list(for: Engine.root).filter { $0.upstream == id }
            #expect(below.count == 2)
            #expect(try await engine.detail(id, for: Engine.root).conditions == done.conditions)
        }
    }

    @Test func `what was live when the node went down ends as NodeReboot, its device comes back, and its hooks run`()
        async throws
    {
        let device = DeclaredNode.isAble ? try DeclaredNode() : nil
        let node = try TestNode(devices: device.map { [$0.device] } ?? [])
        let hooks = [
            Hook.script("alert", "echo \"$POSTLUDE_MAIN_REASON ${POSTLUDE_MAIN_EXIT_CODE-unknown}\"", trigger: .failed)
        ]
        let devices = device.map { [$0.device.deviceClass: 1] } ?? [:]
        let id = try await node.running { engine in
            let id = try await node.submit(.script("exec sleep 600", hooks: hooks, devices: devices), to: engine)
            _ = try await engine.wait(for: id) { $0.summary.status == .running }
            return id
        }
        // All that a reboot leaves: no process, and a boot id that is not the warden's.
        let database = try DatabaseQueue(path: "\(node.directory.path)/state/store/postlude.sqlite")
        let text = try #require(
            try await database.read { try String.fetchOne($0, sql: "SELECT warden FROM attempts") })
        let engine = try node.engine()
        let attempt = try #require(try await engine.store.attempt(AttemptID(run: id, number: 1)))
        let warden = try #require(try engine.identity(attempt))
        kill(warden.pid, SIGKILL)
        await engine.sandbox.awaitExit(of: warden)
        try engine.leave()
        let other = text.replacingOccurrences(of: warden.bootID, with: "00000000-0000-4000-8000-000000000000")
        #expect(other != text)
        try await database.write { try $0.execute(sql: "UPDATE attempts SET warden = ?", arguments: [other]) }
        try database.close()
        try await node.running { engine in
            let done = try await engine.finish(id)
            #expect(done.summary.status == .failed && done.summary.reason == "NodeReboot", "\(done.summary)")
            #expect(done.attempts.flatMap(\.leases).allSatisfy { $0.releasedAt != nil && $0.quarantinedAt == nil })
            let run = try #require(done.hooks.first?.run)
            #expect(try await engine.output(run) == "NodeReboot unknown\n")
            let waiting = try await node.submit(.script("true", devices: devices), to: engine)
            #expect(try await engine.finish(waiting).summary.status == .succeeded)
        }
    }

    /// A hook with hooks of its own below it, `depth` deep in all.
    static func nested(_ depth: Int) -> Hook {
        var hook = Hook.script("level-\(depth)", "echo \"$POSTLUDE_MAIN_NAME\"")
        for level in stride(from: depth - 1, through: 1, by: -1) {
            var outer = Hook.script("level-\(level)", "echo \"$POSTLUDE_MAIN_NAME\"")
            outer.hooks = [hook]
            hook = outer
        }
        return hook
    }

    @Test func `hooks of hooks run three deep, and what is deeper is an error with its reason`() async throws {
        let node = try TestNode()
        try await node.running { engine in
            let id = try await node.submit(.script("true", hooks: [Self.nested(4)]), to: engine, name: "top")
            var run = id
            for level in 1...3 {
                let done = try await engine.finish(run)
                run = try #require(done.hooks.first?.run, "level \(level)")
                let name = level == 1 ? "top" : "level-\(level - 1)"
                _ = try await engine.finish(run)
                #expect(try await engine.output(run) == "\(name)\n")
            }
            let last = try #require(try await engine.finish(run).hooks.first)
            #expect(last.outcome == .error && last.run == nil)
            #expect(last.explanation?.errors.first?.code == "hooks.too-deep")
            let feed = try await engine.feed(of: id, after: 0, for: Engine.root)
            #expect(feed.isSettled && feed.events.contains { $0.run == run && $0.kind == .hook })
        }
    }

    @Test func `one hook is run again without touching main, fired or not`() async throws {
        let node = try TestNode()
        try await node.running { engine in
            let operation = PostludeCore.Operation.script(
                "postlude-output n=1",
                hooks: [
                    .script(
                        "again", "echo \"$POSTLUDE_MAIN_STATUS\"",
                        params: ["n": Param(value: .string("{{ n }}"), isTemplate: true)],
                        inputs: [IODeclaration(name: "n")]), .script("never", "echo ran", trigger: .failed),
                    .script("bad", "true", params: ["x": Param(value: .string("{{ nope }}"), isTemplate: true)]),
                ])
            let id = try await node.submit(operation, to: engine)
            let before = try await engine.finish(id)
            for (name, output) in [("again", "succeeded\n"), ("1", "ran\n"), ("again", "succeeded\n")] {
                let rerun = try await engine.rerun(id, hook: name, for: Engine.root).summary
                #expect(rerun.upstream == id)
                #expect(try await engine.finish(rerun.id).summary.status == .succeeded)
                #expect(try await engine.output(rerun.id) == output)
            }
            var after = try await engine.detail(id, for: Engine.root)
            #expect(after.hooks.map { $0.reruns?.count ?? 0 } == [2, 1, 0])
            for index in after.hooks.indices { after.hooks[index].reruns = nil }
            #expect(after == before)
            for (name, code) in [("bad", "engine.invalid-operation"), ("none", "engine.unknown-hook")] {
                let error = await #expect(throws: EngineError.self) {
                    try await engine.rerun(id, hook: name, for: Engine.root)
                }
                #expect(error?.code == code)
            }
            let stranger = await #expect(throws: EngineError.self) {
                try await engine.rerun(id, hook: "again", for: Caller(uid: 4711))
            }
            #expect(stranger?.code == "engine.unknown-run")
            let running = try await node.submit(.script("exec sleep 600", hooks: [.script("h", "true")]), to: engine)
            let early = await #expect(throws: EngineError.self) {
                try await engine.rerun(running, hook: "h", for: Engine.root)
            }
            #expect(early?.code == "engine.not-finished")
            try await engine.stop(running, for: Engine.root)
            _ = try await engine.finish(running)
        }
    }

    @Test func `a stop of main leaves its hooks alone, and a stop of a hook leaves main and the others`() async throws {
        let node = try TestNode()
        try await node.running { engine in
            let wait = "trap 'exit 0' TERM; while :; do sleep 0.05; done"
            let go = #"while [ ! -e "$POSTLUDE_ARTIFACTS/go" ]; do sleep 0.02; done"#
            let id = try await node.submit(
                .script("true", hooks: [.script("stopped", wait), .script("stays", go)]), to: engine)
            let detail = try await engine.wait(for: id) { detail in
                detail.hooks.allSatisfy { $0.status == .running }
            }
            let error = await #expect(throws: EngineError.self) { try await engine.stop(id, for: Engine.root) }
            #expect(error?.code == "engine.already-finished")
            try await engine.stop(try #require(detail.hooks[0].run), for: Engine.root)
            let stays = try await engine.detail(try #require(detail.hooks[1].run), for: Engine.root)
            try Data().write(to: URL(filePath: "\(stays.artifacts)/go"))
            let done = try await engine.finish(id)
            #expect(done.summary.status == .succeeded)
            #expect(done.hooks.map(\.status) == [.stopped, .succeeded])
            #expect(done.conditions == detail.conditions)
        }
    }

    @Test func `a hook is tried again and timed out by its own termination`() async throws {
        let node = try TestNode()
        try await node.running { engine in
            var again = Hook.script("again", #"[ "$POSTLUDE_ATTEMPT" = 2 ]"#)
            again.component.termination = Termination(maxRetries: 2, graceSeconds: 1)
            var slow = Hook.script("slow", "exec sleep 600")
            slow.component.termination = Termination(maxRetries: 2, timeoutSeconds: 0.2, graceSeconds: 1)
            let id = try await node.submit(.script("true", hooks: [again, slow]), to: engine)
            let done = try await engine.finish(id)
            #expect(done.hooks.map(\.status) == [.succeeded, .failed])
            let slowRun = try await engine.detail(try #require(done.hooks[1].run), for: Engine.root)
            #expect(slowRun.summary.reason == "Timeout" && slowRun.attempts.count == 1)
            let retried = try await engine.detail(try #require(done.hooks[0].run), for: Engine.root)
            #expect(retried.attempts.count == 2)
        }
    }

    @Test func `hooks that are left out are noted and never run`() async throws {
        let node = try TestNode()
        try await node.running { engine in
            var submission = Submission(path: "t.yaml", text: "", workingDirectory: node.work, name: "t")
            submission.withoutHooks = true
            let operation = PostludeCore.Operation.script("true", hooks: [.script("h", "true")])
            let id = try await engine.submit(operation, from: submission, as: node.user).summary.id
            let done = try await engine.finish(id)
            #expect(done.hooks.isEmpty && done.notes.map(\.code) == ["run.no-hooks"])
            #expect(try await engine.list(for: Engine.root).count == 1)
        }
    }

    @Test(.enabled(if: DeclaredNode.isAble, "needs root and /dev/fuse"))
    func `a hook that asks for a device queues for it like anyone, and one whose profile grants none is refused`()
        async throws
    {
        let declared = try DeclaredNode()
        let node = try TestNode(devices: [declared.device])
        let name = declared.device.deviceClass
        try await node.running { engine in
            var hook = Hook.script("measure", "exec 3<> \"$TEST_DEVICE\" && echo open")
            hook.component.job.profile = "main"
            hook.component.job.container.resources.devices = [name: 1]
            let first = try await node.submit(.script("true", hooks: [hook], devices: [name: 1]), to: engine)
            let second = try await node.submit(.script("sleep 0.2", devices: [name: 1]), to: engine)
            let done = try await engine.finish(first)
            let run = try #require(done.hooks.first?.run)
            #expect(try await engine.output(run) == "open\n")
            _ = try await engine.finish(second)
            var leases: [LeaseRecord] = []
            for id in [first, run, second] {
                leases += try await engine.detail(id, for: Engine.root).attempts.flatMap(\.leases)
            }
            leases.sort { $0.leasedAt < $1.leasedAt }
            #expect(leases.count == 3)
            for (earlier, later) in zip(leases, leases.dropFirst()) {
                #expect(try #require(earlier.releasedAt) <= later.leasedAt)
            }
            hook.component.job.profile = nil
            let error = await #expect(throws: EngineError.self) {
                try await node.submit(.script("true", hooks: [hook]), to: engine)
            }
            #expect(error?.code == "engine.profile-without-devices")
        }
    }
}
