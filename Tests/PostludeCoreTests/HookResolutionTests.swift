import PostludeCore
import Testing

@Suite struct HookResolutionTests {
    static func main(
        _ status: RunStatus = .succeeded, inputs: [String: Value] = ["lr": .double(0.1)],
        outputs: [String: Value] = [:],
        declared: [IODeclaration] = []
    ) throws -> HookResolution.MainContext {
        let time = Timestamp(microseconds: 1_795_343_438_810_000)
        return HookResolution.MainContext(
            id: try #require(RunID("0123456789abcdef0123456789abcdef")), name: "main", project: "digits", owner: "ada",
            status: status, condition: RunCondition(status: status, reason: "Test", message: "why", at: time),
            inputs: inputs, outputs: outputs, outputDeclarations: declared, createdAt: time, finishedAt: time,
            waitSeconds: 0.03, durationSeconds: 1.5, exit: .code(0))
    }

    static func hook(
        _ name: String = "h", trigger: Hook.Trigger = .done, conditions: Template? = nil, params: [String: Param] = [:],
        inputs: [IODeclaration] = [], disableDefaults: Bool = false
    ) -> Hook {
        Hook(
            name: name, origin: "inline",
            component: Component(inputs: inputs, job: JobSpec(container: ContainerSpec(command: ["/bin/true"]))),
            trigger: trigger, conditions: conditions, params: params, disableDefaults: disableDefaults)
    }

    static let finals: [RunStatus] = RunStatus.allCases.filter(\.isFinal)

    @Test(arguments: Hook.Trigger.allCases, RunStatus.allCases)
    func `a trigger matches its status, done any final one`(trigger: Hook.Trigger, status: RunStatus) throws {
        let resolved = HookResolution.resolve([Self.hook(trigger: trigger)], main: try Self.main(status))
        let due = trigger == .done ? status.isFinal : trigger.rawValue == status.rawValue
        #expect(resolved.map(\.outcome) == [due ? .fired : .triggerMismatch])
        #expect((resolved.first?.operation != nil) == due)
    }

