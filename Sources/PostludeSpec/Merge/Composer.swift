import PostludeCore

/// Makes one flat file out of an operation, the component that it names, its patches and its presets.
///
/// The order is Polyaxon's: the component; over it the operation's own keys by its `patchStrategy`; its short forms
/// (`container`, `cmd`, ...); its `runPatch`; then its presets, each by its own strategy; at last the site's.
struct Composer {
    let session: SpecSession
    /// The components of the graph that the operation is of, for `dagRef`; nil for a file and for hooks.
    var templates: [String: YAMLNode]?

    init(session: SpecSession, templates: [String: YAMLNode]? = nil) {
        self.session = session
        self.templates = templates
    }

    private var references: [String] { Self.references + (templates == nil ? [] : ["dagRef"]) }

    /// What a file has become.
    struct Composed {
        var root: YAMLNode
        /// What the component calls itself, or its reference does; nil when the file is its own component.
        var componentName: String?
        /// False when something it names is not there: then nothing is known of what is missing.
        var isComplete = true
        /// Whether the component is the hub's.
        var isOfHub = false
        /// Whether the site's defaults were left out, and are to be left out below.
        var isOptedOut = false
    }

    static let references = ["component", "hubRef", "pathRef"]
    static let shortcuts = [
        "ports", "container", "cmd", "env", "resources", "environment", "init", "connections", "sidecars", "volumes",
    ]
    /// Short forms whose place in `run` is supported.
    static let accepted = shortcuts.filter { $0 != "volumes" }
    /// What only says how to merge, and is gone afterwards.
    static let directives = ["runPatch", "patchStrategy", "presets", "isPreset", "disableDefaults"]

    func operation(_ root: YAMLNode) -> Composed {
        var composed = layered(root)
        composed.isOptedOut = session.isOptedOut
        guard composed.isComplete else { return composed }
        let flat = composed.root
        composed.isOptedOut = flag("disableDefaults", of: flat) ?? session.isOptedOut
        composed.root = removing(["disableDefaults", "isPreset"], from: flat)
        if flat.value(of: "run") == nil, let patch = root.value(of: "runPatch"), patch.entries != nil {
            session.findings.error(
                "spec.no-run-to-patch", "There is no `run` that `runPatch` could change.",
                hint: "Name a component, or write `run`; a preset says isPreset: true.", at: patch.place)
            composed.isComplete = false
        }
        composed.root = Presets(session: session).apply(to: composed.root, isOptedOut: composed.isOptedOut)
        return composed
    }

    /// The file over its component.
    private func layered(_ local: YAMLNode) -> Composed {
        guard let entries = local.entries else { return Composed(root: local) }
        let given = references.filter { local.value(of: $0) != nil }
        guard let key = given.first else {
            // What refers to a place that cannot be read is refused by name, and nothing else is because of it.
            let refers = ["urlRef", "dagRef"].contains { local.value(of: $0) != nil }
            let root = refers ? removing(["runPatch", "patchStrategy"], from: local) : lowered(local, over: nil)
            return Composed(root: root, isComplete: !refers)
        }
        var incomplete = Composed(root: removing(references + Self.directives, from: local), isComplete: false)
        guard given.count < 2 else {
            session.findings.error(
                "spec.conflict", "The operation has \(given.joined(separator: " and ")).", hint: "Keep one of them.",
                at: local.place)
            return incomplete
        }
        guard let found = component(key, of: entries) else { return incomplete }
        guard isComponent(found.root) else { return incomplete }
        incomplete.root = lowered(local, over: lowered(found.root, over: nil))
        return Composed(
            root: incomplete.root, componentName: found.root.value(of: "name")?.scalar?.text ?? found.name,
            isOfHub: key == "hubRef")
    }

