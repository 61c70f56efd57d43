import Testing

@testable import PostludeCore

@Suite struct OutputDeclarationsTests {
    static let declared = OutputDeclarations([
        IODeclaration(name: "accuracy", type: "float", validation: [IOConstraint(.le, .int(1))]),
        IODeclaration(name: "name", type: "str"), IODeclaration(name: "count", type: "int"),
        IODeclaration(name: "ok", type: "bool"), IODeclaration(name: "curve", type: "float", isList: true),
        IODeclaration(name: "box", type: "dict", isOptional: true),
    ])

    static let words: [(String, Value)] = [
        ("accuracy=1", .double(1)), ("accuracy=0.93", .double(0.93)), ("name=1.0", .string("1.0")),
        ("name=", .string("")), ("name=a=b", .string("a=b")), ("name=true", .string("true")), ("count=7", .int(7)),
        ("ok=yes", .bool(true)), ("curve=[1, 0.5]", .list([.double(1), .double(0.5)])),
        ("box={\"a\": 1}", .dict(["a": .int(1)])),
        // Nobody declared these.
        ("n=3", .int(3)), ("x=0.5", .double(0.5)), ("f=false", .bool(false)), ("t=hello world", .string("hello world")),
        ("v=01", .string("01")), ("q=\"text\"", .string("\"text\"")), ("l=[1,", .string("[1,")),
        ("z=null", .string("null")), ("big=100000000000000000000", .double(1e20)),
    ]

    @Test(arguments: words)
    func `a declared type decides what a text is, else JSON does`(word: String, value: Value) throws {
        #expect(try Self.declared.output(from: word, isJSON: false).value == value)
    }

    @Test(arguments: [
        ("accuracy=high", "takes float, not the text 'high'"), ("accuracy=1.5", "'accuracy'"),
        ("count=1.5", "takes int"),
        ("curve=1", "takes List[float]"), ("accuracy", "is no output"), ("=1", "is no output"),
    ])
    func `what does not fit is told by name, type and what was given`(word: String, said: String) {
        #expect {
            try Self.declared.output(from: word, isJSON: false)
        } throws: { error in
            (error as? OutputDeclarations.Problem)?.message.contains(said) == true
        }
    }

    @Test func `as JSON a text needs its quotes`() throws {
        #expect(try Self.declared.output(from: "name=\"x\"", isJSON: true).value == .string("x"))
        #expect(throws: OutputDeclarations.Problem.self) { try Self.declared.output(from: "name=x", isJSON: true) }
    }

    @Test func `the context file tells the declarations, and they are read back`() throws {
        let text = try Self.declared.value.json()
        let read = OutputDeclarations(try Value.parse(json: text))
        #expect(read.declarations.map(\.name) == ["accuracy", "box", "count", "curve", "name", "ok"])
        #expect(read.declaration("curve") == Self.declared.declaration("curve"))
        #expect(read.declaration("accuracy") == Self.declared.declaration("accuracy"))
        #expect(OutputDeclarations(.null).declarations.isEmpty)
    }
}

@Suite struct JSONParserTests {
    static let values: [(String, Value)] = [
        ("null", .null), (" true ", .bool(true)), ("-0", .int(0)), ("12", .int(12)), ("1.0", .double(1)),
        ("1e2", .double(100)), ("-1.5E-1", .double(-0.15)), ("[]", .list([])), ("{ }", .dict([:])),
        ("[1, [2]]", .list([.int(1), .list([.int(2)])])), (#"{"a": {"b": null}}"#, .dict(["a": .dict(["b": .null])])),
        (#""a\"\\\/\n\u0041\ud83d\ude00""#, .string("a\"\\/\nA😀")), (#""\ud83d x""#, .string("\u{FFFD} x")),
        (#"{"a": 1, "a": 2}"#, .dict(["a": .int(2)])), ("9223372036854775808", .double(9_223_372_036_854_775_808)),
    ]

    @Test(arguments: values)
    func `JSON becomes values`(text: String, value: Value) throws { #expect(try Value.parse(json: text) == value) }

    @Test(arguments: [
        "", "nul", "01", "1.", "+1", ".5", "1e", "NaN", "[1,]", "[1 2]", "{\"a\" 1}", "{a: 1}", "\"a", "\"\\x\"",
        "\"\n\"", "1 2", "[", "{\"a\":", "1e999", "\"\\u12g4\"", String(repeating: "[", count: 1000),
    ])
    func `what is not JSON is refused`(text: String) {
        #expect(throws: JSONProblem.self) { try Value.parse(json: text) }
    }

    @Test func `bytes that are no UTF-8 are refused`() {
        #expect(throws: JSONProblem.self) { try Value.parse(json: [0x22, 0xff, 0x22]) }
    }

    @Test func `what is written is read back`() throws {
        for (_, value) in Self.values { #expect(try Value.parse(json: value.json()) == value) }
    }
}
