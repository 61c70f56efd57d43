import Testing

@testable import PostludeCore

/// The query language of joins: what is a query, and which runs it finds.
@Suite struct RunQueryTests {
    static let id = RunSamples.other
    static let parent = RunID.random()

    /// Midnight of 2026-03-01 UTC, in seconds.
    static let midnight: Int64 = 1_772_323_200

    static let run = FoundRun(
        id: id, name: "train-7", project: "digits", owner: "ada", status: .succeeded, kind: "job", queue: "night",
        tags: ["best", "gpu"], parent: parent,
        inputs: [
            "lr": .double(0.1), "epochs": .int(10), "act": .string("relu"), "path": .string("../data"),
            "version": .string("1.0"), "none": .null, "flag": .bool(true), "layers": .list([.int(1)]),
        ], outputs: ["loss": .double(0.25), "steps": .int(100), "label": .string("b"), "exact": .int(1 << 60)],
        createdAt: Timestamp(microseconds: (midnight + 3_600) * 1_000_000),
        startedAt: Timestamp(microseconds: (midnight + 3_660) * 1_000_000),
        finishedAt: Timestamp(microseconds: (midnight + 3_750) * 1_000_000))

    /// A query, and whether it finds the run.
    static let table: [(String, Bool)] = [
        // Texts.
        ("name: train-7", true), ("name:train-7", true), ("name: train", false), ("name: ~train", true),
        ("name: train%", true), ("name: %-7", true), ("name: %rain%", true), ("name: %x%", false),
        ("name: ~train%", false),
        ("name: a | train-7", true), ("name: ~a | train-7", false), ("name: ~a|b", true), ("name: nil", false),
        ("name: ~nil", true), ("name: Train-7", false), ("project.name: digits", true), ("project: dig%", true),
        ("kind: job", true), ("kind: ~job", false), ("kind: job | dag", true), ("status: succeeded", true),
        ("status: failed|stopped", false), ("status: ~failed | stopped", true), ("queue: night", true),
        ("uuid: \(id)", true), ("uuid: \(parent)", false), ("pipeline: \(parent)", true), ("pipeline: nil", false),
        ("pipeline.uuid: \(id)", false),
        // A UUID with dashes is the same run.
        ("uuid: " + dashed(id), true),
        // Tags: any of those that it has.
        ("tags: best", true), ("tags: worst", false), ("tags: worst | gpu", true), ("tags: ~worst", true),
        ("tags: ~best", false), ("tags: nil", false), ("tags: ~nil", true),
        // Numbers.
        ("metrics.loss: 0.25", true), ("metrics.loss: .25", true), ("metrics.loss: ~0.25", false),
        ("metrics.loss: <0.3", true), ("metrics.loss: < 0.25", false), ("metrics.loss: <=0.25", true),
        ("metrics.loss: >0.3", false), ("metrics.loss: >=2.5e-1", true), ("metrics.loss: ~>0.3", true),
        ("metrics.loss: ~<0.3", false), ("metrics.loss: 0.2 .. 0.25", true), ("metrics.loss: 0.2..0.3", true),
        ("metrics.loss: 0.3 .. 0.4", false), ("metrics.loss: ~0.3 .. 0.4", true), ("metrics.loss: 0.1 | 0.25", true),
        ("metrics.steps: >99.5", true), ("metrics.steps: 100.0", true), ("metrics.label: nil", true),
        ("metrics.exact: 1152921504606846976", true), ("metrics.exact: >1152921504606846975", true),
        ("metrics.exact: 1152921504606846977", false), ("duration: 90", true), ("duration: <90", false),
        ("metrics.loss:>0.1, metrics.loss:<0.4", true), ("metrics.loss:>0.1,metrics.loss:<0.2", false),
        // What is not there is neither this nor that.
        ("metrics.accuracy: >0", false), ("metrics.accuracy: ~>0", false), ("metrics.accuracy: nil", true),
        ("metrics.accuracy: ~nil", false), ("outputs.x: a", false), ("outputs.x: ~a", false), ("outputs.x: nil", true),
        ("inputs.none: nil", true), ("inputs.none: ~1", false),
        // Whatever inputs and outputs hold.
        ("outputs.label: b", true), ("outputs.label: ~a", true), ("outputs.label: >a", true),
        ("outputs.label: <a", false),
        ("inputs.lr: 0.1", true), ("params.lr: <0.2", true), ("inputs.epochs: 5 | 10", true),
        ("inputs.act: relu", true),
        ("inputs.act: >5", true), ("inputs.epochs: >abc", false), ("inputs.path: ../data", true),
        ("inputs.epochs: 1 .. 20", true), ("inputs.version: 1.0", true), ("inputs.version: 1", false),
        ("inputs.flag: true", true), ("inputs.flag: ~false", true), ("inputs.flag: 1", true),
        ("inputs.flag: no", false),
        ("inputs.layers: 1", false), ("inputs.layers: >0", false), ("inputs.layers: ~nil", true),
        // Times: a day is all of its hours.
        ("created_at: 2026-03-01", true), ("created_at: ~2026-03-01", false), ("created_at: >2026-03-01", false),
        ("created_at: >=2026-03-01", true), ("created_at: <2026-03-01", false), ("created_at: <=2026-03-01", true),
        ("created_at: >2026-02-28", true), ("created_at: 2026-02-01 .. 2026-03-01", true),
        ("created_at: 2026-02-01..2026-02-28", false), ("created_at: ~2026-02-01 .. 2026-02-28", true),
        ("created_at: 2026-03-02 .. 2026-03-01", false), ("created_at: 2026-03-01 01:00", true),
        ("created_at: 2026-03-01 01:01", false), ("created_at: 2026-03-01T01:00:00Z", true),
        ("created_at: 2026-03-01T02:00:00+01:00", true), ("created_at: 2026-03-01 00:30:00-00:30", true),
        ("created_at: 2026-03-01T01:00:00.000000Z", true), ("created_at: >2026-03-01T00:59:59.999Z", true),
        ("started_at: 2026-03-01 01:01", true), ("finished_at: <2026-03-01 01:03", true), ("finished_at: nil", false),
        ("created_at: 2026-03-02 | 2026-03-01", true),
        // All conditions hold, with blanks wherever one likes.
        (" kind:job ,status : succeeded,tags:best ", true), ("kind: job, status: failed", false),
    ]

