import Foundation
import PostludeCore
import Testing

@testable import PostludeSpec

/// Operations with children: matrix, dag, schedule.
@Suite struct FlowReaderTests {
    private static let component = """
        component:
          inputs: [{name: lr, type: float}, {name: n, type: int, value: 1}]
          outputs: [{name: loss, type: float}]
          run: {kind: job, container: {command: [echo, "{{ lr }}", "{{ n }}"]}}

        """

    private func matrix(_ text: String) throws -> Matrix {
        try #require(try Reading.operation("matrix: \(text)\n" + Self.component).matrix)
    }

    private func codes(_ text: String) throws -> [String] {
        try Reading.read(text).diagnostics.filter { $0.severity == .error }.map(\.code)
    }

    @Test func `each kind of values in each of its forms`() throws {
        let axes = try matrix(
            """
            {kind: random, numRuns: 4, seed: 1, params: {lr: {kind: uniform, value: "0:1"},
              a: {kind: range, value: [1, 5, 2]}, b: {kind: range, value: "1:5:2"},
              c: {kind: range, value: {start: 1, stop: 5, step: 2}}, d: {kind: linspace, value: "0.5:1:2"},
              e: {kind: logspace, value: [0, 2, 3]}, f: {kind: logspace, value: {start: 0, stop: 2, num: 3, base: 2}},
              g: {kind: geomspace, value: [1, 4, 3]}, h: {kind: choice, value: [a, 1, [2]]},
              i: {kind: pchoice, value: [[relu, 0.1], [sigmoid, 0.8]]}, j: {kind: quniform, value: [0, 1, 0.1]},
              k: {kind: loguniform, value: [0, 1]}, l: {kind: qloguniform, value: "0:1:0.1"},
              m: {kind: normal, value: {loc: 0, scale: 2}}, o: {kind: qnormal, value: [0, 2, 1]},
              p: {kind: lognormal, value: [0, 1]}, q: {kind: qlognormal, value: [0, 1, 0.5]}}}
            """
        ).axes
        let spaces = Dictionary(axes.map { ($0.name, $0.space) }, uniquingKeysWith: { first, _ in first })
        #expect(axes.map(\.name).prefix(3) == ["lr", "a", "b"])
        for name in ["a", "b", "c"] { #expect(spaces[name] == .values([.int(1), .int(3)])) }
        #expect(spaces["d"] == .values([.double(0.5), .double(1)]))
        #expect(spaces["e"] == .values([.double(1), .double(10), .double(100)]))
        #expect(spaces["f"] == .values([.double(1), .double(2), .double(4)]))
        #expect(spaces["h"] == .values([.string("a"), .int(1), .list([.int(2)])]))
        #expect(
            spaces["i"] == .weighted([.init(.string("relu"), weight: 0.1), .init(.string("sigmoid"), weight: 0.8)]))
        #expect(spaces["j"] == .distribution(.uniform(low: 0, high: 1), quantum: 0.1))
        #expect(spaces["k"] == .distribution(.logUniform(low: 0, high: 1), quantum: nil))
        #expect(spaces["l"] == .distribution(.logUniform(low: 0, high: 1), quantum: 0.1))
        #expect(spaces["m"] == .distribution(.normal(mean: 0, deviation: 2), quantum: nil))
        #expect(spaces["o"] == .distribution(.normal(mean: 0, deviation: 2), quantum: 1))
        #expect(spaces["p"] == .distribution(.logNormal(mean: 0, deviation: 1), quantum: nil))
        #expect(spaces["q"] == .distribution(.logNormal(mean: 0, deviation: 1), quantum: 0.5))
    }

    @Test(arguments: ["mapping", "list"])
    func `a mapping lists its points`(kind: String) throws {
        let found = try matrix("{kind: \(kind), concurrency: 3, values: [{lr: 0.1}, {lr: 0.2, n: 4}]}")
        #expect(found.search == .mapping([["lr": .double(0.1)], ["lr": .double(0.2), "n": .int(4)]]))
        #expect(found.concurrency == 3)
    }

