import Foundation
import GRDB
import PostludeAPI
import PostludeCore
import Testing

/// A `postluded` of its own with a declared device, to which something bad is done while it works.
struct FaultyAgent: Sendable {
    let own: OwnAgent
    let faults: AgentFaults
    var client: AgentClient { AgentClient(socketPath: own.socket) }

    /// One that no other test has open.
    static let node =
        ["/dev/autofs", "/dev/cpu_dma_latency", "/dev/fuse"].first { (path: String) in access(path, F_OK) == 0 } ?? ""

    static func run(
        configuration: String = "", _ test: @Sendable (FaultyAgent) async throws -> Void
    ) async throws {
        let device = "devices: [{id: tuner, class: example.com/tuner, nodes: [\(node)]}]"
        try await OwnAgent.run(configuration: configuration.isEmpty ? device : "\(configuration)\n\(device)") {
            try await test(FaultyAgent(own: $0, faults: try AgentFaults(in: $0.directory)))
        }
    }

    /// Starts it, its standard error in a file, and returns when it answers.
    ///
    /// - Parameter before: shell commands of the process that then becomes the agent.
    @discardableResult
    func start(before: String = ":", program: String? = nil) async throws -> Command {
        let program = try program ?? LiveAgent.executable("postluded").path
        let daemon = try Command(
            URL(fileURLWithPath: "/bin/sh"),
            [
                "-c", "\(before); exec \"$0\" \"$@\" 2>> agent.log", program, "--config",
                own.directory.appendingPathComponent("postlude.yaml").path,
            ], in: own.directory, environment: try faults.environment())
        try await eventually { try await own.pid() == daemon.pid }
        return daemon
    }

    func pid() async throws -> Int32 { try await own.pid() }

    var log: String {
        do {
            return try String(contentsOf: own.directory.appendingPathComponent("agent.log"), encoding: .utf8)
        } catch {
            return ""
        }
    }

    func awaitLog(_ text: String) async throws { try await eventually { log.contains(text) } }

