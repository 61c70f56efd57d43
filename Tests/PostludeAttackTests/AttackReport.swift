import Foundation
import PostludeLinux
import Testing

/// Compares what came of attacks with what must, and says so.
struct AttackReport {
    var place: String
    private(set) var tried = 0
    private(set) var refused = 0
    private(set) var controls = 0
    /// Ids by the reason why they did not run.
    private(set) var notRun: [String: [String]] = [:]
    private(set) var open: [String] = []

    /// What the profile does not promise on this host.
    mutating func leaveOut(_ id: String, _ reason: String) { notRun[reason, default: []].append(id) }

    /// Leaves out what Landlock would refuse if this kernel had more of it, and says so; returns the rest.
    mutating func promised(_ rows: [AttackTable.Row], _ place: Place) -> [AttackTable.Row] {
        let abi = Landlock.abi()
        for row in rows where row.promisedFromABI(place) > abi {
            leaveOut(row.id, "promised from Landlock ABI \(row.promisedFromABI(place)) on, this kernel has \(abi)")
        }
        return rows.filter { $0.promisedFromABI(place) <= abi }
    }

    mutating func judge(_ row: AttackTable.Row, _ result: AttackResult?, _ place: Place) {
        guard let result else {
            Issue.record("\(row.id) in \(place): the attacker said nothing of it")
            return
        }
        let expected = row.expected(place)
        switch result.verdict {
        case .notRun:
            notRun[result.detail, default: []].append(row.id)
            // Only what the table says may be missing on a host.
            if row.needs.isEmpty, expected != ["not-run"] {
                Issue.record("\(row.id) in \(place) (\(row.action)): not run: \(result.detail)")
            }
        case .works, .broken:
            controls += 1
            if result.verdict == .broken || !expected.contains("works") {
                Issue.record("control \(row.id) in \(place) (\(row.action)): \(result)")
            }
        case .refused:
            tried += 1
            refused += 1
            if !result.words.isSubset(of: expected) {
                let wanted = expected.sorted().joined(separator: "|")
                Issue.record("\(row.id) in \(place) (\(row.action)): \(result), expected \(wanted)")
            }
            if row.knownOpen(place) != nil {
                Issue.record("\(row.id) in \(place) is refused now: take its mark out of the table")
            }
        case .succeeded:
            if let reason = row.knownOpen(place) {
                open.append("\(row.id) (\(row.action)): \(reason): \(result.detail)")
            } else {
                tried += 1
                Issue.record("\(row.id) in \(place) (\(row.action)): SUCCEEDED: \(result.detail)")
            }
        }
    }

    func print() {
        let missing = notRun.sorted { $0.key < $1.key }.map { "\($0.value.joined(separator: " ")): \($0.key)" }
        let count = notRun.values.map(\.count).reduce(0, +)
        var text = "attacks in \(place): tried \(tried), refused \(refused), not run \(count)"
        if controls > 0 { text += ", controls \(controls)" }
        if !missing.isEmpty { text += "\n    not run: " + missing.joined(separator: "\n    not run: ") }
        for line in open { text += "\n    KNOWN OPEN: \(line)" }
        Swift.print(text)
    }

    /// Keeps what the attacker printed, where POSTLUDE_ATTACK_OUTPUT names a directory.
    static func keep(_ output: String, _ name: String) {
        guard let directory = ProcessInfo.processInfo.environment["POSTLUDE_ATTACK_OUTPUT"] else { return }
        do {
            try output.write(toFile: "\(directory)/\(name).txt", atomically: false, encoding: .utf8)
        } catch {
            Issue.record(error)
        }
    }
}
