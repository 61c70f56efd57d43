import Foundation
import PostludeCore
import Testing

@testable import PostludeAPI
@testable import PostludeServer

/// What one user may have of the API, and how long the agent waits for anybody.
@Suite(.enabled(if: isRoot)) struct APILimitTests {
    private static let sender: UInt32 = 65534
    private static let bystander: UInt32 = 65533
    private static let health = "GET /api/v1/health HTTP/1.1\r\nHost: postlude\r\n\r\n"

    private static func settings(_ change: (inout APISettings) -> Void) -> APISettings {
        var settings = APISettings()
        change(&settings)
        return settings
    }

    private static func check(_ answer: RawConnection.Answer?, _ status: Int, _ code: String) throws {
        let answer = try #require(answer)
        let envelope = try Wire.decode(ErrorEnvelope.self, from: answer.body)
        #expect(answer.status == status && envelope.code == code && envelope.hint != nil, "\(answer)")
        let problems = SchemaCheck.problems(
            "GET", "/api/v1/health", status: status, type: answer.fields["content-type"], body: answer.body)
        #expect(problems.isEmpty, "\(problems)")
    }

    @Test func `a user with too many connections gets no more, and others do`() async throws {
        let settings = Self.settings { $0.perUser.connections = 4 }
        try await LiveAgent.run(api: settings) { agent in
            var open: [RawConnection] = []
            for _ in 0..<4 {
                let connection = try await RawConnection(agent.socket, as: Self.sender)
                await connection.send(Self.health)
                #expect(await connection.answers(1).map(\.status) == [200])
                open.append(connection)
            }
            let refused = try await RawConnection(agent.socket, as: Self.sender)
            let answers = await refused.answers()
            try Self.check(answers.first, 429, "server.too-many-connections")
            #expect(answers.first?.fields["retry-after"] == "1" && answers.first?.fields["connection"] == "close")
            #expect(try await agent.raw("GET", "/api/v1/runs", as: Self.bystander).status == 200)
            #expect(try await agent.client.runs().isEmpty)

            // One that is closed makes room, as soon as the agent has seen it.
            open.removeLast()
            while try await agent.raw("GET", "/api/v1/health", as: Self.sender).status == 429 {}
        }
    }

    @Test func `a full agent still lets root and administrators in`() async throws {
        let account = try #require(UserDirectory.account(Self.sender))
        let group = try #require(["nogroup", "nobody"].first { UserDirectory.gid(ofGroup: $0) == account.gid })
        let settings = Self.settings { $0.connections = 16 }
        try await LiveAgent.run(administratorsGroup: group, api: settings) { agent in
            var open: [RawConnection] = []
            for index in 0..<14 {
                let connection = try await RawConnection(agent.socket, as: 60_000 + UInt32(index))
                await connection.send(Self.health)
                #expect(await connection.answers(1).map(\.status) == [200])
                open.append(connection)
            }
            let refused = try await RawConnection(agent.socket, as: Self.bystander)
            try Self.check(await refused.answers().first, 503, "server.full")
            #expect(try await agent.raw("GET", "/api/v1/health", as: Self.sender).status == 200)
            #expect(try await agent.raw("GET", "/api/v1/health").status == 200)
            withExtendedLifetime(open) {}
        }
    }

    @Test func `a user's flood of requests is refused, and nobody else's one`() async throws {
        let settings = Self.settings {
            $0.perUser.burst = 20
            $0.perUser.requestsPerSecond = 1
        }
        try await LiveAgent.run(api: settings) { agent in
            func flood() async throws -> [RawConnection.Answer] {
                let connection = try await RawConnection(agent.socket, as: Self.sender)
                await connection.send(String(repeating: Self.health, count: 200))
                return await connection.answers(200)
            }
            async let first = flood()
            async let second = flood()
            for _ in 0..<10 {
                #expect(try await agent.raw("GET", "/api/v1/runs", as: Self.bystander).status == 200)
            }
            let answers = try await first + second
            let taken = answers.filter { $0.status == 200 }.count
            // As many as at once, and one for each second that it took.
            #expect(taken >= 20 && taken < 400 && answers.count == 400)
            let refused = try #require(answers.first { $0.status == 429 })
            try Self.check(refused, 429, "server.too-many-requests")
            #expect(refused.fields["retry-after"].flatMap(Int.init).map { $0 >= 1 } == true)
            for _ in 0..<100 { #expect(try await agent.raw("GET", "/api/v1/health").status == 200) }
        }
    }

    @Test func `requests at once are counted while their bodies come, and no longer`() async throws {
        let settings = Self.settings { $0.perUser.requests = 1 }
        try await LiveAgent.run(api: settings) { agent in
            let slow = try await RawConnection(agent.socket, as: Self.sender)
            await slow.send("POST /api/v1/runs HTTP/1.1\r\nHost: postlude\r\nContent-Length: 2\r\n\r\n[")
            // The agent may see the other connection first.
            var refused = try await agent.raw("GET", "/api/v1/health", as: Self.sender)
            while refused.status == 200 { refused = try await agent.raw("GET", "/api/v1/health", as: Self.sender) }
            try Self.check(refused, 429, "server.too-many-requests")
            #expect(try await agent.raw("GET", "/api/v1/health", as: Self.bystander).status == 200)
            await slow.send("]")
            #expect(await slow.answers(1).map(\.status) == [400])
            while try await agent.raw("GET", "/api/v1/health", as: Self.sender).status == 429 {}
        }
    }

    @Test func `postlude waits as long as it is told, and asks again`() async throws {
        let settings = Self.settings {
            $0.perUser.burst = 1
            $0.perUser.requestsPerSecond = 1
        }
        try await LiveAgent.run(api: settings) { agent in
            // Copied to where that user can reach it, by another process: see PeerTests.
            let copy = agent.work.appendingPathComponent("postlude").path
            let install = try Command(
                URL(fileURLWithPath: "/usr/bin/install"),
                ["-m", "755", try LiveAgent.executable("postlude").path, copy], in: agent.work)
            #expect(await install.result().status == 0)
            let user = "\(Self.sender)"
            for _ in 0..<3 {
                let command = try Command(
                    URL(fileURLWithPath: "/usr/bin/setpriv"),
                    [
                        "--reuid", user, "--regid", user, "--clear-groups", copy, "ps", "--no-start", "--socket",
                        agent.socket, "--json",
                    ], in: agent.work)
                let result = await command.result()
                #expect(result.status == 0 && result.output.contains("\"runs\""), "\(result)")
            }
        }
    }

    @Test func `who does not read an answer is cut, who pauses a stream is not`() async throws {
        let settings = Self.settings { $0.answerSeconds = 1 }
        try await LiveAgent.run(api: settings) { agent in
            let run = try await agent.client.submit(
                agent.submission(
                    "i=0; while [ $i -lt 20000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done")
            ).summary.id
            _ = try await agent.settled(run)
            let stream = try await RawConnection(agent.socket)
            await stream.send(
                "GET /api/v1/runs/\(run)/logs HTTP/1.1\r\nHost: postlude\r\nConnection: close\r\n\r\n")

            // Later than the stream, and with the same patience: when this one is cut, the stream has waited longer.
            let unread = try await RawConnection(agent.socket, as: Self.sender)
            await unread.send(
                String(repeating: "GET /api/v1/openapi.json HTTP/1.1\r\nHost: postlude\r\n\r\n", count: 50))
            #expect(await unread.awaitClose())
            #expect(await unread.answers().count < 50)
            let log = try #require(await stream.answers().first)
            #expect(log.status == 200 && log.body.count > 20_000 * 41)
        }
    }

    @Test func `what does not come in time is told so, and holds up nobody`() async throws {
        let settings = Self.settings {
            $0.idleSeconds = 1
            $0.bodySeconds = 1
        }
        try await LiveAgent.run(api: settings) { agent in
            let slow = [
                "", "GET /api/v1/hea", Self.health.replacingOccurrences(of: "\r\n\r\n", with: "\r\nX-A: "),
                "POST /api/v1/runs HTTP/1.1\r\nHost: postlude\r\nContent-Length: 100\r\n\r\n{\"path\"",
                "POST /api/v1/runs HTTP/1.1\r\nHost: postlude\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
            ]
            for request in slow {
                let connection = try await RawConnection(agent.socket, as: Self.sender)
                await connection.send(request)
                try Self.check(await connection.answers().first, 408, "server.too-slow")
            }
            // One that is kept open and idle is closed as well.
            var answers: [Int] = []
            repeat {
                // On a machine that is slow enough, the request itself comes too late.
                let kept = try await RawConnection(agent.socket, as: Self.sender)
                await kept.send(Self.health)
                answers = await kept.answers().map(\.status)
            } while answers == [408]
            #expect(answers == [200, 408])
        }
    }

    @Test func `a client that drips its head byte by byte gets no more time for it`() async throws {
        let settings = Self.settings { $0.idleSeconds = 2 }
        try await LiveAgent.run(api: settings) { agent in
            let connection = try await RawConnection(agent.socket, as: Self.sender)
            let drips = Task {
                await connection.send("GET /api/v1/health HTTP/1.1\r\nHost: postlude\r\n")
                // Sent as often as can be; what the agent does not take any more ends it.
                while !Task.isCancelled { await connection.send("X-A: b\r\n") }
            }
            let answer = await connection.answers().first
            drips.cancel()
            #expect(answer?.status == 408 || answer?.status == 431, "\(String(describing: answer))")
        }
    }
}

@Suite struct UserAllowanceTests {
    private var limits: APISettings.UserLimits {
        var limits = APISettings.UserLimits()
        limits.burst = 3
        limits.requestsPerSecond = 2
        return limits
    }

    @Test func `a burst, then as many as come back with time`() {
        let start = ContinuousClock.now
        var user = UserAllowance(limits, at: start)
        #expect((0..<3).allSatisfy { _ in user.take(limits, at: start) == nil })
        #expect(user.take(limits, at: start) == 1)
        #expect(user.take(limits, at: start + .milliseconds(500)) == nil)
        #expect(user.take(limits, at: start + .milliseconds(600)) == 1)
        // A quiet hour gives back no more than the burst.
        let later = start + .seconds(3_600)
        #expect((0..<3).allSatisfy { _ in user.take(limits, at: later) == nil })
        #expect(user.take(limits, at: later) == 1)
    }

    @Test func `only one who has nothing open and everything left is forgotten`() {
        let start = ContinuousClock.now
        var user = UserAllowance(limits, at: start)
        #expect(user.isFresh(limits, at: start))
        user.connections = 1
        #expect(!user.isFresh(limits, at: start))
        user.connections = 0
        _ = user.take(limits, at: start)
        #expect(!user.isFresh(limits, at: start) && user.isFresh(limits, at: start + .seconds(1)))
    }
}
