import Foundation

/// The table of attacks (`attacks.tsv`): what is tried, where, and what must come of it.
struct AttackTable {
    struct Row {
        var id: String
        var category: String
        var action: String
        /// Profiles whose main step tries it. `injected`: in a sandbox that the suite has put something extra into;
        /// `scenario`: a test of this target with more than one actor; `-`: it cannot be tried here, `needs` says why.
        var profiles: [String]
        /// Submitters that it makes sense for.
        var users: [Submitter]
        private var expectations: [String: Set<String>]
        /// The mechanism that stops it, and behind it those that would.
        var layers: [String]
        var source: String
        /// What the host must have for it to be tried; empty when every host has.
        var needs: String
        /// Combinations in which it is known to succeed, and why.
        private var open: [String: String]

        /// Words (errno names, signals, and what the attacker says) of which each that comes must be one.
        func expected(_ place: Place) -> Set<String> {
            for key in place.keys {
                if let words = expectations[key] { return words }
            }
            return expectations[""] ?? []
        }

        /// Why it is known to succeed; nil when it must be refused.
        func knownOpen(_ place: Place) -> String? {
            for key in place.keys + [""] {
                if let reason = open[key] { return reason }
            }
            return nil
        }

        /// An agent without root runs a plain user's jobs.
        func isTried(_ place: Place) -> Bool {
            profiles.contains(place.profile) && users.contains(place.user == .rootless ? .plain : place.user)
        }

        /// Landlock's ABI that this is refused from on; below, the profile promises nothing (README, Security).
        func promisedFromABI(_ place: Place) -> Int32 {
            let rules: [String: Int32] = ["A110": 2, "A111": 2, "A113": 2, "A112": 3, "A114": 5, "A115": 5]
            if let abi = rules[id] { return abi }
            guard place.profile == "notifier" else { return 0 }
            return ["NT02": 6, "NT06": 4][id] ?? 0
        }

        var isScenario: Bool { profiles == ["scenario"] }
        var cannotBeTried: Bool { profiles == ["-"] }
    }

    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    var rows: [Row] = []

    static func load() throws -> AttackTable {
        guard let path = Bundle.module.path(forResource: "attacks", ofType: "tsv") else {
            throw Failure(description: "attacks.tsv is missing")
        }
        var table = AttackTable()
        let text = try String(contentsOfFile: path, encoding: .utf8)
        for (number, line) in text.split(separator: "\n").enumerated().dropFirst() {
            let fields = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
            guard fields.count == 10, let row = Row(fields) else {
                throw Failure(description: "attacks.tsv:\(number + 1) cannot be read: \(line)")
            }
            table.rows.append(row)
        }
        return table
    }

    subscript(id: String) -> Row? { rows.first { $0.id == id } }
}

extension AttackTable.Row {
    init?(_ fields: [String]) {
        id = fields[0]
        category = fields[1]
        action = fields[2]
        profiles = fields[3].split(separator: ",").map(String.init)
        switch fields[4] {
        case "both": users = [.plain, .root]
        case "plain": users = [.plain]
        case "root": users = [.root]
        case _: return nil
        }
        // `EPERM|ENOSYS root=EROFS hook.plain=EACCES`
        expectations = [:]
        for part in fields[5].split(separator: " ") {
            let pair = part.split(separator: "=", maxSplits: 1)
            let words = Set((pair.last ?? "").split(separator: "|").map(String.init))
            expectations[pair.count == 2 ? String(pair[0]) : ""] = words
        }
        layers = fields[6].split(separator: ";").map { $0.trimmingCharacters(in: .whitespaces) }
        source = fields[7]
        needs = fields[8]
        // `root,hook.plain: reason`; an empty list of places means all.
        open = [:]
        if let colon = fields[9].firstIndex(of: ":") {
            let reason = fields[9][fields[9].index(after: colon)...].trimmingCharacters(in: .whitespaces)
            for place in fields[9][..<colon].split(separator: ",") { open[String(place)] = reason }
            if colon == fields[9].startIndex { open[""] = reason }
        } else if !fields[9].isEmpty {
            return nil
        }
    }
}

/// Who submitted the run.
enum Submitter: String, CaseIterable, Sendable {
    case plain, root
    /// A plain user to an agent of their own, without root.
    case rootless

    static let allCases: [Submitter] = [.plain, .root]
}

/// Where attacks are tried.
struct Place: Hashable, Sendable, CustomStringConvertible {
    var profile: String
    var user: Submitter

    var description: String { "\(profile).\(user)" }
    /// The narrowest first.
    var keys: [String] {
        let own = ["\(profile).\(user)", user.rawValue]
        // What is not said of an agent without root holds for it as for any.
        return own + (user == .rootless ? ["\(profile).plain", "plain"] : []) + [profile]
    }

    static let rootless = ["main", "hook", "notifier"].map { Place(profile: $0, user: .rootless) }
    static let all = ["main", "hook", "notifier"].flatMap { profile in
        Submitter.allCases.map { Place(profile: profile, user: $0) }
    }
}

/// What the attacker printed about one attack.
struct AttackResult: CustomStringConvertible {
    enum Verdict: String { case refused, succeeded, notRun = "not-run", works, broken }

    var id: String
    var verdict: Verdict
    var words: Set<String>
    var detail: String

    init?(line: Substring) {
        let parts = line.split(separator: " ", maxSplits: 3)
        guard parts.count >= 3, let verdict = Verdict(rawValue: String(parts[1])) else { return nil }
        id = String(parts[0])
        self.verdict = verdict
        words = Set(parts[2].split(separator: "|").map(String.init))
        detail = parts.count > 3 ? String(parts[3]) : ""
    }

    var description: String { "\(verdict.rawValue) \(words.sorted().joined(separator: "|")) (\(detail))" }
}
