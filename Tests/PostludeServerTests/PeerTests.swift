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
            DispatchQueue.global().async {
                continuation.resume(with: Result { try blocking(arguments, as: uid, agent) })
            }
        }
    }

    private func blocking(_ arguments: [String], as uid: UInt32, _ agent: LiveAgent) throws -> Answer {
        let copy = agent.directory.appendingPathComponent("postlude")
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
        process.currentDirectoryURL = agent.directory
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
                to: agent.directory.appendingPathComponent("op.yaml"), atomically: true, encoding: .utf8)

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

    @Test func `the system's socket is open to all, and a stale one is replaced`() async throws {
        try await LiveAgent.run { agent in
            var info = stat()
            #expect(stat(agent.socket, &info) == 0 && info.st_mode & 0o777 == 0o666)
        }
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
