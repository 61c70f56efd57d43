import Foundation
import HTTPTypes
import NIOCore
import PostludeCore
import Testing

@testable import PostludeAPI

/// The routes over a real socket, with a real engine behind them.
@Suite(.enabled(if: isRoot)) struct RouteTests {
    struct Answer {
        var status: Int
        var text: String
        var type: String?
    }

    private func send(_ agent: LiveAgent, _ request: Transport.Request) async throws -> Answer {
        var answer = Answer(status: 0, text: "")
        var bytes = ByteBuffer()
        try await Transport(socketPath: agent.socket).send(request) { head in
            answer.status = head.status
            answer.type = head.headers.first(name: "content-type")
        } body: {
            bytes.writeImmutableBuffer($0)
        }
        answer.text = String(buffer: bytes)
        return answer
    }

    @Test func `health, version, doctor and devices answer`() async throws {
        try await LiveAgent.run { agent async throws in
            #expect(try await agent.client.health() == Health())
            #expect(try await agent.client.info().api == "v1")
            #expect(try await agent.client.doctor().contains { $0.name == "seccomp" })
            #expect(try await agent.client.devices().isEmpty)
            #expect(try await agent.client.runs().isEmpty)
            #expect(try await agent.client.usage().isEmpty)
        }
    }

    @Test func `every refusal has the same envelope`() async throws {
        let unknown = "0123456789abcdef0123456789abcdef"
        let cases: [(Transport.Request, Int, String)] = [
            (.init(target: RequestTarget("nothing")), 404, "server.unknown-route"),
            (.init(method: .DELETE, target: RequestTarget("runs")), 405, "server.method-not-allowed"),
            (.init(method: .PUT, target: RequestTarget("runs", unknown)), 405, "server.method-not-allowed"),
            (.init(target: RequestTarget("runs", unknown)), 404, "engine.unknown-run"),
            (.init(target: RequestTarget("runs", "xyz")), 404, "engine.unknown-run"),
            (.init(target: RequestTarget("runs", "../../etc/passwd")), 404, "engine.unknown-run"),
            (.init(method: .POST, target: RequestTarget("runs", unknown, "stop")), 404, "engine.unknown-run"),
            (.init(target: RequestTarget("runs", unknown, "logs")), 404, "engine.unknown-run"),
            (.init(target: RequestTarget("runs", unknown, "events")), 404, "engine.unknown-run"),
            (
                .init(target: RequestTarget("runs", unknown, "logs", query: [("stream", "both")])), 400,
                "server.bad-parameter"
            ),
            (.init(target: RequestTarget("runs", query: [("limit", "0")])), 400, "server.bad-parameter"),
            (.init(target: RequestTarget("runs", query: [("limit", "ten")])), 400, "server.bad-parameter"),
            (.init(target: RequestTarget("runs", query: [("hooks", "maybe")])), 400, "server.bad-parameter"),
            (.init(target: RequestTarget("runs", query: [("status", "runing")])), 400, "server.bad-parameter"),
            (.init(target: RequestTarget("runs", query: [("before", unknown)])), 404, "engine.unknown-run"),
            (.init(target: RequestTarget("runs", unknown, "wait")), 404, "engine.unknown-run"),
            (.init(method: .POST, target: RequestTarget("runs", unknown, "hold")), 404, "engine.unknown-run"),
            (.init(method: .POST, target: RequestTarget("runs", unknown, "release")), 404, "engine.unknown-run"),
            (
                .init(method: .POST, target: RequestTarget("maintenance", query: [("until", "soon")])), 400,
                "server.bad-parameter"
            ),
            (
                .init(method: .POST, target: RequestTarget("maintenance", query: [("until", "1")])), 400,
                "engine.invalid-window"
            ),
            (
                .init(method: .DELETE, target: RequestTarget("maintenance", query: [("id", "7")])), 404,
                "engine.unknown-window"
            ),
            (.init(target: RequestTarget("usage", query: [("since", "-1")])), 400, "server.bad-parameter"),
            (.init(method: .POST, target: RequestTarget("runs"), body: []), 400, "server.bad-body"),
            (.init(method: .POST, target: RequestTarget("runs"), body: Array("{".utf8)), 400, "server.bad-body"),
            (
                .init(method: .POST, target: RequestTarget("runs"), body: Array("{\"path\": 7}".utf8)), 400,
                "server.bad-body"
            ),
            (.init(method: .POST, target: RequestTarget("runs"), body: [0xff, 0x00]), 400, "server.bad-body"),
            (
                .init(
                    method: .POST, target: RequestTarget("runs"),
                    body: Array(repeating: 0x20, count: API.maximumRequestBytes + 1)), 413, "server.too-large"
            ),
        ]
        try await LiveAgent.run { agent in
            for (request, status, code) in cases {
                let answer = try await send(agent, request)
                let envelope = try Wire.decode(ErrorEnvelope.self, from: answer.text.utf8)
                #expect(answer.status == status && envelope.code == code, "\(request.target.text): \(answer)")
                #expect(!envelope.message.isEmpty && envelope.hint != nil, "\(envelope)")
                #expect(answer.type == "application/json; charset=utf-8")
            }
            #expect(try await agent.client.runs().isEmpty)
        }
    }

    @Test(arguments: ["zz\r\n{}\r\n0\r\n\r\n", "2\r\n{}0\r\n\r\n", "-1\r\n"])
    func `a body in broken chunks is a bad request`(chunks: String) async throws {
        try await LiveAgent.run { agent in
            let head = "POST /api/v1/runs HTTP/1.1\r\nHost: postlude\r\nTransfer-Encoding: chunked\r\n\r\n"
            let connection = try await RawConnection(agent.socket)
            await connection.send(head + chunks)
            connection.finish()
            let answer = try #require(await connection.answers().first)
            let envelope = try Wire.decode(ErrorEnvelope.self, from: answer.body)
            #expect(answer.status == 400 && envelope.code == "server.bad-body", "\(answer)")
        }
    }

    @Test func `an operation with faults is refused with every finding and its place`() async throws {
        try await LiveAgent.run { agent in
            let submission = Submission(
                path: "bad.yaml", text: "version: 1.1\nkind: component\nrun:\n  kind: job\n  contianer: {}\n",
                workingDirectory: "/")
            let error = await #expect(throws: ClientError.self) { try await agent.client.submit(submission) }
            #expect(error?.kind == .refused(status: 400) && error?.code == "engine.invalid-operation")
            #expect(error?.details.contains { $0.place?.line == 5 } == true)
        }
    }

    @Test func `a submit that is sent again runs once`() async throws {
        try await LiveAgent.run { agent in
            var submission = agent.submission("true")
            submission.idempotencyKey = "once"
            let first = try await agent.client.submit(submission)
            let second = try await agent.client.submit(submission)
            #expect(first.summary.id == second.summary.id)
            submission.name = "other"
            let error = await #expect(throws: ClientError.self) { try await agent.client.submit(submission) }
            #expect(error?.kind == .refused(status: 409))
            _ = try await agent.settled(first.summary.id)
        }
    }

    @Test func `a run is found by any unambiguous beginning of its id`() async throws {
        try await LiveAgent.run { agent in
            let id = try await agent.client.submit(agent.submission("true")).summary.id
            _ = try await agent.settled(id)
            #expect(try await agent.client.run(id.short).summary.id == id)
            #expect(try await agent.client.run(id.description.uppercased()).summary.status == .succeeded)
            let stopped = await #expect(throws: ClientError.self) { try await agent.client.stop(id.short) }
            #expect(stopped?.kind == .refused(status: 409))
        }
    }

    @Test func `what is not HTTP, and nobody at all, is told in words`() async throws {
        try await LiveAgent.run { agent in
            let none = await #expect(throws: ClientError.self) {
                try await AgentClient(socketPath: agent.directory.appendingPathComponent("none.sock").path).health()
            }
            #expect(none?.kind == .notRunning && none?.hint != nil)
            let long = await #expect(throws: ClientError.self) {
                try await AgentClient(socketPath: "/" + String(repeating: "x", count: 200)).health()
            }
            #expect(long?.kind == .unreachable && long?.hint != nil)
        }
    }
}