    @Test func `an operation's hooks are each point's, the matrix has its own`() throws {
        let hook = "{name: h, component: {run: {kind: job, container: {command: [\"true\"]}}}}"
        let own = "{name: own, component: {run: {kind: job, container: {command: [\"true\"]}}}}"
        let text = "hooks: [\(hook)]\nmatrix: {kind: mapping, values: [{lr: 1}], hooks: [\(own)]}\n" + Self.component
        let operation = try Reading.operation(text)
        #expect(operation.hooks.map(\.name) == ["own"])
        #expect(operation.eachHooks?.map(\.name) == ["h"])
        let scheduled = try Reading.operation("schedule: {kind: interval, frequency: 60, hooks: [\(hook)]}\n" + text)
        #expect(scheduled.hooks.map(\.name) == ["h"])
        #expect(scheduled.scheduledChild.hooks.map(\.name) == ["own"])
        #expect(scheduled.scheduledChild.child(at: [:]).hooks.map(\.name) == ["h"])
    }

    @Test(arguments: [
        ("{kind: bayes, numInitialRuns: 2}", "spec.unsupported-feature"),
        ("{kind: hyperband}", "spec.unsupported-feature"),
        ("{kind: gird, params: {lr: {kind: choice, value: [1]}}}", "spec.invalid-value"),
        ("{params: {lr: {kind: choice, value: [1]}}}", "spec.missing-key"),
        ("{kind: grid}", "spec.missing-key"),
        ("{kind: random, params: {lr: {kind: choice, value: [1]}}}", "spec.missing-key"),
        ("{kind: random, numRuns: 0, params: {lr: {kind: choice, value: [1]}}}", "spec.invalid-value"),
        ("{kind: random, numRuns: 10001, params: {lr: {kind: uniform, value: [0, 1]}}}", "spec.too-many-points"),
        (
            "{kind: grid, params: {lr: {kind: range, value: [0, 200, 1]}, n: {kind: range, value: [0, 200, 1]}}}",
            "spec.too-many-points"
        ),
        ("{kind: grid, params: {lr: {kind: uniform, value: [0, 1]}}}", "spec.invalid-value"),
        ("{kind: grid, params: {lr: {kind: choice, value: []}}}", "spec.wrong-type"),
        ("{kind: grid, params: {lr: {kind: range, value: [3, 1, 1]}}}", "spec.invalid-value"),
        ("{kind: grid, params: {lr: {kind: range, value: [3, 1]}}}", "spec.wrong-type"),
        ("{kind: grid, params: {lr: {kind: choice, value: [a, b]}}}", "inputs.wrong-type"),
        ("{kind: mapping, values: []}", "spec.invalid-value"),
        ("{kind: mapping, values: [1]}", "spec.wrong-type"),
        ("{kind: mapping, values: [{n: 2}]}", "inputs.missing"),
        ("{kind: mapping, values: [{lr: \"{{ x }}\"}]}", "spec.unsupported-feature"),
        (
            "{kind: random, numRuns: 1, params: {lr: {kind: pchoice, value: [[1, 0.9], [2, 0.9]]}}}",
            "spec.invalid-value"
        ),
        (
            "{kind: grid, params: {lr: {kind: choice, value: [1]}}, earlyStopping: [{kind: failure_early_stopping}]}",
            "spec.unsupported-feature"
        ),
        ("{kind: grid, params: {lr: {kind: choice, value: [1]}}, size: 2}", "spec.unknown-key"),
    ])
    func `a matrix that cannot be used is refused with its place`(matrix: String, code: String) throws {
        let (operation, diagnostics) = try Reading.read("matrix: \(matrix)\n" + Self.component)
        #expect(operation == nil)
        let found = try #require(diagnostics.first { $0.code == code }, "\(diagnostics.map(\.code))")
        #expect(found.place != nil)
        #expect(found.hint?.isEmpty == false)
    }

    @Test func `a graph with its dependencies, triggers and references`() throws {
        let operation = try Reading.operation(
            """
            kind: component
            inputs: [{name: top, type: int, value: 3}]
            run:
              kind: dag
              concurrency: 2
              operations:
                - name: train
                  dagRef: work
                  params: {lr: 0.1}
                - name: evaluate
                  dagRef: work
                  trigger: one_succeeded
                  skipOnUpstreamSkip: true
                  params: {lr: {ref: ops.train, value: outputs.loss}, n: {ref: dag, value: inputs.top}}
                - name: report
                  dependencies: [evaluate, train]
                  component: {run: {kind: job, container: {command: ["true"]}}}
              components:
                - name: work
                  inputs: [{name: lr, type: float}, {name: n, type: int, value: 1}]
                  outputs: [{name: loss, type: float}]
                  run: {kind: job, container: {command: ["true"]}}
            """)
        let dag = try #require(operation.dag)
        #expect(operation.kind == "dag")
        #expect(dag.concurrency == 2)
        #expect(dag.nodes.map(\.name) == ["train", "evaluate", "report"])
        #expect(dag.nodes.map(\.dependencies) == [[], [0], [0, 1]])
        #expect(dag.nodes[1].trigger == .oneSucceeded)
        #expect(dag.nodes[1].skipOnUpstreamSkip)
        #expect(dag.nodes[1].operation.params["lr"]?.reference == .operation("train"))
        #expect(dag.nodes[1].operation.params["n"]?.reference == .dag)
    }

