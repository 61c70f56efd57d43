import Glibc
import PostludeCore
import PostludeSpec

extension SpecBenchmark {
    /// What it takes to make the children of the largest matrix: each point's operation, compiled, in batches as the agent
    /// does.
    func expand() throws {
        let text = """
            kind: operation
            matrix:
              kind: grid
              params:
                a: {kind: range, value: [0, 100, 1]}
                b: {kind: linspace, value: [0, 1, 100]}
            component:
              inputs: [{name: a, type: int}, {name: b, type: float}]
              run:
                kind: job
                container: {command: [/bin/echo, "{{ a }}", "{{ b }}"]}

            """
        let submission = Submission(path: "expand.yaml", text: text, workingDirectory: "/home/user")
        let (read, diagnostics) = OperationReader.read(submission, hub: .empty, profiles: ["main", "hook"])
        guard let operation = read, let matrix = operation.matrix, let count = matrix.count else {
            throw BenchmarkError("the matrix cannot be read: \(diagnostics)")
        }
        let user = UserIdentity(name: "user", uid: 1000, gid: 1000, home: "/home/user")
        let before = residentKibibytes()
        var largest = before
        let start = now()
        var made = 0
        while made < count {
            let step = Pipeline.next(count: count, concurrency: count, children: [.queued: made])
            var batch: [(Operation, JobCompiler.Outline)] = []
            for index in step.create {
                let child = operation.child(at: matrix.point(index))
                let facts = RunFacts(
                    id: RunID.random(), name: "expand-\(index)", project: "default", user: user,
                    createdAt: Timestamp(microseconds: 0))
                batch.append((child, try JobCompiler.outline(child, facts: facts)))
            }
            made += batch.count
            largest = max(largest, residentKibibytes())
        }
        let took = now() - start
        print("A matrix of \(count) points, each made a child operation and compiled, \(Pipeline.batch) at a time.\n")
        print(
            table(
                ["points", "ms", "us a point", "resident memory more by"],
                [["\(count)", milliseconds(took), "\(Int(took) / 1_000 / count)", "\((largest - before) / 1_024) MiB"]])
        )
        print()
    }

    private func residentKibibytes() -> Int {
        guard let file = fopen("/proc/self/status", "r") else { return 0 }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 256)
        while fgets(&line, Int32(line.count), file) != nil {
            let words = String(decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
                .split(whereSeparator: \.isWhitespace)
            if words.first == "VmRSS:", words.count > 1 { return Int(words[1]) ?? 0 }
        }
        return 0
    }
}
