import PostludeCore
import Testing

@Suite struct ExpressionTests {
    static let names: [String: Value] = [
        "loss": .double(0.05), "lr": .double(0.1), "n": .int(7), "ok": .bool(true), "nothing": .null,
        "name": .string("digits"), "empty": .string(""), "tags": .list([.string("a"), .string("b")]),
        "numbers": .list([.int(1), .int(2), .int(3)]), "big": .int(.max), "small": .int(.min),
        "config": .dict(["a-b": .dict(["url": .string("u")]), "depth": .int(3)]),
        "rows": .list([.dict(["k": .int(1)]), .dict(["k": .int(2)])]),
        "globals": .dict(["uuid": .string("f00"), "run_artifacts_path": .string("/a")]),
    ]

    static func value(_ source: String) throws(ExpressionError) -> Value {
        try Expression.parse(source).evaluate(EvaluationContext(names))
    }

    static func failure(_ source: String) -> ExpressionError? {
        do throws(ExpressionError) {
            _ = try value(source)
            return nil
        } catch {
            return error
        }
    }

    static let meanings: [(String, Value)] = [
        ("1", .int(1)), ("-1", .int(-1)), ("1.5", .double(1.5)), ("1e3", .double(1000)), ("2E-2", .double(0.02)),
        ("'a\\'b'", .string("a'b")), ("\"\\u00e9\\n\"", .string("é\n")), ("true", .bool(true)),
        ("False", .bool(false)),
        ("none", .null), ("[1, 'a',]", .list([.int(1), .string("a")])), ("[]", .list([])),
        ("1 + 2 * 3", .int(7)), ("(1 + 2) * 3", .int(9)), ("7 / 2", .double(3.5)), ("7 // 2", .int(3)),
        ("-7 // 2", .int(-4)), ("-7 % 3", .int(2)), ("7 % -3", .int(-2)), ("7.5 // 2", .double(3)),
        ("-7.5 % 2", .double(0.5)), ("2 - -3", .int(5)), ("--3", .int(3)), ("+n", .int(7)),
        ("'a' + '/' + 'b'", .string("a/b")), ("tags + ['c']", .list([.string("a"), .string("b"), .string("c")])),
        ("loss < 0.1", .bool(true)), ("loss < 0.1 and lr == 0.1", .bool(true)), ("1 < 2 < 3", .bool(true)),
        ("1 < 3 < 2", .bool(false)), ("1 == 1.0", .bool(true)), ("1 == true", .bool(true)), ("'1' == 1", .bool(false)),
        ("'a' < 'b'", .bool(true)), ("'a' in name", .bool(false)), ("'dig' in name", .bool(true)),
        ("'' in name", .bool(true)), ("2 in numbers", .bool(true)), ("9 not in numbers", .bool(true)),
        ("'depth' in config", .bool(true)), ("not ok", .bool(false)), ("not not ok", .bool(true)),
        ("nothing == none", .bool(true)), ("nothing or 'x'", .string("x")), ("empty or n", .int(7)),
        ("tags and 1", .int(1)), ("not ok and missing", .bool(false)), ("ok or missing", .bool(true)),
        ("1 if ok else missing", .int(1)), ("missing if not ok else 2", .int(2)),
        ("1 if not ok else 2 if n == 7 else 3", .int(2)), ("config.depth", .int(3)),
        ("config['a-b'].url", .string("u")),
        ("globals.run_artifacts_path + '/x'", .string("/a/x")), ("tags[0]", .string("a")), ("tags[-1]", .string("b")),
        ("tags.0", .string("a")), ("name[0]", .string("d")), ("numbers | map('string') | join(' ')", .string("1 2 3")),
        ("numbers|join", .string("123")), ("rows | map(attribute='k') | list", .list([.int(1), .int(2)])),
        ("numbers | length", .int(3)), ("name | length", .int(6)),
        ("config | list", .list([.string("a-b"), .string("depth")])),
        ("'3' | int", .int(3)), ("'3.9' | int", .int(3)), ("'x' | int(4)", .int(4)), ("3.9 | int", .int(3)),
        ("'0.5' | float", .double(0.5)), ("n | float", .double(7)), ("n | string", .string("7")),
        ("'AbC' | lower", .string("abc")), ("'é' | upper", .string("É")), ("2.567 | round(2)", .double(2.57)),
        ("2.5 | round", .double(2)), ("n | round(3)", .int(7)), ("missing | default(3)", .int(3)),
        ("config.nope | default('x')", .string("x")), ("tags[9] | default(none)", .null),
        ("nothing | default(1)", .int(1)), ("empty | default('x')", .string("")),
        ("empty | default('x', true)", .string("x")),
        ("tags | first", .string("a")), ("tags | last", .string("b")), ("tags | tojson", .string("[\"a\", \"b\"]")),
        ("config | tojson", .string("{\"a-b\": {\"url\": \"u\"}, \"depth\": 3}")), ("ok | string", .string("true")),
        ("big == 9223372036854775807", .bool(true)), ("big < 9.3e18", .bool(true)), ("big > 9.2e18", .bool(true)),
        ("9007199254740993 == 9007199254740992.0", .bool(false)), ("small % -1", .int(0)), ("-0.0 == 0", .bool(true)),
        ("n\n + \t1", .int(8)), ("größe | default(1)", .int(1)), ("- n + 8", .int(1)), ("not 1 == 2", .bool(true)),
        ("1 + 1 in numbers", .bool(true)), ("[1, 2] == [1.0, 2]", .bool(true)),
        ("tags | join(', ') | upper", .string("A, B")),
    ]