    /// Until it holds; an agent that does not answer does not hold.
    func eventually(_ holds: () async throws -> Bool) async throws {
        while true {
            do { if try await holds() { return } } catch is ClientError {
                // It is starting, or what is tested keeps it from answering.
            }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    // MARK: runs

    /// An operation with the device and two hooks, each of whose programs leaves a mark.
    static func job(_ script: String = "", termination: String = "", more: String = "") -> String {
        let mark = "echo x >> $POSTLUDE_ARTIFACTS/outputs/started"
        let hook = "trigger: done, component: {run: {kind: job, container: {command: [/bin/sh, -c, '\(mark)']}}}"
        return """
            version: 1.1
            kind: operation
            hooks: [{name: first, \(hook)}, {name: second, \(hook)}]
            component:
              termination: {\(termination)}
              run:
                kind: job
                container:
                  command: [/bin/sh, -c, '\(mark); \(script)']
                  resources: {limits: {cpu: 0.05, memory: 64Mi, example.com/tuner: 1}}
            \(more)

            """
    }

    static let waiting = "until [ -e go ]; do sleep 0.02; done"

    func submit(_ text: String, key: String? = nil) async throws -> RunID {
        let submission = Submission(
            path: "job.yaml", text: text, workingDirectory: own.work.path, name: "job", idempotencyKey: key)
        return try await client.submit(submission).summary.id
    }

    /// Submits a job that waits, and returns when its program is at work.
    func submitWaiting(termination: String = "") async throws -> RunID {
        let run = try await submit(Self.job(Self.waiting, termination: termination))
        try await eventually { try await detail(run).summary.status == .running && starts(of: run) == 1 }
        return run
    }

    /// Lets those go on that wait.
    func go() throws { try own.write("", to: "go") }

    func detail(_ run: RunID) async throws -> RunDetail { try await client.run(run.description) }

    /// Returns when the run and its hook runs are over.
    func finish(_ run: RunID) async throws -> RunDetail {
        var end: RunDetail?
        try await eventually {
            try await client.events(of: run.description) { _ in }
            end = try await detail(run)
            return true
        }
        return try #require(end)
    }

    /// The warden of the run's only attempt.
    func warden(of run: RunID) throws -> Int32 {
        struct Identity: Decodable { var pid: Int32 }
        let text = try database().read {
            try String.fetchOne($0, sql: "SELECT warden FROM attempts WHERE run = ?", arguments: [run.description])
        }
        return try JSONDecoder().decode(Identity.self, from: Data(try #require(text).utf8)).pid
    }

    func explanation(of run: RunID) async throws -> String {
        try await own.postlude("explain", run.description).output
    }

    private func database() throws -> DatabaseQueue {
        var configuration = Configuration()
        configuration.readonly = true
        configuration.busyMode = .timeout(10)
        return try DatabaseQueue(path: "\(own.state)/store/postlude.sqlite", configuration: configuration)
    }

    /// How often a program of the run has started.
    func starts(of run: RunID) -> Int {
        do {
            let file = "\(own.state)/runs/\(run)/artifacts/outputs/started"
            return try String(contentsOfFile: file, encoding: .utf8).count { $0 == "x" }
        } catch {
            return 0
        }
    }

    /// A file of the cgroup in which all of its runs are, in the hierarchy that has it.
    func cgroupFile(_ name: String) throws -> String {
        let files = OwnCgroups.places(Installation.cgroupName(stateDirectory: own.state)).map { "\($0)/runs/\(name)" }
        return try #require(files.first { access($0, F_OK) == 0 }, "no hierarchy has \(name)")
    }

    // MARK: promises

    /// Holds the runs, which are over, against P1 to P4, P8 and P9.
    func expectPromises(_ runs: [RunID], succeeded: Bool = true) async throws {
        var hookRuns: Set<RunID> = []
        for run in runs {
            let main = try await detail(run)
            #expect(!succeeded || main.summary.status == .succeeded, "\(main.conditions)")
            #expect(succeeded ? starts(of: run) == 1 : starts(of: run) <= 1)
            #expect(main.conditions.count { $0.status.isFinal } == 1)
            #expect(succeeded ? main.attempts.count == 1 : main.attempts.count <= 1)
            let free = main.attempts.flatMap(\.leases).compactMap { $0.quarantinedAt ?? $0.releasedAt }
            #expect(free.count == main.attempts.flatMap(\.leases).count)
            #expect(main.hooks.map(\.outcome) == [.fired, .fired], "\(main.hooks)")
            for hook in main.hooks.compactMap(\.run) {
                let detail = try await detail(hook)
                #expect(hookRuns.insert(hook).inserted && detail.summary.upstream == run)
                #expect(detail.summary.status == .succeeded && starts(of: hook) == 1, "\(detail.conditions)")
                let start = try #require(detail.attempts.first?.steps.first?.startedAt)
                #expect(free.allSatisfy { $0 <= start }, "P1")
            }
        }
        let all = try await client.runs()
        #expect(Set(all.filter { $0.upstream == nil }.map(\.id)) == Set(runs), "lost, or there twice")
        #expect(all.count == runs.count * 3, "P4")
        try await eventually { try await client.devices().map(\.state) == [.idle] }
        #expect(try ledgerFaults() == [])
    }

    /// What is wrong with the device's times (P2, P8), and what is known that nobody can know (P9).
    private func ledgerFaults() throws -> [String] {
        try database().read { db in
            var faults: [String] = []
            let rows = try Row.fetchAll(db, sql: "SELECT * FROM device_intervals ORDER BY device, sequence")
            for (row, next) in zip(rows, rows.dropFirst()) where row["device"] as String == next["device"] {
                let (began, ended, then): (Int64, Int64?, Int64) = (row["began_at"], row["ended_at"], next["began_at"])
                if ended != then || then < began { faults.append("P8: \(row) is followed by \(next)") }
            }
            let twice = try Row.fetchAll(
                db,
                sql: """
                    SELECT a.run FROM leases a JOIN leases b ON a.device = b.device AND a.run <> b.run
                    WHERE a.leased_at <= b.leased_at AND COALESCE(a.released_at, 1 << 62) > b.leased_at
                    """)
            faults += twice.map { "P2: \($0)" }
            let made = try Row.fetchAll(
                db,
                sql:
                    "SELECT * FROM steps WHERE (finished_at IS NULL) <> (exit IS NULL) OR (exit IS NULL AND usage IS NOT NULL)"
            )
            return faults + made.map { "P9: \($0)" }
        }
    }
}
