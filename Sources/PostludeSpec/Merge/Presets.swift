import PostludeCore

/// Merges presets into an operation or a hook: those it names, then those that the site gives it.
struct Presets {
    let session: SpecSession
    private let composer: Composer

    init(session: SpecSession) {
        self.session = session
        composer = Composer(session: session)
    }

    /// What a preset may change besides `run`.
    static let keys = [
        "name", "description", "tags", "params", "queue", "cache", "hooks", "events", "plugins", "termination",
        "matrix", "joins", "schedule", "dependencies", "trigger", "conditions", "skipOnUpstreamSkip", "isApproved",
        "namespace", "cost", "build", "mount",
    ]
    /// Of a hook these are its own, the rest is its component's.
    private static let hookKeys = ["name", "params", "queue", "termination"]
    /// What says how to merge, or what the file is.
    private static let silent = ["version", "kind", "isPreset", "patchStrategy", "runPatch", "template"]

    /// A flat operation with its presets merged in; `presets` is gone.
    func apply(to root: YAMLNode, isOptedOut: Bool) -> YAMLNode {
        var result = composer.removing(["presets"], from: root)
        var applied: Set<String> = []
        for name in names(root.value(of: "presets")) where applied.insert(name.text).inserted {
            guard let preset = session.preset(named: name.text, at: name.place) else { continue }
            result = merged(preset, into: result, keys: Self.keys)
        }
        guard !isOptedOut, let site = session.site else { return result }
        let queue = result.value(of: "queue")?.scalar?.text
        for name in site.presets(queue: queue) where applied.insert(name).inserted {
            guard let preset = session.sitePreset(named: name) else { continue }
            for hook in Self.items(preset.value(of: "hooks")) { session.siteHooks.insert(hook.place) }
            // A graph runs nothing itself: each of its operations gets what the site says of `run`.
            let isDag = result.value(of: "run")?.value(of: "kind")?.scalar?.text == "dag"
            let part = isDag ? composer.removing(Composer.shortcuts + ["runPatch"], from: preset) : preset
            result = merged(part, into: result, keys: Self.keys)
        }
        return result
    }

    /// A hook and its flat component with their presets merged in.
    func apply(
        to hook: YAMLNode, _ component: YAMLNode, isOptedOut: Bool
    ) -> (hook: YAMLNode, component: YAMLNode) {
        var result = (
            hook: composer.removing(["presets"], from: hook), component: composer.removing(["presets"], from: component)
        )
        var applied: Set<String> = []
        func apply(_ preset: YAMLNode) {
            let rest = Self.keys.filter { !Self.hookKeys.contains($0) }
            let others = composer.removing(Self.hookKeys, from: preset)
            result.component = merged(others, into: result.component, keys: rest)
            let patch = TreePatch(strategy: composer.strategy(of: preset))
            let own = (preset.entries ?? []).filter { Self.hookKeys.contains(MappingReader.canonical($0.key)) }
            result.hook.content = .mapping(patch.fields(result.hook.entries ?? [], own, of: .hook))
        }
        for name in names(component.value(of: "presets")) + names(hook.value(of: "presets"))
        where applied.insert(name.text).inserted {
            if let preset = session.preset(named: name.text, at: name.place) { apply(preset) }
        }
        guard !isOptedOut, let site = session.site else { return result }
        for name in site.hookPresets(queue: result.hook.value(of: "queue")?.scalar?.text)
        where applied.insert(name).inserted {
            if let preset = session.sitePreset(named: name) { apply(preset) }
        }
        return result
    }

    /// As Polyaxon does it: short forms over `run`, then `runPatch`, then the other keys, all by the preset's strategy.
    private func merged(_ preset: YAMLNode, into root: YAMLNode, keys: [String]) -> YAMLNode {
        composer.reportDuplicates(preset)
        refuseOthers(preset, keys)
        let patch = TreePatch(strategy: composer.strategy(of: preset))
        var run = root.value(of: "run")
        let runPlace = root.entries?.first { MappingReader.canonical($0.key) == "run" }?.keyPlace
        run = Shortcuts(findings: session.findings, patch: patch, place: preset.place).apply(preset, to: run)
        run = composer.runPatch(of: preset, patch, run)
        var result = composer.setting("run", run, in: root, keyPlace: runPlace ?? preset.place)
        let own = (preset.entries ?? []).filter { keys.contains(MappingReader.canonical($0.key)) }
        result.content = .mapping(patch.fields(result.entries ?? [], own, of: .file))
        return result
    }

    /// A preset over a job, to see what is wrong with it.
    func check(_ preset: YAMLNode, over job: YAMLNode) -> YAMLNode {
        merged(preset, into: job, keys: Self.keys)
    }

    private func refuseOthers(_ preset: YAMLNode, _ keys: [String]) {
        let known = keys + Self.silent + Composer.shortcuts
        for entry in preset.entries ?? [] where !entry.value.isNull {
            let key = MappingReader.canonical(entry.key)
            guard !known.contains(key) else { continue }
            session.findings.error(
                "spec.preset-key", "A preset cannot have `\(entry.key)`.",
                hint: key == "run"
                    ? "Write what it changes into `runPatch`."
                    : Suggestion.hint(for: key, among: known) ?? "Write it into the operation.", at: entry.keyPlace)
        }
    }

    private func names(_ node: YAMLNode?) -> [(text: String, place: SourcePlace)] {
        guard let node else { return [] }
        let nodes: [YAMLNode]
        if case .sequence(let items) = node.content { nodes = items } else { nodes = [node] }
        return nodes.compactMap { item in
            guard case .string(let text)?? = item.scalar.map(\.value) else {
                session.findings.wrongType("presets", wanted: "names of presets", item)
                return nil
            }
            return (text, item.place)
        }
    }

    private static func items(_ node: YAMLNode?) -> [YAMLNode] {
        if case .sequence(let items)? = node?.content { items } else { [] }
    }
}

extension SpecSession {
    /// The preset of a name: beside the operation, else the site's.
    func preset(named name: String, at place: SourcePlace) -> YAMLNode? {
        guard !Rendering.hasExpression(name) else {
            findings.unsupported(
                "a template in presets", "Write the preset's name.", at: place)
            return nil
        }
        for file in PresetCatalog.files(for: name) {
            guard let text = references[file] else { continue }
            return preset(text, file: file, at: place)
        }
        return sitePreset(named: name, at: place)
    }

    /// One of the site's; without a place for those that nobody named.
    func sitePreset(named name: String, at place: SourcePlace? = nil) -> YAMLNode? {
        do throws(SpecError) {
            let entry = try presets.preset(named: name)
            return preset(entry.text, file: entry.path, at: place)
        } catch {
            for var finding in error.diagnostics {
                finding.place = place ?? finding.place
                findings.add(finding)
            }
            return nil
        }
    }

    private func preset(_ text: String, file: String, at place: SourcePlace?) -> YAMLNode? {
        addSource(text, file: file)
        guard let root = YAMLReader.read(text, file: file, findings) else { return nil }
        guard root.entries != nil else {
            findings.wrongType("The preset", wanted: "a mapping", root)
            return nil
        }
        guard case .bool(true)?? = root.value(of: "isPreset")?.scalar.map(\.value) else {
            findings.error(
                "spec.not-a-preset", "The file '\(file)' is no preset.", hint: "Add isPreset: true to it.",
                at: root.place)
            return nil
        }
        return root
    }
}
