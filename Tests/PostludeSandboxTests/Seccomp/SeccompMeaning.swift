import Foundation
import Testing

@testable import PostludeSandbox

/// What an OCI seccomp profile means, read from its JSON by the shortest way: no compiler, no tree, no reader of ours.
///
/// The runtime specification says what one rule is, and nothing of several that match one call. libseccomp alone has no
/// answer either: a rule without conditions takes the place of those with them, and of rules that overlap it may lose one,
/// as `SeccompRandomTests` found (a denial gave way to the default, which allowed). So Postlude says itself: of the rules that match, the most severe action wins, as the kernel has it between several
/// filters; of different errors, the one whose number stands first in the file. Conditions of one rule on different
/// arguments must all hold; as soon as two are on one argument, each alone is enough (runc).
///
/// Comparisons are of 32 bits (see `SeccompProfile.Comparison`), so the upper half of an argument changes nothing.
struct SeccompMeaning {
    struct Condition: Hashable {
        var argument: Int
        var operation: String
        var value: UInt32
        var second: UInt32

        func holds(_ arguments: [UInt64]) -> Bool {
            let given = UInt32(truncatingIfNeeded: arguments[argument])
            return switch operation {
            case "SCMP_CMP_EQ": given == value
            case "SCMP_CMP_NE": given != value
            case "SCMP_CMP_MASKED_EQ": given & value == second & value
            case _: false
            }
        }
    }

    struct Rule: Hashable {
        var action: UInt32
        var conditions: [Condition]
        var isAnyEnough: Bool
        func matches(_ arguments: [UInt64]) -> Bool {
            conditions.isEmpty
                || (isAnyEnough
                    ? conditions.contains { $0.holds(arguments) } : conditions.allSatisfy { $0.holds(arguments) })
        }
    }

    struct Malformed: Error { var what: String }

    private(set) var rules: [UInt32: [Rule]] = [:]
    private(set) var highest: UInt32 = 0
    /// Those of the rules, in the order of the file.
    private var actions: [UInt32] = []
    let defaultAction: UInt32

    /// Of profiles without `includes` and `excludes`, as the shipped ones are.
    init(json: Data) throws {
        guard let root = try JSONSerialization.jsonObject(with: json) as? [String: Any] else {
            throw Malformed(what: "the root")
        }
        defaultAction = try Self.action(root["defaultAction"], root["defaultErrnoRet"])
        // Allowing or logging what is not named: then that is no list of what was reviewed.
        if [0x7fff_0000, 0x7ffc_0000].contains(defaultAction) { highest = 1023 }
        for entry in root["syscalls"] as? [[String: Any]] ?? [] {
            guard entry["includes"] == nil, entry["excludes"] == nil, let names = entry["names"] as? [String] else {
                throw Malformed(what: "\(entry)")
            }
            let conditions = try (entry["args"] as? [[String: Any]] ?? []).map(Self.condition)
            let rule = Rule(
                action: try Self.action(entry["action"], entry["errnoRet"]), conditions: conditions,
                isAnyEnough: Set(conditions.map(\.argument)).count < conditions.count)
            for name in names {
                if !actions.contains(rule.action) { actions.append(rule.action) }
                guard case .number(let number) = SyscallTable.look(up: name) else { continue }
                rules[UInt32(number), default: []].append(rule)
                highest = max(highest, UInt32(number))
            }
        }
    }

    func action(number: UInt32, architecture: UInt32, arguments: [UInt64]) -> UInt32 {
        guard architecture == SeccompProgramTests.native else { return 0x8000_0000 }
        #if arch(x86_64)
        // x32; libseccomp spares -1, which is a call that a tracer has taken back: the kernel runs none for it.
        if number >= 0x4000_0000 { return number == .max ? defaultAction : 0x8000_0000 }
        #endif
        guard number <= highest else { return 0x0005_0000 | 38 }  // ENOSYS
        let matching = (rules[number] ?? []).filter { $0.matches(arguments) }
        // As signed numbers, without their data, actions are in the order of their severity (linux/seccomp.h).
        let severest = matching.map { Int32(bitPattern: $0.action) >> 16 }.min()
        let candidates = Set(matching.map(\.action).filter { Int32(bitPattern: $0) >> 16 == severest })
        return actions.first(where: candidates.contains) ?? defaultAction
    }