    private func dag(_ operations: String) -> String {
        "run:\n  kind: dag\n  components:\n    - {name: w, run: {kind: job, container: {command: [\"true\"]}}}\n"
            + "  operations:\n" + operations.split(separator: "\n").map { "    - \($0)\n" }.joined()
    }

    @Test func `a cycle is named, at its place`() throws {
        let text = dag(
            "{name: a, dagRef: w, dependencies: [c]}\n{name: b, dagRef: w, dependencies: [a]}\n{name: c, dagRef: w, dependencies: [b]}"
        )
        let found = try #require(try Reading.read(text).diagnostics.first { $0.code == "spec.cycle" })
        #expect(found.message == "The operations depend on each other in a circle: 'a' -> 'c' -> 'b' -> 'a'.")
        #expect(found.place?.line == 6)
    }

    @Test(arguments: [
        ("{name: a, dagRef: w, dependencies: [b]}", "spec.unknown-operation"),
        ("{name: a, dagRef: w}\n{name: a, dagRef: w}", "spec.duplicate-name"),
        ("{dagRef: w}", "spec.missing-key"),
        ("{name: a, dagRef: x}", "spec.unknown-component"),
        ("{name: a, dagRef: w, trigger: all}", "spec.invalid-value"),
        ("{name: a, dagRef: w, schedule: {kind: interval, frequency: 1}}", "spec.unsupported-feature"),
        ("{name: a, dagRef: w, joins: [{query: x, params: {y: {value: outputs.y}}}]}", "join.syntax"),
        ("{name: a, dagRef: w, events: [{ref: ops.b}]}", "spec.unsupported-feature"),
        ("{name: a, dagRef: w, params: {x: {ref: runs.0123, value: outputs.x}}}", "spec.unsupported-feature"),
        ("{name: a, dagRef: w, params: {x: {ref: ops.b, value: outputs.x}}}", "spec.unknown-operation"),
        ("{name: a, dagRef: w, params: {x: {ref: ops.a, value: outputs.x}}}", "spec.cycle"),
        ("{name: a, dagRef: w, params: {x: {ref: ops.a, value: 1}}}", "spec.wrong-type"),
    ])
    func `a graph that cannot be used is refused with its place`(operations: String, code: String) throws {
        let (operation, diagnostics) = try Reading.read(dag(operations))
        #expect(operation == nil)
        let found = try #require(
            diagnostics.first { $0.code == code }, "\(diagnostics.map { DiagnosticText.line($0) })")
        #expect(found.place != nil)
    }

    @Test func `a graph that names itself ends in an error`() throws {
        let text = "run: {kind: dag, operations: [{name: a, pathRef: self.yaml}]}\n"
        let (_, diagnostics) = try Reading.read(text, references: ["self.yaml": text])
        #expect(diagnostics.contains { $0.code == "spec.too-deep" })
    }

    @Test func `references of a graph's operations are handed in`() {
        let text =
            "run: {kind: dag, operations: [{name: a, pathRef: x.yaml}], components: [{name: w, pathRef: y.yaml}]}"
        #expect(OperationReader.references(in: text, path: "op.yaml") == ["x.yaml", "y.yaml"])
    }

    @Test func `keys of a graph's operations stay there`() throws {
        #expect(
            try codes("dependencies: [a]\ntrigger: all_done\n" + Reading.job).filter {
                $0 == "spec.unsupported-feature"
            }.count == 2)
        let points = "matrix: {kind: mapping, values: [{a: 1}]}, run: {kind: job, container: {command: [a]}}"
        #expect(try Reading.operation("component: {\(points)}\n").matrix?.count == 1)
        #expect(try codes("cmd: a\nhooks: [{component: {\(points)}}]\n") == ["spec.unsupported-feature"])
    }

    @Test func `schedules of each kind`() throws {
        func schedule(_ text: String) throws -> Schedule {
            try #require(try Reading.operation("schedule: \(text)\n" + Reading.job).schedule)
        }
        let cron = try schedule(
            "{kind: cron, cron: \"0 0 * * MON\", timeZone: Europe/Berlin, maxRuns: 3, dependsOnPast: true}")
        #expect(cron.rule == .cron(try CronExpression("0 0 * * MON")))
        #expect(cron.timeZone == "Europe/Berlin")
        #expect(cron.maxRuns == 3)
        #expect(cron.dependsOnPast)
        let interval = try schedule("{kind: interval, frequency: 120, startAt: \"2019-06-24T21:20:07+00:00\"}")
        #expect(interval.rule == .interval(seconds: 120))
        #expect(interval.startAt == 1_561_411_207)
        let once = try schedule("{kind: datetime, startAt: 2026-07-01 12:00, timeZone: Europe/Berlin}")
        #expect(once.rule == .once)
        #expect(once.startAt == 1_782_900_000)
    }

    @Test(arguments: [
        "{kind: cron}", "{kind: cron, cron: \"61 * * * *\"}", "{kind: interval}", "{kind: interval, frequency: 0}",
        "{kind: datetime}", "{kind: daily}", "{frequency: 5}", "{kind: datetime, startAt: soon}",
        "{kind: datetime, startAt: \"2026-02-30\"}", "{kind: interval, frequency: 5, timeZone: Mars/Olympus}",
        "{kind: interval, frequency: 5, startAt: \"2026-02-02\", endAt: \"2026-02-01\"}",
        "{kind: interval, frequency: 5, every: 3}", "{kind: interval, frequency: 5, startAt: \"2026-01-01T25:00:00Z\"}",
    ])
    func `a schedule that cannot be followed is refused`(schedule: String) throws {
        let (operation, diagnostics) = try Reading.read("schedule: \(schedule)\n" + Reading.job)
        #expect(operation == nil)
        #expect(diagnostics.contains { $0.severity == .error && $0.place != nil })
    }

    @Test func `a service with its ports, and an operation that waits for approval`() throws {
        let operation = try Reading.operation(
            "isApproved: false\nrun:\n  kind: service\n  ports: [8080]\n  rewritePath: true\n  replicas: 1\n"
                + "  container: {command: [serve]}\n")
        #expect(operation.component.job.service == ServiceSpec(ports: [8080]))
        #expect(operation.terms == Run.Terms(kind: .service, needsApproval: true))
        #expect(operation.notes.contains { $0.code == "spec.service-ports" })
        #expect(
            try codes("run: {kind: service, replicas: 2, container: {command: [a]}}\n") == ["spec.unsupported-feature"])
        #expect(
            try codes("run: {kind: service, ports: [70000], container: {command: [a]}}\n") == ["spec.invalid-value"])
        #expect(try codes("run: {kind: job, ports: [80], container: {command: [a]}}\n") == ["spec.unsupported-feature"])
    }

    @Test func `a cache with what counts for it, and where there is none`() throws {
        func cache(_ text: String) throws -> CachePolicy? {
            try Reading.operation("cache: \(text)\nparams: {lr: 1}\n" + Self.component).cache
        }
        #expect(try cache("{}") == CachePolicy())
        #expect(
            try cache("{ttl: 60, io: [lr], sections: [containers, init]}")
                == CachePolicy(ttlSeconds: 60, io: ["lr"], sections: [.containers, .initialize]))
        #expect(try cache("{disable: true, ttl: 60}") == nil)
        #expect(
            try codes("cache: {ttl: 60}\n" + dag("{name: a, dagRef: w}")) == ["spec.unsupported-feature"])
        #expect(
            try codes("cmd: a\nhooks: [{component: {cache: {ttl: 60}, cmd: b}}]\n") == ["spec.unsupported-feature"])
        let each = try Reading.operation(
            "cache: {ttl: 60}\nmatrix: {kind: mapping, values: [{lr: 1}]}\n" + Self.component)
        #expect(each.child(at: ["lr": .int(1)]).cache == CachePolicy(ttlSeconds: 60))
    }

    @Test func `a quantity cannot come from a point, whose values are not known yet`() throws {
        let text = """
            matrix: {kind: mapping, values: [{n: 2}]}
            inputs: [{name: n, type: int, value: 1}]
            run: {kind: job, container: {command: [a], resources: {cpu: "{{ n }}"}}}

            """
        #expect(try codes(text) == ["expression.unknown-name"])
    }

    @Test func `an operation of a graph is merged from its component, its short forms and its presets`() throws {
        let preset = "isPreset: true\nqueue: q\nhooks: [{name: p, component: {cmd: c}}]\nrunPatch: {profile: hook}\n"
        let text = """
            run:
              kind: dag
              operations:
                - {name: a, dagRef: w, cmd: mine, presets: [p], runPatch: {container: {workingDir: /x}}}
                - {name: b, pathRef: c.yaml, dependencies: a}
                - {name: c, hubRef: summary, disableDefaults: true}
                - {name: d, cmd: short, disableDefaults: true}
              components:
                - {name: w, inputs: [{name: n, type: int, value: 1}], run: {kind: job, container: {command: [x]}}}

            """
        var submission = Reading.submission(text, references: ["c.yaml": "name: other\ncmd: y\n", "p.yaml": preset])
        submission.project = "p"
        let validation = OperationReader.validate(
            submission, from: SpecSources(hub: try Reading.hub(), profiles: Reading.profiles))
        let dag = try #require(validation.operation?.dag, "\(validation.diagnostics)")
        #expect(dag.nodes.map(\.name) == ["a", "b", "c", "d"])
        let jobs = dag.nodes.map(\.operation.component.job)
        #expect(jobs[0].container.args.map(\.source) == ["set -e\nmine"])
        #expect(jobs[0].container.workingDirectory?.source == "/x" && jobs[0].profile == "hook")
        #expect(dag.nodes[0].operation.hooks.map(\.name) == ["p"])
        #expect(dag.nodes[1].dependencies == [0] && dag.nodes[1].operation.hooks.isEmpty)
        #expect(jobs[1].container.args.map(\.source) == ["set -e\ny"] && jobs[2].usesHub == true)
        #expect(dag.nodes[1].operation.component.name == "other")
        // What was merged is shown in its place, and says the same.
        let resolved = try #require(validation.resolved)
        #expect(!resolved.contains("Ref") && !resolved.contains("components") && !resolved.contains("presets"))
        let again = try Reading.operation(resolved)
        #expect(again.dag?.nodes.map(\.operation.component.job.container.args) != nil)
        #expect(
            again.dag?.nodes.map { $0.operation.component.job.container.args.map(\.source) }
                == jobs.map { $0.container.args.map(\.source) }, "\(resolved)")
    }

    @Test func `what a site adds is added to a graph and to its operations, unless they want none`() throws {
        let text = """
            OUTrun:
              kind: dag
              operations: [{name: a, cmd: x}, {name: b, cmd: x, disableDefaults: true}]

            """
        try Files.withTemporaryDirectory { directory in
            let preset = "isPreset: true\nhooks: [{name: site, component: {cmd: c}}]\nrunPatch: {profile: hook}\n"
            try preset.write(to: directory.appendingPathComponent("p.yaml"), atomically: true, encoding: .utf8)
            let rule = SiteDefaults(name: "all", presets: ["p"])
            let subject = SitePolicy.Subject(name: "ada", uid: 1, groups: [])
            let sources = SpecSources(
                hub: try Reading.hub(), profiles: Reading.profiles,
                presets: try PresetCatalog(directory: directory.path),
                site: SiteSelection([rule], project: nil, subject: subject))
            func read(_ start: String) throws -> PostludeCore.Operation {
                let submission = Reading.submission(text.replacingOccurrences(of: "OUT", with: start))
                let read = OperationReader.read(submission, from: sources)
                return try #require(read.operation, "\(read.diagnostics)")
            }
            let with = try read("")
            #expect(with.hooks.map(\.name) == ["site"])
            #expect(with.dag?.nodes.map { $0.operation.hooks.map(\.name) } == [["site"], []])
            #expect(with.dag?.nodes.map(\.operation.component.job.profile) == ["hook", nil])
            let without = try read("disableDefaults: true\n")
            #expect(without.hooks.isEmpty)
            #expect(without.dag?.nodes.map { $0.operation.hooks.map(\.name) } == [[], []])
        }
    }
}
