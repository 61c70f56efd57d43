import PostludeCore

/// Collects what is found while a file is read, so that the user sees every problem at once.
final class Findings {
    private(set) var diagnostics: [Diagnostic] = []
    private var known: Set<Diagnostic> = []
    /// Notes what the readers ask for, when a test wants to know.
    var coverage: FormatCoverage?

    var hasErrors: Bool { diagnostics.contains { $0.severity == .error } }

    func add(_ diagnostic: Diagnostic) {
        if known.insert(diagnostic).inserted { diagnostics.append(diagnostic) }
    }

    func error(_ code: String, _ message: String, hint: String, at place: SourcePlace?) {
        add(Diagnostic(.error, code, message, hint: hint, at: place))
    }

    func note(_ code: String, _ message: String, hint: String? = nil, at place: SourcePlace?) {
        add(Diagnostic(.note, code, message, hint: hint, at: place))
    }

    func warn(_ code: String, _ message: String, hint: String, at place: SourcePlace?) {
        add(Diagnostic(.warning, code, message, hint: hint, at: place))
    }

    /// The feature exists in the format, and this version cannot do it: refused by name, never ignored.
    func unsupported(_ feature: String, _ hint: String, at place: SourcePlace?) {
        error("spec.unsupported-feature", "`\(feature)` is not supported yet.", hint: hint, at: place)
    }

    /// The setting only means something on a cluster: accepted, and said so.
    func noEffect(_ setting: String, at place: SourcePlace?) {
        note("spec.no-effect", "`\(setting)` has no effect on a single node.", at: place)
    }

    func wrongType(_ what: String, wanted: String, _ node: YAMLNode, hint: String? = nil) {
        error(
            "spec.wrong-type", "`\(what)` takes \(wanted), not \(node.typeName).", hint: hint ?? "Write \(wanted).",
            at: node.place)
    }

    /// By file, line and column; what has no place comes first.
    var sorted: [Diagnostic] {
        diagnostics.enumerated().sorted { a, b in
            let left = a.element.place
            let right = b.element.place
            let first = (left?.file ?? "", left?.line ?? 0, left?.column ?? 0, a.offset)
            return first < (right?.file ?? "", right?.line ?? 0, right?.column ?? 0, b.offset)
        }.map(\.element)
    }
}