    /// The root of the component that a key names, not yet merged with anything.
    func component(_ key: String, of entries: [YAMLEntry]) -> (root: YAMLNode, name: String?)? {
        guard let value = entries.first(where: { MappingReader.canonical($0.key) == key })?.value else { return nil }
        if key == "component" { return (value, nil) }
        guard case .string(let reference)?? = value.scalar.map(\.value) else {
            session.findings.wrongType(key, wanted: "a text", value)
            return nil
        }
        if key == "dagRef" { return template(reference, at: value.place) }
        let found =
            key == "hubRef"
            ? session.hubComponent(reference, at: value.place) : session.pathComponent(reference, at: value.place)
        return found.map { ($0.root, $0.name) }
    }

    private func template(_ name: String, at place: SourcePlace) -> (root: YAMLNode, name: String?)? {
        if let node = templates?[name] { return (node, name) }
        session.findings.error(
            "spec.unknown-component", "The graph has no component '\(name)'.",
            hint: Suggestion.hint(for: name, among: templates.map { Array($0.keys) } ?? [])
                ?? "List it under `components` beside the operations.", at: place)
        return nil
    }

    /// A component is one by itself: it names no other and has no params.
    func isComponent(_ node: YAMLNode) -> Bool {
        guard node.entries != nil else {
            session.findings.wrongType("component", wanted: "a mapping", node)
            return false
        }
        if let kind = node.value(of: "kind"), kind.scalar?.text != "component" {
            let text = kind.scalar?.text ?? ""
            let hint =
                text == "operation" ? "Name a component; an operation cannot run another." : "Write kind: component."
            session.findings.error(
                "spec.wrong-kind", "A component is needed here, not kind `\(text)`.", hint: hint, at: kind.place)
            return false
        }
        guard flag("isPreset", of: node) != true else {
            session.findings.error(
                "spec.wrong-kind", "A component is needed here, not a preset.", hint: "Name it in `presets`.",
                at: node.value(of: "isPreset")?.place)
            return false
        }
        var isOne = true
        for entry in node.entries ?? [] where !entry.value.isNull {
            let key = MappingReader.canonical(entry.key)
            guard Self.references.contains(key) || key == "dagRef" || key == "params" else { continue }
            session.findings.unsupported(
                "\(key) of a component",
                key == "params" ? "Give the inputs a `value`." : "Name the component itself.", at: entry.keyPlace)
            isOne = false
        }
        return isOne
    }

    // MARK: One layer over another

    /// `local` merged over `base`; without one, only its short forms and its patch are put where they belong.
    func lowered(_ local: YAMLNode, over base: YAMLNode?) -> YAMLNode {
        guard let entries = local.entries else { return local }
        let patch = TreePatch(strategy: strategy(of: local))
        reportDuplicates(local)
        let apart = references + Self.shortcuts + ["run", "runPatch", "patchStrategy", "isPreset"]
        let own = entries.filter { !apart.contains(MappingReader.canonical($0.key)) }
        var result = base ?? YAMLNode(content: .mapping([]), place: local.place)
        result.place = local.place
        let kept = result.entries ?? []
        result.content = .mapping(base == nil ? own : patch.fields(kept, own, of: .file))
        if base != nil { keepStrictness(kept, in: &result) }
        var run = base?.value(of: "run")
        if let entry = entries.first(where: { MappingReader.canonical($0.key) == "run" }) {
            run = patched(run, entry.value, patch)
        }
        let shortcuts = Shortcuts(findings: session.findings, patch: patch, place: local.place)
        run = shortcuts.apply(local, to: run)
        run = runPatch(of: local, patch, run)
        let key = (base ?? local).entries?.first { MappingReader.canonical($0.key) == "run" }?.keyPlace
        return setting("run", run, in: result, keyPlace: key ?? run?.place ?? local.place)
    }

    /// A component that is strict stays so.
    private func keepStrictness(_ base: [YAMLEntry], in result: inout YAMLNode) {
        guard let strict = base.first(where: { MappingReader.canonical($0.key) == "strictParams" }),
            case .bool(true)?? = strict.value.scalar.map(\.value)
        else { return }
        result = setting("strictParams", strict.value, in: result, keyPlace: strict.keyPlace)
    }

