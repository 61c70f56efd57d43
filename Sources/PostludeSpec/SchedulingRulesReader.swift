import PostludeCore

/// Reads what the configuration says of sharing the node: `queues`, `perUser` and `fairShare`.
struct SchedulingRulesReader {
    let findings: Findings

    func read(_ reader: inout MappingReader) -> SchedulingRules {
        var rules = SchedulingRules()
        if let nodes = reader.list("queues") { rules.queues = queues(nodes) }
        if var limits = reader.mapping("perUser") {
            rules.perUser = self.limits(&limits)
            limits.finish()
        }
        guard var share = reader.mapping("fairShare") else { return rules }
        if let seconds = share.count("halfLifeSeconds", least: 1) { rules.halfLifeSeconds = Double(seconds) }
        if let node = share.take("weights") { rules.weights = weights(node, share.name(of: "weights")) }
        share.finish()
        return rules
    }

    private func queues(_ nodes: [YAMLNode]) -> [SchedulingRules.Queue] {
        var queues: [SchedulingRules.Queue] = []
        for (index, node) in nodes.enumerated() {
            guard let queue = queue(node, "queues[\(index)]") else { continue }
            if queues.contains(where: { $0.name == queue.name }) {
                findings.error(
                    "config.duplicate-queue", "The queue '\(queue.name)' is there twice.",
                    hint: "Rename or remove one.", at: node.place)
            }
            queues.append(queue)
        }
        return queues
    }

    private func queue(_ node: YAMLNode, _ path: String) -> SchedulingRules.Queue? {
        guard var reader = MappingReader(node, path: path, findings) else { return nil }
        let fields = SettingsReader(findings: findings)
        let name = fields.word(&reader, "name")
        var queue = SchedulingRules.Queue(name: name ?? "")
        queue.priority = Int(reader.count("priority", least: -1_000_000) ?? 0)
        queue.limits = limits(&reader)
        if var perUser = reader.mapping("perUser") {
            queue.perUser = limits(&perUser)
            perUser.finish()
        }
        queue.users = fields.names(&reader, for: "a queue that is for all", "users")
        queue.groups = fields.names(&reader, for: "a queue that is for all", "groups")
        reader.finish()
        if name == nil, !reader.has("name") {
            findings.error(
                "spec.missing-key", "`\(path)` has no name.", hint: "Operations name their queue: give it a `name`.",
                at: reader.place)
        }
        return name == nil ? nil : queue
    }

    private func limits(_ reader: inout MappingReader) -> SchedulingRules.Limits {
        func number(_ key: String, least: Int64) -> Int? { reader.count(key, least: least).map { Int(clamping: $0) } }
        return SchedulingRules.Limits(
            running: number("maxRunning", least: 0), devices: number("maxDevices", least: 0),
            waiting: number("maxWaiting", least: 0))
    }

    private func weights(_ node: YAMLNode, _ path: String) -> [String: Double] {
        guard let entries = node.entries else {
            findings.wrongType(path, wanted: "a mapping", node, hint: "Such as weights: {alice: 2}.")
            return [:]
        }
        var weights: [String: Double] = [:]
        for entry in entries {
            guard let text = entry.value.scalar?.text, let weight = Double(text), weight.isFinite, weight > 0 else {
                findings.error(
                    "spec.invalid-value", "`\(path).\(entry.key)` is no weight.",
                    hint: "Write a number above 0; 1 is everybody's.", at: entry.value.place)
                continue
            }
            weights[entry.key] = weight
        }
        return weights
    }
}
