import Testing

@testable import PostludeCore

@Suite struct HookExplanationTests {
    static func explain(_ hook: Hook, _ main: HookResolution.MainContext) throws -> HookExplanation {
        try #require(HookResolution.resolve([hook], main: main).first).explanation
    }

    static let reading: [(condition: String, operands: [HookExplanation.Operand])] = [
        ("{{ loss < 0.1 }}", [.init("loss", "0.05")]),
        ("{{ loss < 0.1 and (lr > 1 or nope) }}", [.init("loss", "0.05"), .init("lr", "0.1"), .init("nope", nil)]),
        ("{{ globals.main.exit_code == 0 }}", [.init("globals.main.exit_code", "0")]),
        ("{{ box['k'][0] == items[-1] }}", [.init("box[\"k\"][0]", "7"), .init("items[-1]", nil)]),
        ("{{ (loss | round(1)) < lr * 2 }}", [.init("loss", "0.05"), .init("lr", "0.1")]),
        ("{{ loss if lr else box.k }}", [.init("loss", "0.05"), .init("lr", "0.1"), .init("box.k", "[7]")]),
        ("{{ [loss, loss, 1] | length == 3 }}", [.init("loss", "0.05")]),
        ("{{ items[lr] == 1 }}", [.init("items", "[]"), .init("lr", "0.1")]),
        ("true", []),
    ]

    @Test(arguments: reading)
    func `each operand of a condition is told with its value, once, in the order of the text`(
        condition: String, operands: [HookExplanation.Operand]
    ) throws {
        let outputs: [String: Value] = [
            "loss": .double(0.05), "box": .dict(["k": .list([.int(7)])]), "items": .list([]),
        ]
        let main = try HookResolutionTests.main(outputs: outputs)
        let explanation = try Self.explain(HookResolutionTests.hook(conditions: Template(condition)), main)
        #expect(explanation.condition?.operands == operands)
        #expect(explanation.condition?.source == condition)
    }

    @Test func `a trigger that does not match ends the story there`() throws {
        let hook = HookResolutionTests.hook(
            trigger: .failed, conditions: "{{ nope }}",
            params: ["a": Param(value: .string("{{ nope }}"), isTemplate: true)])
        let explanation = try Self.explain(hook, try HookResolutionTests.main())
        #expect(
            explanation
                == HookExplanation(
                    trigger: .failed, status: .succeeded, triggerMatches: false,
                    condition: HookExplanation.Condition(source: "{{ nope }}")))
    }

    @Test func `params are told as resolved, long ones cut, and what is wrong with its place`() throws {
        let place = SourcePlace(file: "op.yaml", line: 3, column: 9)
        let hook = HookResolutionTests.hook(
            params: [
                "bad": Param(value: .string("{{ 1 / 0 }}"), isTemplate: true, place: place),
                "good": Param(value: .string("{{ loss }}"), isTemplate: true),
                "long": Param(value: .string(String(repeating: "x", count: 1000)), isTemplate: false),
            ])
        let explanation = try Self.explain(hook, try HookResolutionTests.main(outputs: ["loss": .int(3)]))
        #expect(explanation.params["good"] == "3")
        #expect(explanation.params["long"]?.count == 203)
        #expect(explanation.params["bad"] == nil)
        #expect(explanation.errors.map(\.place) == [SourcePlace(file: "op.yaml", line: 3, column: 14)])
        // Main's own facts, which every hook gets, are not the hook's params.
        #expect(explanation.params["uuid"] == nil)
    }

    @Test func `a condition that is decided says so, one without a truth value does not`() throws {
        let main = try HookResolutionTests.main(outputs: ["loss": .int(3)])
        let cases: [(Template, Bool?)] = [("{{ loss > 1 }}", true), ("{{ loss < 1 }}", false), ("{{ loss }}", nil)]
        for (condition, holds) in cases {
            let explanation = try Self.explain(HookResolutionTests.hook(conditions: condition), main)
            #expect(explanation.condition?.holds == holds)
            #expect(explanation.errors.isEmpty == (holds != nil))
        }
    }
}