    private static func condition(_ entry: [String: Any]) throws -> Condition {
        guard let index = entry["index"] as? Int, let operation = entry["op"] as? String,
            let value = (entry["value"] as? NSNumber)?.uint64Value, value <= UInt32.max
        else { throw Malformed(what: "\(entry)") }
        let second = (entry["valueTwo"] as? NSNumber)?.uint64Value ?? 0
        return Condition(
            argument: index, operation: operation, value: UInt32(value), second: UInt32(truncatingIfNeeded: second))
    }

    private static func action(_ name: Any?, _ errno: Any?) throws -> UInt32 {
        switch name as? String {
        case "SCMP_ACT_ALLOW": 0x7fff_0000
        case "SCMP_ACT_LOG": 0x7ffc_0000
        case "SCMP_ACT_ERRNO": 0x0005_0000 | UInt32((errno as? NSNumber)?.uint16Value ?? 1)
        case "SCMP_ACT_TRAP": 0x0003_0000
        case "SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD": 0
        case "SCMP_ACT_KILL_PROCESS": 0x8000_0000
        case let other: throw Malformed(what: other ?? "an action")
        }
    }
}

extension SeccompMeaning {
    /// Arguments worth asking about: each value that a condition names, its neighbours, each bit of its mask flipped,
    /// and all of them with something else in the upper half.
    func arguments(for number: UInt32) -> [[UInt64]] {
        var full: [Int: [UInt64]] = [:]
        var few: [Int: [UInt64]] = [:]
        for condition in (rules[number] ?? []).flatMap(\.conditions) {
            full[condition.argument, default: []] += Self.values(around: condition)
            let named = UInt64(condition.operation == "SCMP_CMP_MASKED_EQ" ? condition.second : condition.value)
            few[condition.argument, default: []] += [named, named &+ 1, named | 1 << 32, ~named]
        }
        var found: Set<[UInt64]> = []
        for base in [0, .max] as [UInt64] {
            let plain = [UInt64](repeating: base, count: 6)
            found.insert(plain)
            // Every value of one argument with the decisive ones of the others.
            for (argument, values) in full {
                let others = few.filter { $0.key != argument }.reduce([plain]) { vectors, entry in
                    vectors.flatMap { vector in Set(entry.value).union([base]).map { vector.replacing(entry.key, $0) } }
                }
                for value in values { found.formUnion(others.map { $0.replacing(argument, value) }) }
            }
        }
        return Array(found)
    }

    private static func values(around condition: Condition) -> Set<UInt64> {
        let isMasked = condition.operation == "SCMP_CMP_MASKED_EQ"
        let mask = isMasked ? condition.value : .max
        let named = isMasked ? condition.second : condition.value
        var low: Set<UInt32> = [0, .max, named, named &+ 1, named &- 1, ~named, named | ~mask, mask, ~mask]
        for bit in 0..<32 where mask & 1 << bit != 0 { low.insert(named ^ 1 << bit) }
        var values: Set<UInt64> = [UInt64(named) << 32, .max]
        for value in low { values.formUnion([UInt64(value), UInt64(value) | 1 << 32]) }
        for value in [named, mask] { values.formUnion([UInt64(value) | 0xffff_ffff << 32, UInt64(value) | 1 << 63]) }
        return values
    }

    /// The values that the profile names anywhere, for arguments that no rule of a call looks at.
    var named: [UInt64] {
        let conditions = rules.values.flatMap { $0 }.flatMap(\.conditions)
        return Set(conditions.flatMap { [UInt64($0.value), UInt64($0.second)] }).sorted()
    }
}

/// The guest is slow, and what needs no kernel has the same answers there.
let isGuest = getenv("POSTLUDE_GUEST") != nil
let notInGuest: Comment = "pure computation, which the host has done"

extension [UInt64] {
    func replacing(_ index: Int, _ value: UInt64) -> [UInt64] {
        var changed = self
        changed[index] = value
        return changed
    }
}
