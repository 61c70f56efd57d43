import PostludeCore

/// All that can be said of a file without running it.
public struct Validation: Sendable {
    /// nil when the file is a preset, or not valid.
    public var operation: Operation?
    /// A file that only changes operations which name it.
    public var isPreset: Bool
    public var diagnostics: [Diagnostic]
    /// The texts of all files that had a part in it, by the path that places name.
    public var sources: [String: String]
    /// The operation after everything was merged, as YAML, with the place of each value; nil where there is none.
    public var resolved: String?

    /// Params that come from runs which are searched for when a run of the operation is compiled, by name; those of a
    /// graph's operations among them.
    public var joined: [String] {
        func names(_ operation: Operation?) -> Set<String> {
            let below = (operation?.dag?.nodes ?? []).map { names($0.operation) }
            return below.reduce(Set((operation?.joins ?? []).flatMap(\.params.keys))) { $0.union($1) }
        }
        return names(operation).sorted()
    }

    public var isValid: Bool { !diagnostics.contains { $0.severity == .error } }

    /// Settings that were accepted and do nothing on a single node, in the order of the file.
    public var ignored: [String] {
        var seen: Set<String> = []
        return diagnostics.filter { $0.code == "spec.no-effect" }.compactMap { finding in
            let parts = finding.message.split(separator: "`", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count > 1, seen.insert(String(parts[1])).inserted else { return nil }
            return String(parts[1])
        }
    }
}

extension OperationReader {
    /// Reads a file to tell everything about it; presets are held against a job that has nothing but a command.
    public static func validate(_ submission: Submission, from sources: SpecSources) -> Validation {
        let session = SpecSession(submission, sources)
        if let diagnostics = checkPreset(submission, from: sources, session) {
            return Validation(isPreset: true, diagnostics: diagnostics, sources: session.sources)
        }
        let operation = read(submission, session)
        var validation = Validation(
            operation: operation, isPreset: false, diagnostics: session.diagnostics(), sources: session.sources)
        // Composed once more: a finding that is there already is not added again.
        guard operation != nil, let root = YAMLReader.read(submission.text, file: submission.path, session.findings)
        else { return validation }
        validation.resolved = ResolvedText.render(Composer(session: session).resolved(root, submission.params))
        return validation
    }
}

extension Composer {
    /// The flat operation with its hooks' components in place and the params of the command line.
    func resolved(_ root: YAMLNode, _ params: [String: Value]) -> YAMLNode {
        let flat = inPlace(operation(root), path: "")
        guard !params.isEmpty else { return flat }
        let place = SourcePlace(file: "-P", line: 1, column: 1)
        var merged = flat.value(of: "params") ?? YAMLNode(content: .mapping([]), place: place)
        for (name, value) in params.sorted(by: { $0.key < $1.key }) {
            var entries = merged.value(ofExactly: name)?.entries ?? []
            entries.removeAll { $0.key == "value" }
            // A param of the command line keeps what the file says of it besides its value.
            let isFull = entries.contains { ["toEnv", "contextOnly"].contains(MappingReader.canonical($0.key)) }
            let node = YAMLNode(value, at: place)
            let own = YAMLEntry(key: "value", keyPlace: place, value: node)
            let param = YAMLNode(content: .mapping([own] + (isFull ? entries : [])), place: place)
            var all = merged.entries ?? []
            all.removeAll { $0.key == name }
            merged.content = .mapping(all + [YAMLEntry(key: name, keyPlace: place, value: param)])
        }
        return setting("params", merged, in: flat, keyPlace: merged.place)
    }

    /// With the components of hooks, and of the operations of a graph, where their references were.
    private func inPlace(_ composed: Composed, path: String) -> YAMLNode {
        var flat = replacing("hooks", in: composed.root) { hooks in hooksInPlace(hooks, path: "\(path)hooks") }
        for key in ["matrix", "schedule"] {
            flat = replacing(key, in: flat) { parent in
                replacing("hooks", in: parent) { hooks in hooksInPlace(hooks, path: "\(path)\(key).hooks") }
            }
        }
        guard flat.value(of: "run")?.value(of: "kind")?.scalar?.text == "dag" else { return flat }
        let wasOptedOut = session.isOptedOut
        session.isOptedOut = composed.isOptedOut
        defer { session.isOptedOut = wasOptedOut }
        return replacing("run", in: flat) { run in
            guard var reader = MappingReader(run, path: "\(path)run", session.findings) else { return run }
            let graph = Composer(session: session, templates: DagReader.components(&reader, session))
            let whole = replacing("operations", in: run) { operations in
                guard case .sequence(let items) = operations.content else { return operations }
                var list = operations
                list.content = .sequence(
                    items.enumerated().map { index, item in
                        graph.inPlace(graph.operation(item), path: "\(path)run.operations[\(index)].")
                    })
                return list
            }
            return removing(["components"], from: whole)
        }
    }

    private func hooksInPlace(_ list: YAMLNode, path: String) -> YAMLNode {
        guard case .sequence(let hooks) = list.content else { return list }
        var whole = list
        whole.content = .sequence(
            hooks.enumerated().map { index, node in
                guard let composed = hook(node, path: "\(path)[\(index)]") else { return node }
                guard let name = composed.defaultName, composed.node.value(of: "name") == nil else {
                    return composed.node
                }
                // Once the reference is gone the hook would lose the name that it gave.
                let place = composed.node.value(of: "component")?.place ?? node.place
                return setting("name", YAMLNode(.string(name), at: place), in: composed.node, keyPlace: place)
            })
        return whole
    }

    private func replacing(_ key: String, in node: YAMLNode, by change: (YAMLNode) -> YAMLNode) -> YAMLNode {
        guard let entry = node.entries?.first(where: { MappingReader.canonical($0.key) == key }),
            !entry.value.isNull
        else { return node }
        return setting(key, change(entry.value), in: node, keyPlace: entry.keyPlace)
    }
}

extension YAMLNode {
    /// A value that no file holds.
    init(_ value: Value, at place: SourcePlace) {
        func scalar(_ text: String, isText: Bool = false) -> Content {
            .scalar(YAMLScalar(text: text, isText: isText, textPlace: place))
        }
        let content: Content =
            switch value {
            case .null: scalar("null")
            case .bool(let flag): scalar(flag ? "true" : "false")
            case .int(let number): scalar(String(number))
            case .double(let number): scalar(String(number))
            case .string(let text): scalar(text, isText: true)
            case .list(let items): .sequence(items.map { YAMLNode($0, at: place) })
            case .dict(let entries):
                .mapping(
                    entries.sorted { $0.key < $1.key }.map {
                        YAMLEntry(key: $0.key, keyPlace: place, value: YAMLNode($0.value, at: place))
                    })
            }
        self.init(content: content, place: place)
    }

    func value(ofExactly key: String) -> YAMLNode? { entries?.first { $0.key == key }?.value }
}
