import Testing

@testable import PostludeCore

/// From a join to the params that it makes.
@Suite struct JoinTests {
    private static let facts = RunFacts(
        id: RunSamples.other, name: "compare", project: "digits",
        user: UserIdentity(name: "ada", uid: 1000, gid: 1000, home: "/home/ada"), createdAt: RunSamples.time)

    private func operation(_ joins: [Join], inputs: [IODeclaration] = [], params: [String: Param] = [:]) -> Operation {
        Operation(
            component: Component(
                inputs: inputs, job: JobSpec(container: ContainerSpec(command: ["echo", "{{ losses }}"]))),
            params: params, joins: joins)
    }

    private func run(_ name: String, outputs: [String: Value], inputs: [String: Value] = [:]) -> FoundRun {
        FoundRun(
            id: RunID.random(), name: name, project: "digits", owner: "ada", status: .succeeded, kind: "job",
            queue: "default", inputs: inputs, outputs: outputs, createdAt: RunSamples.time)
    }

    /// The operation when its joins have found these.
    private func joined(
        _ operation: Operation, _ results: [[FoundRun]], hasMore: Bool = false
    ) throws(InputError) -> Operation {
        var gathering = try JoinGathering(operation)
        for (index, runs) in results.enumerated() {
            for run in runs { try gathering.take(run, for: index) }
            if hasMore { gathering.noteMore(for: index) }
        }
        return gathering.result
    }

    private static let losses = ["losses": JoinParam("outputs.loss", contextOnly: true)]

