import Glibc
import PostludeAPI
import PostludeCore

/// How many no-op runs a second an agent takes from submit to end, two at a time, beside what does less for each of them.
struct ThroughputBenchmark {
    var places: Places
    var repetitions: Int
    /// Runs of a repetition.
    private let count = 500
    /// Submitters at once, as many users' commands would be.
    private let submitters = 8

    private struct Row {
        var name: String
        /// How many of them a repetition has.
        var count: Int
        var samples = Samples()
    }

    func run() async throws {
        let scratch = try Scratch()
        let agent = try Agent(places: places, directory: scratch.path)
        let work = try scratch.directory("work")
        defer { agent.stop() }
        let client = AgentClient(socketPath: agent.socket)
        let peers = PeerQueues(directory: try scratch.directory("peers"))

        var rows = [
            Row(name: "xargs: fork + exec, no queue", count: count),
            Row(name: "xargs: bwrap with all namespaces, no queue", count: count),
            Row(name: "task-spooler: no isolation, not durable", count: count),
            // It looks for room about once a second, so that more would only take longer.
            Row(name: "Slurm: no isolation", count: 40),
            Row(name: "Slurm, 64 at a time", count: count),
            Row(name: "Postlude: full sandbox, durable", count: count),
            Row(name: "of that, submits alone", count: count),
        ]
        for repetition in -1..<repetitions {
            for index in 0..<6 {
                var elapsed: [Int: Int64?] = [:]
                switch index {
                case 0: elapsed[0] = try peers.xargs(["/bin/true"], count)
                case 1: elapsed[1] = Child.exists("bwrap") ? try peers.xargs(Self.bubblewrap, count) : nil
                case 2: elapsed[2] = try peers.taskSpooler(count)
                case 3: elapsed[3] = try peers.slurm(rows[3].count, atATime: 2)
                case 4: elapsed[4] = try peers.slurm(count, atATime: 64)
                default: (elapsed[6], elapsed[5]) = try await agentRuns(client, work)
                }
                // The first repetition warms caches up.
                for case let (row, time?) in elapsed where repetition >= 0 { rows[row].samples.add(time) }
            }
        }
        let reference = rows[1].samples.median
        print(
            """
            No-op runs, two at a time unless it says otherwise, \(repetitions) repetitions of \(count) each in turn, from the first \
            submit until the last is over, \(submitters) submitters at once.

            """)
        print(
            table(
                ["", "runs/s p50", "slowest", "fastest", "x bwrap"],
                rows.map { row in
                    [
                        row.name, rate(row, row.samples.median), rate(row, row.samples.percentile(1)),
                        rate(row, row.samples.percentile(0)),
                        ratio(
                            reference.map { $0 * Int64(row.count) }, to: row.samples.median.map { $0 * Int64(count) }),
                    ]
                }))
        print()
    }

    private func rate(_ row: Row, _ nanoseconds: Int64?) -> String {
        guard let nanoseconds, nanoseconds > 0 else { return "-" }
        return "\(Int64(row.count) * 1_000_000_000 / nanoseconds)"
    }

    /// Nanoseconds until all are submitted, and until all are over.
    private func agentRuns(_ client: AgentClient, _ directory: String) async throws -> (submitted: Int64, ended: Int64)
    {
        let start = now()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for submitter in 0..<submitters {
                group.addTask {
                    for _ in stride(from: submitter, to: count, by: submitters) {
                        _ = try await client.submit(
                            Submission(path: "noop.yaml", text: Self.operation, workingDirectory: directory))
                    }
                }
            }
            try await group.waitForAll()
        }
        let submitted = now() - start
        let active = RunFilter(statuses: RunFilter.activeStatuses)
        while try await !client.runs(active, limit: 1).isEmpty { try await Task.sleep(for: .milliseconds(20)) }
        let ended = now() - start
        let newest = try await client.runs(limit: count)
        guard newest.allSatisfy({ $0.status == .succeeded }) else {
            throw BenchmarkError(
                "a no-op did not succeed: \(newest.first { $0.status != .succeeded }.map(\.reason) ?? "")")
        }
        return (submitted, ended)
    }

    private static let bubblewrap = [
        "bwrap", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup",
        "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "--tmpfs", "/dev/shm",
        "--cap-drop", "ALL", "--new-session", "--die-with-parent", "--clearenv", "/bin/true",
    ]

    private static let operation = """
        kind: operation
        name: noop
        component:
          run: {kind: job, container: {command: [/bin/true], resources: {limits: {memory: 64Mi, cpu: 1}}}}
        """
}
