import Foundation
import PostludeCore
import PostludeStore
import Testing

@testable import PostludeEngine

/// Parents and their children in real sandboxes.
@Suite(.enabled(if: TestNode.isAble, "needs root and the warden"), .serialized, .timeLimit(.minutes(4)))
struct EnginePipelineTests {
    /// One child for each of these numbers, with `n` as its input.
    private func matrix(
        _ script: String, _ numbers: ClosedRange<Int64>, concurrency: Int? = nil, each: [Hook] = [], own: [Hook] = []
    ) -> PostludeCore.Operation {
        var operation = PostludeCore.Operation.script(script, hooks: own)
        operation.component.inputs = [IODeclaration(name: "n", type: "int", toEnv: "N")]
        operation.component.outputs = [IODeclaration(name: "square", type: "int", isOptional: true)]
        operation.matrix = Matrix(
            .grid(limit: nil), axes: [.init("n", .values(numbers.map(Value.int)))], concurrency: concurrency)
        operation.eachHooks = each
        return operation
    }

    private func node(
        _ name: String, _ operation: PostludeCore.Operation, _ dependencies: [Int] = [],
        _ trigger: Dag.Trigger = .allSucceeded, skips: Bool = false
    ) -> Dag.Node {
        Dag.Node(name, operation, dependencies: dependencies, trigger: trigger, skipOnUpstreamSkip: skips)
    }

    private func dag(_ nodes: [Dag.Node], hooks: [Hook] = []) -> PostludeCore.Operation {
        PostludeCore.Operation(
            component: Component(job: JobSpec(container: ContainerSpec())), hooks: hooks, dag: Dag(nodes))
    }

    /// The largest number of children that were alive at once, by the parent's events.
    private func mostAlive(_ engine: Engine, _ id: RunID) async throws -> Int {
        var (alive, most) = (0, 0)
        for event in try await engine.events(of: id, after: 0, for: Engine.root) where event.kind == .child {
            alive += event.what == "created" ? 1 : -1
            most = max(most, alive)
        }
        return most
    }

    @Test func `each point of a matrix is a run with its own hook, and the parent's hook hears of all`() async throws {
        let node = try TestNode()
        let each = Hook.script(
            "each", "echo {{ square }}", trigger: .succeeded,
            params: ["square": Param(value: .string("{{ square }}"), isTemplate: true)],
            inputs: [IODeclaration(name: "square", type: "int")])
        let own = Hook.script(
            "all", "echo \"$POSTLUDE_MAIN_KIND {{ children.total }} {{ children.failed }}\"", trigger: .failed,
            when: "{{ children.succeeded == 7 }}")
        let script = #"test "$N" != 3 || exit 4; echo "{\"square\": $((N * N))}" > "$POSTLUDE_OUTPUTS""#
        try await node.running { engine in
            let id = try await node.submit(matrix(script, 1...8, concurrency: 2, each: [each], own: [own]), to: engine)
            let done = try await engine.finish(id)
            #expect(done.summary.status == .failed)
            #expect(done.summary.reason == "ChildrenFailed")
            #expect(done.summary.kind == "matrix")
            #expect(done.statuses == [.created, .compiled, .running, .failed])
            #expect(done.attempts.isEmpty)
            #expect(done.childCounts == ["succeeded": 7, "failed": 1])
            let children = try #require(done.children)
            #expect(children.map(\.childName) == (0..<8).map { String($0) })
            #expect(children.allSatisfy { $0.parent == id && $0.user == "nobody" })
            #expect(try await mostAlive(engine, id) <= 2)
            for (index, child) in children.enumerated() {
                let detail = try await engine.finish(child.id)
                #expect(detail.inputs["n"] == .int(Int64(index + 1)))
                let hook = try #require(detail.hooks.first)
                guard index != 2 else {
                    #expect(hook.outcome == .triggerMismatch)
                    continue
                }
                #expect(detail.outputs["square"] == .int(Int64((index + 1) * (index + 1))))
                #expect(hook.outcome == .fired, "\(hook.detail)")
                #expect(try await engine.output(try #require(hook.run)) == "\((index + 1) * (index + 1))\n")
            }
            let hook = try #require(done.hooks.first)
            #expect(hook.outcome == .fired, "\(hook.detail)")
            #expect(try await engine.output(try #require(hook.run)) == "matrix 8 1\n")
        }
    }

