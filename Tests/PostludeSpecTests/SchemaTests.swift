import Foundation
import PostludeCore
import Testing

@testable import PostludeSpec

/// The JSON Schema says what the readers read.
@Suite struct SchemaTests {
    /// A file in which every mapping of the format is written once.
    static let everything = """
        version: 1.1
        name: all
        params: {a: {value: 1, contextOnly: true}}
        inputs: [{name: a, type: int, value: 1, validation: {gt: 0}}]
        termination: {timeout: 9}
        plugins: {shm: true}
        cache: {disable: true}
        joins: [{query: "kind: job", params: {j: {value: outputs.a, contextOnly: true}}}]
        hooks:
        - component: {run: {kind: job, container: {command: [x]}}}
          params: {b: {value: 1}}
          termination: {timeout: 9}
        run:
          kind: job
          environment: {restartPolicy: Never}
          init:
          - container: {command: [x]}
          - file: {content: a}
          - git: {url: /a}
          sidecars: [{command: [x]}]
          container:
            command: [x]
            env: [{name: A, value: b}]
            resources: {limits: {cpu: 1}}
        """

    /// The rest: what runs is of one kind, and so are the values of a matrix.
    static let flows = [
        """
        schedule: {kind: cron, cron: "0 * * * *", hooks: []}
        matrix:
          kind: random
          numRuns: 2
          params:
            a: {kind: linspace, value: {start: 1, stop: 2, num: 2}}
            b: {kind: range, value: {start: 1, stop: 2, step: 2}}
            c: {kind: logspace, value: {start: 1, stop: 2, num: 2, base: 2}}
            d: {kind: quniform, value: {low: 1, high: 2, q: 1}}
            e: {kind: qnormal, value: {loc: 1, scale: 2, q: 1}}
        run: {kind: service, ports: [80], container: {command: [x]}}
        """,
        "matrix: {kind: mapping, values: [{a: 1}]}\ncmd: x\n",
        "schedule: {kind: interval, frequency: 60}\ncmd: x\n",
        """
        run:
          kind: dag
          components: [{name: w, run: {kind: job, container: {command: [x]}}}]
          operations: [{name: a, dagRef: w, params: {p: {ref: dag, value: globals.uuid}}}]
        """,
    ]

    /// What is written in more than one way, of which no reader asks for all keys.
    static let ofKinds: Set<FormatObject> = [.run, .matrix, .span, .schedule]

    /// The object that a path of the readers' messages leads to: `run.init[0].git`.
    static func object(at path: String) -> FormatObject? {
        var shape = FormatShape.object(.file)
        for part in path.split(separator: ".") {
            let name = part.split(separator: "[").first.map(String.init) ?? String(part)
            if let below = shape.object?.key(name)?.shape {
                shape = below
            } else if let element = shape.element {
                shape = element
            } else {
                return nil
            }
            if let item = shape.item, shape.object == nil { shape = item }
        }
        return shape.object ?? shape.element?.object
    }

    @Test func `every key that the readers accept is in the schema, and the other way round`() throws {
        var seen: [FormatObject: Set<String>] = [:]
        for text in [Self.everything] + Self.flows {
            for (path, names) in try Self.coverage(of: text).sorted(by: { $0.key < $1.key }) {
                let object = try #require(Self.object(at: path), "no object at '\(path)'")
                let described = Set(object.keys.map(\.name))
                if (object == .file && path != "") || Self.ofKinds.contains(object) {
                    #expect(names.isSubset(of: described), "\(path): \(names.subtracting(described).sorted())")
                } else {
                    #expect(names == described, "\(path): \(names.symmetricDifference(described).sorted())")
                }
                if object != .file || path == "" { seen[object, default: []].formUnion(names) }
            }
        }
        for object in Self.ofKinds {
            #expect(seen[object] == Set(object.keys.map(\.name)), "\(object): \(seen[object] ?? [])")
        }
        let all = Set(FormatObject.allCases)
        #expect(Set(seen.keys) == all, "\(all.subtracting(seen.keys))")
    }

    /// The keys that the readers and the composer ask for, by path.
    static func coverage(of text: String) throws -> [String: Set<String>] {
        let session = SpecSession(
            Reading.submission(text), SpecSources(hub: try Reading.hub(), profiles: Reading.profiles))
        let coverage = FormatCoverage()
        session.findings.coverage = coverage
        let root = try #require(YAMLReader.read(text, file: "op.yaml", session.findings))
        _ = FileReader(session: session).read(root)
        #expect(!session.findings.hasErrors, "\(session.findings.diagnostics)")
        // What the composer takes before anything is read.
        let composed = Set(Composer.references + Composer.accepted + Composer.directives)
        coverage.add(composed, at: "")
        for path in coverage.keys.keys {
            if path == "hooks[0]" {
                coverage.add(Set(Composer.references + ["runPatch", "patchStrategy", "presets"]), at: path)
            } else if object(at: path) == .node {
                coverage.add(composed.union(["dagRef"]).subtracting(["isPreset"]), at: path)
            }
        }
        return coverage.keys
    }

