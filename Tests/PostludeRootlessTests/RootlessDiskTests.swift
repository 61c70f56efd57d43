import Foundation
import PostludeAPI
import PostludeCore
import PostludeReports
import Testing

/// What runs may write, held to by an agent that is an ordinary user's.
@Suite(.enabled(if: RootlessAgent.isAble, "needs root and the programs"), .timeLimit(.minutes(5)))
struct RootlessDiskTests {
    @Test func `a run above its limit of storage ends, its hook runs, and its size is told`() async throws {
        try await RootlessAgent.run { agent async throws in
            let script = #"head -c 100M /dev/zero > "$POSTLUDE_ARTIFACTS/x"; exec sleep 600"#
            let hook = """
                hooks:
                - name: alert
                  trigger: failed
                  component: {run: {kind: job, container: {command: ["true"]}}}
                """
            let (detail, result) = try await agent.run(
                RootlessAgent.job(
                    script, more: hook, container: "resources: {limits: {ephemeral-storage: 50Mi}}"))
            #expect(result.status == 1, "\(result)")
            #expect(detail.summary.status == .failed && detail.summary.reason == "DiskLimit", "\(detail) \(result)")
            #expect(detail.hooks.first?.status == .succeeded, "\(detail.hooks)")
            // It may have been ended before it had written all it was to write.
            let size = try #require(detail.attempts.last?.artifactsBytes)
            #expect(size > 50 << 20)
            let inspected = try await agent.postlude("inspect", detail.summary.id.description)
            #expect(inspected.output.contains(" (\(Units.bytes(size)) on disk)"), "\(inspected)")
        }
    }

    @Test func `artifacts of which not everything can be read have no size`() async throws {
        try await RootlessAgent.run { agent async throws in
            let (detail, result) = try await agent.run(
                RootlessAgent.job(#"mkdir "$POSTLUDE_ARTIFACTS/d"; chmod 0 "$POSTLUDE_ARTIFACTS/d""#))
            #expect(detail.summary.status == .succeeded, "\(result)")
            #expect(detail.attempts.last?.artifactsBytes == nil)
            let json = try await agent.postlude("inspect", "--json", detail.summary.id.description)
            #expect(try json.decoded(RunDetail.self).attempts.last?.artifactsBytes == nil)
        }
    }

    /// The disk of the runs alone is nearly full; the agent's own processes see it mounted.
    @Test func `the reserve of a small disk ends the run that fills it`() async throws {
        let runs = "DIRECTORY/home/.local/state/postlude/runs"
        let disk =
            "mkdir -p \(runs) && chown -R --reference=DIRECTORY/home DIRECTORY/home/.local"
            + " && mount -t tmpfs -o size=64m,mode=711 tmpfs \(runs) && chown --reference=DIRECTORY/home \(runs)"
        try await RootlessAgent.run(configuration: "diskReserve: 24Mi", preparation: disk) { agent async throws in
            try await agent.startAgent()
            let script = """
                i=0
                while [ $i -lt 400 ]; do
                    head -c 256k /dev/zero >> "$POSTLUDE_ARTIFACTS/x"; i=$((i + 1)); sleep 0.02
                done
                exec sleep 600
                """
            let (detail, result) = try await agent.run(RootlessAgent.job(script))
            #expect(detail.summary.reason == "DiskPressure", "\(detail) \(result)")
            let refused = try await agent.postlude("submit", "op.yaml")
            #expect(refused.status == 3 && refused.error.contains("engine.disk-pressure"), "\(refused)")
        }
    }
}
