import PostludeCore

/// Reads `run` of the kind `dag`: operations that depend on each other.
struct DagReader {
    let session: SpecSession

    /// Graphs within graphs; more is a file that names itself.
    static let maxDepth = 5

    func read(_ reader: inout MappingReader) -> Dag? {
        let concurrency = reader.count("concurrency", least: 1).map { Int(clamping: $0) }
        reader.refuse(["earlyStopping": "Let an operation with trigger: one_failed act, or stop the graph by hand."])
        reader.refuse(Features.unsupportedRun)
        reader.refuse(Features.jobOnly)
        reader.refuse(Features.serviceOnly)
        reader.ignore(["environment"])
        let templates = Self.components(&reader, session)
        let items = reader.list("operations") ?? []
        warnOfUnused(templates, items)
        reader.finish()
        guard !items.isEmpty else {
            session.findings.error(
                "spec.missing-key", "`\(reader.path)` has no `operations`.", hint: "List the graph's operations.",
                at: reader.place)
            return nil
        }
        guard items.count <= Dag.maxNodes else {
            session.findings.error(
                "spec.too-many-operations", "The graph has \(items.count) operations; \(Dag.maxNodes) are allowed.",
                hint: "Use a matrix for operations that differ by their params.", at: reader.place)
            return nil
        }
        guard session.depth < Self.maxDepth else {
            session.findings.error(
                "spec.too-deep", "There are graphs within graphs more than \(Self.maxDepth) deep.",
                hint: "Check that no file names itself.", at: reader.place)
            return nil
        }
        session.depth += 1
        defer { session.depth -= 1 }
        var nodes: [RawNode] = []
        for (index, item) in items.enumerated() {
            guard
                let node = FileReader(
                    session: session, templates: templates, path: "\(reader.name(of: "operations"))[\(index)]"
                ).readNode(item)
            else { continue }
            if nodes.contains(where: { $0.name == node.name }) {
                session.findings.error(
                    "spec.duplicate-name", "Two operations of the graph are called '\(node.name)'.",
                    hint: "Rename one.", at: node.place)
                continue
            }
            nodes.append(node)
        }
        return nodes.count == items.count ? connected(nodes, concurrency) : nil
    }

    /// A component that no operation names is not even looked at.
    private func warnOfUnused(_ templates: [String: YAMLNode], _ operations: [YAMLNode]) {
        let used = Set(operations.compactMap { $0.value(of: "dagRef")?.scalar?.text })
        for (name, node) in templates where !used.contains(name) {
            session.findings.warn(
                "spec.unused-component", "No operation of the graph uses its component '\(name)'.",
                hint: "Remove it, or name it by `dagRef`.", at: node.place)
        }
    }

    /// The graph's components by name, for `dagRef`.
    static func components(_ reader: inout MappingReader, _ session: SpecSession) -> [String: YAMLNode] {
        var found: [String: YAMLNode] = [:]
        for (index, node) in (reader.list("components") ?? []).enumerated() {
            let path = "\(reader.name(of: "components"))[\(index)]"
            let name = node.value(of: "name")
            guard case .string(let text)?? = name?.scalar.map(\.value) else {
                session.findings.error(
                    "spec.missing-key", "`\(path)` has no `name`.", hint: "Name it, for `dagRef` to use.",
                    at: node.place)
                continue
            }
            if found[text] != nil {
                session.findings.error(
                    "spec.duplicate-name", "Two components of the graph are called '\(text)'.", hint: "Rename one.",
                    at: name?.place)
            }
            found[text] = node
        }
        return found
    }

    /// An operation of a graph whose dependencies are still names.
    struct RawNode {
        var name: String
        var operation: Operation
        var dependencies: [(name: String, place: SourcePlace?)]
        var trigger: Dag.Trigger
        var skipOnUpstreamSkip: Bool
        var place: SourcePlace
    }

    private func connected(_ nodes: [RawNode], _ concurrency: Int?) -> Dag? {
        let positions = Dictionary(nodes.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
        var dag = Dag([], concurrency: concurrency)
        var isComplete = true
        for node in nodes {
            var targets: Set<Int> = []
            for (name, place) in node.dependencies {
                if let position = positions[name] {
                    targets.insert(position)
                    continue
                }
                isComplete = false
                session.findings.error(
                    "spec.unknown-operation", "The operation '\(node.name)' depends on '\(name)', which is not there.",
                    hint: Suggestion.hint(for: name, among: positions.keys)
                        ?? "Operations are \(positions.keys.sorted().joined(separator: ", ")).", at: place ?? node.place
                )
            }
            dag.nodes.append(
                Dag.Node(
                    node.name, node.operation, dependencies: targets.sorted(), trigger: node.trigger,
                    skipOnUpstreamSkip: node.skipOnUpstreamSkip, at: node.place))
        }
        guard isComplete else { return nil }
        if let cycle = dag.cycle {
            let names = cycle.map { "'\(dag.nodes[$0].name)'" }.joined(separator: " -> ")
            session.findings.error(
                "spec.cycle", "The operations depend on each other in a circle: \(names).",
                hint: "Remove one of these dependencies.", at: dag.nodes[cycle[0]].place)
            return nil
        }
        return dag
    }
}
