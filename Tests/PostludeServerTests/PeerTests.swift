import Foundation
import PostludeAPI
import PostludeCore
import Testing

@testable import PostludeServer

/// Who is who at the socket: a second process with another uid asks the same agent.
@Suite(.enabled(if: isRoot)) struct PeerTests {
    private static let nobody: UInt32 = 65534

    private struct Answer {
        var status: Int32
        var output: String
        var error: String

        func decoded<Value: Decodable>(_ type: Value.Type) throws -> Value { try Wire.decode(type, from: output.utf8) }
        var code: String? {
            do { return try Wire.decode([String: ErrorEnvelope].self, from: output.utf8)["error"]?.code } catch {
                return nil
            }
        }
    }

    /// `postlude` as another user; the executable is copied to where that user can reach it.
    ///
    /// Waited for on a thread of its own: the tasks' threads are needed by the agent that it asks.
    private func postlude(_ arguments: [String], as uid: UInt32, _ agent: LiveAgent) async throws -> Answer {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                continuation.resume(with: Result { try blocking(arguments, as: uid, agent) })
            }
        }
    }

    private func blocking(_ arguments: [String], as uid: UInt32, _ agent: LiveAgent) throws -> Answer {
        let copy = agent.work.appendingPathComponent("postlude")
        if !FileManager.default.fileExists(atPath: copy.path) {
            // By another process: while this one has a file open for writing, whatever it forks meanwhile has it too, and
            // the kernel refuses to execute it.
            let install = try Process.run(
                URL(fileURLWithPath: "/usr/bin/install"),
                arguments: ["-m", "755", try LiveAgent.executable("postlude").path, copy.path])
            install.waitUntilExit()
        }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/setpriv")
        process.arguments =
            ["--reuid", "\(uid)", "--regid", "\(uid)", "--clear-groups", copy.path] + arguments
            + ["--no-start", "--socket", agent.socket, "--json"]
        process.currentDirectoryURL = agent.work
        process.environment = ["HOME": "/nonexistent", "PATH": "/usr/bin:/bin"]
        let (stdout, stderr) = (Pipe(), Pipe())
        process.standardOutput = stdout
        process.standardError = stderr
        try process.run()
        let output = stdout.fileHandleForReading.readDataToEndOfFile()
        let error = stderr.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return Answer(
            status: process.terminationStatus, output: String(decoding: output, as: UTF8.self),
            error: String(decoding: error, as: UTF8.self))
    }

    private static let operation = """
        version: 1.1
        kind: component
        run:
          kind: job
          container:
            command: [/bin/sh, -c, "id -u; id -G"]

        """

    @Test func `a user sees, reads and stops only their own runs, and runs as themselves`() async throws {
        try await LiveAgent.run { agent in
            let own = try await agent.client.submit(agent.submission("echo secret; exec sleep 1000", name: "root's"))
                .summary.id
            try Self.operation.write(
                to: agent.work.appendingPathComponent("op.yaml"), atomically: true, encoding: .utf8)

            #expect(try await postlude(["ps", "-a"], as: Self.nobody, agent).decoded(RunList.self).runs.isEmpty)
            for command in [["inspect"], ["stop"], ["logs"], ["logs", "-f"]] {
                let answer = try await postlude(command + [own.description], as: Self.nobody, agent)
                #expect(answer.status == 2 && answer.code == "engine.unknown-run", "\(command): \(answer)")
            }
            #expect(try await postlude(["report"], as: Self.nobody, agent).decoded(UsageList.self).records.isEmpty)

            let submitted = try await postlude(["submit", "op.yaml"], as: Self.nobody, agent)
            #expect(submitted.status == 0, "\(submitted)")
            let theirs = try submitted.decoded(RunDetail.self).summary
            #expect(theirs.uid == Self.nobody)
            _ = try await agent.settled(theirs.id)
            #expect(try await agent.log(theirs.id) == "65534\n65534\n")
            #expect(
                try await postlude(["ps", "-a"], as: Self.nobody, agent).decoded(RunList.self).runs.map(\.id) == [
                    theirs.id
                ])
            #expect(Set(try await agent.client.runs().map(\.id)) == [own, theirs.id])

            _ = try await agent.client.stop(own.description)
            _ = try await agent.settled(own)
        }
    }

    @Test func `members of the administrators' group see everybody's runs`() async throws {
        // nobody's primary group, whatever this system calls it.
        let account = try #require(UserDirectory.account(Self.nobody))
        let group = try #require(["nogroup", "nobody"].first { UserDirectory.gid(ofGroup: $0) == account.gid })
        try await LiveAgent.run(administratorsGroup: group) { agent in
            let run = try await agent.client.submit(agent.submission("true")).summary.id
            _ = try await agent.settled(run)
            #expect(
                try await postlude(["ps", "-a"], as: Self.nobody, agent).decoded(RunList.self).runs.map(\.id) == [run])
        }
    }

    @Test func `what the site's policy does not allow a user is refused by the rule's name`() async throws {
        let rule = SitePolicy.Rule(
            name: "guests", users: ["65534"], networks: [.none, .loopback], workingDirectories: ["/tmp"],
            memoryBytes: 64 << 20, timeoutSeconds: 600)
        try await LiveAgent.run(policy: SitePolicy(rules: [rule])) { agent in
            func write(_ more: String, to name: String) throws {
                let text = Self.operation.replacingOccurrences(of: "  container:", with: more + "  container:")
                try text.write(to: agent.work.appendingPathComponent(name), atomically: true, encoding: .utf8)
            }
            try write("", to: "plain.yaml")
            try write("  profile: notifier\n", to: "network.yaml")
            let refused = try await postlude(["submit", "network.yaml"], as: Self.nobody, agent)
            #expect(refused.status == 3 && refused.code == "engine.policy-refused", "\(refused)")
            #expect(refused.output.contains("'guests'") && refused.output.contains("network.yaml:7:"), "\(refused)")
            #expect(try await agent.client.runs().isEmpty)

            // What was not asked for is bounded.
            let submitted = try await postlude(["submit", "plain.yaml"], as: Self.nobody, agent)
            let run = try submitted.decoded(RunDetail.self)
            _ = try await agent.settled(run.summary.id)
            #expect(run.notes.map(\.code).contains("policy.timeout"), "\(submitted)")
            #expect(try await agent.log(run.summary.id) == "65534\n65534\n")

            // Root is not, and whom no rule names may do nothing.
            let roots = try await postlude(["submit", "network.yaml"], as: 0, agent)
            _ = try await agent.settled(try roots.decoded(RunDetail.self).summary.id)
            let other = try await postlude(["submit", "plain.yaml"], as: 4321, agent)
            #expect(other.status == 3 && other.code == "engine.no-rule", "\(other)")

            // A link does not lead out of the directories that the rule allows.
            let out = agent.work.appendingPathComponent("out").path
            try #require(symlink("/usr/share", out) == 0)
            let text = try String(contentsOf: agent.work.appendingPathComponent("plain.yaml"), encoding: .utf8)
            let submission = Submission(path: "plain.yaml", text: text, workingDirectory: out)
            let user = UserIdentity(name: "nobody", uid: Self.nobody, gid: Self.nobody, home: "/nonexistent")
            let outside = try await agent.engine.submit(submission, as: user).summary.id
            _ = try await agent.settled(outside)
            let detail = try await agent.client.run(outside.description)
            #expect(detail.summary.status == .failed, "\(detail)")
            #expect(detail.conditions.last?.message.contains("the site's policy allows /tmp") == true, "\(detail)")
        }
    }

    @Test func `a user's own agent refuses other users`() async throws {
        try await LiveAgent.run(agentUID: 1234) { agent in
            // Its socket is for its owner alone; the check behind it must hold by itself.
            var info = stat()
            #expect(stat(agent.socket, &info) == 0 && info.st_mode & 0o777 == 0o600)
            #expect(chmod(agent.socket, 0o666) == 0)
            let answer = try await postlude(["ps"], as: Self.nobody, agent)
            #expect(answer.status == 3 && answer.code == "server.other-user", "\(answer)")
        }
    }

    @Test func `a run may not use the agent that runs it`() async throws {
        try await LiveAgent.run { agent in
            // The executable is in the run's working directory, and so is another name of the socket.
            _ = try await postlude(["version"], as: 0, agent)
            let name = agent.work.appendingPathComponent("agent.sock").path
            try #require(link(agent.socket, name) == 0)
            let submission = agent.submission("./postlude ps --json --socket '\(name)'; echo; echo status $?")
            let run = try await agent.client.submit(submission).summary.id
            let events = try await agent.settled(run)
            #expect(try await agent.client.run(run.description).summary.status == .succeeded, "\(events)")
            let output = try await agent.log(run)
            #expect(output.contains("agent.caller-sandboxed"), "\(output)")
        }
    }

    @Test func `who has a device is told to those who may see the run`() async throws {
        // The number of a device that any process may hold, at a path of the test's own.
        var status = stat()
        guard stat("/dev/fuse", &status) == 0 else { return }
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent(
            "postlude-device-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer {
            do { try FileManager.default.removeItem(at: directory) } catch {
                print("cannot remove \(directory.path), ignoring: \(error)")
            }
        }
        let path = directory.appendingPathComponent("tuner").path
        try #require(mknod(path, S_IFCHR | 0o666, status.st_rdev) == 0)
        // makedev(3)'s layout, for the numbers of a device like this one.
        let (major, minor) = (UInt32(status.st_rdev >> 8 & 0xfff), UInt32(status.st_rdev & 0xff))
        let device = Device(
            id: "tuner", deviceClass: "example.com/tuner",
            nodes: [DeviceNode(path: path, major: major, minor: minor)])
        try await LiveAgent.run(devices: [device]) { agent in
            let run = try await agent.client.submit(
                agent.submission(
                    "echo up; exec sleep 1000", resources: "resources: {limits: {example.com/tuner: 1}}")
            ).summary.id
            let looks = Collected<RunID>()
            try await agent.client.logs(of: run.description, stream: .stdout, follow: true) { _ in
                await looks.add(run)
                let own = try await agent.client.devices()
                #expect(own.map(\.run) == [run])
                let theirs = try await postlude(["devices"], as: Self.nobody, agent).decoded(DeviceList.self).devices
                #expect(theirs.map(\.run) == [nil] && theirs.map(\.state) == [.leased], "\(theirs)")
                _ = try await agent.client.stop(run.description)
            }
            let events = try await agent.settled(run)
            #expect(await looks.items == [run], "\(events)")
        }
    }

    @Test func `only administrators have devices looked at`() async throws {
        try await LiveAgent.run { agent in
            #expect(try await agent.client.recheckDevices().isEmpty)
            let answer = try await postlude(["devices", "--recheck"], as: Self.nobody, agent)
            #expect(answer.status == 3 && answer.code == "server.only-administrators", "\(answer)")
        }
    }

    @Test func `the system's socket is open to all, and a stale one is replaced`() async throws {
        try await LiveAgent.run { agent in
            var info = stat()
            #expect(stat(agent.socket, &info) == 0 && info.st_mode & 0o777 == 0o666)
        }
    }
}

