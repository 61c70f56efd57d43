import PostludeCore

/// Puts the short forms at a file's root where they belong in `run`.
struct Shortcuts {
    let findings: Findings
    let patch: TreePatch
    /// Of the file: where what it does not write down is said to be.
    let place: SourcePlace

    func apply(_ file: YAMLNode, to given: YAMLNode?) -> YAMLNode? {
        var run = given
        func key(_ name: String) -> YAMLEntry? {
            file.entries?.first { MappingReader.canonical($0.key) == name && !$0.value.isNull }
        }
        if let ports = key("ports") { run = merged([ports], run, kind: "service") }
        if let container = key("container") { run = merged([container], run) }
        if let cmd = key("cmd") { run = command(script(cmd), cmd, run) }
        if let env = key("env") { run = environment(env, run) }
        if let resources = key("resources") {
            var entry = resources
            entry.value = ResourceShortcut.lowered(resources.value)
            run = inContainer([entry], run, at: resources)
        }
        for name in ["environment", "init", "connections", "sidecars", "volumes"] {
            if let entry = key(name) { run = merged([entry], run) }
        }
        return run
    }

    private func merged(
        _ entries: [YAMLEntry], _ run: YAMLNode?, kind: String = "job", _ other: PatchStrategy? = nil
    ) -> YAMLNode? {
        let patch = other.map(TreePatch.init) ?? patch
        guard let run else { return mapping([entry("kind", word(kind))] + entries, at: place) }
        guard let current = run.entries else { return run }
        var result = run
        result.content = .mapping(patch.fields(current, entries, of: .run))
        return result
    }

    private func inContainer(
        _ entries: [YAMLEntry], _ run: YAMLNode?, at key: YAMLEntry, _ other: PatchStrategy? = nil
    ) -> YAMLNode? {
        let container = YAMLEntry(
            key: "container", keyPlace: key.keyPlace, value: mapping(entries, at: key.keyPlace))
        return merged([container], run, other)
    }

    // MARK: cmd

    /// One script: its lines run in one shell that stops at the first failure.
    /// A script that is none is reported, and nothing else is because of it.
    private func script(_ cmd: YAMLEntry) -> [YAMLEntry] {
        let nodes: [YAMLNode]
        if case .sequence(let items) = cmd.value.content { nodes = items } else { nodes = [cmd.value] }
        let lines = nodes.compactMap(\.scalar)
        guard lines.count == nodes.count else {
            findings.wrongType("cmd", wanted: "a text or a list of texts", cmd.value)
            return pair("true", at: cmd.value.place, cmd)
        }
        guard !lines.isEmpty, lines.allSatisfy({ !$0.text.allSatisfy(\.isWhitespace) }) else {
            findings.error(
                "spec.invalid-value", "`cmd` has a line without a command.",
                hint: "Write a command, such as cmd: ./run.sh.", at: cmd.value.place)
            return pair("true", at: cmd.value.place, cmd)
        }
        // The first line is ours: where the user's lines follow each other in the file, the script starts one above.
        var start = lines[0].textPlace
        if lines.enumerated().allSatisfy({ $1.textPlace.line == start.line + $0 }) { start.line -= 1 }
        return pair((["set -e"] + lines.map(\.text)).joined(separator: "\n"), at: start, cmd)
    }

    private func pair(_ text: String, at start: SourcePlace, _ cmd: YAMLEntry) -> [YAMLEntry] {
        let script = YAMLNode(
            content: .scalar(YAMLScalar(text: text, isText: true, textPlace: start)), place: cmd.value.place)
        func list(_ items: [YAMLNode]) -> YAMLNode { YAMLNode(content: .sequence(items), place: cmd.value.place) }
        let shell = ["/bin/sh", "-c"].map { word($0, at: cmd.value.place) }
        return [
            YAMLEntry(key: "command", keyPlace: cmd.keyPlace, value: list(shell)),
            YAMLEntry(key: "args", keyPlace: cmd.keyPlace, value: list([script])),
        ]
    }

    /// Command and arguments go together: never the script with another's arguments.
    private func command(_ pair: [YAMLEntry], _ cmd: YAMLEntry, _ run: YAMLNode?) -> YAMLNode? {
        guard let run, patch.strategy == .preMerge || patch.strategy == .isnull else {
            return inContainer(pair, run, at: cmd, .replace)
        }
        let container = run.value(of: "container")
        guard container?.value(of: "command") == nil, container?.value(of: "args") == nil else { return run }
        return inContainer(pair, run, at: cmd, .isnull)
    }

