import PostludeCore
import Testing

@Suite struct InputsTests {
    static func typed(
        _ value: Value, _ type: String?, _ rules: [IOConstraint] = [], isList: Bool = false
    )
        -> Result<Value, Inputs.Problem>
    {
        do throws(Inputs.Problem) {
            return .success(
                try Inputs.typed(value, as: IODeclaration(name: "x", type: type, isList: isList, validation: rules)))
        } catch {
            return .failure(error)
        }
    }

    static let conversions: [(Value, String, Value?)] = [
        (.int(3), "int", .int(3)), (.string("3"), "int", .int(3)), (.double(3), "int", .int(3)),
        (.double(3.5), "int", nil), (.string("x"), "int", nil), (.bool(true), "int", nil),
        (.int(1), "float", .double(1)),
        (.string("1e-3"), "float", .double(0.001)), (.string("nan"), "float", nil), (.bool(true), "float", nil),
        (.int(1), "bool", .bool(true)), (.string("no"), "bool", .bool(false)), (.int(2), "bool", nil),
        (.string("maybe"), "bool", nil), (.int(5), "str", .string("5")), (.double(0.5), "str", .string("0.5")),
        (.bool(true), "str", .string("true")), (.list([]), "str", nil), (.dict([:]), "dict", .dict([:])),
        (.list([]), "dict", nil), (.list([.int(1)]), "list", .list([.int(1)])), (.string("[1]"), "list", nil),
        (.list([.string("1"), .int(2)]), "List[int]", .list([.int(1), .int(2)])),
        (.list([.string("x")]), "List[int]", nil),
        (.dict(["a": .string("1")]), "Dict[str, int]", .dict(["a": .int(1)])),
        (.dict(["a": .int(1)]), "Dict[int, int]", nil),
        (.dict(["1": .int(1)]), "Dict[int, int]", .dict(["1": .int(1)])),
        (.list([.list([.int(1)])]), "List[List[float]]", .list([.list([.double(1)])])),
        (.null, "Optional[int]", .null), (.string("a"), "Union[int, str]", .string("a")),
        (.string("7"), "Union[int, str]", .int(7)), (.list([]), "Union[int, str]", nil),
        (.string("0123456789abcdef0123456789abcdef"), "uuid", .string("0123456789abcdef0123456789abcdef")),
        (.string("01234567-89ab-cdef-0123-456789abcdef"), "uuid", .string("01234567-89ab-cdef-0123-456789abcdef")),
        (.string("123"), "uuid", nil), (.string("/a/b"), "path", .string("/a/b")),
        (.string("https://e.org/x"), "uri", .string("https://e.org/x")), (.string("e.org"), "uri", nil),
        (.string("http://a b"), "uri", nil), (.string("2024-02-29"), "date", .string("2024-02-29")),
        (.string("2023-02-29"), "date", nil), (.string("2023-13-01"), "date", nil),
        (.string("1900-02-29"), "date", nil),
        (.string("2026-11-22T10:30:00Z"), "datetime", .string("2026-11-22T10:30:00Z")),
        (.string("2026-11-22 10:30:00.5+02:00"), "datetime", .string("2026-11-22 10:30:00.5+02:00")),
        (.string("2026-11-22T25:30:00"), "datetime", nil), (.string("soon"), "datetime", nil),
        (.int(90), "timedelta", .string("90")), (.string("01:30:00"), "timedelta", .string("01:30:00")),
        (.string("2 days, 1:00:00"), "timedelta", .string("2 days, 1:00:00")),
        (.string("PT1H30M"), "timedelta", .string("PT1H30M")),
        (.string("P"), "timedelta", nil), (.string("later"), "timedelta", nil),
        (.dict(["url": .string("u")]), "git", .dict(["url": .string("u")])), (.int(1), "git", nil),
        (.string("a:b"), "image", .string("a:b")), (.list([.int(1)]), "any", .list([.int(1)])),
    ]

    @Test(arguments: conversions)
    func `values take the declared type or are refused`(value: Value, type: String, expected: Value?) {
        switch (Self.typed(value, type), expected) {
        case (.success(let typed), let wanted?): #expect(typed == wanted, "\(type)")
        case (.failure(let problem), nil):
            #expect(problem.code == "inputs.wrong-type")
            #expect(!problem.hint.isEmpty)
        case (.success(let typed), nil): Issue.record("\(type) took \(typed)")
        case (.failure(let problem), _?): Issue.record("\(type): \(problem.message)")
        }
    }

