import Foundation
import PostludeCore
import PostludeStore
import Testing

@testable import PostludeEngine

@Suite(.enabled(if: TestNode.isAble, "needs root and the warden"), .timeLimit(.minutes(3))) struct EngineQueueTests {
    private static let other = UserIdentity(name: "daemon", uid: 1, gid: 1, home: "/usr/sbin")

    private func submission(_ node: TestNode, queue: String? = nil, hold: Bool? = nil) -> Submission {
        Submission(path: "test.yaml", text: "", workingDirectory: node.work, name: "test", queue: queue, hold: hold)
    }

    private func refusal(_ body: () async throws -> Void) async throws -> EngineError? {
        do {
            try await body()
            return nil
        } catch let error as EngineError {
            return error
        }
    }

    @Test func `a run is held back from its submission on until it is let go`() async throws {
        let node = try TestNode()
        try await node.running { engine in
            let held = try await engine.submit(
                .script("echo ran"), from: submission(node, hold: true), as: node.user)
            #expect(held.summary.status == .queued && held.summary.heldBackBy == "nobody")
            let id = held.summary.id
            let beside = try await engine.finish(try await node.submit(.script("true"), to: engine))
            #expect(beside.summary.status == .succeeded)
            #expect(try await engine.detail(id, for: Engine.root).summary.status == .queued)
            let report = try await engine.waitReport(id, for: Caller(uid: node.user.uid))
            #expect(report?.place == nil && report?.heldBackBy == "nobody")
            #expect(
                try await refusal { _ = try await engine.release(id, for: Caller(uid: 1)) }?.code
                    == "engine.unknown-run")
            _ = try await engine.release(id, for: Caller(uid: node.user.uid))
            #expect(try await engine.finish(id).summary.status == .succeeded)
            let late = try await refusal { _ = try await engine.hold(id, for: Engine.root) }
            #expect(late?.code == "engine.not-waiting" && late?.kind == .conflict)
        }
    }

    @Test func `a drained node ends what runs, with its hooks, and starts the rest when the window is over`()
        async throws
    {
        let node = try TestNode()
        try await node.running { engine in
            let first = try await node.submit(
                .script("until [ -e go ]; do sleep 0.02; done", hooks: [.script("after", "true")]), to: engine)
            _ = try await engine.wait(for: first) { $0.summary.status == .running }
            let caller = Caller(uid: node.user.uid)
            let refused = try await refusal { _ = try await engine.drain(reason: "x", by: node.user, for: caller) }
            #expect(refused?.code == "engine.administrators-only" && refused?.kind == .forbidden)
            let past = try await refusal {
                _ = try await engine.drain(
                    until: Timestamp(microseconds: 1), reason: "x", by: node.user, for: Engine.root)
            }
            #expect(past?.code == "engine.invalid-window")
            let window = try await engine.drain(
                until: Timestamp(microseconds: Timestamp.now.microseconds + 4_000_000), reason: "new disks",
                by: node.user, for: Engine.root)
            let second = try await node.submit(.script("true"), to: engine)
            #expect(
                try await engine.detail(second, for: Engine.root).summary.message
                    == "the node is drained: new disks")
            try Data().write(to: URL(filePath: "\(node.work)/go"))
            let ended = try await engine.finish(first)
            #expect(ended.hooks.map(\.status) == [.succeeded])
            // Nobody says anything: the window is over by itself.
            let started = try await engine.finish(second)
            #expect(started.summary.status == .succeeded)
            let until = try #require(window.until)
            #expect(try #require(started.summary.startedAt) >= until)
            #expect(try await engine.maintenance().isEmpty)
        }
    }

    @Test func `a window outlives the agent that was told of it`() async throws {
        let node = try TestNode()
        let second = try await node.running { engine in
            _ = try await engine.drain(
                until: Timestamp(microseconds: Timestamp.now.microseconds + 1_500_000), reason: "", by: node.user,
                for: Engine.root)
            return try await node.submit(.script("true"), to: engine)
        }
        let ended = try await node.running { engine in try await engine.finish(second) }
        #expect(ended.summary.status == .succeeded)
    }

    @Test func `queues that the site names are the only ones, for those whom they admit`() async throws {
        var node = try TestNode()
        node.rules = SchedulingRules(queues: [
            .init(name: "lab", limits: .init(running: 0), perUser: .init(waiting: 1), groups: ["lab"]),
            .init(name: "night", priority: -1),
        ])
        let set = node
        try await node.running { engine in
            func submit(_ queue: String?, groups: Set<String> = []) async throws -> RunSummary {
                let subject = SitePolicy.Subject(name: set.user.name, uid: set.user.uid, groups: groups)
                return try await engine.submit(
                    .script("true", hooks: [.script("after", "true")]), from: submission(set, queue: queue),
                    as: set.user, subject
                ).summary
            }
            let unknown = try await refusal { _ = try await submit("nigth") }
            #expect(unknown?.code == "engine.unknown-queue" && unknown?.hint?.contains("night") == true)
            #expect(try await refusal { _ = try await submit("lab") }?.code == "engine.queue-refused")
            let night = try await engine.finish(try await submit("agent/night").id)
            #expect(night.summary.queue == "night" && night.summary.status == .succeeded)
            let hook = try #require(night.hooks.first?.run)
            #expect(try await engine.detail(hook, for: Engine.root).summary.queue == "night")
            #expect(try await submit(nil).queue == "default")
            let lab = try await submit("lab", groups: ["lab"])
            #expect(try await engine.detail(lab.id, for: Engine.root).summary.message.contains("may have 0 running"))
            let full = try await refusal { _ = try await submit("lab", groups: ["lab"]) }
            #expect(full?.code == "engine.queue-full" && full?.kind == .exhausted)
        }
    }

    /// One device, two users: who floods the queue does not keep the other from it.
    @Test(.enabled(if: DeclaredNode.isAble, "needs /dev/fuse"))
    func `a user with one run does not wait for another's twelve`() async throws {
        let declared = try DeclaredNode()
        let node = try TestNode(devices: [declared.device])
        try await node.running { engine in
            let script = PostludeCore.Operation.script("sleep 0.2", devices: ["example.com/tuner": 1])
            var flood: [RunID] = []
            for _ in 0..<12 { flood.append(try await node.submit(script, to: engine)) }
            let one = try await engine.finish(try await node.submit(script, to: engine, as: Self.other))
            #expect(one.summary.status == .succeeded)
            let (asked, served) = (one.summary.createdAt, try #require(one.summary.startedAt))
            var between = 0
            for id in flood {
                let started = try #require(try await engine.finish(id).summary.startedAt)
                if started > asked, started < served { between += 1 }
            }
            // One may have been placed between the moment that it was made and the one that it was stored.
            #expect(between <= 1)
        }
    }
}
