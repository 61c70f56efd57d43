import PostludeCore
import PostludeSpec

/// What reading and deciding cost, without a sandbox: hooks of a finished run, children of a matrix.
struct SpecBenchmark {
    var rounds: Int

    static let hookCount = 50

    func run() throws {
        try hooks()
        try expand()
    }

    /// An operation with many hooks, each with a condition and params of its own: the file is read (which tries it out
    /// too), and the hooks are resolved as at the end of its run.
    private func hooks() throws {
        let hooks = (0..<Self.hookCount).map { index in
            """
              - name: hook-\(index)
                trigger: \(index % 5 == 0 ? "failed" : "succeeded")
                conditions: "{{ loss < \(index % 7) / 10.0 and globals.status == 'succeeded' }}"
                params:
                  loss: {value: "{{ loss }}"}
                  text: {value: "{{ globals.name }} of {{ globals.project_name }} ended with {{ loss }}"}
                component:
                  inputs: [{name: loss, type: float}, {name: text, type: str}]
                  run: {kind: job, container: {command: [/bin/echo, "{{ text }}", "{{ loss }}"]}}

            """
        }
        let text = """
            version: 1.1
            kind: operation
            hooks:
            \(hooks.joined())component:
              inputs: [{name: lr, type: float, value: 0.1}]
              outputs: [{name: loss, type: float}]
              run: {kind: job, container: {command: [/bin/true]}}

            """
        let submission = Submission(path: "hooks.yaml", text: text, workingDirectory: "/home/user")
        let id = RunID.random()
        let time = Timestamp(microseconds: 1_700_000_000_000_000)
        var (reading, resolving, both) = (Samples(), Samples(), Samples())
        var fired = 0
        for round in -5..<rounds {
            let start = now()
            let (read, diagnostics) = OperationReader.read(submission, hub: .empty, profiles: ["main", "hook"])
            guard let operation = read else { throw BenchmarkError("the hooks cannot be read: \(diagnostics)") }
            let wasRead = now()
            let main = HookResolution.MainContext(
                id: id, name: "main", project: "default", owner: "user", status: .succeeded,
                condition: RunCondition(status: .succeeded, reason: "Succeeded", at: time),
                inputs: ["lr": .double(0.1)], outputs: ["loss": .double(0.25)],
                inputDeclarations: operation.component.inputs, outputDeclarations: operation.component.outputs)
            let resolved = HookResolution.resolve(operation.hooks, main: main)
            let end = now()
            fired = resolved.filter { $0.outcome == .fired }.count
            guard resolved.count == Self.hookCount, !resolved.contains(where: { $0.outcome == .error }) else {
                throw BenchmarkError("hooks cannot be resolved: \(resolved.filter { $0.outcome == .error })")
            }
            guard round >= 0 else { continue }
            reading.add(wasRead - start)
            resolving.add(end - wasRead)
            both.add(end - start)
        }
        print("An operation with \(Self.hookCount) hooks of which \(fired) fire, read and resolved \(rounds) times.\n")
        let rows = [("read", reading), ("resolve", resolving), ("both", both)].map { name, samples in
            [name, milliseconds(samples.median), milliseconds(samples.p99)]
        }
        print(table(["step", "p50 ms", "p99 ms"], rows))
        print()
    }
}
