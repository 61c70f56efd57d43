import Foundation
import PostludeCore
import Testing

@testable import PostludeSpec

/// What Polyaxon 2.18.0 made of hooks, run with its own code, against what Postlude makes of them.
@Suite struct HookBehaviourTests {
    struct Line: Decodable, Sendable, CustomTestStringConvertible {
        var label: String
        var hooks: Value
        var main_status: String
        var main_inputs: [String: Value]
        var main_outputs: [String: Value]
        var resolved_hooks: Int?
        var ops: [Op]?
        var error: String?
        var testDescription: String { label }

        struct Op: Decodable, Sendable { var params: [String: Given] }
        struct Given: Decodable, Sendable {
            var value: Value?
            var contextOnly: Bool?
        }
    }

    static let lines: [Line] = {
        do {
            return try Files.text(Files.fixtures.appendingPathComponent("hook-behaviour.jsonl")).split(separator: "\n")
                .map {
                    try JSONDecoder().decode(Line.self, from: Data($0.utf8))
                }
        } catch {
            return []
        }
    }()

    /// Where Postlude differs on purpose: the outcomes it has instead, and why.
    static let differences: [String: (outcomes: [HookRecord.Outcome], why: String)] = [
        "F2 cond undefined ==": ([.error], "an unknown name is an error, not false"),
        "H cond globals.status": ([.fired], "globals.status is filled"),
        "P one good one bad hook": ([.fired, .error], "one bad hook never stops another"),
        "R cond on missing output but trigger doesn't match": ([.triggerMismatch], "the trigger comes first"),
        "SSTI cond from output": ([.error], "what main wrote is data"),
    ]

    /// Values that differ on purpose.
    static let values: [String: [String: Value]] = [
        "SSTI param from output": ["a": .string("{{ 7*7 }}")],
        "SSTI dunder reachable": ["a": .string("{{ ''.__class__.__mro__ | length }}")],
        "J params": ["s": .string("succeeded")],
    ]

    /// Refused when the file is read, before there is a main.
    static let refused: [String: String] = [
        "G cond garbage": "expression.not-a-condition", "P one good one bad hook": "expression.not-a-condition",
        "empty string": "expression.not-a-condition", "templated queue/connection/hubRef": "spec.unsupported-feature",
    ]

    /// Of each line that is not reproduced, the fault of Polyaxon (facts about it in the design) that it would need, or
    /// the rule that Postlude holds instead.
    static let reasons: [String: String] = [
        "F2 cond undefined ==": "an error names its place: a name that is not there decides nothing",
        "H cond globals.status": "globals.status is empty for Polyaxon's hooks, and filled here",
        "J params": "globals.status is empty for Polyaxon's hooks, and filled here",
        "P one good one bad hook": "fault: one bad hook cancels all",
        "R cond on missing output but trigger doesn't match": "fault: templates are evaluated before the trigger",
        "SSTI cond from output": "fault: what main wrote is evaluated (issue 1540)",
        "SSTI param from output": "fault: what main wrote is evaluated (issue 1540)",
        "SSTI dunder reachable": "fault: what main wrote is evaluated (issue 1540)",
        "templated queue/connection/hubRef": "refused by name: which component runs is known when it is submitted",
    ]

    @Test func `every line is reproduced, or is one of those with a reason`() {
        #expect(Self.lines.count == 26)
        let labels = Set(Self.lines.map(\.label))
        #expect(labels.count == 26)
        // What Polyaxon refuses with an error and the reader with a finding is the same.
        let sameRefusal: Set = ["G cond garbage", "empty string"]
        let different = Set(Self.differences.keys).union(Self.values.keys).union(Self.refused.keys)
        #expect(different.subtracting(sameRefusal) == Set(Self.reasons.keys))
        #expect(different.isSubset(of: labels))
        print("hook behaviour: \(labels.count - Self.reasons.count) lines as in Polyaxon, \(Self.reasons.count) not:")
        for (label, reason) in Self.reasons.sorted(by: { $0.key < $1.key }) { print("  \(label): \(reason)") }
    }

