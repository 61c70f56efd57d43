import Foundation
import PostludeAPI
import PostludeCore
import PostludeEngine
import Testing

/// What a user may try at the socket, and what the others have of it.
@Suite(.enabled(if: isRoot)) struct HostileRequestTests {
    private static let sender: UInt32 = 65534
    private static let bystander: UInt32 = 65533

    @Test func `each is answered as documented, and another user meanwhile`() async throws {
        #expect(HostileRequest.all.count >= 40 && Set(HostileRequest.all.map(\.name)).count == HostileRequest.all.count)
        try await LiveAgent.run { agent in
            let foreign = try await agent.client.submit(agent.submission("echo secret; exec sleep 1000")).summary.id
            var submission = agent.submission("true")
            submission.workingDirectory = "/"
            let user = UserIdentity(name: "nobody", uid: Self.sender, gid: Self.sender, home: "/")
            let own = try await agent.engine.submit(submission, as: user).summary.id
            _ = try await agent.settled(own)
            let scene = HostileRequest.Scene(
                own: own.description, foreign: foreign.description, submission: try Wire.encode(submission))

            for request in HostileRequest.all {
                async let other = agent.raw("GET", "/api/v1/runs", as: Self.bystander)
                let connection = try await RawConnection(agent.socket, as: Self.sender)
                await connection.send(request.bytes(scene))
                if request.finishes { connection.finish() }
                let answers = await connection.answers(isHead: request.endpoint(scene).0 == "HEAD")
                Self.check(answers, request, scene)
                let list = try await other
                #expect(list.status == 200 && list.body == Array("{\"runs\":[]}\n".utf8), "\(request.name): \(list)")
            }

            // Nothing of it reached anybody's run, and the sender has only what was taken.
            #expect(try await agent.client.run(foreign.description).summary.status.isFinal == false)
            #expect(try await agent.client.maintenance().isEmpty)
            let runs = try await agent.client.runs()
            #expect(Set(runs.map(\.uid)) == [0, Self.sender] && runs.count == 3, "\(runs)")
            _ = try await agent.client.stop(foreign.description)
            for run in runs { _ = try await agent.settled(run.id) }
        }
    }

    private static func check(
        _ answers: [RawConnection.Answer], _ request: HostileRequest, _ scene: HostileRequest.Scene
    ) {
        #expect(answers.map(\.status) == request.answers.map(\.status), "\(request.name): \(answers)")
        for (answer, expected) in zip(answers, request.answers) {
            guard let code = expected.code else { continue }
            let text = String(decoding: answer.body, as: UTF8.self)
            #expect(text.contains("\"code\":\"\(code)\"") && text.contains("\"hint\":"), "\(request.name): \(answer)")
        }
        for (name, value) in request.fields {
            #expect(answers.last?.fields[name] == value, "\(request.name): \(answers)")
        }
        if let answer = answers.first {
            let (method, path) = request.endpoint(scene)
            let problems = SchemaCheck.problems(
                method, path, status: answer.status, type: answer.fields["content-type"], body: answer.body)
            #expect(problems.isEmpty, "\(request.name): \(problems)")
        }
    }

    @Test func `a key is a user's own`() async throws {
        try await LiveAgent.run { agent in
            var submission = agent.submission("true")
            submission.workingDirectory = "/"
            submission.idempotencyKey = "same"
            let body = try Wire.encode(submission)
            var runs: [RunID] = []
            for uid in [Self.sender, Self.bystander, Self.sender] {
                let answer = try await agent.raw("POST", "/api/v1/runs", body: body, as: uid)
                #expect(answer.status == 201, "\(answer)")
                runs.append(try Wire.decode(RunDetail.self, from: answer.body).summary.id)
            }
            #expect(runs[0] == runs[2] && runs[0] != runs[1])
            for run in Set(runs) { _ = try await agent.settled(run) }
        }
    }

    @Test func `requests in the middle of which the agent ends are cut, and keep it from nothing`() async throws {
        let connections = try await LiveAgent.run { agent in
            let idle = try await RawConnection(agent.socket, as: Self.sender)
            await idle.send("GET /api/v1/health HTTP/1.1\r\nHost: postlude\r\n\r\n")
            _ = await idle.answers(1)
            let head = try await RawConnection(agent.socket, as: Self.sender)
            await head.send("GET /api/v1/he")
            return [idle, head]
        }
        for connection in connections { #expect(await connection.answers().isEmpty) }
    }
}