    /// `run` over `run`: of another kind it takes its place, or does not.
    private func patched(_ current: YAMLNode?, _ value: YAMLNode, _ patch: TreePatch) -> YAMLNode? {
        guard let current, let entries = current.entries else { return value.isNull ? nil : value }
        let takes = patch.strategy == .postMerge || patch.strategy == .replace
        guard let own = value.entries else { return takes ? (value.isNull ? nil : value) : current }
        let kind = value.value(of: "kind")?.scalar?.text
        guard kind == nil || kind == current.value(of: "kind")?.scalar?.text else { return takes ? value : current }
        var merged = current
        merged.content = .mapping(patch.fields(entries, own, of: .run))
        return merged
    }

    /// What `runPatch` says over `run`.
    func runPatch(of local: YAMLNode, _ patch: TreePatch, _ run: YAMLNode?) -> YAMLNode? {
        guard let value = local.value(of: "runPatch") else { return run }
        guard let entries = value.entries else {
            session.findings.wrongType("runPatch", wanted: "a mapping", value, hint: "Write what differs from `run`.")
            return run
        }
        reportDuplicates(value, .run, path: "runPatch.")
        // Without anything to change the caller says so.
        guard let run, let current = run.entries else { return run }
        if let kind = value.value(of: "kind"), kind.scalar?.text != run.value(of: "kind")?.scalar?.text {
            session.findings.error(
                "spec.wrong-kind", "`runPatch` is of another kind than the `run` that it changes.",
                hint: "Leave `kind` out.", at: kind.place)
            return run
        }
        var merged = run
        merged.content = .mapping(patch.fields(current, entries, of: .run))
        return merged
    }

    // MARK: Keys

    func strategy(of node: YAMLNode) -> PatchStrategy {
        guard let value = node.value(of: "patchStrategy") else { return .postMerge }
        if let strategy = value.scalar.flatMap({ PatchStrategy(rawValue: $0.text) }) { return strategy }
        let names = PatchStrategy.allCases.map(\.rawValue)
        session.findings.error(
            "spec.invalid-value", "'\(value.scalar?.text ?? value.typeName)' is no patch strategy.",
            hint: Suggestion.hint(for: value.scalar?.text ?? "", among: names)
                ?? "Strategies are \(names.joined(separator: ", ")).", at: value.place)
        return .postMerge
    }

    func flag(_ key: String, of node: YAMLNode) -> Bool? {
        guard let value = node.value(of: key) else { return nil }
        guard case .bool(let flag)?? = value.scalar.map(\.value) else {
            session.findings.wrongType(key, wanted: "true or false", value)
            return nil
        }
        return flag
    }

    /// Merging would let one of two spellings win in silence.
    func reportDuplicates(_ node: YAMLNode, _ object: FormatObject = .file, path: String = "") {
        var seen: Set<String> = []
        for entry in node.entries ?? [] {
            let key = MappingReader.canonical(entry.key)
            if !seen.insert(key).inserted {
                session.findings.error(
                    "spec.duplicate-key", "The key `\(path)\(key)` is there twice.",
                    hint: "Remove one of its two spellings.", at: entry.keyPlace)
            }
            // Deeper down only what is merged over something: the rest is read as it is, and found there.
            guard object != .file, let shape = object.key(key)?.shape, let below = shape.object else { continue }
            reportDuplicates(entry.value, below, path: "\(path)\(key).")
        }
    }

    func removing(_ keys: [String], from node: YAMLNode) -> YAMLNode {
        guard let entries = node.entries else { return node }
        var node = node
        node.content = .mapping(entries.filter { !keys.contains(MappingReader.canonical($0.key)) })
        return node
    }

    func setting(_ key: String, _ value: YAMLNode?, in node: YAMLNode, keyPlace: SourcePlace) -> YAMLNode {
        var entries = node.entries ?? []
        let index = entries.firstIndex { MappingReader.canonical($0.key) == key }
        if let value {
            let entry = YAMLEntry(key: key, keyPlace: keyPlace, value: value)
            if let index { entries[index] = entry } else { entries.append(entry) }
        } else if let index {
            entries.remove(at: index)
        }
        var node = node
        node.content = .mapping(entries)
        return node
    }
}
