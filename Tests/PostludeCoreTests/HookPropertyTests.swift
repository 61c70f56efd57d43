import Testing

@testable import PostludeCore

/// Thousands of random operations and endings through the pure parts.
@Suite struct HookPropertyTests {
    static let marker = "{{ 7*7 }}"

    static func hook(_ index: Int, _ random: inout SplitMix) -> Hook {
        let conditions: [Template?] = [
            nil, nil, "true", "{{ n > 3 }}", "{{ globals.status == 'failed' }}", "{{ nope }}", "garbage", "{{ 1 / 0 }}",
            "{{ text == 'x' }}", "{{ text }}", "{{ globals.main.exit_code == 0 }}", "{{ n | default(0) < 3 }}",
        ]
        let values: [Value] = [
            .string("{{ text }}"), .string("<{{ text }}>"), .string("{{ n }}"), .string("{{ nope }}"), .int(1),
            .list([.string("{{ text }}"), .string("{{ globals.main.log_tail.stdout }}")]),
        ]
        var params: [String: Param] = [:]
        for name in ["a", "b", "c"] where Bool.random(using: &random) {
            params[name] = Param(
                value: values.randomElement(using: &random) ?? .null, isTemplate: true,
                contextOnly: Bool.random(using: &random))
        }
        var hook = HookResolutionTests.hook(
            "h\(index)", trigger: Hook.Trigger.allCases.randomElement(using: &random) ?? .done,
            conditions: conditions.randomElement(using: &random) ?? nil, params: params,
            inputs: [IODeclaration(name: "a", isOptional: Bool.random(using: &random))],
            disableDefaults: Bool.random(using: &random))
        if index == 0, Bool.random(using: &random) { hook.hooks = [HookResolutionTests.hook("nested")] }
        hook.component.job.container.args = ["{{ params.a.value | string }}"]
        return hook
    }

    static func event(_ attempt: Int, _ random: inout SplitMix) -> Run.Event {
        let number = Int.random(in: max(0, attempt - 1)...(attempt + 1), using: &random)
        let exits: [ProcessExit] = [.code(0), .code(3), .signal(9, coreDumped: false), .unknown]
        let exit = exits.randomElement(using: &random) ?? .unknown
        let reasons: [AttemptReport.AttemptEndReason] = [
            .mainExited, .initFailed(step: "init-0"), .setupFailed(step: "main"), .stopRequested, .timeout,
        ]
        let events: [Run.Event] = [
            .compiled, .compiled, .conditionFalse(detail: "1 > 2"), .compilationFailed(code: "x", message: "no"),
            .waiting(reason: "full", canEver: Bool.random(using: &random)),
            .placed(attempt: number, lease: Run.Lease(devices: ["gpu0"])), .placed(attempt: number, lease: Run.Lease()),
            .accepted(attempt: number), .mainStarted(attempt: number), .neverAccepted(attempt: number),
            .launchFailed(attempt: number, code: "x", message: "no"), .launchDelayed(attempt: number, reason: "full"),
            .ended(attempt: number, Run.End(exit: exit, reason: reasons.randomElement(using: &random) ?? .timeout)),
            .wardenLost(attempt: number), .wardenLost(attempt: number, .node), .stopRequested(by: "ada"),
            .handedBack(
                attempt: number,
                Run.HandBack(
                    [Run.DeviceVerdict("gpu0", Bool.random(using: &random) ? .free : .held([]))],
                    outputs: Bool.random(using: &random)
                        ? nil : Run.OutputProblem(reason: "OutputsMissing", message: "x"))),
        ]
        return events.randomElement(using: &random) ?? .compiled
    }

