import PostludeCore
import Testing

@Suite struct RenderingTests {
    static let context = EvaluationContext([
        "lr": .double(0.1), "n": .int(3), "ok": .bool(false), "name": .string("x {{ y }}"), "nothing": .null,
        "tags": .list([.string("a"), .int(1)]),
    ])

    @Test(arguments: [
        ("{{ n }}", Value.int(3)), ("{{lr}}", .double(0.1)), ("{{ ok }}", .bool(false)), ("{{ nothing }}", .null),
        ("{{ tags }}", .list([.string("a"), .int(1)])), ("n={{ n }}", .string("n=3")), (" {{ n }}", .string(" 3")),
        ("{{ n }}{{ n }}", .string("33")), ("--ok={{ ok }} {{ nothing }}.", .string("--ok=false .")),
        ("{{ tags }} {{ lr }}", .string("[\"a\", 1] 0.1")), ("plain", .string("plain")), ("", .string("")),
        ("{{ '}}' }}", .string("}}")), ("{{ \"{{\" }}", .string("{{")), ("{ {n} }", .string("{ {n} }")),
        ("{", .string("{")),
        ("}} }}", .string("}} }}")), ("{{ name }}", .string("x {{ y }}")), ("[{{ name }}]", .string("[x {{ y }}]")),
        ("{# no comment #}", .string("{# no comment #}")), ("{{n}}é", .string("3é")), ("100%}", .string("100%}")),
    ])
    func `one expression keeps its type, the rest is text`(source: String, expected: Value) throws {
        #expect(try Rendering.render(Template(source), in: Self.context) == expected)
    }

    @Test func `errors tell file, line and column`() {
        let template = Template(
            "a\nbb {{ n + missing }}\n{{ n }}", at: SourcePlace(file: "op.yaml", line: 10, column: 5))
        let error = #expect(throws: ExpressionError.self) { try Rendering.text(template, in: Self.context) }
        #expect(error?.place == SourcePlace(file: "op.yaml", line: 11, column: 5 + 10))
        #expect(error?.description.hasPrefix("op.yaml:11:15: There is nothing called 'missing' here.") == true)
        #expect(error?.diagnostic.code == "expression.unknown-name")
    }

    @Test(arguments: [
        ("{% if x %}", "expression.unsupported", 1), ("ab {%", "expression.unsupported", 4),
        ("{{ n", "expression.syntax", 1),
        ("ab{{ 'x }}", "expression.syntax", 3), ("{{}}", "expression.syntax", 3),
        ("x {{ n + }}", "expression.syntax", 10),
    ])
    func `what is no template is refused with its column`(source: String, code: String, column: Int) {
        let template = Template(source, at: SourcePlace(file: "f", line: 1, column: 1))
        let error = #expect(throws: ExpressionError.self) { try Rendering.check(template) }
        #expect(error?.code == code)
        #expect(error?.place?.column == column)
        #expect(error?.hint?.isEmpty == false)
    }

    @Test func `a rendered value is not rendered again`() throws {
        let hostile = Value.string("{{ n }}{% x %}")
        let context = EvaluationContext(["x": hostile, "l": .list([hostile]), "n": .int(1)])
        #expect(try Rendering.render("{{ x }}", in: context) == hostile)
        #expect(try Rendering.text("<{{ x }}>", in: context) == "<{{ n }}{% x %}>")
        let nested = Param(value: .dict(["a": .list([.string("{{ x }}"), .int(1)])]), isTemplate: true)
        #expect(try Rendering.render(nested, in: context) == .dict(["a": .list([hostile, .int(1)])]))
        #expect(try Rendering.render(Param(value: hostile, isTemplate: false), in: context) == hostile)
    }

    @Test func `a template has a bound`() {
        let long = Template(String(repeating: "{{ n }}", count: 160_000))
        #expect(throws: ExpressionError.self) { try Rendering.text(long, in: Self.context) }
        let huge = EvaluationContext(["x": .string(String(repeating: "x", count: 400_000))])
        #expect(throws: ExpressionError.self) { try Rendering.text("{{ x }}{{ x }}{{ x }}", in: huge) }
    }

