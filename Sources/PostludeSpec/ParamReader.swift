import PostludeCore

/// Reads params and holds them against the inputs of a component.
struct ParamReader {
    let session: SpecSession
    /// Whether params may refer to the operations of a graph.
    var isNode = false

    private static let fullKeys = ["value", "ref", "contextOnly", "connection", "toInit", "toEnv"]

    /// In full form (`{a: {value: 1}}`), or as `{a: 1}`, which Polyaxon takes in operations and Postlude in hooks too.
    func read(_ node: YAMLNode, path: String, allowsShort: Bool) -> [String: Param] {
        guard let entries = node.entries else {
            session.findings.wrongType(path, wanted: "a mapping of params", node, hint: "Such as {lr: {value: 0.1}}.")
            return [:]
        }
        var params: [String: Param] = [:]
        for entry in entries {
            guard let param = read(entry, "\(path).\(entry.key)", allowsShort) else { continue }
            if RunContext.reservedNames.contains(entry.key) {
                session.findings.error(
                    "spec.reserved-name", "'\(entry.key)' cannot be the name of a param.", hint: "Choose another name.",
                    at: entry.keyPlace)
            }
            params[entry.key] = param
        }
        return params
    }

    private func read(_ entry: YAMLEntry, _ path: String, _ allowsShort: Bool) -> Param? {
        let keys = entry.value.entries?.map { MappingReader.canonical($0.key) } ?? []
        let isFull =
            keys.contains("value") || keys.contains("ref")
            || (!keys.isEmpty && keys.allSatisfy(Self.fullKeys.contains))
        guard isFull else {
            guard allowsShort else {
                session.findings.wrongType(
                    path, wanted: "a full-form param", entry.value,
                    hint: "Write {value: ...}; hooks take no short form.")
                return nil
            }
            return value(entry.value, place: entry.keyPlace)
        }
        guard var reader = MappingReader(entry.value, path: path, session.findings) else { return nil }
        let node = reader.entry("value")?.value
        let contextOnly = reader.flag("contextOnly") ?? false
        let toEnv = variable(&reader)
        refuseToInit(&reader)
        let reference = reference(&reader)
        reader.refuse(["connection": "Give addresses and credentials as params."])
        reader.finish()
        guard let node, var param = value(node, place: entry.keyPlace) else {
            return node == nil ? Param(value: .null, isTemplate: false, contextOnly: contextOnly) : nil
        }
        param.contextOnly = contextOnly
        param.toEnv = toEnv
        if let reference {
            guard case .string = param.value else {
                session.findings.wrongType(
                    "\(path).value", wanted: "a text with a `ref`", node, hint: "Such as outputs.loss.")
                return nil
            }
            param.reference = reference
            param.isTemplate = true
            session.check(Dag.template(of: param))
        }
        return param
    }

    /// `toEnv`: the name of a variable.
    func variable(_ reader: inout MappingReader) -> String? {
        let entry = reader.entry("toEnv")
        guard let name = reader.text("toEnv") else { return nil }
        if !IOReader.isVariableName(name) || name.hasPrefix("POSTLUDE_") {
            session.findings.error(
                "spec.invalid-value", "'\(name)' cannot be the name of a variable.",
                hint: "Use letters, digits and '_', not starting with a digit or POSTLUDE_.", at: entry?.value.place)
        }
        return name
    }

    func refuseToInit(_ reader: inout MappingReader) {
        guard reader.flag("toInit") == true else { return }
        session.findings.unsupported("toInit", "Write the init step.", at: reader.entry("toInit")?.keyPlace)
    }

    /// `ops.NAME` or `dag`, in the operations of a graph.
    private func reference(_ reader: inout MappingReader) -> ParamReference? {
        guard let entry = reader.entry("ref"), !entry.value.isNull, let text = reader.text("ref") else { return nil }
        guard isNode else {
            session.findings.unsupported(
                "ref", "Pass the value itself; only the operations of a dag refer to each other.", at: entry.keyPlace)
            return nil
        }
        if text == "dag" { return .dag }
        if text.hasPrefix("ops."), text.utf8.count > 4 { return .operation(String(text.dropFirst(4))) }
        session.findings.unsupported(
            "ref: \(text)", "Refer to an operation of the graph (ops.NAME) or to the graph (dag).",
            at: entry.value.place)
        return nil
    }

    private func value(_ node: YAMLNode, place: SourcePlace) -> Param? {
        guard let value = node.value(session.findings) else { return nil }
        check(node)
        let isTemplate = node.hasTemplate
        return Param(value: value, isTemplate: isTemplate, place: isTemplate ? node.templatePlace : node.place)
    }

    private func check(_ node: YAMLNode) {
        switch node.content {
        case .scalar(let scalar): session.check(Template(scalar.text, at: scalar.textPlace))
        case .sequence(let items): items.forEach(check)
        case .mapping(let entries): entries.forEach { check($0.value) }
        }
    }

    // MARK: Against inputs

    /// Reports inputs without a value, values of the wrong type, and params that no input takes.
    func match(_ params: [String: Param], to component: Component, of what: String, at place: SourcePlace, strict: Bool)
    {
        for input in component.inputs {
            guard let param = params[input.name], !param.contextOnly else {
                if !input.isOptional, input.value == nil { missing(input, params, what, place) }
                continue
            }
            guard !param.isTemplate, param.value != .null else { continue }
            do throws(Inputs.Problem) {
                _ = try Inputs.typed(param.value, as: input)
            } catch {
                session.findings.error(
                    error.code, "The param '\(input.name)' \(error.message).", hint: error.hint,
                    at: param.place ?? place)
            }
        }
        let names = component.inputs.map(\.name)
        for (name, param) in params.sorted(by: { $0.key < $1.key }) {
            guard !param.contextOnly, !names.contains(name) else { continue }
            let hint = Suggestion.hint(for: name, among: names)
            if strict {
                session.findings.error(
                    "spec.unknown-param", "The component of \(what) has no input '\(name)'.",
                    hint: hint ?? "Declare it in `inputs`, or write contextOnly: true.", at: param.place ?? place)
            } else {
                session.findings.warn(
                    "spec.param-without-input", "No input of \(what) is called '\(name)'; only templates see it.",
                    hint: hint ?? "Write contextOnly: true to say so.", at: param.place ?? place)
            }
        }
    }

    private func missing(_ input: IODeclaration, _ params: [String: Param], _ what: String, _ place: SourcePlace) {
        let unused = params.keys.filter { $0 != input.name }
        session.findings.error(
            "inputs.missing", "The input '\(input.name)' of \(what) needs a value.",
            hint: Suggestion.closest(to: input.name, among: unused).map { "The params have '\($0)'; rename it." }
                ?? "Give it in `params`, or declare the input with a `value`.",
            at: params.isEmpty && input.place?.file == place.file ? input.place : place)
    }
}
