import PostludeCore

/// Reads the reusable part of a file: what is declared and what runs.
struct ComponentReader {
    /// What a component is read for.
    enum Purpose {
        /// The params are at hand, so quantities may be templates of them.
        case operation(params: [String: Param])
        /// What hooks get is only known when main has ended.
        case hook

        var allowsDag: Bool {
            switch self {
            case .operation: true
            case .hook: false
            }
        }
    }

    /// A component and what it says beyond itself.
    struct Result {
        var component: Component?
        var hooks: [YAMLNode] = []
        var conditions: Template?
        var queue: String?
        var isStrict = false
        /// Set when the component is a graph.
        var dag: Dag?
        var isApproved: Bool?
        var cache: CachePolicy?
    }

    let session: SpecSession
    let purpose: Purpose

    /// Reads a component that a reference names, or that is written inline.
    func read(_ node: YAMLNode, path: String, defaultName: String?) -> Result {
        guard var reader = MappingReader(node, path: path, session.findings) else { return Result() }
        let kind = reader.take("kind").flatMap { reader.text(of: $0, named: reader.name(of: "kind")) }
        if let kind, kind != "component" {
            let hint =
                kind == "operation" ? "Name a component; an operation cannot run another." : "Write kind: component."
            session.findings.error(
                "spec.wrong-kind", "A component is needed here, not kind `\(kind)`.", hint: hint,
                at: reader.entry("kind")?.value.place)
            return Result()
        }
        RootReader.readCommon(&reader, session)
        var result = readBody(&reader)
        reader.refuse([
            "hubRef": "Name the component itself.", "pathRef": "Name the component itself.",
            "component": "Name the component itself.", "params": "Give the inputs a `value`.",
        ])
        reader.refuse(Features.notOfHooks)
        reader.refuse(Features.nodeOnly)
        reader.finish()
        if result.component?.name == nil { result.component?.name = defaultName }
        return result
    }

    /// Reads the keys of a component from a mapping whose other keys the caller reads.
    /// - Parameter isComplete: false when a part of the file could not be had: then what is there is looked through.
    func readBody(_ reader: inout MappingReader, isComplete: Bool = true) -> Result {
        var result = Result()
        let name = RootReader.name(&reader, session)
        let io = IOReader(session: session)
        let inputs = io.read(reader.list("inputs") ?? [], path: reader.name(of: "inputs"))
        let outputs = io.read(reader.list("outputs") ?? [], path: reader.name(of: "outputs"))
        for output in outputs where inputs.contains(where: { $0.name == output.name }) {
            session.findings.note(
                "spec.shadowed-input", "The output '\(output.name)' hides the input of that name in hooks.",
                hint: "Rename one.", at: output.place)
        }
        let values = quantityContext(inputs)
        let termination = TerminationReader(session: session, inputs: values).read(&reader)
        PluginsReader.read(&reader, session)
        result.hooks = reader.list("hooks") ?? []
        result.conditions = RootReader.conditions(&reader, session)
        result.queue = RootReader.queue(&reader, session)
        result.isStrict = reader.flag("strictParams") ?? false
        result.isApproved = reader.flag("isApproved")
        let cachePlace = reader.entry("cache")?.keyPlace
        result.cache = CacheReader(session: session).read(&reader, inputs: inputs, isComplete: isComplete)
        let isForConnections = reader.has("connectionKinds")
        let named = reader.texts("connectionKinds")
        let kinds = isForConnections ? named : nil
        guard isComplete else {
            reader.accept(["run"] + Composer.shortcuts)
            return result
        }
        var jobs = JobReader(session: session, purpose: purpose, inputs: values)
        let job = jobs.read(&reader)
        result.dag = jobs.dag
        if result.cache != nil, result.dag != nil || !purpose.allowsDag {
            session.findings.unsupported(
                "cache of a \(result.dag == nil ? "hook" : "dag")",
                result.dag == nil ? "A hook runs each time that it is due." : "Write it into the graph's operations.",
                at: cachePlace)
        }
        guard let job else { return result }
        var component = Component(name: name, inputs: inputs, outputs: outputs, job: job, connectionKinds: kinds)
        termination.apply(to: &component.termination)
        result.component = component
        return result
    }