    @Test func `the trigger is looked at before the condition, and the condition before templates`() throws {
        let hook = Self.hook(
            trigger: .succeeded, conditions: "{{ loss < 1 }}",
            params: ["a": Param(value: .string("{{ nope }}"), isTemplate: true)])
        #expect(HookResolution.resolve([hook], main: try Self.main(.failed)).first?.outcome == .triggerMismatch)
        let false_ = try Self.main(outputs: ["loss": .int(2)])
        let resolved = try #require(HookResolution.resolve([hook], main: false_).first)
        #expect(resolved.outcome == .conditionFalse)
        #expect(resolved.detail == "{{ loss < 1 }} with loss = 2")
        #expect(
            HookResolution.resolve([hook], main: try Self.main(outputs: ["loss": .int(0)])).first?.outcome == .error)
    }

    @Test func `one bad hook never stops another`() throws {
        let hooks = [
            Self.hook("a"), Self.hook("b", conditions: "garbage"), Self.hook("c", conditions: "{{ nope }}"),
            Self.hook("d", inputs: [IODeclaration(name: "url")]), Self.hook("e", conditions: "{{ 1 / 0 }}"),
            Self.hook("f"),
        ]
        let resolved = HookResolution.resolve(hooks, main: try Self.main())
        #expect(resolved.map(\.outcome) == [.fired, .error, .error, .error, .error, .fired])
        #expect(resolved.map(\.index) == [0, 1, 2, 3, 4, 5])
        #expect(resolved.allSatisfy { ($0.operation != nil) == ($0.outcome == .fired) })
        #expect(resolved[3].detail.contains("'url'"))
    }

    @Test func `what main wrote is data`() throws {
        let main = try Self.main(outputs: ["x": .string("{{ 7*7 }}"), "c": .string("{{ 1 == 1 }}")])
        let params = [
            "a": Param(value: .string("{{ x }}"), isTemplate: true),
            "b": Param(value: .string("<{{ x }}>"), isTemplate: true),
        ]
        let fired = try #require(HookResolution.resolve([Self.hook(params: params)], main: main).first?.operation)
        #expect(fired.params["a"]?.value == .string("{{ 7*7 }}"))
        #expect(fired.params["b"]?.value == .string("<{{ 7*7 }}>"))
        #expect(fired.params.values.allSatisfy { !$0.isTemplate })
        #expect(HookResolution.resolve([Self.hook(conditions: "{{ c }}")], main: main).first?.outcome == .error)
        // And it stays data when the hook run is compiled.
        var operation = fired
        operation.component.job.container.args = ["{{ a }}", "{{ outputs.x }}"]
        let facts = RunFacts(
            id: main.id, name: "h", project: "p", user: UserIdentity(name: "u", uid: 1, gid: 1, home: "/"),
            createdAt: Timestamp(microseconds: 0), main: main)
        let compiled = try JobCompiler.compile(operation, facts: facts)
        #expect(compiled.steps.last?.command == ["/bin/true", "{{ 7*7 }}", "{{ 7*7 }}"])
    }

    @Test func `the context of main comes as params for templates only`() throws {
        let main = try Self.main(outputs: ["loss": .double(0.05)])
        let params = [
            "name": Param(value: .string("mine"), isTemplate: false),
            "l": Param(value: .string("{{ loss }}"), isTemplate: true),
        ]
        let operation = try #require(HookResolution.resolve([Self.hook(params: params)], main: main).first?.operation)
        #expect(operation.params["name"]?.value == .string("main"))
        #expect(operation.params["l"] == Param(value: .double(0.05), isTemplate: false))
        for name in [
            "name", "uuid", "kind", "status", "runtime", "wait_time", "duration", "inputs", "outputs", "condition",
        ] {
            #expect(operation.params[name]?.contextOnly == true, "\(name)")
        }
        #expect(operation.params["uuid"]?.value == .string("0123456789abcdef0123456789abcdef"))
        #expect(operation.params["duration"]?.value == .double(1.5))
        let off = try #require(
            HookResolution.resolve([Self.hook(params: params, disableDefaults: true)], main: main).first?.operation)
        #expect(Set(off.params.keys) == ["name", "l"])
        #expect(off.params["name"]?.value == .string("mine"))
    }

    @Test func `an input of the hook's component is not taken over by main's facts`() throws {
        let hook = Self.hook(
            params: ["name": Param(value: .string("mine"), isTemplate: false)],
            inputs: [IODeclaration(name: "name", type: "str"), IODeclaration(name: "status", isOptional: true)])
        let operation = try #require(HookResolution.resolve([hook], main: try Self.main()).first?.operation)
        #expect(operation.params["name"] == Param(value: .string("mine"), isTemplate: false))
        #expect(operation.params["status"] == nil)
        #expect(operation.params["uuid"]?.contextOnly == true)
    }

    @Test func `globals tell status and condition of main`() throws {
        let main = try Self.main(.failed)
        let hook = Self.hook(
            conditions: "{{ globals.status == 'failed' and globals.condition.reason == 'Test' }}",
            params: ["u": Param(value: .string("{{ globals.uuid }} {{ globals.finished_at }}"), isTemplate: true)])
        let resolved = try #require(HookResolution.resolve([hook], main: main).first)
        #expect(resolved.outcome == .fired)
        #expect(
            resolved.operation?.params["u"]?.value
                == .string("0123456789abcdef0123456789abcdef 2026-11-22T10:30:38.810000Z"))
    }

    @Test func `an output that main declares and did not write is explained`() throws {
        let main = try Self.main(.failed, declared: [IODeclaration(name: "loss", type: "float")])
        let place = SourcePlace(file: "op.yaml", line: 4, column: 17)
        let resolved = HookResolution.resolve(
            [Self.hook(conditions: Template("{{ loss < 1 }}", at: place))], main: main)
        #expect(resolved.first?.detail.contains("op.yaml:4:20: There is nothing called 'loss' here.") == true)
        #expect(resolved.first?.detail.contains("Main declares the output 'loss' but did not write it") == true)
        let bare = HookResolution.resolve([Self.hook(conditions: "{{ outputs.loss < 1 }}")], main: main)
        #expect(bare.first?.detail.contains("bare names") == true)
    }

    @Test func `resolving twice gives the same`() throws {
        let main = try Self.main(outputs: ["loss": .double(0.05)])
        let hooks = [
            Self.hook("a"), Self.hook("b", conditions: "{{ loss > 1 }}"), Self.hook("c", conditions: "{{ x }}"),
        ]
        #expect(HookResolution.resolve(hooks, main: main) == HookResolution.resolve(hooks, main: main))
    }
}
