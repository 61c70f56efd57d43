import Foundation
import PostludeCore
import Testing

@testable import PostludeSpec

/// Every expression of the corpus, and one of each construct, against what Jinja2 3.1.6 makes of it
/// (`Oracle/jinja_oracle.py`). What differs is refused, and is in a list that says why.
@Suite struct JinjaOracleTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var source: String
        var expression: String
        /// nil where Jinja2 raises an error.
        var value: Value?
        var testDescription: String { expression }
    }

    struct Oracle: Sendable {
        var version: String
        var context: EvaluationContext
        var cases: [Case]

        init() throws {
            let text = try Files.text(Files.fixtures.appendingPathComponent("jinja.json"))
            // Not by Foundation, which forgets that 1.0 is no integer.
            guard case .dict(let document) = try Value.parse(json: text),
                case .string(let version)? = document["jinja2"], case .dict(let names)? = document["context"],
                case .list(let items)? = document["cases"]
            else { throw CocoaError(.fileReadCorruptFile) }
            self.version = version
            context = EvaluationContext(names)
            cases = items.compactMap { item in
                guard case .dict(let fields) = item, case .string(let source)? = fields["source"],
                    case .string(let expression)? = fields["expression"]
                else { return nil }
                return Case(
                    source: source, expression: expression, value: fields["error"] == nil ? fields["value"] : nil)
            }
        }
    }

    /// What Postlude refuses although Jinja2 has a value for it.
    static let refused: [String: String] = [
        "'a' 'b'": "expression.syntax", "1_000": "expression.syntax", "n ** 2": "expression.syntax",
        "name ~ n": "expression.syntax", "n is defined": "expression.unsupported",
        "nope is defined": "expression.unsupported", "n is number": "expression.unsupported",
        "name[1:]": "expression.unsupported", "{'a': 1}": "expression.unsupported", "(1, 2)": "expression.unsupported",
        "name.upper()": "expression.unsupported", "range(3) | list": "expression.unsupported",
        "dict(a=1)": "expression.unsupported", "name | int": "expression.type-mismatch",
        "[1] < [2]": "expression.type-mismatch", "flag + 1": "expression.type-mismatch",
        "'3' * 2": "expression.type-mismatch", "words * 2": "expression.type-mismatch",
        "words | sort": "expression.unknown-filter", "words | reverse | list": "expression.unknown-filter",
        "name | replace('t', 'T')": "expression.unknown-filter", "name | title": "expression.unknown-filter",
        "words | unique | list": "expression.unknown-filter", "-n | abs": "expression.unknown-filter",
    ]

    /// Constructs that have another value than in Jinja2, on purpose; none of them is in the corpus.
    static let different: [String: (value: Value, why: String)] = [
        "flag | string": (.string("true"), "a bool's text is JSON's, for shells and YAML"),
        "none | default(4)": (.int(4), "what is not known is null, which `default` is for"),
        "2.675 | round(2)": (.double(2.68), "halves of what is written are rounded, not of its binary form"),
    ]

    @Test func `every expression has Jinja2's value, or is refused by a name in the list`() throws {
        let oracle = try Oracle()
        #expect(oracle.version == "3.1.6")
        #expect(oracle.cases.count { $0.source == "corpus" } > 130)
        #expect(oracle.cases.count { $0.source == "construct" } > 150)
        var unused = Set(Self.refused.keys)
        var differences: [String] = []
        for one in oracle.cases {
            let made: Value
            do throws(ExpressionError) {
                made = try Expression.parse(one.expression).evaluate(oracle.context)
            } catch {
                guard let value = one.value else { continue }
                guard let code = Self.refused[one.expression] else {
                    differences.append("\(one.expression): \(error.code) \(error.message), not \(value)")
                    continue
                }
                #expect(error.code == code, "\(one.expression)")
                unused.remove(one.expression)
                continue
            }
            if let different = Self.different[one.expression] {
                #expect(made == different.value && made != one.value && one.source == "construct", "\(one.expression)")
                continue
            }
            if made != one.value {
                differences.append("\(one.expression): \(made), not \(String(describing: one.value))")
            }
        }
        #expect(differences.isEmpty, "\(differences.joined(separator: "\n"))")
        #expect(unused.isEmpty, "no longer refused: \(unused.sorted())")
        let refused = oracle.cases.count { Self.refused[$0.expression] != nil }
        print("jinja: \(oracle.cases.count) expressions, \(refused) refused by a name in the list")
    }

    @Test func `the fixture has every expression of the corpus`() throws {
        let known = Set(try Oracle().cases.map(\.expression))
        let pattern = /\{\{(.*?)\}\}/.dotMatchesNewlines()
        for row in try CorpusTests.rows() {
            let text = try Files.text(Files.corpus.appendingPathComponent(row.file))
            for match in text.matches(of: pattern) {
                let expression = match.1.trimmingCharacters(in: .whitespacesAndNewlines)
                    .replacingOccurrences(of: "\\\"", with: "\"")
                #expect(known.contains(expression), "\(row.file): \(expression); run Oracle/jinja_oracle.py")
            }
        }
    }
}
