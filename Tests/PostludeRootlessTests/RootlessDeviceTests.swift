import Foundation
import PostludeAPI
import PostludeCore
import Testing

/// Devices of an agent without root: no filter, so what is not leased is not there; and what can be verified is this user's.
@Suite(
    .enabled(
        if: RootlessAgent.isAble && access("/dev/vga_arbiter", F_OK) == 0, "needs root, the programs and a device"),
    .timeLimit(.minutes(5)))
struct RootlessDeviceTests {
    private static let configuration =
        "devices: [{id: arbiter, class: example.com/arbiter, nodes: [\(node)]}]"
    /// In the agent's own view of /dev there is a node that everybody may open by its permissions; of a real device that
    /// few programs use.
    private static let node = "/dev/vga_arbiter"
    private static let preparation = "mount --bind DIRECTORY/arbiter \(node)"
    private static let lease = "resources: {limits: {example.com/arbiter: 1}}"

    private static func makeNode(_ agent: RootlessAgent) throws {
        var status = stat()
        let path = "\(agent.directory)/arbiter"
        guard stat(node, &status) == 0, mknod(path, S_IFCHR | 0o666, status.st_rdev) == 0, chmod(path, 0o666) == 0
        else { throw RootlessAgent.Failure(description: "no node: \(errno)") }
    }

    @Test func `a leased device is there, for its run alone, and its release says what was verified`() async throws {
        try await RootlessAgent.run(configuration: Self.configuration, preparation: Self.preparation) {
            agent async throws in
            try Self.makeNode(agent)
            let node = Self.node
            let script = "exec 3< \(node) && echo opened"
            let without = try await agent.run(RootlessAgent.job(script))
            #expect(without.result.status == 1 && !without.result.output.contains("opened"), "\(without)")
            try agent.write(RootlessAgent.job(script, container: Self.lease), to: "leased.yaml")
            let leased = try await agent.postlude("run", "leased.yaml")
            #expect(leased.status == 0 && leased.output == "opened\n", "\(leased) \(agent.log)")
            let run = try await agent.client.run(try #require(try await agent.client.runs().first?.id).description)
            #expect(run.attempts[0].steps[0].receipt?.devices == [node], "\(run)")
            #expect(run.attempts[0].leases.first?.releasedAt != nil, "\(run)")
            #expect(run.notes.contains { $0.code == "engine.own-processes-only" }, "\(run.notes)")
            #expect(try await agent.client.devices().map(\.state) == [.idle])
        }
    }

    @Test func `runs beside do not keep a device from being verified`() async throws {
        try await RootlessAgent.run(configuration: Self.configuration, preparation: Self.preparation) {
            agent async throws in
            try Self.makeNode(agent)
            let first = try await agent.submit(
                RootlessAgent.job("echo up; until [ -e go ]; do sleep 0.05; done", container: Self.lease))
            try await agent.awaitOutput("up", of: try await agent.client.run(first))
            // Younger than the lease, so the release has to look into it, and may.
            let second = try await agent.submit(RootlessAgent.job("echo up; exec sleep 1000"))
            try await agent.awaitOutput("up", of: try await agent.client.run(second))
            try agent.write("", to: "go")
            let run = try await agent.awaitEnd(of: first)
            #expect(run.summary.status == .succeeded && run.attempts[0].leases.first?.releasedAt != nil, "\(run)")
            #expect(try await agent.client.devices().map(\.state) == [.idle], "\(agent.log)")
        }
    }

    @Test func `a process of the user's that has the device keeps it from the next run`() async throws {
        try await RootlessAgent.run(configuration: Self.configuration, preparation: Self.preparation) {
            agent async throws in
            try Self.makeNode(agent)
            let node = Self.node
            let id = try await agent.submit(
                RootlessAgent.job("echo up; until [ -e go ]; do sleep 0.05; done", container: Self.lease))
            try await agent.awaitOutput("up", of: try await agent.client.run(id))
            let holder = agent.process("/bin/sh", ["-c", "exec 3< \(node) && echo held && exec sleep 1000"])
            let output = Pipe()
            holder.standardOutput = output
            try holder.run()
            #expect(await RootlessAgent.blocking { output.fileHandleForReading.availableData } == Data("held\n".utf8))
            try agent.write("", to: "go")
            let run = try await agent.awaitEnd(of: id)
            #expect(run.attempts[0].leases.first?.quarantinedAt != nil, "\(run)")
            let held = try await agent.client.devices()
            #expect(held.map(\.state) == [.quarantined], "\(held)")
            #expect(held.first?.evidence.contains { $0.uid == agent.uid } == true, "\(held)")
            kill(holder.processIdentifier, SIGKILL)
            holder.waitUntilExit()
            #expect(try await agent.client.recheckDevices().map(\.state) == [.idle])
        }
    }
}
