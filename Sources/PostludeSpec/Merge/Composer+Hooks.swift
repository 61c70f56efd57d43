import PostludeCore

extension Composer {
    /// What a hook has become: its component flat and in place, its patches and presets merged in.
    struct ComposedHook {
        var node: YAMLNode
        /// `hub:webhook`, `path:x.yaml` or `inline`; `site:` before it when the site gave the hook.
        var origin: String
        var defaultName: String?

        var isOfHub: Bool { origin.hasPrefix("hub:") || origin.hasPrefix("site:hub:") }
    }

    /// nil, with findings, when it names no component, or one that cannot be had.
    func hook(_ node: YAMLNode, path: String) -> ComposedHook? {
        guard let entries = node.entries else { return nil }
        let given = ["hubRef", "pathRef", "component"].filter { node.value(of: $0) != nil }
        guard given.count == 1, let key = given.first else {
            session.findings.error(
                given.isEmpty ? "spec.missing-key" : "spec.conflict",
                given.isEmpty ? "`\(path)` names no component." : "`\(path)` has \(given.joined(separator: " and ")).",
                hint: "Give it exactly one of hubRef, pathRef and component.", at: node.place)
            return nil
        }
        guard let found = component(key, of: entries), isComponent(found.root) else { return nil }
        reportDuplicates(node)
        var component = lowered(found.root, over: nil)
        let patch = TreePatch(strategy: strategy(of: node))
        let run = runPatch(of: node, patch, component.value(of: "run"))
        component = setting("run", run, in: component, keyPlace: component.place)
        let optOut = node.value(of: "disableDefaults")?.scalar.map(\.value)
        let isOptedOut = optOut == .some(.some(.bool(true)))
        var merged = Presets(session: session).apply(
            to: removing(Self.references + ["runPatch", "patchStrategy"], from: node), component, isOptedOut: isOptedOut
        )
        let place = entries.first { MappingReader.canonical($0.key) == key }?.keyPlace ?? node.place
        merged.hook = setting("component", merged.component, in: merged.hook, keyPlace: place)
        let reference = node.value(of: key)?.scalar?.text ?? ""
        let origin = ["hubRef": "hub:\(reference)", "pathRef": "path:\(reference)"][key] ?? "inline"
        return ComposedHook(
            node: merged.hook, origin: session.siteHooks.contains(node.place) ? "site:\(origin)" : origin,
            defaultName: found.name)
    }
}
