import Glibc
import PostludeCore
import PostludeServer

extension SitePolicy {
    /// The policy with its directories' links followed, once it is sure that every rule means somebody and something: a
    /// rule with a slip in it would leave those it was written for to the rules below it.
    func checked(profiles: Set<String>) throws -> SitePolicy {
        var policy = self
        for index in rules.indices {
            let rule = rules[index]
            try Self.check(rule, "profile", rule.profiles ?? []) { profiles.contains($0) }
            try Self.check(rule, "user", rule.users, UserDirectory.isUser)
            try Self.check(rule, "group", rule.groups, UserDirectory.isGroup)
            policy.rules[index].workingDirectories = rule.workingDirectories?.map(Self.withoutLinks)
        }
        return policy
    }

    private static func check(
        _ rule: Rule, _ kind: String, _ names: [String], _ exists: (String) -> Bool
    ) throws {
        guard let name = names.first(where: { !exists($0) }) else { return }
        throw AgentFailure(
            "agent.policy-unknown-\(kind)", "The rule '\(rule.name)' names the \(kind) '\(name)', which is not there.",
            hint: "Correct `policy` in the configuration.")
    }

    private static func withoutLinks(_ path: String) -> String {
        guard let real = realpath(path, nil) else { return path }
        defer { free(real) }
        return String(cString: real)
    }
}