    // MARK: env

    /// `{A: b}` as Kubernetes writes it; of two variables of one name the later stays, where it is.
    private func environment(_ env: YAMLEntry, _ run: YAMLNode?) -> YAMLNode? {
        var lowered = env
        if let pairs = env.value.entries { lowered.value.content = .sequence(variables(pairs)) }
        guard case .sequence(let incoming) = lowered.value.content, let run,
            patch.strategy == .postMerge || patch.strategy == .preMerge
        else { return inContainer([lowered], run, at: env) }
        var existing: [YAMLNode] = []
        switch run.value(of: "container")?.value(of: "env")?.content {
        case .sequence(let items): existing = items
        case .mapping(let pairs): existing = variables(pairs)
        case nil: break
        case .scalar: return inContainer([lowered], run, at: env)
        }
        let all = patch.strategy == .postMerge ? existing + incoming : incoming + existing
        lowered.value.content = .sequence(Self.lastOfEachName(all))
        return inContainer([lowered], run, at: env, .replace)
    }

    private func variables(_ pairs: [YAMLEntry]) -> [YAMLNode] {
        pairs.map { pair in
            let name = entry("name", word(pair.key, at: pair.keyPlace), at: pair.keyPlace)
            return mapping([name, entry("value", pair.value, at: pair.keyPlace)], at: pair.keyPlace)
        }
    }

    private static func lastOfEachName(_ items: [YAMLNode]) -> [YAMLNode] {
        var seen: Set<String> = []
        let kept = items.reversed().filter { item in
            guard let name = item.value(of: "name")?.scalar?.text else { return true }
            return seen.insert(name).inserted
        }
        return kept.reversed()
    }

    // MARK: Nodes that no file holds

    private func mapping(_ entries: [YAMLEntry], at place: SourcePlace) -> YAMLNode {
        YAMLNode(content: .mapping(entries), place: place)
    }

    private func entry(_ key: String, _ value: YAMLNode, at place: SourcePlace? = nil) -> YAMLEntry {
        YAMLEntry(key: key, keyPlace: place ?? self.place, value: value)
    }

    private func word(_ text: String, at place: SourcePlace? = nil) -> YAMLNode {
        let place = place ?? self.place
        return YAMLNode(content: .scalar(YAMLScalar(text: text, isText: true, textPlace: place)), place: place)
    }
}

/// The short form of resources: `cpu: 2`, `memory: 1Gi..2Gi` (request and limit), `gpu: 1`.
enum ResourceShortcut {
    /// As requests and limits; what is no short form stays as it is, for the reader to judge.
    static func lowered(_ node: YAMLNode) -> YAMLNode {
        guard let entries = node.entries, !entries.isEmpty,
            !entries.contains(where: { ["limits", "requests", "claims"].contains($0.key) || $0.value.scalar == nil })
        else { return node }
        var requests: [YAMLEntry] = []
        var limits: [YAMLEntry] = []
        for entry in entries {
            guard let scalar = entry.value.scalar else { continue }
            let isCount = entry.key != "cpu" && entry.key != "memory"
            let dots = scalar.text.firstRange(of: "..")
            var low: Substring? = scalar.text[...]
            var high: Substring? = isCount ? scalar.text[...] : nil
            if let dots, dots.lowerBound > scalar.text.startIndex || dots.upperBound < scalar.text.endIndex {
                (low, high) = (scalar.text[..<dots.lowerBound], scalar.text[dots.upperBound...])
                if low?.isEmpty == true { low = nil }
                if high?.isEmpty == true { high = nil }
            }
            func add(_ text: Substring?, to side: inout [YAMLEntry]) {
                guard let text else { return }
                var part = entry
                if entry.key == "gpu" { part.key = "nvidia.com/gpu" }
                let own = YAMLScalar(text: String(text), isText: scalar.isText, textPlace: scalar.textPlace)
                part.value.content = .scalar(own)
                side.append(part)
            }
            add(low, to: &requests)
            add(high, to: &limits)
        }
        func side(_ key: String, _ entries: [YAMLEntry]) -> [YAMLEntry] {
            guard let first = entries.first else { return [] }
            let value = YAMLNode(content: .mapping(entries), place: node.place)
            return [YAMLEntry(key: key, keyPlace: first.keyPlace, value: value)]
        }
        var result = node
        result.content = .mapping(side("requests", requests) + side("limits", limits))
        return result
    }
}