    @Test func `an agent that goes away in the middle of a matrix makes no point twice and leaves none out`()
        async throws
    {
        let node = try TestNode()
        let id = try await node.running { engine in
            let id = try await node.submit(matrix("sleep 0.1", 1...12, concurrency: 3), to: engine)
            _ = try await engine.wait(for: id) { ($0.childCounts?["succeeded"] ?? 0) >= 2 }
            return id
        }
        try await node.running { engine in
            let done = try await engine.finish(id)
            #expect(done.summary.status == .succeeded, "\(done.summary.message)")
            #expect(done.childCounts == ["succeeded": 12])
            #expect(done.children?.map(\.childName) == (0..<12).map { String($0) })
            let inputs = try await engine.store.children(of: id, limit: 100).map { $0.inputs["n"] }
            #expect(inputs == (1...12).map { .int($0) })
        }
    }

    @Test func `stopping a parent stops its children and makes no more`() async throws {
        let node = try TestNode()
        try await node.running { engine in
            let operation = matrix(
                "exec sleep 600", 1...50, concurrency: 3, own: [.script("bye", "true", trigger: .stopped)])
            let id = try await node.submit(operation, to: engine)
            _ = try await engine.wait(for: id) { ($0.childCounts?["running"] ?? 0) == 3 }
            try await engine.stop(id, for: Engine.root)
            let done = try await engine.finish(id)
            #expect(done.summary.status == .stopped)
            #expect(done.childCounts == ["stopped": 3])
            #expect(done.hooks.first?.status == .succeeded)
        }
    }