    /// What templates in quantities see; nil for hooks.
    private func quantityContext(_ inputs: [IODeclaration]) -> EvaluationContext? {
        guard case .operation(let params) = purpose else { return nil }
        var names: [String: Value] = [:]
        for input in inputs {
            let param = params[input.name]
            if let param, param.isTemplate { continue }
            guard let value = param?.value ?? input.value ?? (input.isOptional ? .null : nil), value != .null else {
                continue
            }
            do throws(Inputs.Problem) { names[input.name] = try Inputs.typed(value, as: input) } catch { continue }
        }
        return EvaluationContext(names)
    }
}

/// Reads `termination`, keeping apart what is said and what is default.
struct TerminationReader {
    struct Settings {
        var maxRetries: Int?
        var timeoutSeconds: Double?
        var graceSeconds: Double?

        func apply(to termination: inout Termination) {
            termination.maxRetries = maxRetries ?? termination.maxRetries
            termination.timeoutSeconds = timeoutSeconds ?? termination.timeoutSeconds
            termination.graceSeconds = graceSeconds ?? termination.graceSeconds
        }
    }

    let session: SpecSession
    let inputs: EvaluationContext?

    func read(_ parent: inout MappingReader) -> Settings {
        var settings = Settings()
        guard var reader = parent.mapping("termination") else { return settings }
        settings.maxRetries = number("maxRetries", &reader, 0...100).map { Int($0) }
        settings.timeoutSeconds = number("timeout", &reader, 1...31_536_000)
        settings.graceSeconds = number("gracePeriodSeconds", &reader, 0...86_400)
        reader.refuse([
            "ttl": "Runs are kept until they are removed.", "culling": "Use `timeout`.",
            "probe": "Use a sidecar that ends when the program is idle.",
        ])
        reader.ignore(["podFailurePolicy"])
        reader.finish()
        return settings
    }

    private func number(_ key: String, _ reader: inout MappingReader, _ range: ClosedRange<Int64>) -> Double? {
        guard let node = reader.take(key) else { return nil }
        let name = reader.name(of: key)
        guard let scalar = node.scalar else {
            session.findings.wrongType(name, wanted: "a whole number", node)
            return nil
        }
        var value = scalar.value
        if Rendering.hasExpression(scalar.text) {
            guard let inputs else {
                session.findings.unsupported("a template in \(name)", "Write the number.", at: node.place)
                return nil
            }
            do throws(ExpressionError) {
                value = try Rendering.render(Template(scalar.text, at: scalar.textPlace), in: inputs)
            } catch {
                session.findings.add(error.diagnostic)
                return nil
            }
        }
        guard case .int(let number)? = value else {
            session.findings.wrongType(name, wanted: "a whole number", node, hint: "Such as \(range.lowerBound + 1).")
            return nil
        }
        guard range.contains(number) else {
            session.findings.error(
                "spec.invalid-value",
                "`\(name)` is \(number), which is not within \(range.lowerBound) and \(range.upperBound).",
                hint: "Choose a number within these bounds.", at: node.place)
            return nil
        }
        return Double(number)
    }
}

/// Reads `plugins`, whose switches have no counterpart on a single node.
enum PluginsReader {
    static func read(_ parent: inout MappingReader, _ session: SpecSession) {
        guard var reader = parent.mapping("plugins") else { return }
        // Artifacts, logs and resources are always collected and /dev/shm is always there: `true` says what is so.
        for key in ["collectArtifacts", "collectLogs", "collectResources", "shm"] {
            guard let entry = reader.entry(key), !entry.value.isNull else { continue }
            if case .bool(true)?? = entry.value.scalar.map(\.value) { continue }
            session.findings.noEffect("plugins.\(key)", at: entry.keyPlace)
        }
        reader.ignore(
            Features.plugins.filter { !["collectArtifacts", "collectLogs", "collectResources", "shm"].contains($0) })
        reader.refuse(["notifications": "Use a hook with `hubRef: webhook`."])
        reader.finish()
    }
}
