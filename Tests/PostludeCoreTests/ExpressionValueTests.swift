import Foundation
import PostludeCore
import Testing

@Suite struct ExpressionSecretTests {
    /// What a param holds may be a secret, and an error's message is shown to more people than the run is.
    @Test(arguments: ["secret | float", "secret | int", "secret - 1", "secret.x", "[1][secret]", "secret | abs"])
    func `an error does not tell the value that it is about`(expression: String) throws {
        let context = EvaluationContext(["secret": .string("hunter2")])
        let error = #expect(throws: ExpressionError.self) {
            try Rendering.render(Template("{{ \(expression) }}"), in: context)
        }
        #expect(error?.message.contains("hunter2") == false)
    }
}

@Suite struct ExpressionValueTests {
    static let samples: [Value] = [
        .null, .bool(true), .bool(false), .int(0), .int(.max), .int(.min), .double(0.1), .double(1e300), .double(-2.5),
        .string(""), .string("1"), .string("é\u{2028}\"\\\n\u{1}"), .list([]), .list([.null, .list([.int(1)])]),
        .dict([:]),
        .dict(["a": .dict(["b": .double(0.5)]), "1": .bool(false)]),
    ]

    @Test(arguments: samples)
    func `a value survives its JSON`(value: Value) throws {
        let data = try JSONEncoder().encode([value])
        #expect(try JSONDecoder().decode([Value].self, from: data) == [value])
        // Our own writer makes the same JSON.
        #expect(try JSONDecoder().decode([Value].self, from: Data("[\(try value.json())]".utf8)) == [value])
    }

    @Test func `integers stay integers and fractions stay floats`() throws {
        let decoded = try JSONDecoder().decode(
            [Value].self, from: Data("[1, -1, 1.5, 1e2, 9223372036854775808, true]".utf8))
        #expect(decoded == [.int(1), .int(-1), .double(1.5), .int(100), .double(9.223372036854776e18), .bool(true)])
    }

    @Test func `the text form is what a template shows`() throws {
        #expect(try Value.null.text() == "")
        #expect(try Value.double(1).text() == "1.0")
        #expect(try Value.double(1e-5).text() == "1e-05")
        #expect(try Value.list([.string("a"), .bool(true), .null]).text() == "[\"a\", true, null]")
        #expect(throws: ExpressionError.self) { try Value.double(.infinity).text() }
    }
}
