import Foundation
import Glibc
import PostludeCore
import PostludeStore
import Testing

@testable import PostludeEngine

@Suite(.enabled(if: TestNode.isAble, "needs root and the warden"), .timeLimit(.minutes(2)))
struct EngineRecoveryTests {
    @Test func `a warden that is killed fails the run with an unknown exit, and the steps die with it`() async throws {
        let node = try TestNode()
        let operation = PostludeCore.Operation.script(
            "exec sleep 600", hooks: [.script("alert", "true", trigger: .failed)])
        try await node.running { engine in
            let id = try await node.submit(operation, to: engine)
            _ = try await engine.wait(for: id) { $0.summary.status == .running }
            let attempt = try #require(try await engine.store.attempt(AttemptID(run: id, number: 1)))
            let warden = try #require(try engine.identity(attempt))
            kill(warden.pid, SIGKILL)
            let detail = try await engine.finish(id)
            #expect(detail.summary.status == .failed)
            #expect(detail.summary.reason == "WardenLost")
            #expect(detail.step("main")?.exit == nil)
            #expect(detail.hooks.first?.status == .succeeded)
        }
    }

    @Test func `a new agent takes a running run over and runs its hooks`() async throws {
        let node = try TestNode()
        let operation = PostludeCore.Operation.script(
            #"while [ ! -e "$POSTLUDE_ARTIFACTS/go" ]; do sleep 0.02; done; echo '{"n": 1}' > "$POSTLUDE_OUTPUTS""#,
            hooks: [.script("after", "true", when: "{{ n == 1 }}")])
        let id = try await node.running { engine in
            let id = try await node.submit(operation, to: engine)
            _ = try await engine.wait(for: id) { $0.summary.status == .running }
            return id
        }
        try await node.running { engine in
            let running = try await engine.detail(id, for: Engine.root)
            #expect(running.summary.status == .running)
            try Data().write(to: URL(filePath: "\(running.artifacts)/go"))
            let detail = try await engine.finish(id)
            #expect(detail.summary.status == .succeeded, "\(detail.summary.message)")
            #expect(detail.attempts.count == 1)
            #expect(detail.hooks.first?.status == .succeeded)
        }
    }

    @Test func `what ended while no agent was there is read from its journal`() async throws {
        let node = try TestNode()
        let operation = PostludeCore.Operation.script(
            #"while [ ! -e "$POSTLUDE_ARTIFACTS/go" ]; do sleep 0.02; done; exit 5"#,
            hooks: [.script("alert", "true", trigger: .failed)])
        let (id, artifacts, warden) = try await node.running { engine in
            let id = try await node.submit(operation, to: engine)
            let detail = try await engine.wait(for: id) { $0.summary.status == .running }
            let attempt = try #require(try await engine.store.attempt(AttemptID(run: id, number: 1)))
            return (id, detail.artifacts, try #require(try engine.identity(attempt)))
        }
        do {
            let idle = try node.engine()
            try Data().write(to: URL(filePath: "\(artifacts)/go"))
            await idle.sandbox.awaitExit(of: warden)
            try idle.store.close()
        }
        try await node.running { engine in
            let detail = try await engine.finish(id)
            #expect(detail.summary.status == .failed)
            #expect(detail.step("main")?.exit == .code(5))
            #expect(detail.hooks.first?.status == .succeeded)
        }
    }

    /// P4: whatever is owed when an agent dies is done by the next, once.
    @Test func `an effect that is owed at the start is performed, and a hook starts once`() async throws {
        let node = try TestNode()
        let operation = PostludeCore.Operation.script("true", hooks: [.script("one", "true"), .script("two", "true")])
        let id: RunID
        do {
            // An agent that dies right after each commit: nothing but the store acts here.
            let engine = try node.engine()
            _ = try await engine.store.register(engine.node, at: .now)
            id = try await node.submit(operation, to: engine)
            #expect(try await engine.store.owedEffects().map(\.effect.kind) == [.launch])
            try engine.store.close()
        }
        try await node.running { engine in
            let detail = try await engine.finish(id)
            #expect(detail.summary.status == .succeeded)
            #expect(detail.hooks.map(\.status) == [.succeeded, .succeeded])
            #expect(try await engine.list(for: Engine.root).count == 3)
        }
        try await node.running { engine in
            _ = try await engine.finish(id)
            #expect(try await engine.list(for: Engine.root).count == 3)
        }
    }
}
