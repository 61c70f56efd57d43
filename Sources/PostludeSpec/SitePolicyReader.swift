import PostludeCore

/// Reads the rules below `policy` of the configuration.
struct SitePolicyReader {
    let findings: Findings

    func rules(_ nodes: [YAMLNode]) -> [SitePolicy.Rule] {
        var rules: [SitePolicy.Rule] = []
        // A rule for everybody leaves nothing to the rules below it.
        var catchAll: String?
        for (index, node) in nodes.enumerated() {
            guard let rule = rule(node, "policy[\(index)]") else { continue }
            if rules.contains(where: { $0.name == rule.name }) {
                findings.error(
                    "config.duplicate-rule", "The rule '\(rule.name)' is there twice.", hint: "Rename or remove one.",
                    at: node.place)
            }
            if let catchAll {
                findings.error(
                    "config.unreachable-rule",
                    "The rule '\(rule.name)' is never used: '\(catchAll)' above it is for everybody.",
                    hint: "Rules are tried in order; put the one without `users` and `groups` last.", at: node.place)
            }
            if rule.users.isEmpty, rule.groups.isEmpty { catchAll = catchAll ?? rule.name }
            rules.append(rule)
        }
        return rules
    }

    private func rule(_ node: YAMLNode, _ path: String) -> SitePolicy.Rule? {
        guard var reader = MappingReader(node, path: path, findings) else { return nil }
        let fields = SettingsReader(findings: findings)
        let name = fields.word(&reader, "name")
        var rule = SitePolicy.Rule(name: name ?? "")
        rule.users = fields.names(&reader, for: "a rule that is for everybody", "users")
        rule.groups = fields.names(&reader, for: "a rule that is for everybody", "groups")
        if reader.has("profiles") { rule.profiles = reader.texts("profiles") }
        rule.networks = networks(&reader)
        if reader.has("workingDirectories") {
            rule.workingDirectories = fields.paths(&reader, "workingDirectories", optional: false)
        }
        rule.memoryBytes = fields.bytes(&reader, "memory", least: 1 << 20)
        rule.milliCPU = fields.cores(&reader, "cpus")
        rule.storageBytes = fields.bytes(&reader, "storage", least: 1 << 20, what: "an amount of storage")
        rule.devices = number(&reader, "devices")
        rule.timeoutSeconds = reader.count("timeoutSeconds", least: 1).map(Double.init)
        rule.retries = number(&reader, "retries")
        rule.hooks = number(&reader, "hooks")
        reader.finish()
        guard name != nil else {
            if !findings.hasErrors {
                findings.error(
                    "spec.missing-key", "`\(path)` has no name.", hint: "Refusals name the rule: give it a `name`.",
                    at: reader.place)
            }
            return nil
        }
        return rule
    }

    private func networks(_ reader: inout MappingReader) -> [SandboxProfile.Network]? {
        guard let entry = reader.entry("networks"), reader.has("networks") else { return nil }
        return reader.texts("networks").compactMap { text in
            if let network = SandboxProfile.Network(rawValue: text) { return network }
            findings.error(
                "spec.invalid-value", "There is no network '\(text)'.", hint: "Choose among none, loopback and host.",
                at: entry.value.place)
            return nil
        }
    }

    private func number(_ reader: inout MappingReader, _ key: String) -> Int? {
        reader.count(key).map { Int(clamping: $0) }
    }
}
