import PostludeCore

/// Reads the rules below `defaults` of the configuration.
struct SiteDefaultsReader {
    let findings: Findings

    func rules(_ nodes: [YAMLNode]) -> [SiteDefaults] {
        var rules: [SiteDefaults] = []
        for (index, node) in nodes.enumerated() {
            guard let rule = rule(node, "defaults[\(index)]") else { continue }
            if rules.contains(where: { $0.name == rule.name }) {
                findings.error(
                    "config.duplicate-rule", "The defaults '\(rule.name)' are there twice.",
                    hint: "Rename or remove one.", at: node.place)
            }
            rules.append(rule)
        }
        return rules
    }

    private func rule(_ node: YAMLNode, _ path: String) -> SiteDefaults? {
        guard var reader = MappingReader(node, path: path, findings) else { return nil }
        let fields = SettingsReader(findings: findings)
        let name = fields.word(&reader, "name")
        var rule = SiteDefaults(name: name ?? "")
        rule.users = fields.names(&reader, for: "defaults that are for all", "users")
        rule.groups = fields.names(&reader, for: "defaults that are for all", "groups")
        rule.projects = fields.names(&reader, for: "defaults that are for all", "projects")
        rule.queues = fields.names(&reader, for: "defaults that are for all", "queues")
        rule.presets = presets(&reader, "presets")
        rule.hookPresets = presets(&reader, "hookPresets")
        let isEmpty = !reader.has("presets") && !reader.has("hookPresets")
        reader.finish()
        if name == nil, !reader.has("name") {
            findings.error(
                "spec.missing-key", "`\(path)` has no name.", hint: "Findings name the defaults: give them a `name`.",
                at: reader.place)
        }
        if isEmpty {
            findings.error(
                "spec.missing-key", "`\(path)` names no preset.", hint: "Give it `presets` or `hookPresets`.",
                at: reader.place)
        }
        return name == nil ? nil : rule
    }

    private func presets(_ reader: inout MappingReader, _ key: String) -> [String] {
        let place = reader.entry(key)?.value.place
        return reader.texts(key).filter { name in
            if Hub.isWord(name) { return true }
            findings.error(
                "spec.invalid-value", "'\(name)' is no name of a preset.",
                hint: "Use letters, digits, '-', '_' and '.'; the file is NAME.yaml.", at: place)
            return false
        }
    }
}