    /// A run's whole life: P3 and the debt of P4 hold on the way.
    static func live(_ random: inout SplitMix) throws -> Run.Outcome {
        var state = Run.State.created(Run.Terms(maxRetries: Int.random(in: 0...2, using: &random)))
        var resolutions = 0
        var conditions: [RunCondition] = []
        for step in 0..<100_000 {
            let attempt = state.active?.attempt ?? 1
            guard case .accept(let transition) = Run.decide(state, event(attempt, &random), at: .zero) else { continue }
            resolutions += transition.effects.count { $0.kind == .resolveHooks }
            for condition in transition.conditions { conditions = Run.append(condition, to: conditions) }
            state = transition.state
            guard case .finished(let outcome) = state else {
                #expect(resolutions == 0, "hooks before the end, step \(step)")
                continue
            }
            #expect(resolutions == 1)
            #expect(conditions.count { $0.status.isFinal } == 1 && conditions.last?.status == outcome.status)
            for _ in 0..<20 {
                #expect(Run.decide(state, event(attempt, &random), at: .zero) == .ignore(.alreadyFinished))
            }
            return outcome
        }
        throw RunNeverEnded()
    }

    struct RunNeverEnded: Error {}

    @Test(arguments: 0..<50)
    func `every hook of every ending has one outcome, whatever the others do, and values stay data`(
        seed: UInt64
    ) throws {
        var random = SplitMix(state: seed &* 7919 &+ 1)
        for _ in 0..<60 {
            let outcome = try Self.live(&random)
            var main = try HookResolutionTests.main(
                outcome.status, inputs: ["n": .int(Int64.random(in: 0...6, using: &random))],
                outputs: Bool.random(using: &random) ? [:] : ["text": .string(Self.marker)])
            main.exit = outcome.exit
            main.condition = RunCondition(
                status: outcome.status, reason: outcome.reason, message: outcome.message, at: .zero)
            main.logTail = LogTail(step: "main", standardOutput: Self.marker)
            let hooks = (0..<Int.random(in: 0...6, using: &random)).map { Self.hook($0, &random) }
            let resolved = HookResolution.resolve(hooks, main: main)
            // Exactly one outcome each, the same again, and the same alone (P3, P4).
            #expect(resolved.map(\.index) == Array(hooks.indices))
            #expect(resolved == HookResolution.resolve(hooks, main: main))
            for (hook, one) in zip(hooks, resolved) {
                var alone = try #require(HookResolution.resolve([hook], main: main).first)
                alone.index = one.index
                #expect(alone == one)
                #expect((one.operation != nil) == (one.outcome == .fired))
                let isDue = hook.trigger.matches(outcome.status)
                #expect((one.outcome == .triggerMismatch) == !isDue)
                #expect(one.explanation.triggerMatches == isDue)
                #expect((one.outcome == .error) == !one.explanation.errors.isEmpty)
                #expect((one.outcome == .conditionFalse) == (one.explanation.condition?.holds == false))
                let deep = HookResolution.guarded(one, depth: 4, limit: 3)
                #expect(deep.outcome == (one.outcome == .fired ? .error : one.outcome) && deep.operation == nil)
                #expect(HookResolution.guarded(one, depth: 3, limit: 3) == one)
                try Self.checkData(one, main)
            }
        }
    }

    /// P5: what main wrote is in the hook as it was written, also when the hook run is compiled.
    static func checkData(_ resolved: HookResolution.Resolved, _ main: HookResolution.MainContext) throws {
        guard let operation = resolved.operation else { return }
        #expect(operation.params.values.allSatisfy { !$0.isTemplate })
        for (name, param) in operation.params {
            let text = try param.value.json()
            #expect(!text.contains("49"), "\(name) was evaluated: \(text)")
        }
        let facts = RunFacts(
            id: main.id, name: "h", project: "p", user: UserIdentity(name: "u", uid: 1, gid: 1, home: "/"),
            createdAt: Timestamp(microseconds: 0), main: main)
        let step = try #require(try JobCompiler.compile(operation, facts: facts).steps.last)
        #expect(!step.command.contains { $0.contains("49") })
        #expect(step.environment["POSTLUDE_MAIN_STDOUT_TAIL"] == marker)
    }
}
