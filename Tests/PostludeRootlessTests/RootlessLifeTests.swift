import Foundation
import PostludeAPI
import PostludeCore
import Testing

/// Stopping, killing and refusing, by an agent that has neither root nor a cgroup.
@Suite(.enabled(if: RootlessAgent.isAble, "needs root and the programs"), .timeLimit(.minutes(5)))
struct RootlessLifeTests {
    /// Leaves processes behind that try to outlive everything: in sessions of their own, deaf to signals, forking on.
    private static let swarm = """
        trap '' TERM HUP INT
        for i in 1 2 3; do
            setsid sh -c 'trap "" TERM HUP; while :; do (sleep 0.05) & wait; done' &
        done
        echo up
        """

    @Test func `stop leaves no process of a run`() async throws {
        try await RootlessAgent.run { agent async throws in
            let id = try await agent.submit(
                RootlessAgent.job("\(Self.swarm)\nwhile :; do sleep 1; done").replacingOccurrences(
                    of: "termination: {}", with: "termination: {gracePeriodSeconds: 1}"))
            try await agent.awaitOutput("up", of: try await agent.client.run(id))
            #expect(try await agent.postlude("stop", id).status == 0)
            let run = try await agent.awaitEnd(of: id)
            #expect(run.summary.status == .stopped, "\(run)")
            let left = try await agent.strangers()
            #expect(left == [], "\(agent.log)")
        }
    }

    @Test func `what main leaves behind ends with it`() async throws {
        try await RootlessAgent.run { agent async throws in
            let (run, result) = try await agent.run(RootlessAgent.job(Self.swarm))
            #expect(run.summary.status == .succeeded && result.output == "up\n", "\(result)")
            let left = try await agent.strangers()
            #expect(left == [])
        }
    }

    @Test func `a run goes on when its agent is killed, and the next agent takes it up`() async throws {
        try await RootlessAgent.run { agent async throws in
            let id = try await agent.submit(
                RootlessAgent.job("echo up; until [ -e go ]; do sleep 0.05; done; echo done"))
            try await agent.awaitOutput("up", of: try await agent.client.run(id))
            let first = try await agent.client.info().pid
            #expect(kill(first, SIGKILL) == 0)
            while access("/proc/\(first)/exe", F_OK) == 0 { await Task.yield() }
            try agent.write("", to: "go")
            let logs = try await agent.postlude("logs", "-f", id)
            #expect(logs.status == 0 && logs.output == "up\ndone\n", "\(logs) \(agent.log)")
            let run = try await agent.awaitEnd(of: id)
            #expect(run.summary.status == .succeeded)
            #expect(try await agent.client.info().pid != first)
            #expect(agent.log.contains("attempt adopted"), "\(agent.log)")
        }
    }

    @Test func `when a warden is killed its steps end, and the run is not called a success`() async throws {
        try await RootlessAgent.run { agent async throws in
            let id = try await agent.submit(RootlessAgent.job("\(Self.swarm)\nwhile :; do sleep 1; done"))
            let run = try await agent.client.run(id)
            try await agent.awaitOutput("up", of: run)
            let warden = try agent.warden(of: run)
            #expect(kill(warden, SIGKILL) == 0)
            let ended = try await agent.awaitEnd(of: id)
            #expect(ended.summary.status == .failed && ended.summary.reason == "WardenLost", "\(ended)")
            let left = try await agent.strangers()
            #expect(left == [], "\(agent.log)")
            // Its slot is free again for nobody: gone.
            let slots = try FileManager.default.contentsOfDirectory(atPath: "\(agent.state)/slots")
            for slot in slots { #expect(access("\(agent.state)/slots/\(slot)/attempt", F_OK) != 0) }
        }
    }

    @Test func `an agent that starts after both were killed finds the run lost, and none of its processes`()
        async throws
    {
        try await RootlessAgent.run { agent async throws in
            let id = try await agent.submit(RootlessAgent.job("\(Self.swarm)\nwhile :; do sleep 1; done"))
            let run = try await agent.client.run(id)
            try await agent.awaitOutput("up", of: run)
            let warden = try agent.warden(of: run)
            #expect(kill(try await agent.client.info().pid, SIGKILL) == 0)
            #expect(kill(warden, SIGKILL) == 0)
            #expect(try await agent.postlude("ps").status == 0)
            let ended = try await agent.awaitEnd(of: id)
            #expect(ended.summary.status == .failed && ended.summary.reason == "WardenLost", "\(ended)")
            let left = try await agent.strangers()
            #expect(left == [])
        }
    }

    @Test(arguments: [
        ("resources: {limits: {memory: 256Mi}}", "of memory"), ("resources: {limits: {cpu: 1}}", "of cpu time"),
    ])
    func `a limit that an operation asks for and nobody can enforce is refused`(ask: String, what: String) async throws
    {
        try await RootlessAgent.run { agent async throws in
            let (run, result) = try await agent.run(RootlessAgent.job("echo ran", container: ask))
            #expect(run.summary.status == .failed && result.output.isEmpty, "\(result)")
            #expect(run.summary.message.contains(what), "\(run.summary)")
            #expect(run.conditions.contains { $0.reason.contains("limit-unavailable") || $0.message.contains(what) })
        }
    }

    @Test(arguments: ["memory-limit", "device-filter"])
    func `a profile that goes without nothing refuses what is missing`(requirement: String) async throws {
        let strict = { (text: String) in
            guard let start = text.range(of: "withoutRoot:") else { return text }
            return text[..<start.upperBound]
                + text[start.upperBound...].replacingOccurrences(of: "- \(requirement)\n", with: "")
        }
        try await RootlessAgent.run(profiles: { String(strict($0)) }) { agent async throws in
            try agent.write(RootlessAgent.job("echo ran"), to: "op.yaml")
            let result = try await agent.postlude("run", "op.yaml")
            #expect(result.status != 0 && result.output.isEmpty, "\(result)")
            #expect(
                result.error.contains("[engine.unmet-requirements]") && result.error.contains(requirement), "\(result)")
            #expect(try await agent.client.runs().isEmpty)
        }
    }

