import Foundation
import PostludeCore
import Testing

@testable import PostludeEngine

/// Hooks in real sandboxes: what they are told, and what becomes of them however main ends.
@Suite(.enabled(if: TestNode.isAble), .serialized, .timeLimit(.minutes(2)))
struct EngineHookTests {
    @Test func `a hook sees how main failed, what it used and its last lines`() async throws {
        let node = try TestNode()
        let script = """
            echo "$POSTLUDE_MAIN_STATUS $POSTLUDE_MAIN_EXIT_CODE $POSTLUDE_MAIN_ATTEMPTS ${POSTLUDE_MAIN_SIGNAL-none}"
            echo "$POLYAXON_MAIN_STDERR_TAIL"
            test "${POSTLUDE_MAIN_CPU_SECONDS%.*}" -ge 0 && test "$POSTLUDE_MAIN_PEAK_MEMORY_BYTES" -gt 0 && echo used
            grep -c '"log_tail": {' "$POSTLUDE_CONTEXT"
            tail -n 1 "$POSTLUDE_MAIN_LOGS/main.stdout.log"
            ls "$POSTLUDE_MAIN_ARTIFACTS"
            touch "$POSTLUDE_MAIN_ARTIFACTS/x" 2> /dev/null || echo read-only
            """
        try await node.running { engine in
            let hook = Hook.script(
                "alert", script, trigger: .failed,
                when: "{{ globals.main.exit_code == 3 and 'bang' in globals.main.log_tail.stderr }}",
                params: [
                    "tail": Param(value: .string("{{ globals.main.log_tail.stdout }}"), isTemplate: true)
                ], inputs: [IODeclaration(name: "tail")])
            // Braces that main writes; as text of the operation they would be a template of its own.
            let braces = "printf '\\173\\173 1 \\175\\175 bang\\n' >&2"
            let operation = PostludeCore.Operation.script(
                "seq 1 40; \(braces); echo kept > \"$POSTLUDE_ARTIFACTS/kept\"; exit 3", hooks: [hook],
                termination: Termination(maxRetries: 1, graceSeconds: 5))
            let done = try await engine.finish(try await node.submit(operation, to: engine))
            let record = try #require(done.hooks.first)
            #expect(record.outcome == .fired, "\(record.detail)")
            let run = try #require(record.run)
            let lines = try await engine.output(run).split(separator: "\n").map(String.init)
            #expect(lines == ["failed 3 2 none", "{{ 1 }} bang", "used", "1", "40", "kept", "outputs", "read-only"])
            let detail = try await engine.detail(run, for: Engine.root)
            #expect(detail.inputs["tail"] == .string((21...40).map(String.init).joined(separator: "\n")))
            #expect(
                record.explanation?.condition?.operands.first
                    == HookExplanation.Operand("globals.main.exit_code", "3"))
        }
    }

    @Test func `a main that stops at an init step shows that step's lines`() async throws {
        let node = try TestNode()
        try await node.running { engine in
            let hook = Hook.script("tell", "echo \"$POSTLUDE_MAIN_LOG_STEP: $POSTLUDE_MAIN_STDOUT_TAIL\"")
            let operation = PostludeCore.Operation.script("true", initial: ["echo no data; exit 1"], hooks: [hook])
            let done = try await engine.finish(try await node.submit(operation, to: engine))
            let run = try #require(done.hooks.first?.run)
            #expect(try await engine.output(run) == "init-0: no data\n")
        }
    }
}
