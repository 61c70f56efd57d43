import Foundation
import PostludeAPI
import PostludeCore
import Testing

/// An agent that is out of descriptors.
@Suite(.enabled(if: isRoot, "needs root"), .serialized, .timeLimit(.minutes(2)))
struct DescriptorFaultTests {
    @Test(arguments: [EMFILE, ENFILE])
    func `a run that ends meanwhile has ended as it did`(code: Int32) async throws {
        try await FaultyAgent.run { agent in
            try await agent.start()
            let run = try await agent.submitWaiting()
            try await agent.faults.during(AgentFaults.Fault(kind: .open, code: code)) {
                try agent.go()
                try await agent.awaitLog("trying again")
            }
            let detail = try await agent.finish(run)
            #expect(detail.summary.reason == "Completed", "\(detail.conditions)")
            try await agent.expectPromises([run])
        }
    }

    @Test func `a request is refused with the reason, and runs wait for their launch`() async throws {
        try await FaultyAgent.run { agent in
            try await agent.start()
            let first = try await agent.submit(FaultyAgent.job())
            _ = try await agent.finish(first)
            let waiting = try await agent.submitWaiting()
            let next = try await agent.submit(FaultyAgent.job())
            let error = try await agent.faults.during(AgentFaults.Fault(kind: .open, code: EMFILE)) {
                try agent.go()
                return await #expect(throws: ClientError.self) { try await agent.client.devices() }
            }
            #expect(error?.code == "agent.out-of-descriptors" && error?.kind == .refused(status: 503))
            for run in [waiting, next] { _ = try await agent.finish(run) }
            try await agent.expectPromises([first, waiting, next])
        }
    }

    @Test func `an agent that starts without descriptors to spare takes no living warden for a dead one`() async throws
    {
        try await FaultyAgent.run { agent in
            try await agent.start()
            let run = try await agent.submitWaiting()
            let pid = try await agent.pid()
            #expect(kill(pid, SIGKILL) == 0)
            await agent.own.awaitEnd()
            // It cannot hold the wardens of the former one, nor look who they are, from its first moment on.
            try agent.faults.begin(AgentFaults.Fault(kind: .pidfd, code: EMFILE))
            try await agent.start()
            #expect(try await agent.detail(run).summary.status == .running)
            try agent.go()
            let next = try await agent.submit(FaultyAgent.job())
            try await agent.awaitLog("is tried again")
            try agent.faults.end(.pidfd)
            let detail = try await agent.finish(run)
            #expect(detail.summary.reason == "Completed", "\(detail.conditions)")
            _ = try await agent.finish(next)
            try await agent.expectPromises([run, next])
        }
    }

    /// The real limit, and clients that take all that they may have.
    @Test func `many idle clients and many runs share a low limit`() async throws {
        try await FaultyAgent.run { agent in
            try await agent.start(before: "ulimit -n 128")
            var idle: [Int32] = []
            defer { for descriptor in idle { _ = close(descriptor) } }
            for _ in 0..<200 {
                let (descriptor, code) = unixSocket(agent.own.socket, connect)
                if descriptor >= 0 { idle.append(descriptor) }
                if code != 0 { break }
            }
            // Half of what it may open is for connections. Whoever comes then is told so.
            #expect(idle.count > 64)
            let refused = await #expect(throws: ClientError.self) { try await agent.client.devices() }
            #expect(refused?.code == "api.busy" || refused?.code == "server.full", "\(String(describing: refused))")
            while idle.count > 40 { _ = close(idle.removeLast()) }
            var runs: [RunID] = []
            for _ in 0..<8 {
                // The agent may not have noticed yet that so many have left.
                try await agent.eventually {
                    runs.append(try await agent.submit(FaultyAgent.job()))
                    return true
                }
            }
            for run in runs { _ = try await agent.finish(run) }
            for descriptor in idle { _ = close(descriptor) }
            idle = []
            try await agent.expectPromises(runs)
        }
    }
}
