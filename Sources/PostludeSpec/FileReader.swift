import PostludeCore

/// Reads the root of the file that was submitted, or an operation of a graph.
struct FileReader {
    let session: SpecSession
    /// Params of the command line, which win over the file's.
    var overrides: [String: Value] = [:]
    /// The components of the graph that the operation is of, for `dagRef`; nil for a file.
    var templates: [String: YAMLNode]?
    /// How messages call the operation; empty for a file.
    var path = ""

    private var isNode: Bool { templates != nil }

    func read(_ root: YAMLNode) -> Operation? {
        guard isKnownKind(root) else { return nil }
        return readFlat(Composer(session: session).operation(root))
    }

    /// Reads what has become of the file.
    func readFlat(_ composed: Composer.Composed) -> Operation? {
        guard var reader = MappingReader(composed.root, path: path, session.findings) else { return nil }
        reader.refuse(Features.nodeOnly)
        return read(&reader, composed)
    }

    private func read(_ reader: inout MappingReader, _ composed: Composer.Composed) -> Operation? {
        let wasOptedOut = session.isOptedOut
        session.isOptedOut = composed.isOptedOut
        defer { session.isOptedOut = wasOptedOut }
        reader.accept(["kind"])
        RootReader.readCommon(&reader, session, isNode: isNode)
        let params = params(&reader)
        let flow = FlowReader(session: session).read(&reader, isNode: isNode)
        var known = params
        // What the matrix gives is looked at by itself; elsewhere it only has to be known.
        for name in flow.matrix?.names ?? [] {
            known[name] = Param(value: .null, isTemplate: true, place: flow.matrix?.place)
        }
        // So are the values of joins, which nobody knows before the search.
        let joins = JoinReader(session: session).read(&reader)
        for (name, param) in (joins ?? []).flatMap(\.params) {
            known[name] = Param(
                value: .null, isTemplate: true, contextOnly: param.contextOnly, toEnv: param.toEnv, place: param.place)
        }
        let tags = reader.has("tags") ? reader.texts("tags") : []
        let description = reader.has("description") ? reader.text("description") : nil
        let components = ComponentReader(session: session, purpose: .operation(params: known))
        let connection = ConnectionReader(session: session).reference(&reader)
        let result = components.readBody(&reader, isComplete: composed.isComplete)
        let hooks = HookReader(session: session).read(result.hooks, path: reader.name(of: "hooks"))
        reader.finish()
        guard var component = result.component else { return nil }
        let name = component.name ?? composed.componentName
        component.name = composed.componentName ?? component.name
        if composed.isOfHub { component.job.usesHub = true }
        if let connection { ConnectionReader(session: session).give(connection, to: &component) }
        if let matrix = flow.matrix {
            MatrixReader(session: session).match(matrix, to: component, params: params)
        }
        if let joins {
            JoinReader(session: session).match(
                joins, to: component, params: params, points: flow.matrix?.names ?? [])
        }
        ParamReader(session: session).match(
            known, to: component, of: "the operation", at: reader.place, strict: result.isStrict)
        var operation = Operation(
            name: name, description: description, tags: tags, component: component, params: params, hooks: hooks,
            conditions: result.conditions, queue: result.queue, isApproved: result.isApproved, dag: result.dag,
            cache: result.cache, joins: joins)
        flow.apply(to: &operation)
        return operation
    }

    // MARK: Operations of a graph

    /// An operation of a graph with what says when it starts.
    func readNode(_ node: YAMLNode) -> DagReader.RawNode? {
        guard node.entries != nil else {
            session.findings.wrongType(path, wanted: "a mapping", node)
            return nil
        }
        let name = node.value(of: "name")
        if name == nil {
            session.findings.error(
                "spec.missing-key", "`\(path)` has no `name`.", hint: "Name it; others depend on it by its name.",
                at: node.place)
        }
        guard isKnownKind(node) else { return nil }
        let composer = Composer(session: session, templates: templates)
        if composer.flag("isPreset", of: node) == true {
            session.findings.error(
                "spec.wrong-kind", "An operation is needed here, not a preset.", hint: "Name it in `presets`.",
                at: node.value(of: "isPreset")?.place)
        }
        var composed = composer.operation(node)
        if let name {
            // Others know it by this one, whoever wins over whom.
            composed.root = composer.setting("name", name, in: composed.root, keyPlace: name.place)
        }
        guard var reader = MappingReader(composed.root, path: path, session.findings) else { return nil }
        var dependencies: [(name: String, place: SourcePlace?)] = []
        let place = reader.entry("dependencies")?.value.place
        for name in reader.texts("dependencies") { dependencies.append((name, place)) }
        let trigger = trigger(&reader)
        let skips = reader.flag("skipOnUpstreamSkip") ?? false
        guard let operation = read(&reader, composed), case .string(let name)?? = name?.scalar.map(\.value) else {
            return nil
        }
        for param in operation.params.values.sorted(by: { ($0.place?.line ?? 0) < ($1.place?.line ?? 0) }) {
            if case .operation(let other) = param.reference { dependencies.append((other, param.place)) }
        }
        return DagReader.RawNode(
            name: name, operation: operation, dependencies: dependencies, trigger: trigger, skipOnUpstreamSkip: skips,
            place: node.place)
    }

    private func trigger(_ reader: inout MappingReader) -> Dag.Trigger {
        guard let entry = reader.entry("trigger"), let text = reader.text("trigger") else { return .allSucceeded }
        if let trigger = Dag.Trigger(rawValue: text) { return trigger }
        let names = Dag.Trigger.allCases.map(\.rawValue)
        session.findings.error(
            "spec.invalid-value", "'\(text)' is no trigger of an operation.",
            hint: Suggestion.hint(for: text, among: names) ?? "Triggers are \(names.joined(separator: ", ")).",
            at: entry.value.place)
        return .allSucceeded
    }

    // MARK: Keys

    private func isKnownKind(_ root: YAMLNode) -> Bool {
        guard var reader = MappingReader(root, path: path, session.findings) else { return false }
        guard let node = reader.take("kind") else { return true }
        guard let kind = reader.text(of: node, named: reader.name(of: "kind")) else { return false }
        if kind == "operation" || kind == "component" { return true }
        if Features.oldKinds.contains(kind) {
            session.findings.error(
                "spec.unsupported-kind", "The kind `\(kind)` is of a Polyaxon before 1.0.",
                hint: "Write kind: component with run.kind: job.", at: node.place)
        } else if Features.unsupportedKinds[kind] != nil || kind == "preset" {
            session.findings.unsupported("kind: \(kind)", "Write kind: component or kind: operation.", at: node.place)
        } else {
            session.findings.error(
                "spec.unknown-kind", "There is no kind '\(kind)'.",
                hint: Suggestion.hint(for: kind, among: ["operation", "component"])
                    ?? "Write kind: component or kind: operation.", at: node.place)
        }
        return false
    }

    /// The file's params, with those of the command line in their place.
    private func params(_ reader: inout MappingReader) -> [String: Param] {
        var params: [String: Param] = [:]
        if let node = reader.take("params") {
            params = ParamReader(session: session, isNode: isNode).read(
                node, path: reader.name(of: "params"), allowsShort: true)
        }
        for (name, value) in overrides {
            var param = Param(value: value, isTemplate: false, place: nil)
            param.toEnv = params[name]?.toEnv
            param.contextOnly = params[name]?.contextOnly ?? false
            params[name] = param
        }
        return params
    }
}
