import Foundation
import Glibc
import PostludeCore
import Testing

@testable import PostludeEngine

@Suite(.enabled(if: TestNode.isAble, "needs root and the warden"), .timeLimit(.minutes(2)))
struct EngineRunTests {
    @Test func `init steps, main with its sidecar and hooks run in order, and outputs reach the hook`() async throws {
        let node = try TestNode()
        let operation = PostludeCore.Operation.script(
            #"""
            cat "$POSTLUDE_ARTIFACTS/data"
            # Braces by their numbers: this text is a template, what it writes is not.
            printf '{"accuracy": 0.97, "evil": "\173\173 7*7 \175\175"}' > "$POSTLUDE_OUTPUTS"
            """#,
            initial: [#"echo prepared > "$POSTLUDE_ARTIFACTS/data""#],
            sidecars: ["exec sleep 600"],
            hooks: [
                .script(
                    "evaluate", #"cat "$POSTLUDE_MAIN_ARTIFACTS/data"; echo "{{ evil }} {{ accuracy }}"; id -u"#,
                    trigger: .succeeded, when: "{{ accuracy > 0.9 }}",
                    params: [
                        "evil": Param(value: .string("{{ evil }}"), isTemplate: true),
                        "accuracy": Param(value: .string("{{ accuracy }}"), isTemplate: true),
                    ], inputs: [IODeclaration(name: "evil"), IODeclaration(name: "accuracy", type: "float")]),
                .script("alert", "true", trigger: .failed),
                .script("perfect", "true", when: "{{ accuracy > 0.99 }}"),
            ], outputs: [IODeclaration(name: "accuracy", type: "float"), IODeclaration(name: "evil", type: "str")])
        try await node.running { engine in
            let id = try await node.submit(operation, to: engine)
            let detail = try await engine.finish(id)
            #expect(detail.summary.status == .succeeded, "\(detail.summary.message)")
            #expect(
                detail.statuses == [
                    .created, .compiled, .queued, .scheduled, .starting, .running, .processing, .succeeded,
                ])
            #expect(detail.attempts.first?.steps.map(\.name) == ["init-0", "sidecar-0", "main"])
            #expect(try await engine.output(id) == "prepared\n")
            #expect(detail.outputs == ["accuracy": .double(0.97), "evil": .string("{{ 7*7 }}")])
            #expect(detail.hooks.map(\.outcome) == [.fired, .triggerMismatch, .conditionFalse])
            let hook = try #require(detail.hooks.first?.run)
            #expect(detail.hooks.first?.status == .succeeded)
            #expect(try await engine.output(hook) == "prepared\n{{ 7*7 }} 0.97\n65534\n")
            let usage = try await engine.usage(for: Engine.root)
            #expect(usage.count == 4)
            #expect(usage.first { $0.step == "main" && $0.hookName == nil }?.usage?.wallSeconds != nil)
            let receipt = try #require(detail.step("main")?.receipt)
            #expect(receipt.uid == 65534)
            #expect(receipt.noNewPrivileges)
            #expect(receipt.capabilities.values.allSatisfy { $0 == 0 })
            #expect(receipt.profile == "main")
            #expect(receipt.seccompProfile == "main")
            // Nothing was asked for, and the node's memory is the bound all the same.
            #expect(receipt.limits.keys.contains { $0.hasPrefix("memory/memory.") })
        }
    }

    @Test func `one bad hook does not stop the others, and none changes main`() async throws {
        let node = try TestNode()
        let operation = PostludeCore.Operation.script(
            "true",
            hooks: [
                .script("undefined", "true", when: "{{ no_such_name > 1 }}"),
                .script("failing", "exit 7"),
                .script("good", "echo good"),
            ])
        try await node.running { engine in
            let id = try await node.submit(operation, to: engine)
            let detail = try await engine.finish(id)
            #expect(detail.summary.status == .succeeded)
            #expect(detail.hooks.map(\.outcome) == [.error, .fired, .fired])
            #expect(detail.hooks.map(\.status) == [nil, .failed, .succeeded])
            #expect(detail.hooks[0].detail.contains("no_such_name"))
        }
    }

    @Test func `a failing main, a failing init step and a missing program each say why`() async throws {
        let node = try TestNode()
        try await node.running { engine in
            let main = try await engine.finish(try await node.submit(.script("exit 3"), to: engine))
            #expect(main.summary.status == .failed)
            #expect(main.summary.reason == "MainFailed")
            #expect(main.step("main")?.exit == .code(3))
            let initial = try await engine.finish(
                try await node.submit(.script("true", initial: ["exit 4"]), to: engine))
            #expect(initial.summary.reason == "InitFailed")
            #expect(initial.step("main")?.startedAt == nil)
            var missing = PostludeCore.Operation.script("")
            missing.component.job.container.command = ["/no/such/program"]
            let failed = try await engine.finish(try await node.submit(missing, to: engine))
            #expect(failed.summary.status == .failed)
            #expect(["SandboxSetupFailed", "LaunchFailed"].contains(failed.summary.reason), "\(failed.summary)")
        }
    }

    @Test func `a stopped run gets its grace period, and its hook runs`() async throws {
        let node = try TestNode()
        let operation = PostludeCore.Operation.script(
            "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done",
            hooks: [.script("cleanup", "true", trigger: .stopped)])
        try await node.running { engine in
            let id = try await node.submit(operation, to: engine)
            _ = try await engine.wait(for: id) { $0.summary.status == .running }
            try await engine.stop(id, for: Engine.root)
            let detail = try await engine.finish(id)
            #expect(detail.summary.status == .stopped)
            #expect(detail.hooks.first?.status == .succeeded)
            #expect(!detail.statuses.contains(.processing))
            await #expect(throws: EngineError.self) { try await engine.stop(id, for: Engine.root) }
        }
    }

    @Test func `a run that waits is stopped without ever starting`() async throws {
        let node = try TestNode(milliCPU: 150)
        try await node.running { engine in
            let first = try await node.submit(.script("exec sleep 600"), to: engine)
            let second = try await node.submit(.script("true"), to: engine)
            #expect(try await engine.detail(second, for: Engine.root).summary.status == .queued)
            try await engine.stop(second, for: Engine.root)
            let stopped = try await engine.finish(second)
            #expect(stopped.summary.status == .stopped)
            #expect(stopped.attempts.isEmpty)
            try await engine.stop(first, for: Engine.root)
            #expect(try await engine.finish(first).summary.status == .stopped)
        }
    }

    @Test func `a timeout fails the run and is not retried`() async throws {
        let node = try TestNode()
        let operation = PostludeCore.Operation.script(
            "exec sleep 600", termination: Termination(maxRetries: 2, timeoutSeconds: 0.2, graceSeconds: 1))
        try await node.running { engine in
            let detail = try await engine.finish(try await node.submit(operation, to: engine))
            #expect(detail.summary.status == .failed)
            #expect(detail.summary.reason == "Timeout")
            #expect(detail.attempts.count == 1)
        }
    }

    @Test func `a failed main is tried again with a fresh attempt`() async throws {
        let node = try TestNode()
        let operation = PostludeCore.Operation.script(
            #"echo "$POSTLUDE_ATTEMPT"; [ "$POSTLUDE_ATTEMPT" = 3 ]"#,
            termination: Termination(maxRetries: 3, graceSeconds: 1))
        try await node.running { engine in
            let id = try await node.submit(operation, to: engine)
            let detail = try await engine.finish(id)
            #expect(detail.summary.status == .succeeded)
            #expect(detail.attempts.map(\.number) == [1, 2, 3])
            #expect(detail.statuses.filter { $0 == .retrying }.count == 2)
            #expect(try await engine.output(id) == "3\n")
        }
    }

    @Test func `a main that takes too much memory is told as killed for want of it`() async throws {
        let node = try TestNode()
        let operation = PostludeCore.Operation.script(
            "exec python3 -c 'x = bytearray(512 << 20); print(len(x))'", memory: 48 << 20)
        try await node.running { engine in
            let detail = try await engine.finish(try await node.submit(operation, to: engine))
            #expect(detail.summary.status == .failed)
            #expect(detail.summary.reason == "OOMKilled", "\(detail.summary.message)")
        }
    }

    @Test func `other users neither see nor stop a run`() async throws {
        let node = try TestNode()
        try await node.running { engine in
            let id = try await node.submit(.script("exec sleep 600"), to: engine)
            let other = Caller(uid: 12345)
            await #expect(throws: EngineError.self) { try await engine.detail(id, for: other) }
            await #expect(throws: EngineError.self) { try await engine.stop(id, for: other) }
            await #expect(throws: EngineError.self) { try await engine.resolveID(id.short, for: other) }
            #expect(try await engine.list(for: other).isEmpty)
            #expect(try await engine.events(of: nil, after: 0, for: other).isEmpty)
            #expect(try await engine.resolveID(id.short, for: Caller(uid: 65534)) == id)
            try await engine.stop(id, for: Caller(uid: 65534))
            #expect(try await engine.finish(id).summary.status == .stopped)
        }
    }

    @Test func `more than the node has is refused at once`() async throws {
        let node = try TestNode()
        try await node.running { engine in
            do {
                _ = try await node.submit(.script("true", devices: ["nvidia.com/gpu": 1], memory: 1 << 40), to: engine)
                Issue.record("taken")
            } catch let error as EngineError {
                #expect(error.code == "engine.never-fits")
                #expect(error.message.contains("nvidia.com/gpu"))
                #expect(error.message.contains("memory"))
            }
            #expect(try await engine.list(for: Engine.root).isEmpty)
        }
    }

    @Test func `bad outputs become a note and a condition, and the run keeps its status`() async throws {
        let node = try TestNode()
        try await node.running { engine in
            let link = try await engine.finish(
                try await node.submit(.script(#"ln -s /etc/passwd "$POSTLUDE_OUTPUTS""#), to: engine))
            #expect(link.summary.status == .succeeded)
            #expect(link.notes.map(\.code) == ["engine.unusable-outputs"])
            let wrong = try await engine.finish(
                try await node.submit(
                    .script(
                        #"echo '{"loss": "high"}' > "$POSTLUDE_OUTPUTS""#,
                        outputs: [IODeclaration(name: "loss", type: "float")]), to: engine))
            #expect(wrong.outputs == ["loss": .string("high")])
            #expect(!wrong.notes.isEmpty)
            let condition = try #require(wrong.conditions.first { $0.status == .warning })
            #expect(condition.reason == "OutputsInvalid")
            #expect(condition.message == "The output 'loss' takes float, not the text 'high'.")
            #expect(wrong.summary.status == .succeeded && wrong.statuses.last == .succeeded)
            #expect(link.conditions.contains { $0.reason == "OutputsUnusable" })
            // Optional ones may be left out, and a run that failed is not told what it did not get to.
            let declared = [
                IODeclaration(name: "a", type: "int"), IODeclaration(name: "b", isOptional: true),
                IODeclaration(name: "c", value: .int(1)),
            ]
            let none = try await engine.finish(try await node.submit(.script("true", outputs: declared), to: engine))
            #expect(
                none.conditions.first { $0.status == .warning }?.message
                    == "The run did not write its output 'a', which is declared as int.")
            let failed = try await engine.finish(try await node.submit(.script("false", outputs: declared), to: engine))
            #expect(!failed.statuses.contains(.warning))
        }
    }
}
