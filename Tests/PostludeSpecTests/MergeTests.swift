import Foundation
import PostludeCore
import Testing

@testable import PostludeSpec

/// What becomes of an operation when its component, patches and presets are merged, held against Polyaxon's answers.
@Suite struct MergeTests {
    struct Case: Decodable, CustomTestStringConvertible, Sendable {
        var name: String
        var operation: Value
        var preset: Value?
        var result: Value?
        var refused: String?
        var testDescription: String { name }
    }

    static func cases() throws -> [Case] {
        let lines = try Files.text(Files.fixtures.appendingPathComponent("merge-cases.jsonl")).split(separator: "\n")
        return try lines.dropFirst().map { try JSONDecoder().decode(Case.self, from: Data($0.utf8)) }
    }

    /// The flat operation as a value; JSON is YAML.
    static func merged(_ item: Case) throws -> (Value, [Diagnostic]) {
        var submission = Reading.submission(try item.operation.json())
        if let preset = item.preset { submission.references["p.yaml"] = try preset.json() }
        let session = SpecSession(submission, SpecSources(hub: .empty, profiles: []))
        let root = try #require(YAMLReader.read(submission.text, file: submission.path, session.findings))
        let composed = Composer(session: session).operation(root)
        let value = try #require(composed.root.value(session.findings))
        return (normal(value), session.findings.diagnostics)
    }

    /// Without what only says what the file is, with one spelling of keys, without what is null.
    static func normal(_ value: Value) -> Value {
        guard case .dict(var entries) = canonical(value) else { return value }
        for key in ["kind", "version", "presets"] { entries[key] = nil }
        if entries["strictParams"] == .bool(false) { entries["strictParams"] = nil }
        if case .dict(let params)? = entries["params"] {
            entries["params"] = .dict(
                params.mapValues { param in
                    if case .dict(let keys) = param, keys["value"] != nil { return param }
                    return .dict(["value": param])
                })
        }
        return .dict(entries)
    }

    static func canonical(_ value: Value) -> Value {
        switch value {
        case .dict(let entries):
            var result: [String: Value] = [:]
            for (key, value) in entries where value != .null { result[MappingReader.canonical(key)] = canonical(value) }
            return .dict(result)
        case .list(let items): return .list(items.map(canonical))
        case .null, .bool, .int, .double, .string: return value
        }
    }

    @Test func `every merge gives what Polyaxon gives`() throws {
        let cases = try Self.cases()
        #expect(cases.count >= 400)
        for item in cases {
            let (value, found) = try Self.merged(item)
            if let expected = item.result {
                let wanted = Self.canonical(expected)
                let (asked, got) = (try wanted.json(), try value.json())
                #expect(value == wanted, "\(item.name): wanted \(asked), got \(got)")
                #expect(!found.contains { $0.severity == .error }, "\(item.name): \(found)")
            } else {
                #expect(found.contains { $0.severity == .error }, "\(item.name): Polyaxon refuses it")
            }
        }
    }
}
