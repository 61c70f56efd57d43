import Foundation
import PostludeAPI
import PostludeCore
import Testing

/// Launches for which the host lacks something: what is queued waits and says why, and nothing is lost.
@Suite(.enabled(if: isRoot, "needs root"), .serialized, .timeLimit(.minutes(2)))
struct LaunchFaultTests {
    /// Runs that were submitted under the fault wait for its end, and say so; then they do what they would have done.
    private func expectWait(
        _ agent: FaultyAgent, saying words: String, until end: () async throws -> Void
    ) async throws {
        var runs: [RunID] = []
        // As many as there are wardens prepared ahead, and more.
        for _ in 0..<5 { runs.append(try await agent.submit(FaultyAgent.job())) }
        // The first that finds no warden may be a hook run as well.
        try await agent.eventually { try await agent.client.runs().contains { $0.reason == "LaunchDelayed" } }
        let all = try await agent.client.runs()
        let delayed = try #require(all.first { $0.reason == "LaunchDelayed" })
        #expect(delayed.status == .scheduled && delayed.message.contains(words), "\(delayed)")
        let explanation = try await agent.explanation(of: delayed.id)
        #expect(explanation.contains("LaunchDelayed") && explanation.contains(words), "\(explanation)")
        #expect(agent.log.contains("an effect failed and is tried again"))
        try await end()
        for run in runs { _ = try await agent.finish(run) }
        try await agent.expectPromises(runs)
    }

    @Test(arguments: [
        (AgentFaults.Fault(kind: .spawn, code: EAGAIN), "Resource temporarily unavailable"),
        (AgentFaults.Fault(kind: .spawn, code: ENOMEM), "Cannot allocate memory"),
        (AgentFaults.Fault(kind: .mkdir, code: ENOSPC), "No space left on device"),
    ])
    func `runs wait while a call is refused that a launch needs`(fault: AgentFaults.Fault, words: String) async throws {
        try await FaultyAgent.run { agent in
            try await agent.start()
            try agent.faults.begin(fault)
            try await expectWait(agent, saying: words) { try agent.faults.end(fault.kind) }
        }
    }

    /// The kernel itself refuses: no cgroup may have another below it, or no process another.
    @Test(arguments: ["cgroup.max.descendants", "pids.max"])
    func `runs wait while the kernel refuses by`(limit: String) async throws {
        try await FaultyAgent.run { agent in
            try await agent.start()
            let file = try agent.cgroupFile(limit)
            try "0".write(toFile: file, atomically: false, encoding: .utf8)
            try await expectWait(agent, saying: "Resource temporarily unavailable") {
                try "max".write(toFile: file, atomically: false, encoding: .utf8)
            }
        }
    }

    /// The kernel takes no quota that is above the one of all runs.
    @Test func `a limit that the kernel refuses ends the run with the reason, and no program has run`() async throws {
        try await FaultyAgent.run { agent in
            try await agent.start()
            let quota = try agent.cgroupFile("cpu.cfs_quota_us")
            try "1000".write(toFile: quota, atomically: false, encoding: .utf8)
            let run = try await agent.submit(FaultyAgent.job())
            try await agent.eventually { try await agent.detail(run).summary.status.isFinal }
            let detail = try await agent.detail(run)
            #expect(detail.summary.reason == "SandboxSetupFailed" && agent.starts(of: run) == 0)
            #expect(detail.summary.message.contains("errno 22"), "\(detail.conditions)")
            try "-1".write(toFile: quota, atomically: false, encoding: .utf8)
            let next = try await agent.submit(FaultyAgent.job())
            for run in [run, next] { _ = try await agent.finish(run) }
            #expect(try await agent.detail(next).summary.status == .succeeded)
            try await agent.expectPromises([run, next], succeeded: false)
        }
    }

    @Test func `a run ends with the reason while postlude-output is missing, and the next one runs`() async throws {
        try await FaultyAgent.run { agent in
            let bin = agent.own.directory.appendingPathComponent("bin")
            try FileManager.default.createDirectory(at: bin, withIntermediateDirectories: false)
            for name in ["postluded", "postlude-warden", "postlude-output"] {
                try FileManager.default.copyItem(
                    at: LiveAgent.executable(name), to: bin.appendingPathComponent(name))
            }
            try await agent.start(program: bin.appendingPathComponent("postluded").path)
            let output = bin.appendingPathComponent("postlude-output").path
            #expect(rename(output, output + ".old") == 0)
            let run = try await agent.submit(FaultyAgent.job())
            try await agent.eventually { try await agent.detail(run).summary.status.isFinal }
            let end = try await agent.detail(run).summary
            #expect(end.reason == "LaunchFailed" && end.message.contains("postlude-output"), "\(end)")
            #expect(rename(output + ".old", output) == 0)
            let next = try await agent.submit(FaultyAgent.job())
            for run in [run, next] { _ = try await agent.finish(run) }
            #expect(try await agent.detail(next).summary.status == .succeeded)
        }
    }

    /// As an upgrade does that replaces the programs, or goes wrong: gone, no program, or another one.
    @Test(arguments: ["gone", "no program", "another program", "not allowed"])
    func `runs wait while the warden is`(state: String) async throws {
        let words = [
            "gone": "No such file", "no program": "Exec format error", "another program": "It ended at once",
            "not allowed": "Permission denied",
        ]
        try await OwnAgent.run { place in
            let path = place.directory.appendingPathComponent("warden").path
            let files = FileManager.default
            try files.copyItem(atPath: LiveAgent.executable("postlude-warden").path, toPath: path)
            try await FaultyAgent.run(configuration: "wardenPath: \(path)") { agent in
                try await agent.start()
                try files.moveItem(atPath: path, toPath: path + ".old")
                switch state {
                case "no program": try "garbage".write(toFile: path, atomically: false, encoding: .utf8)
                case "another program": try files.copyItem(atPath: "/bin/true", toPath: path)
                case "not allowed": try "".write(toFile: path, atomically: false, encoding: .utf8)
                case _: break
                }
                if state == "no program" { chmod(path, 0o755) }
                try await expectWait(agent, saying: try #require(words[state])) {
                    #expect(rename(path + ".old", path) == 0)
                }
            }
        }
    }

    @Test func `a run whose launch is delayed can be stopped, and its hooks run when they can`() async throws {
        try await FaultyAgent.run { agent in
            try await agent.start()
            try agent.faults.begin(AgentFaults.Fault(kind: .spawn, code: EAGAIN))
            var runs: [RunID] = []
            for _ in 0..<5 { runs.append(try await agent.submit(FaultyAgent.job())) }
            try await agent.eventually { try await agent.client.runs().contains { $0.reason == "LaunchDelayed" } }
            for run in runs {
                do { _ = try await agent.client.stop(run.description) } catch let error as ClientError {
                    // It has ended by then: some wardens were there before.
                    #expect(error.code == "engine.already-finished")
                }
            }
            try await agent.eventually {
                try await agent.client.runs().allSatisfy { $0.upstream != nil || $0.status.isFinal }
            }
            try agent.faults.end(.spawn)
            for run in runs { _ = try await agent.finish(run) }
            try await agent.expectPromises(runs, succeeded: false)
        }
    }
}
