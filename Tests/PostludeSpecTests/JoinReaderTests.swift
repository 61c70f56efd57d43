import Foundation
import PostludeCore
import Testing

@testable import PostludeSpec

/// `joins` of an operation file.
@Suite struct JoinReaderTests {
    private static let job = "run: {kind: job, container: {command: [echo, \"{{ losses }}\"]}}\n"

    @Test func `a join with all that it may say`() throws {
        let operation = try Reading.operation(
            """
            inputs: [{name: losses, type: float, isList: true, toEnv: L}, {name: top, type: int, value: 3}]
            joins:
            - query: "metrics.loss: <0.3, status: succeeded | failed, project.name: {{ globals.project_name }}"
              sort: "metrics.loss, -created_at"
              limit: "{{ top }}"
              offset: 2
              params:
                losses: {value: outputs.loss}
                uuids: {value: globals.uuid, contextOnly: true, to_env: UUIDS}
            - {query: "kind: job", limit: "5", params: {all: {value: outputs, contextOnly: true}}}

            """ + Self.job)
        let joins = try #require(operation.joins)
        #expect(joins.count == 2)
        #expect(joins[0].sort?.source == "metrics.loss, -created_at")
        #expect(joins[0].limit?.source == "{{ top }}")
        #expect(joins[0].offset?.source == "2")
        #expect(joins[0].place == SourcePlace(file: "op.yaml", line: 3, column: 3))
        #expect(joins[0].query.place == SourcePlace(file: "op.yaml", line: 3, column: 11))
        #expect(joins[0].params["losses"]?.value == "outputs.loss")
        #expect(joins[0].params["losses"]?.contextOnly == false)
        #expect(joins[0].params["uuids"]?.toEnv == "UUIDS")
        #expect(joins[0].params["uuids"]?.contextOnly == true)
        #expect(joins.allSatisfy { $0.found == nil })
        #expect(operation.isToJoin)
        let search = try #require(try operation.searches(facts: try Reading.facts()).first)
        #expect(search.limit == 3 && search.offset == 2)
    }

    @Test func `no joins are none`() throws {
        #expect(try Reading.operation("joins: []\ncmd: a\n").joins == nil)
        #expect(try Reading.operation("joins:\ncmd: a\n").joins == nil)
    }

    private static let taken = "params: {losses: {value: outputs.loss}}"
    private static let wanted = "query: \"kind: job\", " + taken

    /// What is wrong with one join; `^` stands where it is found.
    static let mistakes: [(String, String)] = [
        ("^{\(taken)}", "spec.missing-key"), ("^{query: \"kind: job\"}", "spec.missing-key"),
        ("{\(wanted), ^qury: a}", "spec.unknown-key"), ("{\(wanted), ^ref: ops.a}", "spec.unsupported-feature"),
        ("{query: \"^knd: job\", \(taken)}", "join.unknown-field"),
        ("{query: \"kind: job, ^user: ada\", \(taken)}", "join.unsupported-field"),
        ("{query: \"status: ^done\", \(taken)}", "join.wrong-value"),
        ("{query: \"metrics.loss: <^\", \(taken)}", "join.syntax"), ("{query: \"^a\", \(taken)}", "join.syntax"),
        ("{query: \"^{{ globals.name }}\", \(taken)}", "join.syntax"),
        ("{query: \"name: {{ ^nope }}\", \(taken)}", "expression.unknown-name"),
        ("{query: \"name: ^{{ a\", \(taken)}", "expression.syntax"), ("{query: ^1, \(taken)}", "spec.wrong-type"),
        ("{\(wanted), sort: \"name, ^loss\"}", "join.unknown-field"),
        ("{\(wanted), sort: ^tags}", "join.wrong-operator"), ("{\(wanted), sort: ^5}", "spec.wrong-type"),
        ("{\(wanted), limit: ^most}", "join.wrong-value"), ("{\(wanted), limit: ^5001}", "join.wrong-value"),
        ("{\(wanted), limit: ^0}", "join.wrong-value"), ("{\(wanted), limit: ^[1]}", "spec.wrong-type"),
        ("{\(wanted), limit: \"{{ ^nope }}\"}", "expression.unknown-name"),
        ("{\(wanted), offset: \"^-1\"}", "join.wrong-value"),
        ("{query: \"kind: job\", params: ^[a]}", "spec.wrong-type"),
        ("{query: \"kind: job\", params: ^{}}", "spec.missing-key"),
        ("{query: \"kind: job\", params: {losses: {value: ^output.a}}}", "join.wrong-value"),
        ("{query: \"kind: job\", params: {losses: {value: ^globals.namespace}}}", "join.wrong-value"),
        ("{query: \"kind: job\", params: {losses: {value: ^\"{{ outputs.a }}\"}}}", "join.wrong-value"),
        ("{query: \"kind: job\", params: {losses: {value: ^{files: [a]}}}}", "spec.wrong-type"),
        ("{query: \"kind: job\", params: {^losses: {contextOnly: true}}}", "spec.missing-key"),
        ("{query: \"kind: job\", params: {losses: ^outputs.a}}", "spec.wrong-type"),
        ("{query: \"kind: job\", params: {losses: {value: outputs.a, ^toInit: true}}}", "spec.unsupported-feature"),
        ("{query: \"kind: job\", params: {losses: {value: outputs.a, ^connection: a}}}", "spec.unsupported-feature"),
        ("{query: \"kind: job\", params: {losses: {value: outputs.a, toEnv: ^POSTLUDE_A}}}", "spec.invalid-value"),
        ("{\(wanted)}, {query: \"kind: job\", params: {^losses: {value: outputs.a}}}", "spec.duplicate-param"),
        (
            "{query: \"kind: job\", params: {losses: {value: outputs.a}, ^known: {value: outputs.a}}}",
            "spec.duplicate-param"
        ),
        (
            "{query: \"kind: job\", params: {losses: {value: outputs.a}, ^single: {value: outputs.a}}}",
            "inputs.wrong-type"
        ),
    ]

