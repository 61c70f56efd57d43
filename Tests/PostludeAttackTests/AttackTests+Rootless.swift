import Foundation
import PostludeCore
import Testing

@testable import PostludeSandbox

/// The same attacks on runs of an agent that is an ordinary user's: the whole agent, for only as that user's process does
/// it have that user's rights. It has no cgroup, so nothing of what it does without is there to help.
extension AttackTests {
    @Test(arguments: Place.rootless)
    func `every attack is refused by an agent without root too`(place: Place) async throws {
        var report = AttackReport(place: "\(place)")
        // Nobody bounds it there, and the run's receipt says so.
        report.leaveOut("CG12", "not promised without a cgroup: processor time")
        let rows = report.promised(table.rows.filter { $0.isTried(place) && $0.id != "CG12" }, place)
        #expect(!rows.isEmpty)
        let stage = try AttackStage()
        // More than a small host has: the run beside and the attack are to run at once.
        let agent = try RootlessAgent(
            uid: stage.fixture.user.uid, configuration: "cpus: 16\nmemory: 64Gi",
            profiles: { text in
                // Fewer files than the attack makes there, or it would not meet the limit; and no more processes than an
                // emulated machine ends in time.
                AttackStage.isEmulated
                    ? text.replacing(/tmpInodes: [0-9]+/, with: "tmpInodes: 10000")
                        .replacing(/maxPIDs: [0-9]{4}/, with: "maxPIDs: 512") : text
            })
        do {
            try await attack(rows, agent, stage, place, &report)
        } catch {
            Issue.record(error, "\(agent.log)")
        }
        await agent.end()
    }

    private func attack(
        _ rows: [AttackTable.Row], _ agent: RootlessAgent, _ stage: AttackStage, _ place: Place,
        _ report: inout AttackReport
    ) async throws {
        let ids = rows.map(\.id)
        // Another run of the same user, which listens: nothing but the sandbox is between the two.
        let attacker = "\(stage.working)/attacker"
        let neighbour = try await submit(
            [attacker, "--neighbour"], stage.facts, agent, stage, profile: "main", name: "neighbour.json")
        try await agent.awaitOutput("up", of: try await agent.client.run(neighbour))
        let facts = facts(of: stage, agent, beside: neighbour, place: place)
        let id = try await submit(
            [attacker] + ids, facts, agent, stage, profile: place.profile, name: "attack.json",
            planting: [attacker, "--plant"])
        let run = try await agent.awaitEnd(of: id)
        func log(_ stream: String) -> String {
            let path = "\(agent.state)/runs/\(run.summary.id)/attempts/1/main.\(stream).log"
            return FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } ?? ""
        }
        let output = log("stdout")
        #expect(run.summary.status == .succeeded, "\(run.conditions) \(log("stderr")) \(agent.log)")
        AttackReport.keep(output, "\(place)")
        let lines = output.split(separator: "\n").compactMap { AttackResult(line: $0) }
        let results = Dictionary(lines.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
        for row in rows { report.judge(row, results[row.id], place) }
        report.print()
        #expect(report.refused == report.tried, "\(place)")
        #expect(report.tried > 100)
    }

    /// What the stage knows of the host, and of this agent instead of the stage's own sandbox.
    private func facts(
        of stage: AttackStage, _ agent: RootlessAgent, beside neighbour: String, place: Place
    ) -> [String: String] {
        var facts = stage.facts
        let other = "\(agent.state)/runs/\(neighbour)"
        facts["ATTACK_INSIDE"] = "1"
        facts["ATTACK_PLANTED"] = "1"
        facts["ATTACK_ARTIFACTS"] = "{{ globals.run_artifacts_path }}"
        facts["ATTACK_ATTEMPT"] = "\(agent.state)/runs/{{ globals.uuid }}/attempts/1"
        facts["ATTACK_STATE"] = agent.state
        facts["ATTACK_STEP_FILE"] = "/plx-context/context.json"
        facts["ATTACK_SETUID"] = "\(stage.working)/setuid-root"
        // In place of the stage's own, which is no agent's here.
        let sockets = (stage.facts["ATTACK_SOCKETS"] ?? "").split(separator: "\n").dropFirst().map(String.init)
        facts["ATTACK_SOCKETS"] = ([agent.socket] + sockets).joined(separator: "\n")
        facts["ATTACK_SECRETS"] =
            "\(agent.state)/postlude.sqlite\n\(other)/attempts/1/journal\n\(stage.facts["ATTACK_SECRETS"] ?? "")"
        facts["ATTACK_OTHER_RUNS"] = [
            agent.state, "\(agent.state)/runs", "\(other)/attempts/1/journal", "\(other)/attempts/1/main.stdout.log",
            "\(other)/artifacts", "/plx-context/artifacts/\(neighbour)",
        ].joined(separator: "\n")
        return facts
    }

    private func submit(
        _ command: [String], _ environment: [String: String], _ agent: RootlessAgent, _ stage: AttackStage,
        profile: String, name: String, planting: [String]? = nil
    ) async throws -> String {
        let variables = environment.map { ["name": $0.key, "value": $0.value] }
        let container: [String: Any] = ["command": command, "env": variables]
        var job: [String: Any] = ["kind": "job", "profile": profile, "container": container]
        if let planting { job["init"] = [["container": ["command": planting, "env": variables] as [String: Any]]] }
        let operation: [String: Any] = [
            "version": 1.1, "kind": "operation",
            "component": ["termination": ["timeout": 600], "run": job] as [String: Any],
        ]
        // JSON is YAML, and knows how to write any text.
        let text = try JSONSerialization.data(withJSONObject: operation, options: .withoutEscapingSlashes)
        try agent.write(String(decoding: text, as: UTF8.self), to: name)
        let result = try await agent.command("postlude", ["submit", "\(agent.work)/\(name)"], at: stage.working)
        try #require(result.status == 0, "\(result) \(agent.log)")
        return result.output.trimmingCharacters(in: .whitespacesAndNewlines)
    }
}
