import Foundation
import PostludeAPI
import PostludeCore
import Testing

/// A disk that fails or is slow, below the database and below a warden's journal.
@Suite(.enabled(if: isRoot && WardenFault.isPossible, "needs root and strace"), .serialized, .timeLimit(.minutes(2)))
struct StoreFaultTests {
    @Test(arguments: [
        AgentFaults.Fault(kind: .sync, code: EIO), AgentFaults.Fault(kind: .write, code: EIO),
        AgentFaults.Fault(kind: .sync, code: EIO, every: 3),
    ])
    func `a run whose end cannot be stored ends when it can, as it ended`(fault: AgentFaults.Fault) async throws {
        try await FaultyAgent.run { agent in
            try await agent.start()
            let run = try await agent.submitWaiting()
            try await agent.faults.during(fault) {
                try agent.go()
                // With some calls that succeed in between it may be over already.
                try await agent.eventually {
                    if agent.log.contains("trying again") || agent.log.contains("is tried again") { return true }
                    return try await agent.detail(run).summary.status.isFinal
                }
                #expect(fault.every > 1 || agent.log.contains("disk I/O error"))
            }
            _ = try await agent.finish(run)
            try await agent.expectPromises([run])
        }
    }

    @Test(arguments: [AgentFaults.Kind.sync, .write])
    func `a submission that cannot be stored is refused, and its key makes one run later`(
        kind: AgentFaults.Kind
    ) async throws {
        try await FaultyAgent.run { agent in
            try await agent.start()
            let error = try await agent.faults.during(AgentFaults.Fault(kind: kind, code: EIO)) {
                await #expect(throws: ClientError.self) { _ = try await agent.submit(FaultyAgent.job(), key: "one") }
            }
            #expect(
                error?.code == "store.database" && error?.kind == .refused(status: 503), "\(String(describing: error))")
            #expect(agent.log.contains("request failed") && agent.log.contains("disk I/O error"))
            let run = try await agent.submit(FaultyAgent.job(), key: "one")
            #expect(try await agent.submit(FaultyAgent.job(), key: "one") == run)
            _ = try await agent.finish(run)
            try await agent.expectPromises([run])
        }
    }

    @Test func `on a slow disk everything is later and nothing is otherwise`() async throws {
        try await FaultyAgent.run { agent in
            try await agent.start()
            try await agent.faults.during(AgentFaults.Fault(kind: .sync, delay: 100_000)) {
                var runs: [RunID] = []
                for _ in 0..<3 { runs.append(try await agent.submit(FaultyAgent.job())) }
                for run in runs { _ = try await agent.finish(run) }
                try await agent.expectPromises(runs)
            }
        }
    }

    @Test func `an agent that is killed while its disk fails has told nobody what it did not keep`() async throws {
        try await FaultyAgent.run { agent in
            try await agent.start()
            let run = try await agent.submitWaiting()
            let pid = try await agent.pid()
            try agent.faults.begin(AgentFaults.Fault(kind: .sync, code: EIO))
            try agent.go()
            try await agent.awaitLog("trying again")
            #expect(try await agent.detail(run).summary.status == .running)
            #expect(kill(pid, SIGKILL) == 0)
            try agent.faults.end(.sync)
            await agent.own.awaitEnd()
            try await agent.start()
            _ = try await agent.finish(run)
            try await agent.expectPromises([run])
        }
    }

    @Test(arguments: ["fdatasync:error=EIO", "write:error=EIO"])
    func `a warden whose journal fails ends its steps, and the run is lost rather than wrong`(
        fault: String
    ) async throws {
        try await FaultyAgent.run { agent in
            try await agent.start()
            let run = try await agent.submitWaiting()
            let journal = "\(agent.own.state)/runs/\(run)/attempts/1/journal"
            let path = fault.hasPrefix("write") ? journal : nil
            try await WardenFault.during([fault], in: try agent.warden(of: run), path: path) {
                try agent.go()
                let detail = try await agent.finish(run)
                // What it had written before it could not sync it is as true as it ever was.
                let isKnown = detail.summary.status == .succeeded && !fault.hasPrefix("write")
                #expect(isKnown || detail.summary.reason == "WardenLost", "\(detail.conditions)")
                let exit = detail.attempts[0].steps.first { $0.name == "main" }?.exit
                #expect(isKnown ? exit == .code(0) : exit == nil || exit == .unknown)
            }
            try await agent.expectPromises([run], succeeded: false)
            let next = try await agent.submit(FaultyAgent.job())
            _ = try await agent.finish(next)
            try await agent.expectPromises([run, next], succeeded: false)
        }
    }
}
