import Foundation
import PostludeAPI
import PostludeCore
import Testing

/// The command line with agents of its own: started on demand, killed, idle, refused.
@Suite(.enabled(if: isRoot)) struct OwnAgentTests {
    private static func job(_ script: String, more: String = "", termination: String = "") -> String {
        """
        version: 1.1
        kind: operation
        \(more)
        component:
          termination: {\(termination)}
          run:
            kind: job
            container:
              command: [/bin/sh, -c, "\(script)"]

        """
    }

    @Test func `the exit status is the run's, and main's output is the program's`() async throws {
        try await OwnAgent.run { agent async throws in
            try agent.write(Self.job("echo out; echo err >&2"), to: "good.yaml")
            try agent.write(Self.job("exit 3"), to: "bad.yaml")
            try agent.write(Self.job("true", more: "conditions: \"{{ 1 > 2 }}\""), to: "skipped.yaml")
            let good = try await agent.postlude("run", "good.yaml")
            #expect(good.status == 0 && good.output == "out\n" && good.error.contains("err\n"), "\(good)")
            #expect(good.error.contains("succeeded") && good.error.contains("RUN "))
            let bad = try await agent.postlude("run", "bad.yaml")
            #expect(bad.status == 1 && bad.error.contains("exit 3"), "\(bad)")
            let skipped = try await agent.postlude("run", "skipped.yaml")
            #expect(skipped.status == 5, "\(skipped)")
            let report = try await agent.postlude("report", "--format", "csv")
            #expect(report.output.split(separator: "\r\n").count == 3, "\(report)")
        }
    }

    @Test func `two commands at once start one agent`() async throws {
        try await OwnAgent.run { agent async throws in
            async let first = agent.postlude("version")
            async let second = agent.postlude("ps")
            async let third = agent.postlude("devices")
            let results = try await [first, second, third]
            // `version` starts none, and finds it or not.
            #expect(results.map(\.status) == [0, 0, 0], "\(results)")
            let log = try String(contentsOfFile: agent.state + "/agent.log", encoding: .utf8)
            #expect(log.components(separatedBy: "agent ready").count == 2, "\(log)")
        }
    }

    @Test func `following goes on when the agent is killed, and no line is lost or told twice`() async throws {
        try await OwnAgent.run { agent async throws in
            try agent.write(Self.job("echo one; until [ -e go ]; do sleep 0.01; done; echo two"), to: "job.yaml")
            let command = try agent.start(["run", "job.yaml"])
            var seen = ""
            try await command.reads("one\n", into: &seen)
            let killed = try await agent.pid()
            #expect(kill(killed, SIGKILL) == 0)
            // Not the end of its claim: the command may have started the next agent before we could see that.
            await agent.awaitDeath(of: killed)
            try agent.write("", to: "go")
            let result = await command.result(after: seen)
            #expect(result.status == 0 && result.output == "one\ntwo\n", "\(result)")
            #expect(try await agent.pid() != killed)
            #expect(result.error.components(separatedBy: "step main started").count == 2, "\(result.error)")
        }
    }

    @Test func `a run outlives its agent's orderly end and is taken up by the next`() async throws {
        try await OwnAgent.run { agent async throws in
            try agent.write(Self.job("until [ -e go ]; do sleep 0.01; done; echo done"), to: "job.yaml")
            let id = try await agent.postlude("submit", "job.yaml").output.trimmingCharacters(
                in: .whitespacesAndNewlines)
            var waiting = true
            let events = AgentClient(socketPath: agent.socket)
            let cut = await #expect(throws: ClientError.self) {
                try await events.events(of: id) { event in
                    guard waiting, event.subject == "running" else { return }
                    waiting = false
                    let pid = try await agent.pid()
                    #expect(kill(pid, SIGTERM) == 0)
                }
            }
            #expect(cut?.kind == .lost)
            await agent.awaitEnd()
            #expect(!FileManager.default.fileExists(atPath: agent.socket))
            try agent.write("", to: "go")
            let logs = try await agent.postlude("logs", "-f", id)
            #expect(logs.output == "done\n", "\(logs)")
        }
    }

    /// Of the timers that are set, those with less than a second left; proc(5) tells seconds and nanoseconds.
    private static func timersWithinASecond(of pid: pid_t) -> [String] {
        let place = "/proc/\(pid)/fdinfo"
        let descriptors = FileManager.default.subpaths(atPath: place) ?? []
        return descriptors.compactMap { descriptor in
            guard let bytes = FileManager.default.contents(atPath: "\(place)/\(descriptor)") else { return nil }
            let info = String(decoding: bytes, as: UTF8.self)
            guard let left = info.firstMatch(of: /it_value: \((\d+), (\d+)\)/) else { return nil }
            return left.1 == "0" && left.2 != "0" ? info : nil
        }
    }

    /// libdispatch looks after its global queues once a second, from the first job that one of them runs: so none may.
    @Test func `an agent that was started again and has made a backup does not wake up each second`() async throws {
        try await OwnAgent.run { agent async throws in
            try agent.write(Self.job("true"), to: "job.yaml")
            #expect(try await agent.postlude("run", "job.yaml").status == 0)
            #expect(kill(try await agent.pid(), SIGTERM) == 0)
            await agent.awaitEnd()
            #expect(try await agent.postlude("ps").status == 0)
            let copy = try await agent.postlude("backup")
            #expect(copy.status == 0, "\(copy)")
            let pid = try await agent.pid()
            var soon = Self.timersWithinASecond(of: pid)
            // One that is due once may be due by chance; what ticks is so at any time.
            for _ in 0..<3 where !soon.isEmpty {
                try await Task.sleep(for: .milliseconds(1300))
                soon = Self.timersWithinASecond(of: pid)
            }
            #expect(soon.isEmpty, "\(soon)")
        }
    }

    @Test func `Ctrl-C stops the run and ends with 130`() async throws {
        try await OwnAgent.run { agent async throws in
            try agent.write(Self.job("echo up; exec sleep 1000"), to: "job.yaml")
            let command = try agent.start(["run", "job.yaml"])
            var seen = ""
            try await command.reads("up\n", into: &seen)
            #expect(kill(command.pid, SIGINT) == 0)
            let result = await command.result(after: seen)
            #expect(result.status == 130 && result.error.contains("Ctrl-C again"), "\(result)")
            let runs = try await AgentClient(socketPath: agent.socket).runs()
            #expect(runs.map(\.status) == [.stopped])
        }
    }

    @Test func `a second Ctrl-C leaves the run to itself`() async throws {
        try await OwnAgent.run { agent async throws in
            // It does not end at SIGTERM until told to, nor is killed for it however slow the machine, so the second
            // Ctrl-C always comes in between.
            try agent.write(
                Self.job(
                    "trap 'echo asked' TERM; echo up; until [ -e go ]; do sleep 0.01; done",
                    termination: "gracePeriodSeconds: 3600"), to: "job.yaml")
            let command = try agent.start(["run", "job.yaml"])
            var seen = ""
            try await command.reads("up\n", into: &seen)
            #expect(kill(command.pid, SIGINT) == 0)
            try await command.reads("asked\n", into: &seen)
            #expect(kill(command.pid, SIGINT) == 0)
            let result = await command.result(after: seen)
            #expect(result.status == 130 && result.error.contains("detached"), "\(result)")
            let runs = try await AgentClient(socketPath: agent.socket).runs()
            #expect(runs.map(\.status) == [.stopping])
            try agent.write("", to: "go")
        }
    }

    @Test func `an agent with nothing to do leaves and takes its socket along`() async throws {
        try await OwnAgent.run(configuration: "idleExitSeconds: 3") { agent async throws in
            #expect(try await agent.postlude("ps").status == 0)
            await agent.awaitEnd()
            #expect(!FileManager.default.fileExists(atPath: agent.socket))
            #expect(try await agent.postlude("ps", "--no-start").status == 4)
            #expect(try await agent.postlude("ps").status == 0)
        }
    }

    @Test func `a second agent on the same state directory is refused and harms nothing`() async throws {
        try await OwnAgent.run { agent async throws in
            #expect(try await agent.postlude("ps").status == 0)
            let second = try await agent.daemon("--socket", agent.directory.appendingPathComponent("other.sock").path)
                .result()
            #expect(
                second.status == 1 && second.error.contains("code=store.already-in-use")
                    && second.error.contains("hint="), "\(second)")
            #expect(try await agent.postlude("ps").status == 0)
        }
    }

    @Test func `a second agent at a live agent's socket is refused, and the first keeps it`() async throws {
        try await OwnAgent.run { agent async throws in
            #expect(try await agent.postlude("ps").status == 0)
            let first = try await agent.pid()
            let second = try await agent.daemon(
                "--state-directory", agent.directory.appendingPathComponent("other").path
            ).result()
            #expect(
                second.status == 1 && second.error.contains("code=agent.socket-in-use")
                    && second.error.contains("hint="), "\(second)")
            #expect(try await agent.pid() == first)
        }
    }

    @Test func `a run does not even see its agent's socket`() async throws {
        try await OwnAgent.run { agent async throws in
            try agent.write(Self.job("[ -S ../agent.sock ] && echo seen || echo hidden"), to: "job.yaml")
            let result = try await agent.postlude("run", "job.yaml")
            #expect(result.status == 0 && result.output == "hidden\n", "\(result)")
        }
    }

    @Test func `a socket that is named starts no agent, and one that a dead agent left is taken over`() async throws {
        try await OwnAgent.run { agent async throws in
            let named = try await agent.postlude("ps", "--socket", agent.socket)
            #expect(named.status == 4 && named.error.contains("[api.not-running]"), "\(named)")
            #expect(!FileManager.default.fileExists(atPath: agent.state))
            #expect(try await agent.postlude("ps").status == 0)
            #expect(kill(try await agent.pid(), SIGKILL) == 0)
            await agent.awaitEnd()
            #expect(FileManager.default.fileExists(atPath: agent.socket))
            #expect(try await agent.postlude("ps").status == 0)
            #expect(try await agent.postlude("devices", "--recheck", "--socket", agent.socket).status == 0)
        }
    }

    @Test(arguments: [
        ("wardenPath: /nonexistent/warden", "agent.no-warden"),
        ("hubDirectory: /nonexistent/hub", "hub.missing-directory"),
        ("socket: /etc/passwd", "server.bad-socket"), ("stateDirectory: /proc/postlude", "store.unusable"),
        (
            "devices: [{id: a, class: example.com/x, nodes: [/dev/null], environment: {A: a, B: b}}]",
            "agent.device-environment"
        ),
    ])
    func `what the agent cannot start with is told to whoever starts it`(setting: String, code: String) async throws {
        try await OwnAgent.run(configuration: setting) { agent async throws in
            let result = try await agent.daemon().result()
            #expect(
                result.status == 1 && result.error.contains("code=\(code)") && result.error.contains("hint="),
                "\(result)")
            // A command that starts the agent passes on what it says; what keeps it from starting one at all, it says itself.
            let command = try await agent.postlude("ps", "--json")
            let envelope = try Wire.decode([String: ErrorEnvelope].self, from: command.output.utf8)["error"]
            #expect(command.status == 4 && envelope?.message.isEmpty == false && envelope?.hint != nil, "\(command)")
            #expect(envelope?.code == code || setting.hasPrefix("s"), "\(command)")
        }
    }

    @Test(arguments: [
        ("memory: lots", "spec.invalid-value"), ("nothing: 1", "spec.unknown-key"), ("devices: [", "spec.yaml"),
    ])
    func `a configuration with faults is refused by agent and command alike`(setting: String, code: String) async throws
    {
        try await OwnAgent.run(configuration: setting) { agent async throws in
            let result = try await agent.daemon().result()
            #expect(
                result.status == 1 && result.error.contains("code=\(code)") && result.error.contains("postlude.yaml:"),
                "\(result)")
            let command = try await agent.postlude("ps")
            #expect(
                command.status == 2 && command.error.contains(code) && command.error.contains("postlude.yaml:"),
                "\(command)")
        }
    }

    @Test(arguments: [
        ["--bogus"], ["--idle-exit", "-1"], ["--socket", "x"], ["--log-format", "xml"], ["--ready-fd", "1"], ["extra"],
    ])
    func `a wrong command line of the agent ends with 2`(arguments: [String]) async throws {
        try await OwnAgent.run { agent async throws in
            let result = try await Command(LiveAgent.executable("postluded"), arguments, in: agent.directory).result()
            #expect(result.status == 2 && !result.error.isEmpty, "\(result)")
        }
    }

    @Test(arguments: [
        ("{name: r, profiles: [mian]}", "agent.policy-unknown-profile"),
        ("{name: r, users: [nobody-of-this-name]}", "agent.policy-unknown-user"),
        ("{name: r, groups: [no-such-group]}", "agent.policy-unknown-group"),
    ])
    func `a rule with a slip in it keeps the agent from starting`(rule: String, code: String) async throws {
        try await OwnAgent.run(configuration: "policy: [\(rule)]") { agent async throws in
            let result = await (try agent.daemon("--idle-exit", "1")).result()
            #expect(
                result.status != 0 && result.error.contains("code=\(code)") && result.error.contains("'r'"), "\(result)"
            )
        }
    }

    @Test func `an agent that is told to dies at a failpoint as by kill -9, says so first, and the next goes on`()
        async throws
    {
        try await OwnAgent.run { agent async throws in
            try agent.write(Self.job("echo once"), to: "job.yaml")
            let config = agent.directory.appendingPathComponent("postlude.yaml").path
            let daemon = try Command(
                LiveAgent.executable("postluded"), ["--config", config], in: agent.directory,
                environment: ["POSTLUDE_FAILPOINT": "after:bind"])
            // It may die before it has answered; the run is stored by then.
            var isReady = false
            while !isReady { isReady = try await agent.postlude("ps", "--no-start").status == 0 }
            _ = try await agent.postlude("submit", "job.yaml")
            let result = await daemon.result()
            #expect(result.status == 128 + SIGKILL && result.error.contains("failpoint=after:bind"), "\(result)")
            let runs = try await agent.postlude("ps", "-a", "--json")
            #expect(runs.status == 0, "\(runs)")
            let run = try #require(try await AgentClient(socketPath: agent.socket).runs().first)
            let logs = try await agent.postlude("logs", "-f", run.id.description)
            #expect(logs.output == "once\n", "\(logs)")
        }
    }

    @Test func `an agent does not start with a failpoint that there is none of`() async throws {
        try await OwnAgent.run { agent async throws in
            let config = agent.directory.appendingPathComponent("postlude.yaml").path
            let daemon = try Command(
                LiveAgent.executable("postluded"), ["--config", config], in: agent.directory,
                environment: ["POSTLUDE_FAILPOINT": "after:nothing"])
            let result = await daemon.result()
            #expect(result.status == 1 && result.error.contains("code=agent.unknown-failpoint"), "\(result)")
            #expect(!FileManager.default.fileExists(atPath: agent.state))
        }
    }

    @Test func `log lines are JSON documents when asked for`() async throws {
        try await OwnAgent.run { agent async throws in
            let daemon = try agent.daemon("--log-format", "json", "--ready-fd", "9", "--idle-exit", "1")
            let result = await daemon.result()
            #expect(result.status == 0, "\(result)")
            for line in result.error.split(separator: "\n") {
                let fields = try Wire.decode([String: String].self, from: line.utf8)
                #expect(fields["level"] != nil && fields["message"] != nil && fields["time"]?.hasSuffix("Z") == true)
            }
            #expect(result.error.contains("agent ready") && result.error.contains("agent ended"))
        }
    }
}
