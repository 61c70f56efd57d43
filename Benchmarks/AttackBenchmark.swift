import Glibc
import PostludeAPI
import PostludeCore

/// What others feel while a program uses up all that it can get: commands and starts beside each kind of attack, and
/// without one, a round of each in turn.
struct AttackBenchmark {
    var places: Places
    var rounds: Int

    /// Who attacks: a user that owns nothing.
    private static let attacker: uid_t = 65534

    private struct Row {
        var attack: Attack?
        var list = Samples()
        var start = Samples()
        /// What became of the attacks.
        var ends: [String: Int] = [:]
    }

    struct Attack {
        var name: String
        /// Python that goes on until it is ended.
        var program: String
        var profile = "main"
    }

    func run() async throws {
        guard geteuid() == 0 else {
            print("attack: not measured, it needs root to submit as another user\n")
            return
        }
        let scratch = try Scratch()
        // The attacker has to reach the agent's socket, and nothing else of it.
        guard chmod(scratch.path, 0o711) == 0 else { throw BenchmarkError("chmod \(scratch.path): errno \(errno)") }
        let programs = try reachablePrograms(in: scratch)
        let agent = try Agent(places: places, directory: scratch.path)
        defer { agent.stop() }
        let work = try scratch.directory("work")
        let client = AgentClient(socketPath: agent.socket)
        var rows = [Row(attack: nil)] + Self.attacks.map { Row(attack: $0) }
        let count = min(max(1, rounds / 20), 20)
        for round in -1..<count {
            for index in rows.indices.shuffled() {
                var row = rows[index]
                try await measure(&row, client, agent, programs: programs, work: work)
                if round >= 0 { rows[index] = row }
            }
        }
        print(
            "Beside an attack of another user's, \(count) rounds of each in random order, against the same without one.\n"
        )
        print(
            table(
                ["beside", "postlude ps p50 ms", "x", "submit to first words p50 ms", "x", "the attack ended"],
                lines(rows)))
        print()
    }

    private func lines(_ rows: [Row]) -> [[String]] {
        let plain = rows.first { $0.attack == nil }
        return rows.map { row in
            [
                row.attack?.name ?? "nothing", milliseconds(row.list.median),
                ratio(row.list.median, to: plain?.list.median), milliseconds(row.start.median),
                ratio(row.start.median, to: plain?.start.median),
                row.ends.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", "),
            ]
        }
    }

    /// One attack, if there is one, and beside it some commands and a start.
    private func measure(
        _ row: inout Row, _ client: AgentClient, _ agent: Agent, programs: String, work: String
    ) async throws {
        var running: String?
        if let attack = row.attack {
            let file = "\(work)/attack.yaml"
            try write(attack.text, to: file)
            let submitted = try Child(
                arguments: [
                    "env", "-C", work, "setpriv", "--reuid", "\(Self.attacker)", "--regid", "\(Self.attacker)",
                    "--clear-groups",
                    "\(programs)/postlude", "submit", "--socket", agent.socket, file,
                ]
            ).output(by: work)
            let id = submitted.filter { !$0.isWhitespace }
            running = id
            try await client.awaitStatus(.running, of: id)
            // It takes a moment until it is at its limit.
            sleep(1)
        }
        let list = Child(arguments: ["\(places.programs)/postlude", "ps", "--socket", agent.socket])
        for _ in 0..<5 { row.list.add(try list.run()) }
        let begin = wallClock()
        let run = try await client.submit(
            Submission(path: "bench.yaml", text: Self.neighbour, workingDirectory: work))
        let id = run.summary.id.description
        try await client.events(of: id) { _ in }
        var text = ""
        try await client.logs(of: id, stream: .stdout) { buffer in
            text += String(decoding: buffer.readableBytesView, as: UTF8.self)
        }
        guard let first = Int64(text.filter { $0.isNumber }) else {
            throw BenchmarkError("run \(id) printed '\(text)' in place of a time")
        }
        row.start.add(first - begin)
        if let running { row.ends[try await end(running, client), default: 0] += 1 }
    }

    /// Stops the attack, if it has not ended for its own reason.
    private func end(_ id: String, _ client: AgentClient) async throws -> String {
        if try await !client.run(id).summary.status.isFinal {
            do { _ = try await client.stop(id) } catch {
                // It may have ended in between; if not, waiting for its end tells.
            }
        }
        try await client.events(of: id) { _ in }
        let detail = try await client.run(id)
        // What it wrote is not to be in the way of the next.
        _ = try Child(arguments: ["rm", "-rf", detail.artifacts]).run()
        return detail.summary.reason
    }

    /// The command line where the attacker can execute it.
    private func reachablePrograms(in scratch: borrowing Scratch) throws -> String {
        let copies = try scratch.directory("bin")
        _ = try Child(arguments: ["install", "-m", "755", "\(places.programs)/postlude", copies]).run()
        return copies
    }

    private static let neighbour = """
        kind: operation
        name: neighbour
        component:
          run:
            kind: job
            container: {command: [/bin/date, "+%s%N"], resources: {limits: {memory: 64Mi, cpu: 500m}}}
        """
}

extension AttackBenchmark.Attack {
    fileprivate var text: String {
        let lines = program.split(separator: "\n", omittingEmptySubsequences: false).map { "          \($0)" }
        return """
            version: 1.1
            kind: operation
            component:
              termination: {timeout: 120, gracePeriodSeconds: 1}
              run:
                kind: job
                profile: \(profile)
                container:
                  command: [/usr/bin/python3, -c]
                  resources: {limits: {memory: 128Mi, cpu: 1, ephemeral-storage: 1Gi}}
                  args:
                  - |
            \(lines.joined(separator: "\n"))

            """
    }
}

extension AttackBenchmark {
    static let attacks = [
        Attack(
            name: "fork bomb",
            program: """
                import os, time
                while True:
                    try:
                        if os.fork() == 0: time.sleep(1000)
                    except OSError: pass
                """, profile: "notifier"),
        Attack(
            name: "zombies",
            program: """
                import os
                while True:
                    try:
                        if os.fork() == 0: os._exit(0)
                    except OSError: pass
                """, profile: "notifier"),
        Attack(
            name: "memory bomb",
            program: """
                import os
                while True:
                    if os.fork() == 0:
                        x = bytearray(1 << 30)
                        os._exit(0)
                    os.wait()
                """),
        Attack(
            name: "cpu hog",
            program: """
                import os
                for _ in range(6): os.fork()
                while True: pass
                """),
        Attack(
            name: "log flood",
            program: """
                import sys
                while True: sys.stdout.buffer.write(bytes(1 << 20))
                """),
        Attack(
            name: "disk fill",
            program: """
                import os
                place = os.environ['POSTLUDE_ARTIFACTS']
                while True:
                    for number in range(64):
                        with open(f'{place}/{number}', 'wb') as file:
                            for _ in range(8): file.write(bytes(1 << 20))
                """),
    ]
}

extension AgentClient {
    /// Returns when the run has this status, or is over.
    fileprivate func awaitStatus(_ status: RunStatus, of run: String) async throws {
        struct Seen: Error {}
        do {
            try await events(of: run) { event in
                if event.kind == .status, event.subject == status.rawValue { throw Seen() }
            }
        } catch is Seen {}
    }
}
