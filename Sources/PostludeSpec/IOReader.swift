import PostludeCore

/// Reads declared inputs and outputs.
struct IOReader {
    let session: SpecSession

    func read(_ items: [YAMLNode], path: String) -> [IODeclaration] {
        var declarations: [IODeclaration] = []
        for (index, item) in items.enumerated() {
            guard let declaration = read(item, path: "\(path)[\(index)]") else { continue }
            if declarations.contains(where: { $0.name == declaration.name }) {
                session.findings.error(
                    "spec.duplicate-name", "`\(path)` declares '\(declaration.name)' twice.",
                    hint: "Rename or remove one.",
                    at: declaration.place)
            }
            declarations.append(declaration)
        }
        return declarations
    }

    private func read(_ node: YAMLNode, path: String) -> IODeclaration? {
        guard var reader = MappingReader(node, path: path, session.findings) else { return nil }
        let name = reader.text("name")
        var declaration = IODeclaration(name: name ?? "", place: reader.place)
        _ = reader.text("description")
        declaration.type = type(&reader)
        declaration.isList = reader.flag("isList") ?? false
        declaration.isFlag = reader.flag("isFlag") ?? false
        declaration.isOptional = reader.flag("isOptional") ?? false
        declaration.argFormat = argFormat(&reader)
        declaration.toEnv = variable(&reader)
        declaration.validation = rules(&reader)
        value(&reader, &declaration)
        if reader.flag("toInit") == true {
            session.findings.unsupported(
                "toInit", "Write the init step.", at: reader.entry("toInit")?.keyPlace)
        }
        reader.accept(["delayValidation"])
        reader.refuse(["connection": "Give addresses and credentials as params."])
        reader.finish()
        guard let name else {
            if !reader.has("name") {
                session.findings.error(
                    "spec.missing-key", "`\(path)` has no `name`.", hint: "Add `name`.", at: reader.place)
            }
            return nil
        }
        if RunContext.reservedNames.contains(name) || name.isEmpty {
            session.findings.error(
                "spec.reserved-name", "'\(name)' cannot be the name of an input or output.",
                hint: "Choose another name; globals, params, connections and init are taken.", at: reader.place)
        }
        return declaration
    }

    private func type(_ reader: inout MappingReader) -> String? {
        guard let entry = reader.entry("type"), let type = reader.text("type") else { return nil }
        guard InputType.parse(type) != nil else {
            session.findings.error(
                "spec.unknown-type", "There is no type '\(type)'.",
                hint: Suggestion.hint(for: type, among: InputType.names)
                    ?? "Types are \(InputType.names.sorted().joined(separator: ", ")), List[...] and Dict[...].",
                at: entry.value.place)
            return nil
        }
        return type
    }

    private func value(_ reader: inout MappingReader, _ declaration: inout IODeclaration) {
        guard let entry = reader.entry("value") else { return }
        // A declared value, null included, makes the input optional.
        declaration.isOptional = true
        guard !entry.value.hasTemplate else {
            session.findings.unsupported(
                "a template in the value of an input", "Values are data; give the input a param with the template.",
                at: entry.value.place)
            return
        }
        guard let value = entry.value.value(session.findings), value != .null else { return }
        declaration.value = value
        do throws(Inputs.Problem) {
            declaration.value = try Inputs.typed(value, as: declaration)
        } catch {
            session.findings.error(
                error.code, "The value of '\(declaration.name)' \(error.message).", hint: error.hint,
                at: entry.value.place)
        }
    }

    private func argFormat(_ reader: inout MappingReader) -> String? {
        guard let node = reader.take("argFormat") else { return nil }
        guard let template = session.template(node, reader.name(of: "argFormat")) else { return nil }
        return template.source
    }

    private func variable(_ reader: inout MappingReader) -> String? {
        guard let entry = reader.entry("toEnv"), let name = reader.text("toEnv") else { return nil }
        guard Self.isVariableName(name), !name.hasPrefix("POSTLUDE_") else {
            session.findings.error(
                "spec.invalid-value", "'\(name)' cannot be the name of a variable.",
                hint: "Use letters, digits and '_', not starting with a digit or POSTLUDE_.", at: entry.value.place)
            return nil
        }
        return name
    }

    private func rules(_ reader: inout MappingReader) -> [IOConstraint] {
        var constraints: [IOConstraint] = []
        if let entry = reader.entry("options"), !entry.value.isNull { add(.options, entry, "options", &constraints) }
        guard var validation = reader.mapping("validation") else { return constraints }
        for rule in IOConstraint.Rule.allCases {
            guard let entry = validation.entry(rule.rawValue), !entry.value.isNull else { continue }
            add(rule, entry, validation.name(of: rule.rawValue), &constraints)
        }
        validation.accept(["delay"])
        validation.finish()
        return constraints
    }

    private func add(
        _ rule: IOConstraint.Rule, _ entry: YAMLEntry, _ name: String, _ constraints: inout [IOConstraint]
    ) {
        guard let operand = entry.value.value(session.findings) else { return }
        let constraint = IOConstraint(rule, operand)
        if let problem = constraint.operandProblem {
            session.findings.error(
                "spec.invalid-value", "`\(name)` cannot be used: \(problem).", hint: "Correct or remove the rule.",
                at: entry.value.place)
            return
        }
        constraints.append(constraint)
    }

    static func isVariableName(_ name: String) -> Bool {
        let bytes = Array(name.utf8)
        guard let first = bytes.first, first < 0x30 || first > 0x39 else { return false }
        return bytes.allSatisfy { byte in
            (byte >= 0x30 && byte <= 0x39) || (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a)
                || byte == 0x5f
        }
    }
}