    @Test func `stopping one point lets the others go on`() async throws {
        let node = try TestNode()
        try await node.running { engine in
            let id = try await node.submit(matrix(#"test "$N" = 1 || exec sleep 600"#, 1...2), to: engine)
            let running = try await engine.wait(for: id) {
                ($0.childCounts?["succeeded"] ?? 0) == 1 && $0.children?.count == 2
            }
            try await engine.stop(try #require(running.children?.last?.id), for: Engine.root)
            let done = try await engine.finish(id)
            #expect(done.childCounts == ["succeeded": 1, "stopped": 1])
            #expect(done.summary.status == .succeeded)
        }
    }

    @Test func `a graph hands values and artifacts from one operation to the next`() async throws {
        let node = try TestNode()
        var train = PostludeCore.Operation.script(
            #"echo weights > "$POSTLUDE_ARTIFACTS/model"; echo '{"loss": 0.25}' > "$POSTLUDE_OUTPUTS""#)
        train.component.outputs = [IODeclaration(name: "loss", type: "float")]
        var evaluate = PostludeCore.Operation.script(
            #"echo "$LOSS"; cat "{{ dir }}/model"; touch "{{ dir }}/x" || true"#)
        evaluate.component.inputs = [
            IODeclaration(name: "loss", type: "float", toEnv: "LOSS"), IODeclaration(name: "dir", type: "str"),
        ]
        evaluate.params = [
            "loss": Param(value: .string("outputs.loss"), isTemplate: true, reference: .operation("train")),
            "dir": Param(
                value: .string("globals.run_artifacts_path"), isTemplate: true, reference: .operation("train")),
        ]
        let operation = dag([
            self.node("report", .script("true"), [1]), self.node("evaluate", evaluate, [2]), self.node("train", train),
        ])
        try await node.running { engine in
            let done = try await engine.finish(try await node.submit(operation, to: engine))
            #expect(done.summary.status == .succeeded, "\(done.summary.message)")
            #expect(done.summary.kind == "dag")
            let second = try #require(done.children?.first { $0.childName == "evaluate" })
            #expect(try await engine.output(second.id) == "0.25\nweights\n")
            let order = try await engine.events(of: done.summary.id, after: 0, for: Engine.root)
                .filter { $0.kind == .child && $0.what == "created" }.map(\.subject)
            #expect(order == ["train", "evaluate", "report"])
        }
    }

    @Test func `what a failure leaves undone is told, and its hooks fire`() async throws {
        let node = try TestNode()
        var evaluate = PostludeCore.Operation.script(
            "true",
            hooks: [
                .script("late", "echo \"$POSTLUDE_MAIN_STATUS\"", trigger: .upstreamFailed),
                .script("never", "true", trigger: .failed),
            ])
        evaluate.component.inputs = []
        var skipped = PostludeCore.Operation.script("true", hooks: [.script("skip", "true", trigger: .skipped)])
        skipped.conditions = "{{ false }}"
        let operation = dag([
            self.node("train", .script("exit 3")), self.node("evaluate", evaluate, [0]),
            self.node("alert", .script("true"), [0], .oneFailed), self.node("maybe", skipped, [0], .allDone),
            self.node("after", skipped, [3], skips: true),
        ])
        try await node.running { engine in
            let done = try await engine.finish(try await node.submit(operation, to: engine))
            #expect(done.summary.status == .failed)
            #expect(done.children?.map(\.status) == [.failed, .upstreamFailed, .succeeded, .skipped, .skipped])
            let late = try await engine.finish(try #require(done.children?[1].id))
            #expect(late.hooks.map(\.outcome) == [.fired, .triggerMismatch])
            #expect(try await engine.output(try #require(late.hooks[0].run)) == "upstream_failed\n")
            let after = try await engine.finish(try #require(done.children?[4].id))
            #expect(after.summary.reason == "UpstreamSkipped")
            #expect(after.hooks.first?.outcome == .fired)
        }
    }

    @Test func `a value that is not there fails the operation that refers to it, and no other`() async throws {
        let node = try TestNode()
        var second = PostludeCore.Operation.script("true")
        second.component.inputs = [IODeclaration(name: "loss", type: "float")]
        second.params = [
            "loss": Param(value: .string("outputs.loss"), isTemplate: true, reference: .operation("first"))
        ]
        let operation = dag([
            self.node("first", .script("true")), self.node("second", second, [0]),
            self.node("third", .script("true"), [0]),
        ])
        try await node.running { engine in
            let done = try await engine.finish(try await node.submit(operation, to: engine))
            #expect(done.children?.map(\.status) == [.succeeded, .failed, .succeeded])
            #expect(done.children?[1].reason == "CompilationFailed")
        }
    }

    @Test func `a run that is held goes on when it is approved, once`() async throws {
        let node = try TestNode()
        try await node.running { engine in
            var operation = PostludeCore.Operation.script("true")
            operation.isApproved = false
            let id = try await node.submit(operation, to: engine)
            let held = try await engine.detail(id, for: Engine.root)
            #expect(held.summary.status == .compiled)
            #expect(held.summary.reason == "ApprovalPending")
            await #expect(throws: EngineError.self) { try await engine.approve(id, for: Caller(uid: 4_242)) }
            try await engine.approve(id, for: Engine.root)
            #expect(try await engine.finish(id).summary.status == .succeeded)
            await #expect(throws: EngineError.self) { try await engine.approve(id, for: Engine.root) }
            let other = try await node.submit(operation, to: engine)
            try await engine.stop(other, for: Engine.root)
            #expect(try await engine.finish(other).summary.status == .stopped)
        }
    }

    @Test func `a service whose time is up is stopped`() async throws {
        let node = try TestNode()
        try await node.running { engine in
            var operation = PostludeCore.Operation.script(
                "exec sleep 600", hooks: [.script("bye", "true", trigger: .stopped)],
                termination: Termination(timeoutSeconds: 1, graceSeconds: 5))
            operation.component.job.service = ServiceSpec(ports: [8080])
            let done = try await engine.finish(try await node.submit(operation, to: engine))
            #expect(done.summary.status == .stopped)
            #expect(done.summary.reason == "ServiceTimeout")
            #expect(done.summary.kind == "service")
            #expect(done.hooks.first?.status == .succeeded)
        }
    }

    @Test func `a schedule makes its runs, ends after the last, and survives a restart`() async throws {
        let node = try TestNode()
        let id = try await node.running { engine in
            var operation = PostludeCore.Operation.script(
                "true", hooks: [.script("over", "echo {{ children.succeeded }}")])
            operation.eachHooks = []
            operation.schedule = Schedule(.interval(seconds: 1), maxRuns: 3)
            let id = try await node.submit(operation, to: engine)
            let first = try await engine.wait(for: id) { ($0.children?.count ?? 0) >= 1 }
            #expect(first.summary.status == .onSchedule)
            #expect(first.summary.kind == "schedule")
            return id
        }
        try await node.running { engine in
            let done = try await engine.finish(id)
            #expect(done.summary.status == .succeeded)
            #expect(done.childCounts == ["succeeded": 3])
            let keys = try await engine.store.children(of: id, limit: 10).map(\.key)
            #expect(Set(keys).count == 3)
            #expect(keys == keys.sorted())
            #expect(try await engine.output(try #require(done.hooks.first?.run)) == "3\n")
        }
    }

    @Test func `a schedule is stopped before its time, and may be a matrix`() async throws {
        let node = try TestNode()
        try await node.running { engine in
            var late = PostludeCore.Operation.script("true")
            late.schedule = Schedule(.once, startAt: Timestamp.now.seconds + 3_600)
            let waiting = try await node.submit(late, to: engine)
            try await engine.stop(waiting, for: Engine.root)
            #expect(try await engine.finish(waiting).summary.status == .stopped)
            var nested = matrix("true", 1...2)
            nested.schedule = Schedule(.once, startAt: Timestamp.now.seconds)
            let done = try await engine.finish(try await node.submit(nested, to: engine))
            #expect(done.summary.status == .succeeded, "\(done.summary.message)")
            let inner = try await engine.detail(try #require(done.children?.first?.id), for: Engine.root)
            #expect(inner.summary.kind == "matrix")
            #expect(inner.childCounts == ["succeeded": 2])
        }
    }

    @Test func `a run whose outputs are known does not run, and its hooks see what the first one made`() async throws {
        let node = try TestNode()
        let hook = Hook.script(
            "h", #"echo "{{ stamp }}"; cat "{{ dir }}/model""#, trigger: .succeeded,
            params: [
                "stamp": Param(value: .string("{{ stamp }}"), isTemplate: true),
                "dir": Param(value: .string("{{ globals.main.artifacts_path }}"), isTemplate: true),
            ],
            inputs: [IODeclaration(name: "stamp", type: "str"), IODeclaration(name: "dir", type: "str")])
        var operation = PostludeCore.Operation.script(
            #"date +%s%N | tee "$POSTLUDE_ARTIFACTS/model" | sed 's/.*/{"stamp": "&"}/' > "$POSTLUDE_OUTPUTS""#,
            hooks: [hook])
        operation.component.inputs = [IODeclaration(name: "n", type: "int", value: .int(1))]
        operation.component.outputs = [IODeclaration(name: "stamp", type: "str")]
        operation.cache = CachePolicy()
        var other = operation
        other.params = ["n": Param(value: .int(2), isTemplate: false)]
        let graph = dag([
            self.node("first", operation),
            self.node(
                "second",
                {
                    var second = PostludeCore.Operation.script(#"cat "{{ dir }}/model""#)
                    second.component.inputs = [IODeclaration(name: "dir", type: "str")]
                    second.params = [
                        "dir": Param(
                            value: .string("globals.run_artifacts_path"), isTemplate: true,
                            reference: .operation("first"))
                    ]
                    return second
                }(), [0]),
        ])
        try await node.running { [operation, other] engine in
            let first = try await engine.finish(try await node.submit(operation, to: engine))
            #expect(first.summary.status == .succeeded && first.summary.reason != "CacheHit", "\(first.conditions)")
            let stamp = try #require(first.outputs["stamp"])
            let hit = try await engine.finish(try await node.submit(operation, to: engine))
            #expect(hit.summary.reason == "CacheHit", "\(hit.conditions)")
            #expect(hit.summary.message.contains(first.summary.id.description))
            #expect(hit.statuses == [.created, .succeeded] && hit.attempts.isEmpty)
            #expect(hit.outputs["stamp"] == stamp)
            let told = try await engine.output(try #require(hit.hooks.first?.run))
            guard case .string(let text) = stamp else {
                Issue.record("\(stamp)")
                return
            }
            #expect(told == "\(text)\n\(text)\n")
            let different = try await engine.finish(try await node.submit(other, to: engine))
            #expect(different.summary.reason != "CacheHit" && different.outputs["stamp"] != stamp)
            let done = try await engine.finish(try await node.submit(graph, to: engine))
            #expect(done.children?.map(\.reason).first == "CacheHit", "\(done.children ?? [])")
            #expect(try await engine.output(try #require(done.children?.last?.id)) == "\(text)\n")
        }
    }

    @Test func `an agent that goes away in the middle of a graph goes on where it was`() async throws {
        let node = try TestNode()
        let gated = PostludeCore.Operation.script("until [ -e go ]; do sleep 0.02; done", hooks: [.script("h", "true")])
        let operation = dag(
            [
                self.node("first", .script("true", hooks: [.script("h", "true")])), self.node("second", gated, [0]),
                self.node("third", .script("true"), [1]),
            ], hooks: [.script("over", "echo {{ children.succeeded }}")])
        let id = try await node.running { engine in
            let id = try await node.submit(operation, to: engine)
            _ = try await engine.wait(for: id) { $0.children?.map(\.status) == [.succeeded, .running] }
            return id
        }
        try Data().write(to: URL(filePath: "\(node.work)/go"))
        try await node.running { engine in
            let done = try await engine.finish(id)
            #expect(done.summary.status == .succeeded, "\(done.summary.message)")
            #expect(done.children?.map(\.childName) == ["first", "second", "third"])
            #expect(try await engine.output(try #require(done.hooks.first?.run)) == "3\n")
            for child in try #require(done.children) {
                let detail = try await engine.finish(child.id)
                #expect(detail.attempts.count == 1 && detail.hooks.allSatisfy { $0.status == .succeeded })
            }
            // Each is made and ends once, whoever was there.
            let told = try await engine.events(of: id, after: 0, for: Engine.root).filter { $0.kind == .child }
            #expect(told.map { "\($0.subject) \($0.what)" }.count == 6)
            #expect(Set(told.map { "\($0.subject) \($0.what)" }).count == 6)
        }
    }

    @Test func `children wait in their parent's queue, or in their own, and a parent is not held back`() async throws {
        var made = try TestNode()
        made.rules = SchedulingRules(queues: [.init(name: "default"), .init(name: "night")])
        let node = made
        try await node.running { engine in
            var own = PostludeCore.Operation.script("true")
            own.queue = "night"
            let graph = self.dag([self.node("a", own), self.node("b", .script("true"))])
            let done = try await engine.finish(try await node.submit(graph, to: engine))
            var queues: [String?] = []
            for child in try #require(done.children) { queues.append(try await engine.store.run(child.id)?.queue) }
            #expect(queues == ["night", "default"])
            var submission = Submission(path: "test.yaml", text: "", workingDirectory: node.work, name: "held")
            submission.hold = true
            do {
                _ = try await engine.submit(graph, from: submission, as: node.user)
                Issue.record("taken")
            } catch let error as EngineError {
                #expect(error.code == "engine.holds-parent" && error.hint?.isEmpty == false)
            }
        }
    }
}
