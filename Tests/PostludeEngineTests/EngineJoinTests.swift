import Foundation
import PostludeCore
import PostludeStore
import Testing

@testable import PostludeEngine

/// Joins of operations in real sandboxes.
@Suite(.enabled(if: TestNode.isAble, "needs root and the warden"), .serialized, .timeLimit(.minutes(4)))
struct EngineJoinTests {
    /// Prints what its joins found.
    private func report(_ join: Join, _ command: [Template]) -> PostludeCore.Operation {
        var operation = PostludeCore.Operation(
            component: Component(job: JobSpec(container: ContainerSpec(command: ["/bin/echo"] + command))))
        operation.joins = [join]
        return operation
    }

    private static func taking(_ query: Template, sort: Template? = nil, limit: Template? = nil) -> Join {
        Join(
            query: query, sort: sort, limit: limit,
            params: [
                "squares": JoinParam("outputs.square"), "numbers": JoinParam("inputs.n", contextOnly: true),
                "uuids": JoinParam("globals.uuid", contextOnly: true),
            ])
    }

    /// Writes its number's square; the third writes none.
    private static let square: PostludeCore.Operation = {
        var operation = PostludeCore.Operation.script(
            #"test "$N" = 3 || echo "{\"square\": $((N * N))}" > "$POSTLUDE_OUTPUTS""#)
        operation.component.inputs = [IODeclaration(name: "n", type: "int", toEnv: "N")]
        operation.component.outputs = [IODeclaration(name: "square", type: "int", isOptional: true)]
        return operation
    }()

    private func squares(_ number: Int64) -> PostludeCore.Operation {
        var operation = Self.square
        operation.params = ["n": Param(value: .int(number), isTemplate: false)]
        return operation
    }

    @Test func `in a graph a join collects what the points of a matrix wrote, in order, once they have ended`()
        async throws
    {
        let node = try TestNode()
        var matrix = Self.square
        matrix.matrix = Matrix(.grid(limit: nil), axes: [.init("n", .values((1...5).map { .int($0) }))])
        var best = report(
            Self.taking(
                "pipeline: {{ tune }}, status: succeeded", sort: "-metrics.square, inputs.n", limit: "{{ top }}"),
            ["{{ squares }} {{ numbers }} {{ uuids | length }}"])
        best.component.inputs = [IODeclaration(name: "squares", type: "float", isList: true)]
        best.params = [
            "tune": Param(
                value: .string("globals.uuid"), isTemplate: true, contextOnly: true, reference: .operation("tune")),
            "top": Param(value: .string("inputs.top"), isTemplate: true, contextOnly: true, reference: .dag),
        ]
        var dag = PostludeCore.Operation(
            component: Component(job: JobSpec(container: ContainerSpec())),
            dag: Dag([.init("best", best, dependencies: [1]), .init("tune", matrix)]))
        dag.component.inputs = [IODeclaration(name: "top", type: "int", value: .int(4))]
        let operation = dag
        try await node.running { engine in
            // Others of the same user, which the query does not ask for.
            _ = try await engine.finish(try await node.submit(squares(9), to: engine))
            let done = try await engine.finish(try await node.submit(operation, to: engine))
            #expect(done.summary.status == .succeeded, "\(done.summary.message)")
            let run = try #require(done.children?.first { $0.childName == "best" })
            #expect(try await engine.output(run.id) == "[25.0, 16.0, 4.0, 1.0] [5, 4, 2, 1] 4\n")
            let detail = try await engine.detail(run.id, for: Engine.root)
            #expect(detail.inputs["squares"] == .list([.int(25), .int(16), .int(4), .int(1)]))
            let record = try #require(detail.joins?.first)
            // The point that wrote no square comes last, behind the limit.
            #expect(record.found == Join.Found(taken: 4, leftOut: 0, hasMore: true))
            #expect(record.params == ["numbers", "squares", "uuids"])
        }
    }

    @Test func `a run without one of the values is in none of the lists`() async throws {
        let node = try TestNode()
        try await node.running { engine in
            for number in 1...4 as ClosedRange<Int64> {
                _ = try await engine.finish(try await node.submit(squares(number), to: engine))
            }
            let operation = report(Self.taking("kind: job", sort: "created_at"), ["{{ squares }} {{ numbers }}"])
            let done = try await engine.finish(try await node.submit(operation, to: engine))
            #expect(try await engine.output(done.summary.id) == "[1, 4, 16] [1, 2, 4]\n")
            #expect(done.joins?.first?.found == Join.Found(taken: 3, leftOut: 1, hasMore: false))
        }
    }

    @Test func `what was found stays: a retry under the next agent searches for nothing`() async throws {
        let node = try TestNode()
        var operation = report(Self.taking("kind: job, name: test, metrics.square: ~nil"), [])
        // The first attempt waits for its failure until the next agent is there.
        operation.component.job.container = .script(
            "echo '{{ squares }}'; test -e go && exit 0; until test -e go; do sleep 0.1; done; exit 1")
        operation.component.termination.maxRetries = 1
        let joined = operation
        let id = try await node.running { engine in
            _ = try await engine.finish(try await node.submit(squares(2), to: engine))
            let id = try await node.submit(joined, to: engine)
            _ = try await engine.wait(for: id) { $0.summary.status == .running }
            return id
        }
        try await node.running { engine in
            _ = try await engine.finish(try await node.submit(squares(5), to: engine))
            try Data().write(to: URL(filePath: "\(node.work)/go"))
            let done = try await engine.finish(id)
            #expect(done.summary.status == .succeeded, "\(done.summary.message)")
            #expect(done.attempts.count == 2)
            #expect(try await engine.output(id) == "[4]\n")
            // A new run searches anew.
            let again = try await engine.finish(try await node.submit(joined, to: engine))
            #expect(try await engine.output(again.summary.id) == "[25, 4]\n")
        }
    }

    @Test func `nobody's joins find another user's runs, an administrator's neither`() async throws {
        let node = try TestNode()
        let other = UserIdentity(name: "daemon", uid: 1, gid: 1, home: "/nonexistent")
        try await node.running { engine in
            _ = try await engine.finish(try await node.submit(squares(2), to: engine))
            _ = try await engine.finish(try await node.submit(squares(7), to: engine, as: other))
            let operation = report(Self.taking("kind: job"), ["{{ squares }}"])
            for (user, text) in [(node.user, "4\n"), (other, "49\n")] {
                let done = try await engine.finish(try await node.submit(operation, to: engine, as: user))
                #expect(try await engine.output(done.summary.id) == text)
            }
            let root = UserIdentity(name: "root", uid: 0, gid: 0, home: "/root")
            let done = try await engine.finish(try await node.submit(operation, to: engine, as: root))
            #expect(done.joins?.first?.found == Join.Found(taken: 0, leftOut: 0, hasMore: false))
        }
    }

    @Test func `the artifacts of the runs that were found can be read, where their paths are taken`() async throws {
        let node = try TestNode()
        let make = PostludeCore.Operation.script(#"echo weights > "$POSTLUDE_ARTIFACTS/model""#)
        let join = Join(
            query: "name: make", params: ["dirs": JoinParam("globals.run_artifacts_path", contextOnly: true)])
        var read = report(join, [])
        read.component.job.container = .script("cat {{ dirs[0] }}/model; touch {{ dirs[0] }}/x || echo read-only")
        let operation = read
        try await node.running { engine in
            _ = try await engine.finish(try await node.submit(make, to: engine, name: "make"))
            let done = try await engine.finish(try await node.submit(operation, to: engine))
            #expect(try await engine.output(done.summary.id) == "weights\nread-only\n")
        }
    }

    @Test func `a join that cannot be made fails its run alone, and refuses a submission`() async throws {
        let node = try TestNode()
        var second = report(Self.taking("status: {{ wanted }}"), [])
        second.params = ["wanted": Param(value: .string("best"), isTemplate: false, contextOnly: true)]
        let alone = second
        let dag = PostludeCore.Operation(
            component: Component(job: JobSpec(container: ContainerSpec())),
            dag: Dag([.init("bad", second), .init("good", .script("true"))]))
        try await node.running { engine in
            let error = await #expect(throws: EngineError.self) { try await node.submit(alone, to: engine) }
            #expect(error?.diagnostics.first?.code == "join.wrong-value")
            let done = try await engine.finish(try await node.submit(dag, to: engine))
            #expect(done.children?.map(\.status) == [.failed, .succeeded])
            #expect(done.children?.first?.reason == "CompilationFailed")
        }
    }

    @Test func `each run of a schedule searches by itself`() async throws {
        let node = try TestNode()
        var operation = report(Self.taking("name: test, metrics.square: ~nil"), ["{{ squares }}"])
        operation.component.inputs = [IODeclaration(name: "squares", type: "int", isList: true)]
        operation.schedule = Schedule(.interval(seconds: 1), maxRuns: 1)
        operation.eachHooks = []
        let scheduled = operation
        try await node.running { engine in
            _ = try await engine.finish(try await node.submit(squares(2), to: engine))
            let done = try await engine.finish(try await node.submit(scheduled, to: engine))
            #expect(done.joins?.map(\.found) == [nil])
            let run = try #require(done.children?.first)
            #expect(try await engine.output(run.id) == "4\n")
        }
    }
}
