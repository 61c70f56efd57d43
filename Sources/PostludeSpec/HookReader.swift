import PostludeCore

/// Reads hooks and copies their components in.
struct HookReader {
    let session: SpecSession

    func read(_ nodes: [YAMLNode], path: String) -> [Hook] {
        nodes.enumerated().compactMap { index, node in read(node, path: "\(path)[\(index)]") }
    }

    private func read(_ node: YAMLNode, path: String) -> Hook? {
        guard var reader = MappingReader(node, path: path, session.findings) else { return nil }
        let name = reader.text("name")
        let trigger = trigger(&reader)
        let conditions = RootReader.conditions(&reader, session)
        var params: [String: Param] = [:]
        if let node = reader.take("params") {
            params = ParamReader(session: session).read(node, path: reader.name(of: "params"), allowsShort: false)
        }
        let connection = reader.text("connection")
        if let entry = reader.entry("connection"), connection != nil {
            session.findings.noEffect(reader.name(of: "connection"), at: entry.keyPlace)
        }
        let queue = RootReader.queue(&reader, session)
        let disableDefaults = disableDefaults(&reader)
        let termination = TerminationReader(session: session, inputs: nil).read(&reader)
        reader.ignore(["namespace"])
        reader.refuse([
            "presets": "Write the preset's settings into the component.",
            "runPatch": "Change the component, or give it an input for what differs.",
            "dagRef": "Name the component with `hubRef` or `pathRef`.",
            "urlRef": "Download the component and name it with `pathRef`.",
        ])
        let source = component(&reader)
        reader.finish()
        guard let source, var component = source.result.component else { return nil }
        termination.apply(to: &component.termination)
        if let hook = source.result.hooks.first {
            session.findings.unsupported("hooks of a hook", "Write them as hooks of the operation.", at: hook.place)
        }
        if let condition = source.result.conditions {
            session.findings.unsupported(
                "conditions of a hook's component", "Write `conditions` on the hook.", at: condition.place)
        }
        let title = name ?? source.name
        ParamReader(session: session).match(
            params, to: component, of: "hook '\(title)'", at: reader.place, strict: source.result.isStrict)
        return Hook(
            name: title, origin: source.origin, component: component, trigger: trigger, conditions: conditions,
            params: params, connection: connection, queue: queue, disableDefaults: disableDefaults, place: reader.place)
    }

    private func trigger(_ reader: inout MappingReader) -> Hook.Trigger {
        guard let entry = reader.entry("trigger"), let text = reader.text("trigger") else { return .done }
        if let trigger = Hook.Trigger(rawValue: text) { return trigger }
        let names = Hook.Trigger.allCases.map(\.rawValue)
        session.findings.error(
            "spec.invalid-value", "'\(text)' is no trigger.",
            hint: Suggestion.hint(for: text, among: names) ?? "Triggers are \(names.joined(separator: ", ")).",
            at: entry.value.place)
        return .done
    }

    private func disableDefaults(_ reader: inout MappingReader) -> Bool {
        guard let node = reader.take("disableDefaults") else { return false }
        if node.hasTemplate {
            session.findings.unsupported("a template in disableDefaults", "Write true or false.", at: node.place)
            return false
        }
        return reader.flag("disableDefaults") ?? false
    }

    private struct Source {
        var result: ComponentReader.Result
        var name: String
        var origin: String
    }

    private func component(_ reader: inout MappingReader) -> Source? {
        let components = ComponentReader(session: session, purpose: .hook)
        let given = ["hubRef", "pathRef", "component"].filter(reader.has)
        guard given.count == 1, let key = given.first else {
            reader.accept(["hubRef", "pathRef", "component"])
            session.findings.error(
                given.isEmpty ? "spec.missing-key" : "spec.conflict",
                given.isEmpty
                    ? "`\(reader.path)` names no component."
                    : "`\(reader.path)` has \(given.joined(separator: " and ")).",
                hint: "Give it exactly one of hubRef, pathRef and component.", at: reader.place)
            return nil
        }
        reader.accept(["hubRef", "pathRef", "component"])
        if key == "component" {
            guard let node = reader.take("component") else { return nil }
            let result = components.read(node, path: reader.name(of: "component"), defaultName: nil)
            return Source(result: result, name: result.component?.name ?? "hook", origin: "inline")
        }
        guard let place = reader.entry(key)?.value.place, let reference = reader.text(key) else { return nil }
        let isHub = key == "hubRef"
        guard
            let found = isHub ? session.hubComponent(reference, at: place) : session.pathComponent(reference, at: place)
        else { return nil }
        let result = components.read(found.root, path: "", defaultName: found.name)
        return Source(result: result, name: found.name, origin: isHub ? "hub:\(reference)" : "path:\(reference)")
    }
}
