import Foundation
import PostludeAPI
import PostludeCore
import Testing

/// A real agent whose database is damaged while runs are alive, repaired by `postluded --repair`, and started again.
@Suite(
    .enabled(if: isRoot && access("/dev/fuse", F_OK) == 0, "needs root and a device"), .serialized,
    .timeLimit(.minutes(10)))
struct RepairTests {
    /// Each program notes that it started, and waits for `go`. Those with the device find out whether another has it.
    private static func job(withDevice: Bool) -> String {
        let script =
            withDevice
            ? "exec 9< held; flock -n 9 || touch $POSTLUDE_ARTIFACTS/outputs/conflict; "
                + "echo x >> $POSTLUDE_ARTIFACTS/outputs/started; until [ -e go ]; do sleep 0.02; done"
            : "echo x >> $POSTLUDE_ARTIFACTS/outputs/started; until [ -e go ]; do sleep 0.02; done"
        return """
            version: 1.1
            kind: operation
            component:
              run:
                kind: job
                container:
                  command: [/bin/sh, -c, "\(script)"]
                  resources: {limits: {cpu: 0.05, memory: 64Mi\(withDevice ? ", example.com/tuner: 1" : "")}}

            """
    }

    private static let configuration = """
        devices: [{id: tuner, class: example.com/tuner, nodes: [/dev/fuse]}]
        """

    /// How often the program of each run was started, by the run's directory.
    private static func starts(_ agent: OwnAgent) -> [String: Int] {
        var starts: [String: Int] = [:]
        let runs = "\(agent.state)/runs"
        do {
            for run in try FileManager.default.contentsOfDirectory(atPath: runs) {
                let file = "\(runs)/\(run)/artifacts/outputs/started"
                guard FileManager.default.fileExists(atPath: file) else { continue }
                starts[run] = try String(contentsOfFile: file, encoding: .utf8).filter { $0 == "x" }.count
            }
        } catch {
            // There is no run yet.
        }
        return starts
    }

    /// An agent that answers: a killed one leaves its socket's name behind.
    private static func started(_ agent: OwnAgent) async throws -> Command {
        let daemon = try agent.daemon()
        while true {
            do {
                _ = try await agent.pid()
                return daemon
            } catch let error as ClientError where error.kind == .notRunning {
                try await Task.sleep(for: .milliseconds(20))
            }
        }
    }

    /// Starts runs, waits until the programs of those that fit are at work, and ends the agent.
    private static func load(_ agent: OwnAgent, with signal: Int32) async throws -> [String] {
        try agent.write(job(withDevice: false), to: "plain.yaml")
        try agent.write(job(withDevice: true), to: "device.yaml")
        try agent.write("", to: "held")
        let daemon = try await started(agent)
        var ids: [String] = []
        for number in 0..<9 {
            let name = number % 3 == 0 ? "device.yaml" : "plain.yaml"
            let submitted = try await agent.postlude("submit", name)
            try #require(submitted.status == 0, "\(submitted)")
            ids.append(submitted.output.trimmingCharacters(in: .whitespacesAndNewlines))
        }
        // Six without the device, and one that has it.
        while starts(agent).count < 7 { try await Task.sleep(for: .milliseconds(20)) }
        let pid = try await agent.pid()
        #expect(kill(pid, signal) == 0)
        _ = await daemon.result()
        await agent.awaitEnd()
        return ids
    }

    /// Repairs, starts an agent, lets all programs end, and returns how each run that is known ended.
    private static func repairAndFinish(_ agent: OwnAgent) async throws -> (report: String, runs: [RunSummary]) {
        let repair = await (try agent.daemon("--repair")).result()
        try #require(repair.status == 0, "\(repair)")
        let before = starts(agent)
        let daemon = try await started(agent)
        let client = AgentClient(socketPath: agent.socket)
        // All that the agent does at its start is done when a run that came after it is over.
        try agent.write("", to: "go")
        for run in try await client.runs() where !run.status.isFinal {
            try await client.events(of: run.id.description) { _ in }
        }
        let runs = try await client.runs()
        for (run, count) in starts(agent) {
            #expect(count == 1, "the program of \(run) was started \(count) times, \(before[run] ?? 0) before")
        }
        for run in starts(agent).keys {
            let conflict = "\(agent.state)/runs/\(run)/artifacts/outputs/conflict"
            #expect(access(conflict, F_OK) != 0, "a device was leased to two")
        }
        // Entered anew where they were lost, and free at last.
        while try await client.devices().map(\.state) != [.idle] { try await Task.sleep(for: .milliseconds(20)) }
        #expect(kill(try await agent.pid(), SIGTERM) == 0)
        _ = await daemon.result()
        return (repair.output, runs)
    }

    private static func overwrite(_ path: String, atTenth tenth: Int, bytes: Int = 4096) throws {
        let file = try FileHandle(forUpdating: URL(filePath: path))
        let size = try file.seekToEnd()
        try file.seek(toOffset: size / 4096 * UInt64(tenth) / 10 * 4096)
        try file.write(contentsOf: Data(repeating: 0xa5, count: bytes))
        try file.close()
    }

    /// The log has the last commits: with half of it gone, the database is back where it was some runs ago.
    @Test(arguments: [0, 3, 6, 9])
    func `an agent that was killed under load, its log damaged, starts nothing twice`(tenth: Int) async throws {
        try await OwnAgent.run(configuration: Self.configuration) { agent async throws in
            let ids = try await Self.load(agent, with: SIGKILL)
            try Self.overwrite("\(agent.state)/store/postlude.sqlite-wal", atTenth: tenth)
            let (report, runs) = try await Self.repairAndFinish(agent)
            #expect(report.contains("damaged-"))
            #expect(runs.allSatisfy { $0.status.isFinal })
            #expect(Set(runs.map(\.id.description)).isSubset(of: ids))
        }
    }

    @Test(arguments: [0, 2, 4, 6, 8, 9])
    func `after a page of the database was overwritten, what runs is adopted`(tenth: Int) async throws {
        try await OwnAgent.run(configuration: Self.configuration) { agent async throws in
            let ids = try await Self.load(agent, with: SIGTERM)
            // The next agent takes the log into the database; with what it writes itself the damage would be healed.
            let next = try await Self.started(agent)
            #expect(kill(try await agent.pid(), SIGTERM) == 0)
            _ = await next.result()
            let path = "\(agent.state)/store/postlude.sqlite"
            for suffix in ["-wal", "-shm"] { unlink(path + suffix) }
            try Self.overwrite(path, atTenth: tenth, bytes: tenth == 0 ? 100 : 4096)
            if tenth == 0 {
                let refused = await (try agent.daemon()).result()
                #expect(refused.status == 1 && refused.error.contains("store.corrupt"), "\(refused)")
            }
            let (report, runs) = try await Self.repairAndFinish(agent)
            #expect(Set(runs.map(\.id.description)).isSubset(of: ids))
            for id in ids where !runs.contains(where: { $0.id.description == id }) && Self.starts(agent)[id] != nil {
                #expect(report.contains(id))
            }
            #expect(!runs.isEmpty)
        }
    }
}