@Suite struct RunCgroupsTests {
    @Test(arguments: [
        ("0::/postlude/runs/w1/steps\n", RunCgroups.Membership.run), ("0::/postlude/runs\n", .run),
        ("12:pids:/x\n0::/postlude/runs/w1", .run), ("12:pids:/postlude/runs/w1\n0::/user.slice\n", .other),
        ("0::/postlude\n", .other), ("0::/x/postlude/runs/w1\n", .other), ("0::/postlude/runs-2/w1\n", .other),
        ("1:name=systemd:/\n", .unknown), ("", .unknown),
    ])
    func `runs are told from others by the unified hierarchy`(text: String, expected: RunCgroups.Membership) {
        #expect(RunCgroups(path: "/postlude/runs").membership(in: text) == expected)
    }

    @Test func `a process that is gone or out of sight is no caller`() throws {
        let runs = RunCgroups(path: "/postlude/runs")
        #expect(runs.membership(of: getpid()) == .other)
        #expect(runs.membership(of: 0) == .unknown)
        let process = try Process.run(URL(fileURLWithPath: "/bin/true"), arguments: [])
        process.waitUntilExit()
        #expect(runs.membership(of: process.processIdentifier) == .unknown)
    }
}

@Suite struct SocketFileTests {
    /// A listener at a path below a directory of the test's own.
    private func listen(_ path: String) -> Int32 {
        let (descriptor, code) = unixSocket(path, bind)
        #expect(code == 0 && Glibc.listen(descriptor, 1) == 0)
        return descriptor
    }