    @Test(arguments: mistakes) func `a mistake is told with code, place and hint`(join: String, code: String) throws {
        let line = "joins: [\(join)]"
        let mark = try #require(line.firstIndex(of: "^"))
        let column = line.distance(from: line.startIndex, to: mark) + 1
        let text =
            "params: {known: {value: 1, contextOnly: true}}\n" + line.replacingOccurrences(of: "^", with: "")
            + "\ninputs: [{name: losses, type: list, isOptional: true}, {name: single, type: int, value: 1}]\n"
            + Self.job
        let (operation, diagnostics) = try Reading.read(text)
        let errors = diagnostics.filter { $0.severity == .error }
        let told = errors.map { DiagnosticText.line($0) }.joined(separator: "\n")
        #expect(operation == nil)
        #expect(errors.map(\.code) == [code], "\(told)")
        #expect(errors.first?.place == SourcePlace(file: "op.yaml", line: 2, column: column), "\(told)")
        #expect(errors.allSatisfy { $0.hint?.isEmpty == false })
    }

    @Test(arguments: [
        ("matrix: {kind: mapping, values: [{losses: [1]}]}\njoins: [{\(wanted)}]\n" + job, "spec.duplicate-param"),
        ("cmd: a\nhooks: [{component: {joins: [{\(wanted)}], cmd: a}}]\n", "spec.unsupported-feature"),
        ("joins: {query: a}\n" + Reading.job, "spec.wrong-type"),
        (
            "joins: [\(Array(repeating: "{\(wanted)}", count: 17).joined(separator: ", "))]\ncmd: a\n",
            "spec.too-many-joins"
        ),
        (
            "joins: [{\(wanted)}]\nrun: {kind: job, container: {command: [\"{{ loses }}\"]}}\n",
            "expression.unknown-name"
        ),
        ("joins: [{\(wanted)}]\nconditions: \"{{ loses }}\"\ncmd: a\n", "expression.unknown-name"),
    ])
    func `what goes together with no join is refused`(text: String, code: String) throws {
        let (operation, diagnostics) = try Reading.read(text)
        #expect(operation == nil)
        let found = diagnostics.filter { $0.severity == .error }
        #expect(found.contains { $0.code == code && $0.place != nil }, "\(found.map { DiagnosticText.line($0) })")
    }

    @Test func `what only the found runs can tell is left to them`() throws {
        // Whether there is a first loss, and what the condition says of it, is known when the search has been made.
        let text = "joins: [{\(Self.wanted)}]\nconditions: \"{{ losses[0] < 1 }}\"\ncmd: echo {{ losses[0] }}\n"
        #expect(try Reading.operation(text).joins?.count == 1)
    }

    @Test func `operations of a graph search when they are due, with what others gave them`() throws {
        let operation = try Reading.operation(
            """
            run:
              kind: dag
              operations:
              - {name: tune, dagRef: w, matrix: {kind: mapping, values: [{a: 1}]}}
              - name: best
                dagRef: w
                params: {tune: {ref: ops.tune, value: globals.uuid, contextOnly: true}}
                joins: [{query: "pipeline: {{ tune }}", params: {losses: {value: outputs.loss, contextOnly: true}}}]
              components: [{name: w, run: {kind: job, container: {command: ["true"]}}}]
            """)
        let dag = try #require(operation.dag)
        #expect(!operation.isToJoin && dag.nodes[1].operation.isToJoin)
        #expect(dag.nodes[1].dependencies == [0])
    }

    @Test func `validate tells which params are searched for, and shows the joins`() throws {
        let text = "joins: [{\(Self.wanted)}]\ncmd: a\n"
        let validation = OperationReader.validate(
            Reading.submission(text), from: SpecSources(hub: try Reading.hub(), profiles: Reading.profiles))
        #expect(validation.isValid)
        #expect(validation.joined == ["losses"])
        #expect(
            validation.resolved?.contains("query: \"kind: job\"  # op.yaml:1:17") == true,
            "\(validation.resolved ?? "")")
    }
}