    @Test(arguments: [
        "nope", "List[", "List[int", "List[nope]", "Dict[str]", "List[int, int]", "[int]", "", "Optional[]",
        String(repeating: "List[", count: 30) + "int" + String(repeating: "]", count: 30),
    ])
    func `an unknown type is none`(type: String) { #expect(InputType.parse(type) == nil) }

    static let rules: [(IOConstraint.Rule, Value, Value, Bool)] = [
        (.gt, .int(1), .int(2), true), (.gt, .int(2), .double(2), false), (.ge, .double(2), .int(2), true),
        (.lt, .double(0.5), .double(0.4), true), (.le, .int(3), .int(4), false), (.multipleOf, .int(3), .int(9), true),
        (.multipleOf, .int(3), .int(10), false), (.multipleOf, .double(0.1), .double(0.3), true),
        (.multipleOf, .double(0.1), .double(0.35), false), (.minDigits, .int(3), .int(99), false),
        (.maxDigits, .int(3), .int(-999), true), (.maxDigits, .int(3), .int(1000), false),
        (.decimalPlaces, .int(2), .double(1.25), true), (.decimalPlaces, .int(2), .double(1.255), false),
        (.decimalPlaces, .int(2), .double(1e-5), false), (.maxDigits, .int(4), .double(12.25), true),
        (.regex, .string("^s3://[a-z]+"), .string("s3://abc"), true), (.regex, .string("^a$"), .string("ab"), false),
        (.minLength, .int(2), .string("é"), false), (.maxLength, .int(2), .string("éé"), true),
        (.contains, .string("b"), .string("abc"), true),
        (.contains, .list([.int(1), .int(4)]), .list([.int(1)]), false),
        (.contains, .int(1), .list([.int(1), .int(2)]), true), (.excludes, .string("z"), .string("abc"), true),
        (.excludes, .int(1), .list([.int(1)]), false),
        (.options, .list([.string("a"), .string("b")]), .string("b"), true),
        (.options, .list([.string("a")]), .string("c"), false),
        (.options, .list([.int(1), .int(2)]), .list([.int(2)]), true),
        (.minItems, .int(1), .list([]), false), (.maxItems, .int(1), .dict(["a": .int(1), "b": .int(1)]), false),
        (.keys, .list([.string("a")]), .dict(["a": .int(1)]), true), (.keys, .list([.string("a")]), .dict([:]), false),
        (.containsKeys, .list([.string("a")]), .dict(["a": .int(1), "b": .int(1)]), true),
        (.containsKeys, .string("c"), .dict(["a": .int(1)]), false),
        (.excludesKeys, .string("a"), .dict(["a": .int(1)]), false),
        (.gt, .int(0), .list([.int(1), .int(0)]), false), (.gt, .int(0), .list([.int(1), .int(2)]), true),
        (.gt, .int(0), .string("x"), false), (.minLength, .int(1), .int(1), false),
    ]

    @Test(arguments: rules)
    func `rules hold or are named`(rule: IOConstraint.Rule, operand: Value, value: Value, holds: Bool) {
        let constraint = IOConstraint(rule, operand)
        #expect(constraint.operandProblem == nil)
        switch Self.typed(value, nil, [constraint]) {
        case .success: #expect(holds, "\(rule) \(operand) \(value)")
        case .failure(let problem):
            #expect(!holds, "\(rule) \(operand) \(value): \(problem.message)")
            #expect(problem.code == "inputs.rule-broken")
        }
    }

    @Test(arguments: [
        (IOConstraint.Rule.gt, Value.list([])), (.multipleOf, .int(0)), (.multipleOf, .string("a")),
        (.minLength, .int(-1)),
        (.minItems, .double(1)), (.regex, .string("(")), (.regex, .string("(?=a)")), (.regex, .string("(a)\\1")),
        (.regex, .int(1)), (.options, .list([])), (.options, .string("a")), (.contains, .null),
    ])
    func `a rule with a wrong operand is refused`(rule: IOConstraint.Rule, operand: Value) {
        #expect(IOConstraint(rule, operand).operandProblem?.isEmpty == false)
    }

    @Test func `missing, defaulted and optional inputs`() throws {
        let component = Component(
            inputs: [
                IODeclaration(name: "a", type: "int"), IODeclaration(name: "b", type: "int", value: .int(2)),
                IODeclaration(name: "c", type: "str", isOptional: true),
                IODeclaration(name: "d", type: "int", value: .list([]), isList: true),
            ], job: JobSpec(container: ContainerSpec()))
        #expect(
            try Inputs.resolve(component, params: ["a": .string("1"), "zzz": .int(0)])
                == ["a": .int(1), "b": .int(2), "c": .null, "d": .list([])])
        let error = #expect(throws: InputError.self) {
            try Inputs.resolve(component, params: ["A": .int(1), "b": .string("x")])
        }
        #expect(error?.diagnostics.map(\.code) == ["inputs.missing", "inputs.wrong-type"])
        #expect(error?.diagnostics.first?.hint == "Did you mean 'A'?")
        #expect(throws: InputError.self) { try Inputs.resolve(component, params: ["a": .null]) }
        #expect(throws: InputError.self) { try Inputs.resolve(component, params: ["a": .int(1), "d": .int(1)]) }
    }

    @Test func `outputs are held against their declarations, as warnings`() {
        let component = Component(
            outputs: [
                IODeclaration(name: "loss", type: "float"),
                IODeclaration(name: "acc", type: "float", validation: [.init(.le, .int(1))]),
                IODeclaration(name: "opt", type: "str", isOptional: true),
            ], job: JobSpec(container: ContainerSpec()))
        #expect(Inputs.validateOutputs(component, ["loss": .int(1), "acc": .double(0.9), "more": .null]).isEmpty)
        let findings = Inputs.validateOutputs(component, ["los": .int(1), "acc": .int(2)])
        #expect(findings.map(\.code) == ["outputs.missing", "inputs.rule-broken"])
        #expect(findings.allSatisfy { $0.severity == .warning && $0.hint?.isEmpty == false })
        #expect(findings.first?.hint == "Did you mean 'los'?")
    }

    // MARK: Patterns

    @Test(arguments: [
        ("abc", "xabcx", true), ("^abc$", "xabc", false), ("a|b", "b", true), ("^(a|bc)+$", "abcbca", true),
        ("a*", "", true),
        ("^a?b{2,3}$", "bb", true), ("^a?b{2,3}$", "bbbb", false), ("^[a-c_-]+$", "ab-_c", true),
        ("^[^0-9]+$", "a1", false),
        ("^\\d{3}-\\w+$", "123-a_b", true), ("\\bcat\\b", "a cat!", true), ("\\bcat\\b", "concat", false),
        ("^.$", "é", true),
        ("^(?P<bucket>[a-z0-9-.]{3,63})/(?P<key>.+)$", "abc/d", true),
        ("^(?:a+)+$", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", false),
        ("^(a|a)*$", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", false), ("a{,2}b", "aab", true), ("a{b", "a{b", true),
        ("[]]", "]", true), ("^$", "", true), ("\\.yaml\\Z", "x.yaml", true), ("(|a)b", "b", true),
        ("(a*)*b", "aab", true),
    ])
    func `patterns match as they do elsewhere`(pattern: String, text: String, expected: Bool) {
        let constraint = IOConstraint(.regex, .string(pattern))
        #expect(constraint.operandProblem == nil)
        switch Self.typed(.string(text), "str", [constraint]) {
        case .success: #expect(expected, "\(pattern) \(text)")
        case .failure: #expect(!expected, "\(pattern) \(text)")
        }
    }

    @Test(arguments: [
        "(", ")", "[", "a**", "*a", "(?!x)", "(?<=x)", "\\1", "\\", "[b-a]", "a{9999}", "((((a{900}){900}){900}))",
        "\\p{L}", "a{3,2}",
    ])
    func `patterns that need more than linear time are refused`(pattern: String) {
        #expect(IOConstraint(.regex, .string(pattern)).operandProblem?.isEmpty == false)
    }
}
