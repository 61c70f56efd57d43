import Glibc
import PostludeAPI
import PostludeCore

/// What an agent adds: the way from a submit to main's exec, from main's exit to its hook's, and what it takes when idle.
struct AgentBenchmark {
    var places: Places
    var rounds: Int
    var idleSeconds: Int

    func run() async throws {
        let scratch = try Scratch()
        let agent = try Agent(places: places, directory: scratch.path)
        // Not above the state directory: the agent refuses to show that to a job.
        let work = scratch.path + "/work"
        guard mkdir(work, 0o755) == 0 else { throw BenchmarkError("cannot make \(work): errno \(errno)") }
        defer { agent.stop() }
        let client = AgentClient(socketPath: agent.socket)

        var starts = Samples()
        var hooks = Samples()
        // An idle node is what is asked about: the pool of prepared wardens is full again when the next run comes.
        let chains = min(rounds, 40)
        for round in -3..<chains {
            try await Task.sleep(for: .milliseconds(1200))
            let (start, hook) = try await chain(client, work)
            guard round >= 0 else { continue }
            starts.add(start)
            hooks.add(hook)
        }
        var gaps = Samples()
        for round in -2..<chains / 2 {
            try await Task.sleep(for: .milliseconds(1200))
            let gap = try await handOver(client, work)
            if round >= 0 { gaps.add(gap) }
        }
        let busy = try await hooksBeside(Self.others, client, work, chains)
        var ps = Samples()
        var bare = Samples()
        var words = Samples()
        let list = Child(arguments: ["\(places.programs)/postlude", "ps", "--config", agent.configuration])
        for round in -5..<rounds {
            let (listed, alone) = (try list.run(), try Child(arguments: ["/bin/true"]).run())
            let told = try Child(arguments: ["/bin/date", "+%s%N"]).run()
            guard round >= 0 else { continue }
            ps.add(listed)
            bare.add(alone)
            words.add(told)
        }
        print(
            "Through an idle agent, \(chains) runs with a pause between them; each step is stored durably before it counts.\n"
        )
        print(
            table(
                ["from ... to", "p50 ms", "p99 ms"],
                [
                    ("submit to main's first words", starts),
                    ("main's last words to its hook's first, device taken back and verified between", hooks),
                    ("the same with \(Self.others) other runs in flight", busy),
                    ("main's last words to the first of the next main that waits for its device", gaps),
                    ("postlude ps, whole command", ps),
                    ("true, whole command", bare),
                    ("date, whole command", words),
                ].map { name, samples in [name, milliseconds(samples.median), milliseconds(samples.p99)] }))
        try await footprint(client, agent, work)
    }

    /// One run with a device and a hook; both programs print the time. Returns nanoseconds to main and on to the hook.
    private func chain(_ client: AgentClient, _ directory: String) async throws -> (start: Int64, hook: Int64) {
        let submitted = wallClock()
        let run = try await client.submit(submission(Self.operation, directory))
        try await client.events(of: run.summary.id.description) { _ in }
        let detail = try await client.run(run.summary.id.description)
        guard let hook = detail.hooks.first?.run, detail.hooks.first?.status == .succeeded else {
            throw BenchmarkError(
                "run \(detail.summary.id): \(detail.summary.reason) \(detail.summary.message) \(detail.hooks)")
        }
        let main = try await stamps(client, detail.summary.id)
        return (main.first - submitted, try await stamps(client, hook).first - main.last)
    }

    /// Two runs that want the same device, the second waiting for it while the first runs; nanoseconds from one to the
    /// other. The first one's hook runs beside the second's main.
    private func handOver(_ client: AgentClient, _ directory: String) async throws -> Int64 {
        let first = try await client.submit(submission(Self.holder, directory)).summary.id
        let second = try await client.submit(submission(Self.holder, directory)).summary.id
        for run in [first, second] { try await client.events(of: run.description) { _ in } }
        guard let hook = try await client.run(first.description).hooks.first?.run else {
            throw BenchmarkError("run \(first) has no hook")
        }
        let (one, next) = (try await stamps(client, first), try await stamps(client, second))
        let beside = try await stamps(client, hook)
        guard beside.first < next.last, next.first < beside.last else {
            throw BenchmarkError("the hook of \(first) (\(beside)) did not run beside \(second) (\(next))")
        }
        return next.first - one.last
    }