    @Test(arguments: [
        ("y", true), ("yes", true), ("T", true), ("true", true), ("True", true), ("ON", true), ("1", true),
        ("n", false),
        ("No", false), ("f", false), ("false", false), ("off", false), ("0", false),
    ])
    func `words of truth`(word: String, expected: Bool) throws {
        #expect(try Rendering.truth(of: .string(word)) == expected)
    }

    @Test(arguments: [
        Value.string(""), .string("maybe"), .string("0.1"), .string("loss < 0.1"), .string(" true"), .int(2), .int(-1),
        .double(0.1), .list([]), .list([.bool(true)]), .dict([:]), .null,
    ])
    func `what is neither true nor false decides nothing`(value: Value) {
        let error = #expect(throws: ExpressionError.self) { try Rendering.truth(of: value) }
        #expect(error?.code == "expression.not-a-condition")
    }

    @Test func `flags and numbers have a truth`() throws {
        #expect(try Rendering.truth(of: .bool(true)) && Rendering.truth(of: .int(1)) && Rendering.truth(of: .double(1)))
        #expect(
            try !Rendering.truth(of: .bool(false)) && !Rendering.truth(of: .int(0)) && !Rendering.truth(of: .double(0)))
    }

    // MARK: What a run's templates see

    @Test func `outputs shadow inputs, which shadow params of the context`() throws {
        let context = try RunContext(
            globals: ["uuid": .string("u")], inputs: ["a": .int(1), "b": .int(1)], outputs: ["b": .int(2)],
            contextParams: ["a": .int(0), "c": .int(0)])
        #expect(try Rendering.text("{{ a }}{{ b }}{{ c }}{{ globals.uuid }}", in: context.evaluation) == "120u")
    }

    @Test func `reserved names cannot be taken over`() throws {
        let context = try RunContext(
            globals: ["uuid": .string("u")], inputs: [:], outputs: ["globals": .string("mine"), "params": .int(1)])
        #expect(try Rendering.text("{{ globals.uuid }}", in: context.evaluation) == "u")
    }

    @Test func `params know their argument form`() throws {
        let declarations = [
            IODeclaration(name: "lr", type: "float"), IODeclaration(name: "check", type: "bool", isFlag: true),
            IODeclaration(name: "off", type: "bool", isFlag: true), IODeclaration(name: "plain", type: "bool"),
            IODeclaration(name: "fmt", type: "float", argFormat: "lr={{ fmt }} {{ 1 if check else 0 }}"),
            IODeclaration(name: "absent", type: "str", isOptional: true), IODeclaration(name: "l", type: "List[int]"),
        ]
        let context = try RunContext(
            globals: [:], declarations: declarations,
            inputs: [
                "lr": .double(0.01), "check": .bool(true), "off": .bool(false), "plain": .bool(true),
                "fmt": .double(2.5),
                "absent": .null, "l": .list([.int(1), .int(2)]),
            ])
        func text(_ source: Template) throws -> String { try Rendering.text(source, in: context.evaluation) }
        #expect(try text("{{ params.lr.as_arg }}") == "--lr=0.01")
        #expect(try text("{{ params.check.as_arg }}{{ params.off.as_arg }}") == "--check")
        #expect(try text("{{ params.plain.as_arg }}") == "--plain=true")
        #expect(try text("{{ params.fmt.as_arg }}") == "lr=2.5 1")
        #expect(try text("[{{ params.absent.as_arg }}]") == "[]")
        #expect(try text("{{ params.l.as_arg }}") == "--l=[1, 2]")
        #expect(try text("{{ params.lr.as_str }} {{ params.lr.type }} {{ params.lr.value }}") == "0.01 float 0.01")
        // A bare flag shows as its argument, as in Polyaxon.
        #expect(try text("{{ check }}{{ off }} {{ plain }}") == "--check true")
        #expect(
            try Rendering.render("{{ params.as_args }}", in: context.evaluation)
                == .list(["--lr=0.01", "--check", "--plain=true", "lr=2.5 1", "--l=[1, 2]"].map(Value.string)))
    }
}