    static func dashed(_ id: RunID) -> String {
        var text = Array(id.description)
        for index in [20, 16, 12, 8] { text.insert("-", at: index) }
        return String(text)
    }

    @Test(arguments: table) func `a query finds a run or does not`(query: String, finds: Bool) throws {
        let criteria = try RunQuery.parse(Template(query)).criteria(in: EvaluationContext())
        #expect(criteria.matches(Self.run) == finds)
    }

    @Test func `a run without tags, parent or times is found by what it lacks`() throws {
        var run = Self.run
        (run.tags, run.parent, run.startedAt, run.finishedAt) = ([], nil, nil, nil)
        let found = [
            ("tags: nil", true), ("tags: ~a", true), ("tags: a", false), ("pipeline: nil", true),
            ("pipeline: ~\(Self.parent)", false), ("started_at: nil", true), ("started_at: <2030-01-01", false),
            ("started_at: ~<2030-01-01", false), ("duration: nil", true), ("duration: >=0", false),
        ]
        for (query, finds) in found {
            let criteria = try RunQuery.parse(Template(query)).criteria(in: EvaluationContext())
            #expect(criteria.matches(run) == finds, "\(query)")
        }
    }

    /// A query, the code of what is wrong, and the column.
    static let mistakes: [(String, String, Int)] = [
        ("", "join.syntax", 1), ("  ", "join.syntax", 3), ("kind: job,", "join.syntax", 11),
        ("kind: job,, name: a", "join.syntax", 11), ("succeeded", "join.syntax", 1),
        ("kind: job, best", "join.syntax", 12),
        ("kind:", "join.syntax", 6), ("kind: ~", "join.syntax", 8), ("kind: job |", "join.syntax", 12),
        ("metrics.loss: <", "join.syntax", 16), ("metrics.loss: 1 ..", "join.syntax", 19),
        ("metrics.loss: = 1", "join.syntax", 15), ("status: != failed", "join.syntax", 9),
        (": a", "join.unknown-field", 1),
        ("sattus: failed", "join.unknown-field", 1), ("metric.loss: 1", "join.unknown-field", 1),
        ("metrics: 1", "join.unknown-field", 1), ("kind: job, metrics.: 1", "join.unknown-field", 12),
        ("user.username: ada", "join.unsupported-field", 1),
        ("kind: job, updated_at: nil", "join.unsupported-field", 12),
        ("status: suceeded", "join.wrong-value", 9), ("status: failed | sucess", "join.wrong-value", 18),
        ("kind: tfjob", "join.wrong-value", 7), ("metrics.loss: low", "join.wrong-value", 15),
        ("metrics.loss: 0 .. high", "join.wrong-value", 20), ("duration: >1h", "join.wrong-value", 12),
        ("created_at: yesterday", "join.wrong-value", 13), ("created_at: 2026-02-30", "join.wrong-value", 13),
        ("created_at: 2026-01-01 .. soon", "join.wrong-value", 27), ("uuid: 12", "join.wrong-value", 7),
        ("pipeline: tune", "join.wrong-value", 11), ("name: <a", "join.wrong-operator", 7),
        ("status: ~>failed", "join.wrong-operator", 10), ("{{ q }}", "join.syntax", 1),
        ("{{ f }}: 1", "join.syntax", 1), ("metrics.{{ f }}: 1", "join.syntax", 9),
        ("name: {{ a", "expression.syntax", 7),
        (Array(repeating: "kind: job", count: 65).joined(separator: ","), "join.syntax", 641),
        ("name: " + Array(repeating: "a", count: 1_001).joined(separator: "|"), "join.wrong-value", 2007),
        ("name: " + String(repeating: "a", count: 65_536), "join.syntax", 1),
    ]