    @Test(arguments: meanings)
    func `an expression means what it says`(source: String, expected: Value) throws {
        #expect(try Self.value(source) == expected, "\(source)")
    }

    static let mistakes: [(String, String, Int)] = [
        ("", "expression.syntax", 0), ("   ", "expression.syntax", 0), ("1 +", "expression.syntax", 3),
        ("(1", "expression.syntax", 2), ("[1", "expression.syntax", 2), ("1 2", "expression.syntax", 2),
        ("'abc", "expression.syntax", 0), ("'a\\q'", "expression.syntax", 2), ("'\\ud800'", "expression.syntax", 1),
        ("a = 1", "expression.syntax", 2), ("1x", "expression.syntax", 0), ("$x", "expression.syntax", 0),
        ("n && n", "expression.syntax", 2), ("!ok", "expression.syntax", 0), ("2 ** 3", "expression.syntax", 2),
        ("1 if ok", "expression.syntax", 7), ("if", "expression.syntax", 0), ("n.", "expression.syntax", 2),
        ("n |", "expression.syntax", 3), ("n not 3", "expression.syntax", 6), ("a ~ b", "expression.syntax", 2),
        ("name.upper()", "expression.unsupported", 10), ("name[0:1]", "expression.unsupported", 6),
        ("{'a': 1}", "expression.unsupported", 0), ("(1, 2)", "expression.unsupported", 2),
        ("n is none", "expression.unsupported", 2), ("lss", "expression.unknown-name", 0),
        ("1 + lss", "expression.unknown-name", 4), ("config.dept", "expression.unknown-key", 7),
        ("config['x']", "expression.unknown-key", 6), ("tags[2]", "expression.index-out-of-range", 4),
        ("tags[-3]", "expression.index-out-of-range", 4), ("[] | first", "expression.index-out-of-range", 5),
        ("n.x", "expression.type-mismatch", 2), ("n['x']", "expression.type-mismatch", 1),
        ("tags['x']", "expression.type-mismatch", 4), ("n + 'a'", "expression.type-mismatch", 2),
        ("'a' * 3", "expression.type-mismatch", 4), ("tags < 1", "expression.type-mismatch", 5),
        ("'a' < 1", "expression.type-mismatch", 4), ("1 in n", "expression.type-mismatch", 2),
        ("-name", "expression.type-mismatch", 0), ("ok + 1", "expression.type-mismatch", 3),
        ("n | uper", "expression.unknown-filter", 4), ("n | map('x')", "expression.type-mismatch", 4),
        ("tags | map('nope')", "expression.unknown-filter", 11), ("tags | map", "expression.syntax", 7),
        ("tags | length(1)", "expression.syntax", 14), ("'x' | int", "expression.type-mismatch", 6),
        ("'x' | float", "expression.type-mismatch", 6), ("nothing | int", "expression.type-mismatch", 10),
        ("n | round", "none", 0), ("n | round(99)", "expression.type-mismatch", 10),
        ("name | round", "expression.type-mismatch", 7), ("n | join", "expression.type-mismatch", 4),
        ("n | first", "expression.type-mismatch", 4), ("n | list", "expression.type-mismatch", 4),
        ("n | length", "expression.type-mismatch", 4), ("1 / 0", "expression.division-by-zero", 2),
        ("1 // 0", "expression.division-by-zero", 2), ("1 % 0", "expression.division-by-zero", 2),
        ("1.0 / 0", "expression.division-by-zero", 4), ("big + 1", "expression.overflow", 4),
        ("small - 1", "expression.overflow", 6), ("big * 2", "expression.overflow", 4),
        ("-small", "expression.overflow", 0),
        ("small // -1", "expression.overflow", 6), ("1e308 * 10", "expression.overflow", 6),
        ("9223372036854775808", "expression.overflow", 0), ("1e999", "expression.overflow", 0),
        ("1e300 | int", "expression.type-mismatch", 8), ("missing.x | upper", "expression.unknown-name", 0),
        ("(n + 'a') | default(1)", "expression.type-mismatch", 3),
    ]

