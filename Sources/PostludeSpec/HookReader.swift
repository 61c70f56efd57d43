import PostludeCore

/// Reads hooks and copies their components in.
struct HookReader {
    let session: SpecSession
    /// References that lead here, so that none leads to itself.
    var references: [String] = []
    /// How deep hooks of hooks may be read; how deep they run is the agent's matter.
    static let maximumDepth = 8
    static let maximumCount = 1000

    func read(_ nodes: [YAMLNode], path: String) -> [Hook] {
        nodes.enumerated().compactMap { index, node in read(node, path: "\(path)[\(index)]") }
    }

    private func read(_ node: YAMLNode, path: String) -> Hook? {
        session.hookCount += 1
        // Hooks of hooks multiply: a few small files could otherwise ask for more than memory holds.
        guard session.hookCount <= Self.maximumCount else {
            if session.hookCount == Self.maximumCount + 1 {
                session.findings.error(
                    "spec.too-many-hooks", "There are more than \(Self.maximumCount) hooks, hooks of hooks among them.",
                    hint: "Have fewer hooks do more.", at: node.place)
            }
            return nil
        }
        let composed = Composer(session: session).hook(node, path: path)
        guard var reader = MappingReader(composed?.node ?? node, path: path, session.findings) else { return nil }
        let name = reader.text("name")
        let trigger = trigger(&reader)
        let conditions = RootReader.conditions(&reader, session)
        var params: [String: Param] = [:]
        if let node = reader.take("params") {
            params = ParamReader(session: session).read(node, path: reader.name(of: "params"), allowsShort: true)
        }
        let connections = ConnectionReader(session: session)
        let connection = connections.reference(&reader)
        let queue = RootReader.queue(&reader, session)
        let disableDefaults = disableDefaults(&reader)
        let termination = TerminationReader(session: session, inputs: nil).read(&reader)
        reader.ignore(["namespace"])
        reader.refuse([
            "dagRef": "Name the component with `hubRef` or `pathRef`.",
            "urlRef": "Download the component and name it with `pathRef`.",
        ])
        let source = composed.flatMap { component($0, &reader) }
        if composed == nil { reader.accept(Composer.references + Composer.directives) }
        reader.finish()
        guard let source, var component = source.result.component else { return nil }
        termination.apply(to: &component.termination)
        if let connection { connections.give(connection, to: &component) }
        let nested = nested(source, path: reader.path)
        if let condition = source.result.conditions {
            session.findings.unsupported(
                "conditions of a hook's component", "Write `conditions` on the hook.", at: condition.place)
        }
        if source.result.isApproved == false {
            session.findings.unsupported(
                "isApproved in a hook", "Let the operation wait for approval.", at: reader.place)
        }
        let title = name ?? source.name
        ParamReader(session: session).match(
            params, to: component, of: "hook '\(title)'", at: reader.place, strict: source.result.isStrict)
        return Hook(
            name: title, origin: source.origin, component: component, trigger: trigger, conditions: conditions,
            params: params, connection: connection?.name, queue: queue, disableDefaults: disableDefaults,
            hooks: nested.isEmpty ? nil : nested, place: reader.place)
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

    /// The hooks of a hook's component. A component that leads to itself would never end.
    private func nested(_ source: Source, path: String) -> [Hook] {
        guard let first = source.result.hooks.first else { return [] }
        guard !references.contains(source.origin) || source.origin == "inline" else {
            session.findings.error(
                "spec.hooks-in-a-circle", "The component of `\(path)` has itself as a hook (\(source.origin)).",
                hint: "Take that hook out of the component.", at: first.place)
            return []
        }
        guard references.count + 1 < Self.maximumDepth else {
            session.findings.error(
                "spec.hooks-too-deep", "Hooks of hooks are more than \(Self.maximumDepth) deep here.",
                hint: "Write what they do as one hook.", at: first.place)
            return []
        }
        var reader = self
        reader.references.append(source.origin)
        return reader.read(source.result.hooks, path: "\(path).hooks")
    }

    private struct Source {
        var result: ComponentReader.Result
        var name: String
        var origin: String
    }

    private func component(_ composed: Composer.ComposedHook, _ reader: inout MappingReader) -> Source? {
        guard let node = reader.take("component") else { return nil }
        let components = ComponentReader(session: session, purpose: .hook)
        let isInline = composed.origin.hasSuffix("inline")
        var result = components.read(
            node, path: isInline ? reader.name(of: "component") : "", defaultName: composed.defaultName)
        if composed.isOfHub { result.component?.job.usesHub = true }
        return Source(
            result: result, name: composed.defaultName ?? result.component?.name ?? "hook", origin: composed.origin)
    }
}
