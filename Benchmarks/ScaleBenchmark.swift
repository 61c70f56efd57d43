import Glibc
import PostludeAPI
import PostludeCore

/// What a long queue costs: the same calls with more and more runs waiting, and a restart with all of them.
struct ScaleBenchmark {
    var places: Places
    /// Queue lengths, rising.
    var lengths: [Int]
    /// Runs that go on when the agent is killed.
    var running: Int
    private let samples = 40
    private let starts = 10
    private let submitters = 8
    private static let columns = [
        "queued ", "submits/s", "submit ms", "explain ms", "list ms", "cancel ms", "end to next start ms", "agent MB",
    ]

    func run() async throws {
        let scratch = try Scratch()
        var agent = try Agent(places: places, directory: scratch.path)
        let client = AgentClient(socketPath: agent.socket)
        let work = try scratch.directory("work")
        let result: Result<Void, any Error>
        do {
            result = .success(try await measure(&agent, client, work))
        } catch {
            result = .failure(error)
        }
        try await clear(client)
        agent.stop()
        try result.get()
    }

    private func measure(_ agent: inout Agent, _ client: AgentClient, _ work: String) async throws {
        try await submit(Self.operation(milliCPU: 1), running, client, work)
        try await untilRunning(running, client)
        // All that they leave of the node, so that one more runs and all others wait.
        let whole = Self.operation(milliCPU: sysconf(Int32(_SC_NPROCESSORS_ONLN)) * 1000 - running)
        try await submit(whole, 1, client, work)
        try await untilRunning(running + 1, client)
        print(
            """
            With so many runs queued, and \(running) running beside them; each \(samples) times (the next one's start \(starts) \
            times), p50; submits by \(submitters) at once until there are that many.

            """)
        var queued = 0
        for length in lengths {
            let began = now()
            try await submit(whole, length - queued, client, work)
            let rate = Int64(length - queued) * 1_000_000_000 / max(now() - began, 1)
            queued = length
            let costs = try await costs(whole, client, work).map { milliseconds($0.median) }
            let memory = "\((agent.status("VmRSS") ?? 0) / 1024)"
            let rows = table(Self.columns, [["\(length)", "\(rate)"] + costs + [memory]])
            // As they come: the longest queue takes minutes.
            print(length == lengths[0] ? rows : String(rows.split(separator: "\n")[2]))
            fflush(nil)
        }
        let restart = try agent.restart()
        print(
            """

            Killed and started again with \(queued) queued and \(running + 1) running: serving after \
            \(milliseconds(restart)) ms, then \((agent.status("VmRSS") ?? 0) / 1024) MB.

            """)
    }

    private func submit(
        _ text: String, _ count: Int, _ client: AgentClient, _ directory: String
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for submitter in 0..<submitters {
                group.addTask {
                    for _ in stride(from: submitter, to: count, by: submitters) {
                        _ = try await client.submit(Submission(path: "w.yaml", text: text, workingDirectory: directory))
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    private func costs(_ text: String, _ client: AgentClient, _ directory: String) async throws -> [Samples] {
        var (submits, cancels, nexts) = (Samples(), Samples(), Samples())
        var (lists, explanations) = (Samples(), Samples())
        for _ in 0..<samples {
            var start = now()
            let run = try await client.submit(Submission(path: "w.yaml", text: text, workingDirectory: directory))
            submits.add(now() - start)

            start = now()
            _ = try await client.wait(of: run.summary.id.description)
            explanations.add(now() - start)

            start = now()
            _ = try await client.runs(limit: 50)
            lists.add(now() - start)

            start = now()
            _ = try await client.stop(run.summary.id.description)
            cancels.add(now() - start)
        }
        for _ in 0..<starts {
            let first = try await newest(client)
            let start = now()
            _ = try await client.stop(first.description)
            while try await newest(client) == first { try await Task.sleep(for: .milliseconds(1)) }
            nexts.add(now() - start)
        }
        return [submits, explanations, lists, cancels, nexts]
    }

    /// The run that came to run last.
    private func newest(_ client: AgentClient) async throws -> RunID {
        while true {
            if let run = try await client.runs(RunFilter(statuses: [.running]), limit: 1).first { return run.id }
            try await Task.sleep(for: .milliseconds(1))
        }
    }

    private func untilRunning(_ count: Int, _ client: AgentClient) async throws {
        while try await all(.running, client).count < count { try await Task.sleep(for: .milliseconds(100)) }
    }

    private func all(_ status: RunStatus, _ client: AgentClient) async throws -> [RunSummary] {
        var found: [RunSummary] = []
        var filter = RunFilter(statuses: [status])
        repeat {
            let page = try await client.list(filter, limit: 500)
            found += page.runs
            filter.before = page.next
        } while filter.before != nil
        return found
    }

    /// Ends what runs, which would go on without the agent; what is queued ends with the directory.
    private func clear(_ client: AgentClient) async throws {
        _ = try await client.drain(from: nil, until: nil, reason: "end")
        for run in try await all(.running, client) { _ = try await client.stop(run.id.description) }
        for status in [RunStatus.running, .stopping, .processing] {
            while try await !client.runs(RunFilter(statuses: [status]), limit: 1).isEmpty {
                try await Task.sleep(for: .milliseconds(100))
            }
        }
    }

    private static func operation(milliCPU: Int) -> String {
        """
        kind: operation
        name: waits
        component:
          run: {kind: job, container: {command: [/bin/sleep, "100000"], resources: {limits: {memory: 8Mi, cpu: \(milliCPU)m}}}}
        """
    }
}
