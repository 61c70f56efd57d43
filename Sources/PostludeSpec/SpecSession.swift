import PostludeCore

/// What one reading of an operation knows and collects.
final class SpecSession {
    let hub: Hub
    let profiles: Set<String>
    let references: [String: String]
    /// nil where nobody knows what the agent has, as in a check without it.
    let connections: ConnectionCatalog?
    /// The site's presets.
    let presets: PresetCatalog
    /// What the site adds to this submission by itself; nil for nothing.
    let site: SiteSelection?
    let findings = Findings()
    /// How many hooks were read, hooks of hooks among them.
    var hookCount = 0
    /// Where the hooks are written that the site added by itself.
    var siteHooks: Set<SourcePlace> = []
    /// How many graphs enclose what is being read.
    var depth = 0
    /// Whether the operation, or a graph around it, wants none of the site's defaults.
    var isOptedOut = false
    /// Texts by path, so that a component named twice is parsed twice but read once.
    private(set) var sources: [String: String]

    init(_ submission: Submission, _ catalog: SpecSources) {
        hub = catalog.hub
        profiles = catalog.profiles
        references = submission.references
        connections = catalog.connections
        presets = catalog.presets
        site = catalog.site
        sources = [submission.path: submission.text]
    }

    func addSource(_ text: String, file: String) { sources[file] = text }

    /// What was found, by place. A place that YAML has moved out of its line (where it joins lines, or replaces escapes)
    /// is taken back to the line's end.
    func diagnostics() -> [Diagnostic] {
        var widths: [String: [Int]] = [:]
        return findings.sorted.map { finding in
            guard let place = finding.place, let text = sources[place.file] else { return finding }
            let lines = widths[place.file] ?? Self.widths(text)
            widths[place.file] = lines
            var moved = finding
            let line = min(max(place.line, 1), lines.count)
            moved.place?.line = line
            moved.place?.column = min(max(place.column, 1), lines[line - 1] + 1)
            return moved
        }
    }

    private static func widths(_ text: String) -> [Int] {
        text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false).map(\.count)
    }

    /// A text as a template, with its syntax checked; scalars that are no texts stand as they are written.
    func template(_ node: YAMLNode, _ name: String) -> Template? {
        guard let scalar = node.scalar, scalar.value != .null else {
            findings.wrongType(name, wanted: "a text", node)
            return nil
        }
        let template = Template(scalar.text, at: scalar.textPlace)
        check(template)
        return template
    }

    func check(_ template: Template) {
        do throws(ExpressionError) {
            try Rendering.check(template)
        } catch {
            findings.add(error.diagnostic)
        }
    }

    /// A list of words; a single text stands for a list of one, as in Polyaxon.
    func templates(_ node: YAMLNode?, _ name: String) -> [Template] {
        guard let node else { return [] }
        switch node.content {
        case .sequence(let items): return items.compactMap { template($0, name) }
        case .scalar: return [template(node, name)].compactMap { $0 }
        case .mapping:
            findings.wrongType(name, wanted: "a list of texts", node)
            return []
        }
    }

    /// The component a reference names, or nil with a finding at `place`.
    func hubComponent(_ reference: String, at place: SourcePlace) -> (root: YAMLNode, name: String)? {
        if Rendering.hasExpression(reference) {
            findings.unsupported(
                "a template in hubRef", "Write the component's name; use conditions to choose between hooks.", at: place
            )
            return nil
        }
        do throws(SpecError) {
            let entry = try hub.component(named: reference)
            sources[entry.path] = entry.text
            guard let root = YAMLReader.read(entry.text, file: entry.path, findings) else { return nil }
            return (root, entry.name)
        } catch {
            for var finding in error.diagnostics {
                finding.place = finding.place ?? place
                findings.add(finding)
            }
            return nil
        }
    }

    /// The file a `pathRef` names, as the client read it.
    func pathComponent(_ path: String, at place: SourcePlace) -> (root: YAMLNode, name: String)? {
        guard let text = references[path] else {
            findings.error(
                "spec.unreadable-reference", "The file '\(path)' was not handed in with the operation.",
                hint: "Check that it exists beside the operation and that you may read it.", at: place)
            return nil
        }
        sources[path] = text
        guard let root = YAMLReader.read(text, file: path, findings) else { return nil }
        let file = path.split(separator: "/").last.map(String.init) ?? path
        return (root, file.split(separator: ".").first.map(String.init) ?? file)
    }
}

/// What the installation and the site hold ready for those who submit.
public struct SpecSources: Sendable {
    public var hub: Hub
    /// The names that `run.profile` may have.
    public var profiles: Set<String>
    public var presets: PresetCatalog
    /// What the site adds by itself.
    public var site: SiteSelection?
    /// What the submitter may name by `connection`; nil leaves that to the agent.
    public var connections: ConnectionCatalog?

    public init(
        hub: Hub, profiles: Set<String>, presets: PresetCatalog = .empty, site: SiteSelection? = nil,
        connections: ConnectionCatalog? = nil
    ) {
        self.connections = connections
        self.hub = hub
        self.profiles = profiles
        self.presets = presets
        self.site = site
    }
}
