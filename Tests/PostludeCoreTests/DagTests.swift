import Testing

@testable import PostludeCore

@Suite struct DagTests {
    private static let operation = Operation(
        component: Component(job: JobSpec(container: ContainerSpec(command: ["true"]))))

    private func node(
        _ name: String, _ dependencies: [Int] = [], _ trigger: Dag.Trigger = .allSucceeded, skips: Bool = false
    ) -> Dag.Node {
        Dag.Node(name, Self.operation, dependencies: dependencies, trigger: trigger, skipOnUpstreamSkip: skips)
    }

    private static let s = RunStatus.succeeded
    private static let f = RunStatus.failed
    private static let u = RunStatus.upstreamFailed
    private static let k = RunStatus.skipped
    private static let x = RunStatus.stopped
    private static let r = RunStatus.running

    /// Trigger, statuses of two dependencies (nil has no run yet), and whether the node is due; nil has to wait.
    static let triggers: [(Dag.Trigger, [RunStatus?], Bool?)] = [
        (.allSucceeded, [s, s], true), (.allSucceeded, [s, r], nil), (.allSucceeded, [s, nil], nil),
        (.allSucceeded, [f, r], false), (.allSucceeded, [s, k], false), (.allSucceeded, [x, s], false),
        (.allSucceeded, [u, nil], false), (.allFailed, [f, f], true), (.allFailed, [f, u], true),
        (.allFailed, [f, r], nil), (.allFailed, [s, r], false), (.allFailed, [f, x], false), (.allDone, [s, f], true),
        (.allDone, [k, x], true), (.allDone, [u, r], nil), (.allDone, [nil, nil], nil), (.oneSucceeded, [s, r], true),
        (.oneSucceeded, [f, r], nil), (.oneSucceeded, [f, k], false), (.oneSucceeded, [f, s], true),
        (.oneFailed, [f, r], true), (.oneFailed, [u, nil], true), (.oneFailed, [s, r], nil),
        (.oneFailed, [s, x], false),
        (.oneDone, [r, nil], nil), (.oneDone, [k, r], true), (.oneDone, [s, f], true),
    ]

    @Test(arguments: triggers.indices)
    func `a trigger is due, never due, or waits`(index: Int) {
        let (trigger, upstream, isDue) = Self.triggers[index]
        #expect(trigger.isDue(upstream) == isDue, "\(trigger) \(upstream)")
        #expect(trigger.isDue([]) == true)
    }

    @Test func `a chain runs one after the other`() {
        let dag = Dag([node("a"), node("b", [0]), node("c", [1])])
        #expect(dag.decide([nil, nil, nil]).map(\.node) == [0])
        #expect(dag.decide([.running, nil, nil]).isEmpty)
        #expect(dag.decide([.succeeded, nil, nil]).map(\.node) == [1])
        #expect(dag.decide([.succeeded, .succeeded, .succeeded]).isEmpty)
    }

    @Test func `what follows from a failure is decided at once, wherever it stands in the file`() {
        // In the file's order the last depends on the first but one after it.
        let dag = Dag([
            node("report", [1], .allDone), node("evaluate", [2]), node("train"), node("alert", [2], .oneFailed),
            node("after", [1]),
        ])
        let verdicts = dag.decide([nil, nil, .failed, nil, nil])
        #expect(verdicts.count == 4)
        let byNode = Dictionary(verdicts.map { ($0.node, $0.verdict) }, uniquingKeysWith: { first, _ in first })
        #expect(byNode[0] == .start)
        #expect(byNode[3] == .start)
        guard case .upstreamFailed(let why)? = byNode[1], case .upstreamFailed? = byNode[4] else {
            Issue.record("\(verdicts)")
            return
        }
        #expect(why == "The trigger is all_succeeded, and of its dependencies: 'train' failed.")
    }

    @Test func `a skipped dependency skips those that ask for it, and fails the others' triggers`() {
        let dag = Dag([node("a"), node("b", [0], skips: true), node("c", [1], .allDone, skips: true), node("d", [0])])
        let verdicts = dag.decide([.skipped, nil, nil, nil])
        #expect(verdicts.map(\.node) == [1, 2, 3])
        #expect(verdicts[0].verdict == .skip("Of its dependencies: 'a' skipped."))
        guard case .upstreamFailed = verdicts[2].verdict else {
            Issue.record("\(verdicts)")
            return
        }
    }

    @Test func `the concurrency bounds who starts, in the file's order`() {
        let dag = Dag((0..<5).map { node("n\($0)") }, concurrency: 2)
        #expect(dag.decide([nil, nil, nil, nil, nil]).map(\.node) == [0, 1])
        #expect(dag.decide([.running, .succeeded, nil, nil, nil]).map(\.node) == [2])
        #expect(dag.decide([.running, .queued, nil, nil, nil]).isEmpty)
    }