    @Test(arguments: mistakes)
    func `a mistake is named with its place`(source: String, code: String, offset: Int) {
        let error = Self.failure(source)
        guard code != "none" else {
            #expect(error == nil)
            return
        }
        #expect(error?.code == code, "\(source)")
        #expect(error?.offset == offset, "\(source)")
        #expect(error?.hint?.isEmpty == false, "\(source)")
    }

    @Test func `an unknown name suggests the one that was meant`() {
        #expect(Self.failure("lss")?.hint == "Did you mean 'loss'?")
        #expect(Self.failure("config.dept")?.hint == "Did you mean 'depth'?")
        #expect(Self.failure("n | uper")?.hint == "Did you mean 'upper'?")
        #expect(Self.failure("completely_different")?.hint?.hasPrefix("Known names: ") == true)
    }

    @Test func `depth, length and size have bounds`() throws {
        let deep = String(repeating: "(", count: 200) + "1" + String(repeating: ")", count: 200)
        #expect(Self.failure(deep)?.code == "expression.too-deep")
        #expect(Self.failure(String(repeating: "not ", count: 200) + "ok")?.code == "expression.too-deep")
        #expect(Self.failure(String(repeating: "-", count: 200) + "1")?.code == "expression.too-deep")
        #expect(Self.failure("1" + String(repeating: " + 1", count: 400))?.code == "expression.too-deep")
        #expect(Self.failure("n" + String(repeating: "|string", count: 400))?.code == "expression.too-deep")
        #expect(Self.failure("n" + String(repeating: "[0]", count: 400))?.code == "expression.too-deep")
        #expect(Self.failure(String(repeating: "1,", count: 9_000))?.code == "expression.too-large")
        #expect(try Self.value("1" + String(repeating: " + 1", count: 200)) == .int(201))
        let text = EvaluationContext(["x": .string(String(repeating: "x", count: 600_000))])
        let doubled = try Expression.parse("x + x")
        #expect(throws: ExpressionError.self) { try doubled.evaluate(text) }
        let joined = try Expression.parse("[x, x] | join")
        #expect(throws: ExpressionError.self) { try joined.evaluate(text) }
        var nested = Value.int(1)
        for _ in 0..<300 { nested = .list([nested]) }
        let json = try Expression.parse("x | tojson")
        #expect(throws: ExpressionError.self) { try json.evaluate(EvaluationContext(["x": nested])) }
    }

    @Test func `values are data, whatever they contain`() throws {
        let context = EvaluationContext(["x": .string("{{ 7*7 }}{% raw %}"), "y": .string("__class__")])
        #expect(try Expression.parse("x").evaluate(context) == .string("{{ 7*7 }}{% raw %}"))
        #expect(throws: ExpressionError.self) { try Expression.parse("x.__class__").evaluate(context) }
        #expect(throws: ExpressionError.self) { try Expression.parse("x[y]").evaluate(context) }
    }

    @Test func `the names an expression reads are known without evaluating it`() throws {
        let expression = try Expression.parse("a.b + c[d] if e else f | default(g) and not -h in [i]")
        #expect(expression.freeNames == ["a", "c", "d", "e", "f", "g", "h", "i"])
    }