    @Test func `a live socket is refused, a stale one not, and only one's own is removed`() throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent(
            "postlude-socket-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer {
            do { try FileManager.default.removeItem(at: directory) } catch {
                print("cannot remove \(directory.path), ignoring: \(error)")
            }
        }
        let path = directory.appendingPathComponent("agent.sock").path
        let file = SocketFile(path: path, isShared: false)
        let first = listen(path)
        try file.open()
        let error = #expect(throws: ServerError.self) { try SocketFile(path: path, isShared: false).prepare() }
        #expect(error?.code == "agent.socket-in-use" && error?.hint != nil)
        // Nothing was opened through this one, so nothing is its to remove.
        SocketFile(path: path, isShared: false).remove()
        #expect(access(path, F_OK) == 0)
        _ = close(first)
        try SocketFile(path: path, isShared: false).prepare()
        // Another agent's file at the same path; the old one is kept, so that its inode is not given out again.
        #expect(rename(path, path + ".old") == 0)
        let second = listen(path)
        file.remove()
        #expect(access(path, F_OK) == 0)
        _ = close(second)
        #expect(rename(path + ".old", path) == 0)
        file.remove()
        #expect(access(path, F_OK) != 0)
    }
}

@Suite struct UserDirectoryTests {
    @Test(arguments: ["docker", "disk", "kvm", "shadow", "sudo", "adm", "lxd", "root"])
    func `groups that amount to root are never a job's`(name: String) {
        #expect(UserDirectory.privilegedGroups.contains(name))
    }