    @Test(arguments: lines)
    func `hooks resolve as in Polyaxon, but for what is meant to differ`(line: Line) throws {
        let (operation, diagnostics) = try read(line)
        if let code = Self.refused[line.label] {
            #expect(operation == nil && diagnostics.contains { $0.code == code }, "\(diagnostics)")
        }
        // What the reader refuses is still resolved on its own, for components that were stored earlier.
        guard line.label != "templated queue/connection/hubRef" else { return }
        let hooks = try operation?.hooks ?? stored(line)
        let main = try Self.main(line)
        let resolved = HookResolution.resolve(hooks, main: main)
        if let difference = Self.differences[line.label] {
            #expect(resolved.map(\.outcome) == difference.outcomes, "\(difference.why): \(resolved.map(\.detail))")
            return
        }
        if line.error != nil {
            #expect(resolved.contains { $0.outcome == .error }, "\(resolved.map(\.detail))")
            return
        }
        let fired = resolved.filter { $0.outcome == .fired }
        #expect(fired.count == line.resolved_hooks, "\(resolved.map(\.detail))")
        for (hook, op) in zip(fired, line.ops ?? []) { try compare(hook, op, line, main) }
    }

    private func compare(
        _ hook: HookResolution.Resolved, _ op: Line.Op, _ line: Line, _ main: HookResolution.MainContext
    ) throws {
        let params = try #require(hook.operation?.params)
        #expect(Set(params.keys) == Set(op.params.keys))
        for (name, given) in op.params {
            let param = try #require(params[name])
            #expect(param.contextOnly == (given.contextOnly ?? false), "\(name)")
            #expect(!param.isTemplate)
            // Identity and time of the run differ; how Postlude says them is held elsewhere.
            guard !["uuid", "condition", "wait_time", "duration", "d"].contains(name) else { continue }
            let wanted = Self.values[line.label]?[name] ?? given.value ?? .null
            #expect(param.value == wanted, "\(name)")
        }
    }

    /// The line's hooks in an operation of today, with a component for `slack` and the rest.
    private func read(_ line: Line) throws -> (PostludeCore.Operation?, [Diagnostic]) {
        try Files.withTemporaryDirectory { directory in
            for name in ["slack", "t"] {
                try Reading.job.write(
                    to: directory.appendingPathComponent("\(name).yaml"), atomically: true, encoding: .utf8)
            }
            let text = Reading.job + "hooks: \(try line.hooks.json())\n"
            return OperationReader.read(
                Reading.submission(text), hub: try Hub(directory: directory.path), profiles: Reading.profiles)
        }
    }

    private func stored(_ line: Line) throws -> [Hook] {
        guard case .list(let items) = line.hooks else { return [] }
        return items.compactMap { item in
            guard case .dict(let entries) = item else { return nil }
            var hook = Hook(
                name: "h", origin: "hub:h", component: Component(job: JobSpec(container: ContainerSpec(command: ["x"])))
            )
            if case .string(let text)? = entries["conditions"] { hook.conditions = Template(text) }
            if case .string(let text)? = entries["trigger"] { hook.trigger = Hook.Trigger(rawValue: text) ?? .done }
            return hook
        }
    }

    static func main(_ line: Line) throws -> HookResolution.MainContext {
        let status = try #require(RunStatus(rawValue: line.main_status))
        let time = Timestamp(microseconds: 1_795_343_438_810_000)
        return HookResolution.MainContext(
            id: try #require(RunID("0123456789abcdef0123456789abcdef")), name: "main", project: "p", owner: "o",
            status: status, condition: RunCondition(status: status, reason: "Test", at: time), inputs: line.main_inputs,
            outputs: line.main_outputs, createdAt: time, waitSeconds: 0.03, durationSeconds: 0)
    }
}