    @Test func `query, sort, limit and offset see globals, params and inputs`() throws {
        let join = Join(
            query: "project.name: {{ globals.project_name }}, metrics.loss: <{{ most }}", sort: "{{ by }}",
            limit: "{{ top }}", offset: "{{ top - 2 }}", params: Self.losses)
        let search = try #require(
            try operation(
                [join], inputs: [IODeclaration(name: "most", type: "float", value: .double(0.5))],
                params: [
                    "by": Param(value: .string("-metrics.loss"), isTemplate: false, contextOnly: true),
                    "top": Param(value: .int(5), isTemplate: false, contextOnly: true),
                ]
            ).searches(facts: Self.facts).first)
        #expect(search.limit == 5)
        #expect(search.offset == 3)
        #expect(search.order == (try RunOrder.parse("-metrics.loss")))
        #expect(search.criteria.words(of: .project) == ["digits"])
        #expect(search.criteria.matches(run("a", outputs: ["loss": .double(0.4)])))
        #expect(!search.criteria.matches(run("a", outputs: ["loss": .double(0.6)])))
    }

    @Test func `without limit and sort the newest hundred are wanted`() throws {
        let search = try #require(
            try operation([Join(query: "kind: job", params: Self.losses)]).searches(facts: Self.facts).first)
        #expect(search.limit == 100 && search.offset == 0 && search.order.isNewestFirst)
    }

    @Test(
        arguments: [
            (nil, "0", nil, "join.wrong-value"), (nil, "5001", nil, "join.wrong-value"),
            (nil, "many", nil, "join.wrong-value"), (nil, "{{ 1.5 }}", nil, "join.wrong-value"),
            (nil, "{{ nope }}", nil, "expression.unknown-name"), (nil, nil, "-1", "join.wrong-value"),
            (nil, nil, "10001", "join.wrong-value"), ("{{ 'loss' }}", nil, nil, "join.unknown-field"),
        ] as [(String?, String?, String?, String)])
    func `bounds and orders that are none are refused`(
        sort: String?, limit: String?, offset: String?, code: String
    ) {
        let join = Join(
            query: "kind: job", sort: sort.map { Template($0) }, limit: limit.map { Template($0) },
            offset: offset.map { Template($0) }, params: Self.losses)
        let error = #expect(throws: InputError.self) {
            _ = try operation([join]).searches(facts: Self.facts)
        }
        #expect(error?.code == code)
    }

    @Test func `each param becomes a list in the order found, and what it holds is data`() throws {
        let join = Join(
            query: "kind: job",
            params: [
                "losses": JoinParam("outputs.loss"), "names": JoinParam("globals.name", contextOnly: true, toEnv: "N"),
                "rates": JoinParam("inputs.optimizer.lr", contextOnly: true),
                "all": JoinParam("outputs", contextOnly: true),
            ])
        let runs = [
            run("{{ 7 * 7 }}", outputs: ["loss": .int(1)], inputs: ["optimizer": .dict(["lr": .double(0.1)])]),
            run("b", outputs: ["loss": .double(0.5)], inputs: ["optimizer": .dict(["lr": .double(0.2)])]),
        ]
        let before = operation([join], inputs: [IODeclaration(name: "losses", type: "float", isList: true)])
        #expect(before.isToJoin)
        let after = try joined(before, [runs], hasMore: true)
        #expect(!after.isToJoin)
        #expect(after.joins?.first?.found == Join.Found(taken: 2, leftOut: 0, hasMore: true))
        #expect(after.params["names"]?.value == .list([.string("{{ 7 * 7 }}"), .string("b")]))
        #expect(after.params["names"]?.toEnv == "N")
        #expect(after.params["rates"]?.value == .list([.double(0.1), .double(0.2)]))
        #expect(after.params["all"]?.value == .list([.dict(["loss": .int(1)]), .dict(["loss": .double(0.5)])]))
        let compiled = try JobCompiler.compile(after, facts: Self.facts)
        // Through the input's type, as any param.
        #expect(compiled.inputs["losses"] == .list([.double(1), .double(0.5)]))
        #expect(compiled.contextParams["names"] == .list([.string("{{ 7 * 7 }}"), .string("b")]))
        #expect(after.reads == nil)
    }

    @Test func `a run that lacks a value is left out of all lists of its join, and of no other's`() throws {
        let joins = [
            Join(
                query: "kind: job",
                params: ["losses": JoinParam("outputs.loss"), "names": JoinParam("globals.name")]),
            Join(query: "kind: job", params: ["others": JoinParam("globals.name")]),
        ]
        let runs = [
            run("a", outputs: ["loss": .int(1)]), run("b", outputs: [:]), run("c", outputs: ["loss": .null]),
            run("d", outputs: ["loss": .list([])]),
        ]
        let after = try joined(operation(joins), [runs, runs])
        #expect(after.params["losses"]?.value == .list([.int(1), .list([])]))
        #expect(after.params["names"]?.value == .list([.string("a"), .string("d")]))
        #expect(after.params["others"]?.value == .list(["a", "b", "c", "d"].map(Value.string)))
        #expect(
            after.joins?.map(\.found) == [
                .init(taken: 2, leftOut: 2, hasMore: false), .init(taken: 4, leftOut: 0, hasMore: false),
            ])
    }

    @Test func `the artifacts of runs whose paths are taken may be read, so many at most`() throws {
        let join = Join(query: "kind: job", params: ["dirs": JoinParam("globals.run_artifacts_path")])
        var runs = (0..<Join.maxArtifacts).map { _ in run("a", outputs: [:]) }
        let cached = RunID.random()
        runs[0].artifacts = cached
        var before = operation([join])
        let upstream = RunID.random()
        before.reads = [upstream]
        let after = try joined(before, [runs])
        #expect(Set(after.reads ?? []) == Set(runs.map(\.artifacts) + [upstream]))
        guard case .list(let paths)? = after.params["dirs"]?.value else { return }
        #expect(paths.first == .string(InsidePaths.artifacts(of: cached)))
        runs.append(run("one too many", outputs: [:]))
        #expect(throws: InputError.self) { try joined(before, [runs]) }
    }

    @Test func `values that take too much room are refused`() {
        let text = Value.string(String(repeating: "x", count: 200 << 10))
        let runs = (0..<3).map { _ in run("a", outputs: ["loss": text]) }
        let error = #expect(throws: InputError.self) {
            try joined(operation([Join(query: "kind: job", params: Self.losses)]), [runs])
        }
        #expect(error?.code == "join.too-much")
    }

    @Test func `a matrix searches once, a schedule with each of its runs`() throws {
        var matrix = operation([Join(query: "kind: job", params: Self.losses)])
        matrix.matrix = Matrix(.mapping([["n": .int(1)]]))
        #expect(matrix.isToJoin)
        let after = try joined(matrix, [])
        let child = after.child(at: ["n": .int(1)])
        #expect(!child.isToJoin && child.params["losses"]?.value == .list([]))
        var schedule = matrix
        schedule.schedule = Schedule(.interval(seconds: 60))
        schedule.component.inputs = [IODeclaration(name: "losses", type: "list")]
        schedule.joins?[0].params["losses"]?.contextOnly = false
        #expect(!schedule.isToJoin && schedule.scheduledChild.isToJoin)
        // The parent of the runs needs no value for what each of them searches for.
        #expect(throws: Never.self) { try JobCompiler.outline(schedule, facts: Self.facts) }
    }

    @Test(arguments: [
        ("outputs", true), ("inputs", true), ("outputs.loss", true), ("inputs.a-b.c", true), ("globals.uuid", true),
        ("globals.status", true), ("globals.run_artifacts_path", true), ("globals", false), ("globals.nope", false),
        ("globals.uuid.x", false), ("output.loss", false), ("outputs.", false), ("", false), ("loss", false),
        ("artifacts.base", false), ("{{ outputs.loss }}", false), ("contexts.x", false),
    ])
    func `what is taken of a run`(path: String, isOne: Bool) {
        let problem: RunQuery.Problem?
        do throws(RunQuery.Problem) {
            _ = try JoinPath(path)
            problem = nil
        } catch {
            problem = error
        }
        #expect((problem == nil) == isOne)
        if let problem { #expect(!problem.hint.isEmpty) }
    }

    @Test func `every global that may be taken of a finished run has a value`() throws {
        var finished = run("a", outputs: [:])
        (finished.startedAt, finished.finishedAt) = (RunSamples.time, RunSamples.time)
        for name in JoinPath.globals {
            #expect(try JoinPath("globals.\(name)").value(in: finished) != .null, "\(name)")
        }
    }
}