    @Test func `every file of the corpus that is accepted is valid by the schema`() throws {
        let check = SchemaCheck(document: JSONSchema.document)
        let sources = SpecSources(hub: try Reading.hub(), profiles: Reading.profiles)
        var count = 0
        for row in try CorpusTests.rows() {
            let text = try Files.text(Files.corpus.appendingPathComponent(row.file))
            var submission = Reading.submission(text, path: row.file)
            submission.references = try CorpusTests.references(of: row, text)
            let isPreset = OperationReader.checkPreset(submission, from: sources) != nil
            guard isPreset || OperationReader.read(submission, from: sources).operation != nil else { continue }
            count += 1
            let root = try #require(YAMLReader.read(text, file: row.file, Findings()))
            let problems = check.problems(try #require(root.value(Findings())))
            #expect(problems.isEmpty, "\(row.file): \(problems)")
        }
        #expect(count >= 40)
    }

    @Test(arguments: [
        "nme: a", "name: 5", "tags: {a: b}", "run: {kind: jbo}", "run: {kind: job, contianer: {}}",
        "hooks: [{hubRef: a, triger: done}]", "hooks: [{hubRef: a, trigger: running}]", "termination: {timeout: [1]}",
        "joins: [{qery: a}]", "joins: [{query: a, params: {a: {vlue: b}}}]",
        "patchStrategy: merge", "inputs: [{nme: a}]", "isPreset: maybe", "hooks: {hubRef: a}",
    ])
    func `what a reader refuses for its shape, the schema refuses`(text: String) throws {
        let check = SchemaCheck(document: JSONSchema.document)
        let root = try #require(YAMLReader.read(text, file: "op.yaml", Findings()))
        #expect(!check.problems(try #require(root.value(Findings()))).isEmpty)
        #expect(try Reading.read(text + "\n").operation == nil)
    }

    @Test func `both spellings of a key are in the schema`() throws {
        #expect(JSONSchema.snakeCase("patchStrategy") == "patch_strategy" && JSONSchema.snakeCase("name") == "name")
        let check = SchemaCheck(document: JSONSchema.document)
        #expect(check.problems(.dict(["patch_strategy": .string("replace")])).isEmpty)
    }
}

/// As much of JSON Schema as `JSONSchema` writes; what it does not know, it reports.
struct SchemaCheck {
    let document: Value

    func problems(_ value: Value) -> [String] { problems(value, document, "") }

    private func problems(_ value: Value, _ schema: Value, _ path: String) -> [String] {
        guard case .dict(let keys) = schema else { return ["\(path): no schema"] }
        var found: [String] = []
        for (key, operand) in keys {
            switch (key, operand) {
            case ("$schema", _), ("title", _), ("description", _), ("$defs", _), ("properties", _): break
            case ("$ref", .string(let reference)): found += problems(value, definition(reference), path)
            case ("type", .string(let name)): if !has(value, name) { found.append("\(path): not \(name)") }
            case ("type", .list(let names)):
                if !names.contains(where: { if case .string(let name) = $0 { has(value, name) } else { false } }) {
                    found.append("\(path): none of \(names)")
                }
            case ("enum", .list(let words)): if !words.contains(value) { found.append("\(path): not one of \(words)") }
            case ("anyOf", .list(let schemas)):
                let all = schemas.map { problems(value, $0, path) }
                if !all.contains(where: \.isEmpty) { found += all.flatMap { $0 } }
            case ("items", _):
                guard case .list(let items) = value else { break }
                for (index, item) in items.enumerated() { found += problems(item, operand, "\(path)[\(index)]") }
            case ("additionalProperties", _):
                guard case .dict(let entries) = value else { break }
                var known: [String: Value] = [:]
                if case .dict(let properties)? = keys["properties"] { known = properties }
                for (name, entry) in entries {
                    if let property = known[name] {
                        found += problems(entry, property, "\(path).\(name)")
                    } else if operand == .bool(false) {
                        found.append("\(path).\(name): unknown")
                    } else {
                        found += problems(entry, operand, "\(path).\(name)")
                    }
                }
            default: found.append("\(path): the keyword \(key) is not checked")
            }
        }
        return found
    }

    private func definition(_ reference: String) -> Value {
        guard case .dict(let keys) = document, case .dict(let all)? = keys["$defs"] else { return .null }
        return all[String(reference.dropFirst("#/$defs/".count))] ?? .null
    }

    private func has(_ value: Value, _ type: String) -> Bool {
        switch value {
        case .null: type == "null"
        case .bool: type == "boolean"
        case .int: type == "integer" || type == "number"
        case .double: type == "number"
        case .string: type == "string"
        case .list: type == "array"
        case .dict: type == "object"
        }
    }
}
