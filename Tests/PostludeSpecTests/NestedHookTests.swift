import PostludeCore
import Testing

@testable import PostludeSpec

/// Hooks of hooks, and params of hooks in both forms.
@Suite struct NestedHookTests {
    static let run = "run: {kind: job, container: {command: [/bin/true]}}"

    @Test func `hooks of a hook's component are its own, from files and inline`() throws {
        let text =
            Reading.job + """
                hooks:
                - name: outer
                  component:
                    \(Self.run)
                    hooks:
                    - {pathRef: inner.yaml, trigger: failed}
                """
        let inner = "kind: component\n\(Self.run)\nhooks:\n- name: last\n  component: {\(Self.run)}\n"
        let operation = try Reading.operation(text, references: ["inner.yaml": inner])
        let outer = try #require(operation.hooks.first)
        let middle = try #require(outer.hooks?.first)
        #expect(outer.name == "outer" && middle.name == "inner" && middle.trigger == .failed)
        #expect(middle.hooks?.map(\.name) == ["last"])
        #expect(middle.hooks?.first?.hooks == nil)
        #expect(outer.withNested.map(\.name) == ["outer", "inner", "last"])
    }

    @Test func `a component that leads to itself, too deep and too many hooks are refused by name`() throws {
        let circle = "kind: component\n\(Self.run)\nhooks: [{pathRef: a.yaml}]\n"
        let around = try Reading.read(Reading.job + "hooks: [{pathRef: a.yaml}]\n", references: ["a.yaml": circle])
        #expect(around.operation == nil)
        #expect(around.diagnostics.contains { $0.code == "spec.hooks-in-a-circle" && $0.place?.file == "a.yaml" })

        var hook = "{component: {\(Self.run)}}"
        for _ in 0..<9 { hook = "{component: {\(Self.run), hooks: [\(hook)]}}" }
        let deep = try Reading.read(Reading.job + "hooks: [\(hook)]\n")
        #expect(deep.operation == nil && deep.diagnostics.contains { $0.code == "spec.hooks-too-deep" })

        let wide =
            "kind: component\n\(Self.run)\nhooks: [\(Array(repeating: "{pathRef: b.yaml}", count: 40).joined(separator: ","))]\n"
        let leaf =
            "kind: component\n\(Self.run)\nhooks: [\(Array(repeating: "{pathRef: c.yaml}", count: 40).joined(separator: ","))]\n"
        let many = try Reading.read(
            Reading.job + "hooks: [{pathRef: a.yaml}]\n",
            references: ["a.yaml": wide, "b.yaml": leaf, "c.yaml": "kind: component\n\(Self.run)\n"])
        #expect(many.operation == nil)
        #expect(many.diagnostics.count { $0.code == "spec.too-many-hooks" } == 1)
    }

    @Test func `params of a hook are taken in full and in short form`() throws {
        let text =
            Reading.job + """
                inputs: [{name: lr, type: float, value: 0.5}]
                hooks:
                - component:
                    inputs: [{name: a, type: float}, {name: b, type: int}, {name: c, type: dict}]
                    \(Self.run)
                  params: {a: "{{ lr }}", b: {value: 2}, c: {value: {value: 1}}}
                - component:
                    inputs: [{name: c, type: dict}]
                    \(Self.run)
                  params: {c: {x: 1}}
                """
        let hooks = try Reading.operation(text).hooks
        #expect(hooks[0].params["a"]?.value == .string("{{ lr }}") && hooks[0].params["a"]?.isTemplate == true)
        #expect(hooks[0].params["b"]?.value == .int(2))
        #expect(hooks[0].params["c"]?.value == .dict(["value": .int(1)]))
        #expect(hooks[1].params["c"]?.value == .dict(["x": .int(1)]))
    }

    @Test func `hookDepth is read, and held within its bounds`() throws {
        let defaults = AgentConfiguration.defaults(uid: 0, environment: [:], home: "/root")
        #expect(try AgentConfigurationReader.read("hookDepth: 5\n", path: "p", defaults: defaults).hookDepth == 5)
        #expect(try AgentConfigurationReader.read("# none\n", path: "p", defaults: defaults).hookDepth == nil)
        for text in ["hookDepth: 0\n", "hookDepth: 9\n", "hookDepth: x\n"] {
            #expect(throws: SpecError.self) { try AgentConfigurationReader.read(text, path: "p", defaults: defaults) }
        }
    }
}