    @Test func `a user without an account entry runs under a number, without groups`() throws {
        let users = UserDirectory(agentUID: 0)
        let identity = try users.identity(Peer(pid: 1, uid: 3_999_999, gid: 3_999_998))
        #expect(identity == UserIdentity(name: "uid-3999999", uid: 3_999_999, gid: 3_999_998, groups: [], home: "/"))
    }

    @Test func `root has its own account, and administers`() throws {
        let users = UserDirectory(agentUID: 0)
        #expect(try users.identity(Peer(pid: 1, uid: 0, gid: 0)).name == "root")
        #expect(users.caller(Peer(pid: 1, uid: 0, gid: 0)).isAdministrator)
        #expect(!users.caller(Peer(pid: 1, uid: 65534, gid: 65534)).isAdministrator)
    }

    @Test func `a user's own agent admits that user and root`() throws {
        let users = UserDirectory(agentUID: 1000)
        try users.admit(1000)
        try users.admit(0)
        #expect(throws: ServerError.self) { try users.admit(1001) }
        #expect(throws: Never.self) { try UserDirectory(agentUID: 0).admit(1001) }
    }

    @Test(arguments: [
        ("relative.sock", "absolute"), ("/" + String(repeating: "x", count: 107), "107"),
        ("/etc/passwd", "another kind"),
        ("/etc/passwd/agent.sock", "Not a directory"),
    ])
    func `a path that can be no socket is refused before anything starts`(path: String, says: String) {
        let error = #expect(throws: ServerError.self) { try SocketFile(path: path, isShared: true).prepare() }
        #expect(
            error?.code == "server.bad-socket" && error?.message.contains(says) == true && error?.hint != nil,
            "\(String(describing: error))")
    }
}
