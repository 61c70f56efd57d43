import PostludeCore
import Testing

/// What one step may make is bounded, and so is what all steps of one template make together.
@Suite struct ExpressionBudgetTests {
    private static let context = EvaluationContext([
        "t": .string(String(repeating: "t", count: 90_000)),
        "many": .list((0..<90_000).map { .int(Int64($0)) }),
    ])

    private static func repeated(_ part: String, _ count: Int, with separator: String = ", ") -> String {
        [String](repeating: part, count: count).joined(separator: separator)
    }

    @Test(arguments: [
        "{{ [\(repeated("t", 200))] | map('list') }}",
        "{{ [\(repeated("t", 200))] | map('upper') }}",
        "{{ [\(repeated("t | list", 1000))] }}",
        "{{ [\(repeated("many + [1]", 1000))] }}",
        "{{ [\(repeated("t + t", 1000))] }}",
        "{{ [\(repeated("[t, t] | map('list')", 500))] }}",
        "{{ [\(repeated("7 in many", 1000))] }}",
        repeated("{{ t | upper | length }}", 1000, with: ""),
    ])
    func `many steps that each are small are refused as one that is large`(source: String) {
        let error = #expect(throws: ExpressionError.self) { try Rendering.render(Template(source), in: Self.context) }
        #expect(error?.code == "expression.too-large", "\(error?.message ?? "") for \(source.prefix(40))")
    }

    @Test func `the parts of one param share what they may do`() {
        let text = "{{ \(Self.repeated("(t | upper | length)", 40, with: " + ")) }}"
        let param = Param(value: .list([Value](repeating: .string(text), count: 20)), isTemplate: true, place: nil)
        let error = #expect(throws: ExpressionError.self) { try Rendering.render(param, in: Self.context) }
        #expect(error?.code == "expression.too-large")
    }

    @Test func `what people write stays far below`() throws {
        let large = EvaluationContext([
            "log": .string(String(repeating: "x", count: 1 << 20)), "many": .list([.int(1)]),
        ])
        let source = "{{ \(Self.repeated("(log | length)", 30, with: " + ")) }}"
        #expect(try Rendering.render(Template(source), in: large) == .int(30 << 20))
    }
}
