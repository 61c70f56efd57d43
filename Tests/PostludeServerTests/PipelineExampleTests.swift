import Foundation
import PostludeAPI
import PostludeCore
import Testing

/// The pipelines of Examples/, each by the command line with an agent of its own and real sandboxes.
@Suite(.enabled(if: isRoot), .timeLimit(.minutes(3))) struct PipelineExampleTests {
    private static let examples = LiveAgent.repository.appendingPathComponent("Examples/pipelines")

    private func withExamples<Value: Sendable>(
        _ test: @Sendable (OwnAgent, AgentClient) async throws -> Value
    ) async throws -> Value {
        try await OwnAgent.run { agent async throws in
            for file in try FileManager.default.contentsOfDirectory(atPath: Self.examples.path) {
                try agent.write(
                    String(contentsOf: Self.examples.appendingPathComponent(file), encoding: .utf8), to: file)
            }
            return try await test(agent, AgentClient(socketPath: agent.socket))
        }
    }

    private func log(_ run: RunID, _ client: AgentClient) async throws -> String {
        let bytes = Collected<UInt8>()
        try await client.logs(of: run.description, step: "main", stream: .stdout) { buffer in
            for byte in buffer.readableBytesView { await bytes.add(byte) }
        }
        return String(decoding: await bytes.items, as: UTF8.self)
    }

    @Test func `a failing main sets off its alert`() async throws {
        try await withExamples { agent, client in
            let result = try await agent.postlude("run", "alert.yaml")
            #expect(result.status == 1, "\(result)")
            let main = try #require(try await client.runs().first { $0.upstream == nil })
            let detail = try await client.run(main.id.description)
            let hook = try #require(detail.hooks.first?.run, "\(detail.hooks)")
            #expect(try await log(hook, client) == "failing ended with exit code 3: the data has no labels\n")
        }
    }

    @Test func `a matrix of eight runs a hook on each and one at the end`() async throws {
        try await withExamples { agent, client in
            let result = try await agent.postlude("run", "matrix.yaml")
            #expect(result.status == 0, "\(result)")
            let parent = try #require(try await client.runs().first { $0.kind == "matrix" })
            let detail = try await client.run(parent.id.description)
            #expect(detail.childCounts == ["succeeded": 8])
            for child in try #require(detail.children) {
                let hooks = try await client.run(child.id.description).hooks
                #expect(hooks.map(\.status) == [.succeeded], "\(hooks)")
                #expect(try await log(try #require(hooks.first?.run), client).hasPrefix("rate "))
            }
            let best = try #require(detail.hooks.first)
            #expect(best.status == .succeeded, "\(best.detail)")
            #expect(try await log(try #require(best.run), client).hasPrefix("of 8 runs, "))
            let listed = try await agent.postlude("ps", "--all")
            #expect(listed.output.contains("sweep (matrix)") && listed.output.contains("├ 7 of "), "\(listed)")
            let shown = try await agent.postlude("inspect", parent.id.description)
            #expect(shown.output.contains("8 succeeded"), "\(shown)")
        }
    }

    @Test func `train, evaluate, report`() async throws {
        try await withExamples { agent, client in
            let result = try await agent.postlude("run", "dag.yaml", "-P", "rate=0.2")
            #expect(result.status == 0, "\(result)")
            let parent = try #require(try await client.runs().first { $0.kind == "dag" })
            let children = try #require(try await client.run(parent.id.description).children)
            #expect(children.map(\.childName) == ["train", "evaluate", "report"])
            let report = try #require(children.last)
            #expect(try await log(report.id, client) == "the model is good\n")
        }
    }

    @Test func `the nightly schedule waits, and stop ends it`() async throws {
        try await withExamples { agent, client in
            let id = try await agent.postlude("submit", "nightly.yaml").output
                .trimmingCharacters(in: .whitespacesAndNewlines)
            #expect(try await client.run(id).summary.status == .onSchedule)
            #expect(try await agent.postlude("stop", "--wait", id).status == 0)
            #expect(try await client.run(id).summary.status == .stopped)
        }
    }

    @Test func `a matrix whose agent is killed again and again makes each point once`() async throws {
        try await OwnAgent.run { agent async throws in
            try agent.write(
                """
                kind: operation
                matrix: {kind: grid, concurrency: 2, params: {n: {kind: range, value: [0, 10, 1]}}}
                hooks: [{name: h, component: {run: {kind: job, container: {command: ["true"]}}}}]
                component:
                  inputs: [{name: n, type: int}]
                  run:
                    kind: job
                    container:
                      command: [/bin/sh, -c]
                      args: ["case {{ n }} in 1|4|7) until [ -e go{{ n }} ]; do sleep 0.05; done;; esac"]

                """, to: "job.yaml")
            let command = try agent.start(["run", "job.yaml", "--json"])
            var seen = ""
            var killed: Int32?
            for point in ["1", "4", "7"] {
                try await command.reads("\"subject\":\"\(point)\"", into: &seen)
                let next = try await self.agent(after: killed, agent)
                killed = next
                #expect(kill(next, SIGKILL) == 0)
                await agent.awaitDeath(of: next)
                // Not before: the matrix is not to be over while agents are still to be killed.
                try agent.write("", to: "go\(point)")
            }
            let result = await command.result(after: seen)
            #expect(result.status == 0, "\(result.error)")
            let client = AgentClient(socketPath: agent.socket)
            let runs = try await client.runs(limit: 1_000)
            #expect(runs.filter { $0.parent != nil }.compactMap(\.childName).sorted() == (0..<10).map { String($0) })
            #expect(runs.filter { $0.hookName == "h" }.count == 10)
            #expect(runs.allSatisfy { $0.status == .succeeded }, "\(runs.map { ($0.name, $0.status) })")
        }
    }

    /// The agent that answers after the last one was killed: between the two there is none for a while.
    private func agent(after killed: Int32?, _ own: OwnAgent) async throws -> Int32 {
        while true {
            do {
                let pid = try await own.pid()
                if pid != killed { return pid }
            } catch is ClientError {
                await Task.yield()
            }
            try Task.checkCancellation()
        }
    }

    @Test func `approve lets a held run go on`() async throws {
        try await OwnAgent.run { agent async throws in
            try agent.write("isApproved: false\nrun: {kind: job, container: {command: [\"true\"]}}\n", to: "job.yaml")
            let id = try await agent.postlude("submit", "job.yaml").output
                .trimmingCharacters(in: .whitespacesAndNewlines)
            let client = AgentClient(socketPath: agent.socket)
            #expect(try await client.run(id).summary.status == .compiled)
            #expect(try await agent.postlude("approve", id).status == 0)
            try await client.events(of: id) { _ in }
            #expect(try await client.run(id).summary.status == .succeeded)
            #expect(try await agent.postlude("approve", id).status == 3)
        }
    }
}