    /// From a main to its hook while others are in flight, which take no processor time.
    private func hooksBeside(
        _ others: Int, _ client: AgentClient, _ directory: String, _ rounds: Int
    ) async throws -> Samples {
        var sleepers: [RunID] = []
        for _ in 0..<others {
            let run = try await client.submit(submission(Self.sleeper, directory)).summary.id
            try await waitForRunning(client, run)
            sleepers.append(run)
        }
        var samples = Samples()
        for round in -2..<rounds {
            try await Task.sleep(for: .milliseconds(300))
            let (_, hook) = try await chain(client, directory)
            if round >= 0 { samples.add(hook) }
        }
        for run in sleepers { _ = try await client.stop(run.description) }
        for run in sleepers { try await client.events(of: run.description) { _ in } }
        return samples
    }

    /// The first and the last time that a run printed.
    private func stamps(_ client: AgentClient, _ run: RunID) async throws -> (first: Int64, last: Int64) {
        var text = ""
        try await client.logs(of: run.description, stream: .stdout) { buffer in
            text += String(decoding: buffer.readableBytesView, as: UTF8.self)
        }
        let times = text.split(separator: "\n").compactMap { Int64($0) }
        guard let first = times.first, let last = times.last else {
            throw BenchmarkError("run \(run) printed '\(text)' in place of a time")
        }
        return (first, last)
    }

    private func submission(_ text: String, _ directory: String) -> Submission {
        Submission(path: "bench.yaml", text: text, workingDirectory: directory)
    }

    /// What agent and wardens hold, and how often the agent wakes up with nothing to do.
    private func footprint(_ client: AgentClient, _ agent: Agent, _ directory: String) async throws {
        // Thread pools shrink some seconds after the last work.
        sleep(5)
        let before = agent.sleeps
        sleep(UInt32(idleSeconds))
        let wakeUps = agent.sleeps.map { thread, count in count - (before[thread] ?? 0) }.reduce(0, +)
        let resident = agent.status("VmRSS")

        let run = try await client.submit(submission(Self.sleeper, directory))
        try await waitForRunning(client, run.summary.id)
        let wardens = agent.wardens.compactMap(Self.privateKilobytes)
        _ = try await client.stop(run.summary.id.description)
        try await client.events(of: run.summary.id.description) { _ in }

        print()
        print(
            table(
                ["at rest", "measured"],
                [
                    ["agent, resident", resident.map { "\($0 / 1024) MB" } ?? "-"],
                    ["agent, wake-ups in \(idleSeconds) s", "\(wakeUps)"],
                    ["warden, private memory (largest of \(wardens.count))", wardens.max().map { "\($0) kB" } ?? "-"],
                ]))
        print()
    }

    private func waitForRunning(_ client: AgentClient, _ run: RunID) async throws {
        struct Seen: Error {}
        do {
            try await client.events(of: run.description) { event in
                if event.kind == .status, event.subject == RunStatus.running.rawValue { throw Seen() }
            }
        } catch is Seen {}
    }

    private static func privateKilobytes(_ pid: String) -> Int? {
        guard let text = contents("/proc/\(pid)/smaps_rollup") else { return nil }
        return text.split(separator: "\n").filter { $0.hasPrefix("Private_") && !$0.contains("Hugetlb") }
            .compactMap { line in Int(line.filter { $0.isNumber }) }.reduce(0, +)
    }

    private static let operation = """
        kind: operation
        name: bench
        hooks:
          - name: next
            trigger: succeeded
            component:
              run: {kind: job, container: {command: [/bin/date, "+%s%N"]}}
        component:
          run:
            kind: job
            container:
              command: [/bin/date, "+%s%N"]
              resources: {limits: {memory: 256Mi, cpu: 1, example.com/accelerator: 1}}
        """

    private static let others = 50

    private static let sleeper = """
        kind: operation
        name: sleeper
        component:
          run:
            kind: job
            container: {command: [/bin/sleep, "1000"], resources: {requests: {cpu: 10m}, limits: {memory: 16Mi}}}
        """

    private static let holder = """
        kind: operation
        name: holder
        hooks:
          - name: next
            trigger: done
            component:
              run: {kind: job, container: {command: [/bin/sh, -c, "date +%s%N; sleep 0.2; date +%s%N"]}}
        component:
          run:
            kind: job
            container:
              command: [/bin/sh, -c, "date +%s%N; sleep 0.2; date +%s%N"]
              resources: {limits: {memory: 256Mi, example.com/accelerator: 1}}
        """
}