    @Test(arguments: mistakes) func `a mistake is told with its place`(query: String, code: String, column: Int) {
        let place = SourcePlace(file: "op.yaml", line: 3, column: 1)
        let error = #expect(throws: InputError.self) { _ = try RunQuery.parse(Template(query, at: place)) }
        let found = error?.diagnostics.first
        #expect(found?.code == code)
        #expect(found?.place == SourcePlace(file: "op.yaml", line: 3, column: column), "\(found?.message ?? "")")
        #expect(found?.hint?.isEmpty == false)
    }

    @Test func `a value of a template never becomes a condition, an operator or a pattern`() throws {
        func finds(_ query: String, _ names: [String: Value], _ run: FoundRun) throws -> Bool {
            try RunQuery.parse(Template(query)).criteria(in: EvaluationContext(names)).matches(run)
        }
        var odd = Self.run
        for name in ["a, kind: dag", "~x", "nil", "a | b", "%", "train%", ">1", "{{ 7 * 7 }}", "1 .. 2"] {
            odd.name = name
            #expect(try finds("name: {{ n }}", ["n": .string(name)], odd), "\(name)")
            #expect(try !finds("name: {{ n }}", ["n": .string(name)], Self.run), "\(name)")
            odd.inputs["act"] = .string(name)
            #expect(try finds("inputs.act: {{ n }}", ["n": .string(name)], odd), "\(name)")
        }
        #expect(try finds("metrics.loss: <{{ most }}", ["most": .double(0.3)], Self.run))
        #expect(try finds("metrics.loss: {{ low }} .. {{ low + 0.1 }}", ["low": .double(0.2)], Self.run))
        #expect(try finds("metrics.loss: <{{ most }}", ["most": .string("0.3")], Self.run))
        #expect(try finds("name: {{ 'train' + ',' }} | train-{{ n }}", ["n": .int(7)], Self.run))
        // A list stands for any of its items.
        let statuses: [String: Value] = ["s": .list([.string("failed"), .string("succeeded")])]
        #expect(try finds("status: {{ s }}", statuses, Self.run))
        #expect(try !finds("status: ~{{ s }}", statuses, Self.run))
        #expect(try !finds("status: {{ s }}", ["s": .list([])], Self.run))
        for (query, value) in [
            ("status: {{ v }}", Value.string("best")), ("metrics.loss: <{{ v }}", .string("0.3, kind: job")),
            ("name: {{ v }}", .null), ("name: {{ v }}", .dict([:])), ("metrics.loss: <{{ v }}", .list([.int(1)])),
            ("name: {{ v }}", .list(Array(repeating: .string("a"), count: 1_001))), ("created_at: >{{ v }}", .int(5)),
            ("uuid: {{ v }}", .string("%")), ("name: {{ w }}", .null),
        ] {
            #expect(throws: InputError.self, "\(query)") { try finds(query, ["v": value], Self.run) }
        }
    }

    @Test func `runs are sorted by each field in turn, those without a value last, the newest first among equals`()
        throws
    {
        func run(_ loss: Value?, _ name: String) -> FoundRun {
            var run = Self.run
            run.outputs["loss"] = loss
            run.name = name
            return run
        }
        let runs = [
            run(.double(0.5), "a"), run(nil, "b"), run(.int(0), "c"), run(.double(0.5), "d"), run(.double(.nan), "e"),
            run(.double(-1), "f"), run(.string("x"), "g"),
        ]
        func order(_ text: String, limit: Int = 10) throws -> String {
            let order = try RunOrder.parse(text)
            var best = BestRuns(order, limit: limit)
            for (number, run) in runs.enumerated() { best.add(order.rank(run), number: Int64(number)) }
            #expect(best.count == runs.count)
            return best.numbers().map { runs[Int($0)].name }.joined()
        }
        #expect(try order("metrics.loss") == "fcdageb")
        #expect(try order("-metrics.loss") == "dacfgeb")
        #expect(try order("-outputs.loss") == "dacfgeb")
        #expect(try order("metrics.loss, name") == "fcadbeg")
        #expect(try order(" - metrics.loss , -name", limit: 2) == "da")
        #expect(try order("created_at") == "gfedcba")
        #expect(try order("name", limit: 1) == "a")
        for (text, column) in [("", 0), ("-", 0), ("name,", 5), ("name, losss", 6), ("tags", 0), ("name; kind", 0)] {
            let problem = #expect(throws: RunQuery.Problem.self) { _ = try RunOrder.parse(text) }
            #expect(problem?.offset == column, "\(text)")
        }
    }

    @Test func `what a query asks for is told to those who look runs up`() throws {
        func criteria(_ text: String) throws -> RunCriteria {
            try RunQuery.parse(Template(text)).criteria(in: EvaluationContext())
        }
        let all = try criteria("status: failed | stopped, name: ~a, metrics.loss: <1, outputs.x: ~nil, outputs.y: nil")
        #expect(all.words(of: .status) == ["failed", "stopped"])
        #expect(all.words(of: .name) == nil)
        #expect(try criteria("name: a%").words(of: .name) == nil)
        #expect(try criteria("name: a").words(of: .name) == ["a"])
        #expect(all.requiredOutputs == ["loss", "x"])
        #expect(all.readsOutputs && !all.readsInputs && !all.readsTags)
    }
}