    @Test func `where no user namespace can have a procfs, runs are refused and doctor says why`() async throws {
        // As in a container: part of /proc is covered, and the kernel gives nobody an uncovered one.
        try await RootlessAgent.run(preparation: "mount -t tmpfs none /proc/tty") { agent async throws in
            let (run, result) = try await agent.run(RootlessAgent.job("echo ran"))
            #expect(run.summary.status == .failed && result.output.isEmpty, "\(result) \(agent.log)")
            #expect(run.summary.message.contains("user namespace"), "\(run.summary)")
            let check = try await agent.client.doctor().first { $0.name == "user-namespace" }
            #expect(check?.verdict == .missing && check?.hint?.contains("/proc") == true, "\(check as Any)")
        }
    }

    @Test func `a job cannot submit to its agent`() async throws {
        try await RootlessAgent.run { agent async throws in
            // The socket of the user's own agent lies where no step sees it; its state neither.
            let (_, result) = try await agent.run(
                RootlessAgent.job("ls -A \(agent.home) \(agent.state) 2>&1; [ -S \(agent.socket) ] && echo seen"))
            #expect(!result.output.contains("seen") && !result.output.contains("runs"), "\(result)")
        }
    }

    @Test func `other users are turned away`() async throws {
        try await RootlessAgent.run { agent async throws in
            #expect(try await agent.postlude("ps").status == 0)
            var status = stat()
            #expect(lstat(agent.socket, &status) == 0 && status.st_mode & 0o077 == 0)
        }
    }
}

extension RootlessAgent {
    /// The user's processes besides the agent and the wardens that it keeps ready; waits a moment for the last to go.
    func strangers() async throws -> [String] {
        var found: [String] = []
        for _ in 0..<100 {
            found = try processes().compactMap { pid in
                let name = FileManager.default.contents(atPath: "/proc/\(pid)/comm").map {
                    String(decoding: $0, as: UTF8.self).trimmingCharacters(in: .newlines)
                }
                guard let name, !["postluded", "postlude-warden", "postlude-init", ""].contains(name) else {
                    return nil
                }
                return "\(pid) \(name)"
            }
            if found.isEmpty { return [] }
            try await Task.sleep(for: .milliseconds(20))
        }
        return found
    }

    /// The warden whose attempt this is: it has the attempt's journal open.
    func warden(of run: RunDetail) throws -> Int32 {
        let journal = "\(state)/runs/\(run.summary.id)/attempts/1/journal"
        for pid in try processes() {
            let comm = FileManager.default.contents(atPath: "/proc/\(pid)/comm").map {
                String(decoding: $0, as: UTF8.self)
            }
            guard comm == "postlude-warden\n" else { continue }
            for name in try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd") {
                do {
                    let target = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/fd/\(name)")
                    if target == journal { return pid }
                } catch {
                    continue
                }
            }
        }
        throw Failure(description: "no warden has \(journal)")
    }
}