    @Test func `every node of a random graph is decided about, once, and the graph ends`() {
        var generator = SplitMix64(seed: 21)
        for _ in 0..<300 {
            let count = Int.random(in: 1...14, using: &generator)
            let nodes = (0..<count).map { index in
                node(
                    "n\(index)", (0..<index).filter { _ in Int.random(in: 0..<4, using: &generator) == 0 },
                    Dag.Trigger.allCases.randomElement(using: &generator) ?? .allDone,
                    skips: Bool.random(using: &generator))
            }
            let dag = Dag(nodes, concurrency: Bool.random(using: &generator) ? 2 : nil)
            #expect(dag.cycle == nil)
            var statuses = [RunStatus?](repeating: nil, count: count)
            var rounds = 0
            while statuses.contains(where: { $0?.isFinal != true }), rounds < 100 {
                rounds += 1
                for (index, verdict) in dag.decide(statuses) {
                    #expect(statuses[index] == nil)
                    switch verdict {
                    case .start: statuses[index] = .running
                    case .skip: statuses[index] = .skipped
                    case .upstreamFailed: statuses[index] = .upstreamFailed
                    }
                }
                #expect(statuses.filter { $0 == .running }.count <= dag.concurrency ?? count)
                guard
                    let running = statuses.indices.filter({ statuses[$0] == .running }).randomElement(using: &generator)
                else { continue }
                statuses[running] = [.succeeded, .failed, .stopped, .skipped].randomElement(using: &generator)
            }
            #expect(statuses.allSatisfy { $0?.isFinal == true })
        }
    }

    @Test func `a cycle is found with its members in order`() {
        #expect(Dag([node("a", [1]), node("b", [0])]).cycle == [0, 1, 0])
        #expect(Dag([node("a", [0])]).cycle == [0, 0])
        #expect(Dag([node("a"), node("b", [0, 3]), node("c", [1]), node("d", [2])]).cycle == [1, 3, 2, 1])
        #expect(Dag((0..<1_000).map { node("n\($0)", $0 == 0 ? [] : [$0 - 1]) }).cycle == nil)
    }

    @Test func `a param takes the typed value it refers to, as data`() throws {
        var using = node("b", [0])
        using.operation.params = [
            "loss": Param(value: .string("outputs.loss"), isTemplate: true, reference: .operation("a")),
            "image": Param(value: .string("outputs.docker-image"), isTemplate: true, reference: .operation("a")),
            "text": Param(value: .string("{{ outputs.text }}!"), isTemplate: true, reference: .operation("a")),
            "top": Param(value: .string("inputs.top"), isTemplate: true, reference: .dag),
            "kept": Param(value: .string("{{ 1 + 1 }}"), isTemplate: true),
        ]
        let upstream = Dag.Upstream(
            id: RunSamples.other, name: "a", project: "p", owner: "ada", status: .succeeded, inputs: [:],
            outputs: ["loss": .double(0.5), "docker-image": .string("x:1"), "text": .string("{{ 7*7 }}")])
        var dag = upstream
        dag.inputs = ["top": .int(5)]
        let operation = try Dag.resolved(using, upstreams: ["a": upstream], dag: dag)
        #expect(operation.params["loss"]?.value == .double(0.5))
        #expect(operation.params["image"]?.value == .string("x:1"))
        #expect(operation.params["text"]?.value == .string("{{ 7*7 }}!"))
        #expect(operation.params["top"]?.value == .int(5))
        for name in ["loss", "image", "text", "top"] {
            #expect(operation.params[name]?.isTemplate == false)
            #expect(operation.params[name]?.reference == nil)
        }
        #expect(operation.params["kept"]?.isTemplate == true)
        #expect(operation.reads == [RunSamples.other])
    }

    @Test func `a reference to what is not there is an error`() {
        var using = node("b", [0])
        using.operation.params = [
            "loss": Param(value: .string("outputs.loss"), isTemplate: true, reference: .operation("a")),
            "gone": Param(value: .string("outputs.x"), isTemplate: true, reference: .operation("c")),
        ]
        let upstream = Dag.Upstream(
            id: RunSamples.other, name: "a", project: "p", owner: "ada", status: .failed, inputs: [:], outputs: [:])
        do throws(InputError) {
            _ = try Dag.resolved(using, upstreams: ["a": upstream], dag: upstream)
            Issue.record("nothing was missing")
        } catch {
            #expect(error.diagnostics.count == 2)
        }
    }
}
