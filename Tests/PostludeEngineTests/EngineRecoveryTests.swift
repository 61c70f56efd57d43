import Foundation
import GRDB
import Glibc
import PostludeCore
import PostludeStore
import PostludeSandbox
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
            try idle.leave()
        }
        try await node.running { engine in
            let detail = try await engine.finish(id)
            #expect(detail.summary.status == .failed)
            #expect(detail.step("main")?.exit == .code(5))
            #expect(detail.hooks.first?.status == .succeeded)
        }
    }

    /// As a repair leaves it where the page with the attempt was damaged. The journal knows the warden.
    @Test(arguments: [true, false])
    func `a warden that the database has forgotten is adopted, or its end is read`(isAlive: Bool) async throws {
        let node = try TestNode()
        let operation = PostludeCore.Operation.script(
            #"echo x >> "$POSTLUDE_ARTIFACTS/outputs/ran"; while [ ! -e "$POSTLUDE_ARTIFACTS/go" ]; do sleep 0.02; done"#,
            initial: ["true"])
        let (id, artifacts, warden) = try await node.running { engine in
            let id = try await node.submit(operation, to: engine)
            let detail = try await engine.wait(for: id) { $0.summary.status == .running }
            let attempt = try #require(try await engine.store.attempt(AttemptID(run: id, number: 1)))
            return (id, detail.artifacts, try #require(try engine.identity(attempt)))
        }
        if !isAlive {
            let idle = try node.engine()
            try Data().write(to: URL(filePath: "\(artifacts)/go"))
            await idle.sandbox.awaitExit(of: warden)
            try idle.leave()
        }
        let queue = try DatabaseQueue(path: "\(node.directory.path)/state/store/postlude.sqlite")
        try await queue.write { db in
            try db.execute(sql: "DELETE FROM steps; UPDATE attempts SET warden = NULL, journal_next = 0")
        }
        try queue.close()
        try await node.running { engine in
            if isAlive {
                let adopted = try await engine.wait(for: id) { $0.step("main")?.startedAt != nil }
                #expect(adopted.summary.status == .running)
                try Data().write(to: URL(filePath: "\(artifacts)/go"))
            }
            let detail = try await engine.finish(id)
            #expect(detail.summary.status == .succeeded, "\(detail.summary.message)")
            #expect(detail.attempts.count == 1)
            #expect(detail.attempts.first?.steps.map(\.name) == ["init-0", "main"])
            #expect(detail.attempts.first?.steps.map(\.role) == [.initialize, .main])
            #expect(detail.attempts.first?.steps.map(\.exit) == [.code(0), .code(0)])
            let ran = URL(filePath: "\(artifacts)/outputs/ran")
            #expect(try String(contentsOf: ran, encoding: .utf8) == "x\n")
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
            try engine.leave()
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

    /// P4: an agent killed between the binding and the plan leaves a dead warden and the launch still owed.
    @Test(arguments: [true, false])
    func `a launch whose warden died with the agent is done again`(hasJournalDirectory: Bool) async throws {
        let node = try TestNode()
        for _ in 0..<3 {
            let (id, slot): (RunID, String)
            do {
                let engine = try node.engine()
                _ = try await engine.store.register(engine.node, at: .now)
                id = try await node.submit(.script("true"), to: engine)
                let attempt = AttemptID(run: id, number: 1)
                if hasJournalDirectory { try engine.paths.prepare(attempt, for: node.user) }
                let warden = try engine.sandbox.reserve(for: SandboxProfile(name: "main", seccomp: "main"))
                let bound = try await engine.store.bind(
                    attempt, warden: try Engine.text(warden), steps: [("main", .main)],
                    baselines: [:])
                #expect(bound == .bound)
                slot = warden.slot
                kill(warden.pid, SIGKILL)
                await engine.sandbox.awaitExit(of: warden)
                try engine.leave()
            }
            try await node.running { engine in
                let detail = try await engine.finish(id)
                #expect(detail.summary.status == .succeeded, "\(detail.summary.message)")
                #expect(detail.attempts.count == 1)
                // The dead warden's cgroups go without another start of the agent.
                while try engine.sandbox.leftovers().contains(slot) { try await Task.sleep(for: .milliseconds(10)) }
            }
        }
    }

    /// P1, P4: of a dead warden whose journal cannot be read, nobody knows whether it has started main.
    @Test(arguments: ["", "/journal"])
    func `an attempt whose journal cannot be read is lost`(unreadable: String) async throws {
        let node = try TestNode()
        let id: RunID
        do {
            let engine = try node.engine()
            _ = try await engine.store.register(engine.node, at: .now)
            id = try await node.submit(.script("true"), to: engine)
            let attempt = AttemptID(run: id, number: 1)
            try engine.paths.prepare(attempt, for: node.user)
            let path = engine.paths.attempt(attempt) + unreadable
            if unreadable.isEmpty { try FileManager.default.removeItem(atPath: path) }
            try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: "/dev/null")
            let warden = try engine.sandbox.reserve(for: SandboxProfile(name: "main", seccomp: "main"))
            let text = try Engine.text(warden)
            #expect(try await engine.store.bind(attempt, warden: text, steps: [], baselines: [:]) == .bound)
            kill(warden.pid, SIGKILL)
            await engine.sandbox.awaitExit(of: warden)
            try engine.leave()
        }
        try await node.running { engine in
            let detail = try await engine.finish(id)
            #expect(detail.summary.status == .failed && detail.summary.reason == "WardenLost", "\(detail.summary)")
            #expect(detail.attempts.count == 1)
        }
    }

    /// P4: of attempts whose warden nobody wrote down, nobody knows either; and the agent starts all the same.
    @Test func `attempts without a warden whose journals cannot be read are lost, each of them`() async throws {
        let node = try TestNode()
        var ids: [RunID] = []
        do {
            let engine = try node.engine()
            _ = try await engine.store.register(engine.node, at: .now)
            for _ in 0..<3 {
                let id = try await node.submit(.script("true"), to: engine)
                let attempt = AttemptID(run: id, number: 1)
                try engine.paths.prepare(attempt, for: node.user)
                try FileManager.default.createSymbolicLink(
                    atPath: engine.paths.attempt(attempt) + "/journal", withDestinationPath: "/dev/null")
                ids.append(id)
            }
            try engine.leave()
        }
        try await node.running { [ids] engine in
            for id in ids {
                let detail = try await engine.finish(id)
                #expect(detail.summary.status == .failed && detail.summary.reason == "WardenLost", "\(detail.summary)")
            }
        }
    }

    /// P4: what agents do to themselves is no fault of the run that they were launching.
    @Test func `a launch that more agents cut off than wardens may die is done by the next agent`() async throws {
        let node = try TestNode()
        var launched: (attempt: AttemptID, warden: WardenIdentity)?
        for _ in 0..<5 {
            let engine = try node.engine()
            try await engine.recover()
            let attempt: AttemptID
            if let launched {
                attempt = launched.attempt
                await engine.watch(attempt, launched.warden)
            } else {
                attempt = AttemptID(run: try await node.submit(.script("true"), to: engine), number: 1)
            }
            #expect(try await engine.store.owedEffects().contains { $0.effect.kind == .launch })
            let warden = try engine.sandbox.reserve(for: SandboxProfile(name: "main", seccomp: "main"))
            let text = try Engine.text(warden)
            #expect(try await engine.store.bind(attempt, warden: text, steps: [], baselines: [:]) == .bound)
            engine.sandbox.cancel(warden)
            await engine.sandbox.awaitExit(of: warden)
            try engine.leave()
            launched = (attempt, warden)
        }
        let id = try #require(launched).attempt.run
        try await node.running { engine in
            let detail = try await engine.finish(id)
            #expect(detail.summary.status == .succeeded, "\(detail.summary.message)")
            #expect(detail.attempts.count == 1)
        }
    }

    /// P4: an agent that ends when all is set up and bound, but before the word to start, leaves nothing done.
    @Test func `a held launch that nobody started is done again, once`() async throws {
        let node = try TestNode()
        let id: RunID
        let script = #"echo again >> "$POSTLUDE_ARTIFACTS/outputs/ran""#
        do {
            let engine = try node.engine()
            _ = try await engine.store.register(engine.node, at: .now)
            id = try await node.submit(.script(script), to: engine)
            let attempt = AttemptID(run: id, number: 1)
            try engine.paths.prepare(attempt, for: node.user)
            let (run, _, _) = try #require(try await engine.store.briefing(attempt))
            let planner = AttemptPlanner(
                run: run, attempt: attempt, profile: try #require(TestNode.profiles["main"]), devices: [],
                paths: engine.paths, main: nil, tools: [:], node: AttemptLimits(memoryBytes: 1 << 30))
            let spec = try planner.spec()
            let warden = try engine.sandbox.reserve(for: spec.profile)
            try engine.sandbox.launch(spec, in: warden, isHeld: true)
            let bound = try await engine.store.bind(
                attempt, warden: try Engine.text(warden), steps: [("main", .main)], baselines: [:])
            #expect(bound == .bound)
            // The channel closes, as it does when the agent is killed.
            engine.sandbox.cancel(warden)
            await engine.sandbox.awaitExit(of: warden)
            #expect(try Data(contentsOf: URL(filePath: "\(engine.paths.attempt(attempt))/journal")).isEmpty)
            try engine.leave()
        }
        try await node.running { engine in
            let detail = try await engine.finish(id)
            #expect(detail.summary.status == .succeeded, "\(detail.summary.message)")
            #expect(detail.attempts.count == 1)
            let ran = URL(filePath: "\(engine.paths.artifacts(id))/outputs/ran")
            #expect(try String(contentsOf: ran, encoding: .utf8) == "again\n")
        }
    }

    @Test(arguments: [false, true])
    func `a run without warden and owed launch is launched, or stopped`(isStopped: Bool) async throws {
        let node = try TestNode()
        let id: RunID
        do {
            let engine = try node.engine()
            _ = try await engine.store.register(engine.node, at: .now)
            id = try await node.submit(.script("true"), to: engine)
            if isStopped { _ = try await engine.store.apply(.stopRequested(by: "nobody"), to: id, at: .now) }
            for owed in try await engine.store.owedEffects() { try await engine.store.complete(owed) }
            try engine.leave()
        }
        try await node.running { engine in
            let detail = try await engine.finish(id)
            #expect(detail.summary.status == (isStopped ? .stopped : .succeeded))
        }
    }

    @Test func `a stop ends an attempt that has no warden`() async throws {
        let node = try TestNode()
        let engine = try node.engine()
        _ = try await engine.store.register(engine.node, at: .now)
        let id = try await node.submit(.script("true"), to: engine)
        for owed in try await engine.store.owedEffects() { try await engine.store.complete(owed) }
        try await engine.apply(.stopRequested(by: "nobody"), to: id)
        let owed = try #require(try await engine.store.owedEffects().first)
        #expect(owed.effect.kind == .requestStop)
        try await engine.requestStop(AttemptID(run: id, number: 1), owed)
        #expect(try await engine.store.owedEffects().map(\.effect) == [Run.Effect(.handBack, attempt: 1)])
    }

    @Test func `an agent that is asked to leave at once leaves without an error`() async throws {
        for _ in 0..<5 {
            let node = try TestNode()
            let engine = try node.engine()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await engine.run() }
                group.cancelAll()
                try await group.waitForAll()
            }
            try engine.leave()
        }
    }
}