    @Test func `a search is linear in hostile texts`() throws {
        let context = EvaluationContext([
            "text": .string(String(repeating: "a", count: 500_000)),
            "part": .string(String(repeating: "a", count: 250_000) + "b"),
        ])
        #expect(try Expression.parse("part in text").evaluate(context) == .bool(false))
    }
}

/// Random expressions: whatever the text, there is a value or an error with a place inside of it.
@Suite struct ExpressionPropertyTests {
    static let tokens = [
        "n", "loss", "name", "tags", "config", "nothing", "1", "0", "2.5", "'a'", "\"b\"", "(", ")", "[", "]", ",", ".",
        "|",
        "+", "-", "*", "/", "//", "%", "==", "!=", "<", "<=", ">", ">=", "and", "or", "not", "in", "if", "else", "is",
        "true",
        "none", "length", "join", "map", "default", "int", "tojson", "round", "first", "'", "{", "}", "=", "~", "é",
        " ", "\n",
    ]

    @Test(arguments: 0..<40)
    func `random tokens never crash and never hang`(seed: UInt64) {
        var random = SplitMix(state: seed)
        for _ in 0..<2_000 {
            let count = Int(random.next() % 24)
            let source = (0..<count).map { _ in Self.tokens[Int(random.next() % UInt64(Self.tokens.count))] }
                .joined(separator: random.next() % 3 == 0 ? "" : " ")
            check(source)
        }
    }

    @Test(arguments: 0..<10)
    func `random bytes never crash and never hang`(seed: UInt64) {
        var random = SplitMix(state: seed &+ 1_000)
        for _ in 0..<1_000 {
            let bytes = (0..<Int(random.next() % 64)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            check(String(decoding: bytes, as: UTF8.self))
        }
    }

    @Test(arguments: 0..<20)
    func `what is written as an expression evaluates as computed`(seed: UInt64) throws {
        var random = SplitMix(state: seed &+ 77)
        for _ in 0..<200 {
            let (source, expected) = Self.sum(&random, depth: 5)
            let value: Value?
            do throws(ExpressionError) { value = try ExpressionTests.value(source) } catch { value = nil }
            #expect(value == expected.map(Value.int), "\(source)")
        }
    }

    /// An arithmetic expression with its value; nil where it overflows.
    static func sum(_ random: inout SplitMix, depth: Int) -> (String, Int64?) {
        guard depth > 0, random.next() % 4 != 0 else {
            let number = Int64(truncatingIfNeeded: random.next()) >> Int64(random.next() % 64)
            return number < 0
                ? (
                    "(0 - \(number.magnitude > UInt64(Int64.max) ? "1" : String(number.magnitude)))",
                    number.magnitude > UInt64(Int64.max) ? -1 : number
                ) : (String(number), number)
        }
        let (left, a) = sum(&random, depth: depth - 1)
        let (right, b) = sum(&random, depth: depth - 1)
        let operation = random.next() % 3
        let symbol = ["+", "-", "*"][Int(operation)]
        guard let a, let b else { return ("(\(left) \(symbol) \(right))", nil) }
        let result =
            operation == 0
            ? a.addingReportingOverflow(b)
            : operation == 1 ? a.subtractingReportingOverflow(b) : a.multipliedReportingOverflow(by: b)
        return ("(\(left) \(symbol) \(right))", result.overflow ? nil : result.partialValue)
    }

    private func check(_ source: String) {
        do throws(ExpressionError) {
            _ = try ExpressionTests.value(source)
        } catch {
            #expect(error.offset >= 0 && error.offset <= source.unicodeScalars.count, "\(source): \(error)")
            #expect(!error.message.isEmpty && error.hint?.isEmpty == false, "\(source): \(error)")
        }
        // The same text as a template: the places stay within it.
        do throws(ExpressionError) {
            _ = try Rendering.render(
                Template("x{{\(source)}}{{ \(source)"), in: EvaluationContext(ExpressionTests.names))
        } catch {
            #expect(error.offset >= 0 && error.offset <= source.unicodeScalars.count * 2 + 8)
        }
    }
}

/// A small generator with a seed, so that a failure can be repeated.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
