import PostludeCore

/// Reads `joins`: runs to search for, and the params that come from them.
struct JoinReader {
    let session: SpecSession

    static let maxJoins = 16

    func read(_ reader: inout MappingReader) -> [Join]? {
        guard let items = reader.list("joins"), !items.isEmpty else { return nil }
        guard items.count <= Self.maxJoins else {
            session.findings.error(
                "spec.too-many-joins", "The operation has \(items.count) joins; \(Self.maxJoins) are allowed.",
                hint: "Take several params from one join.", at: items[Self.maxJoins].place)
            return nil
        }
        let name = reader.name(of: "joins")
        return items.enumerated().compactMap { join($1, path: "\(name)[\($0)]") }
    }

    private func join(_ node: YAMLNode, path: String) -> Join? {
        guard var reader = MappingReader(node, path: path, session.findings) else { return nil }
        // What is wrong with it is said already; its params are known all the same, so that nothing else is found amiss.
        var join = Join(query: query(&reader) ?? "", at: node.place)
        join.sort = sort(&reader)
        join.limit = count("limit", &reader, 1...Join.maxLimit)
        join.offset = count("offset", &reader, 0...Join.maxOffset)
        reader.refuse([
            "ref": "Search for the runs of a pipeline: give its uuid by a param, and write pipeline: {{ NAME }}."
        ])
        if let node = reader.take("params") { join.params = params(node, path: reader.name(of: "params")) }
        if !reader.has("params") {
            session.findings.error(
                "spec.missing-key", "`\(path)` has no `params`.",
                hint: "Say what to take of each run, such as params: {losses: {value: outputs.loss}}.", at: node.place)
        }
        reader.finish()
        return join
    }

    private func query(_ reader: inout MappingReader) -> Template? {
        guard let node = reader.take("query") else {
            session.findings.error(
                "spec.missing-key", "`\(reader.path)` has no `query`.",
                hint: "Say which runs are meant, as in query: \"metrics.loss: <0.3, status: succeeded\".",
                at: reader.place)
            return nil
        }
        guard let template = text(node, reader.name(of: "query")) else { return nil }
        return isFine { () throws(InputError) in _ = try RunQuery.parse(template) } ? template : nil
    }

    private func sort(_ reader: inout MappingReader) -> Template? {
        guard let node = reader.take("sort"), let template = text(node, reader.name(of: "sort")) else { return nil }
        if Rendering.hasExpression(template.source) {
            session.check(template)
        } else if !isFine({ () throws(InputError) in _ = try Join.order(template.source, of: template) }) {
            return nil
        }
        return template
    }

    private func text(_ node: YAMLNode, _ name: String) -> Template? {
        guard case .string(let text)?? = node.scalar.map(\.value) else {
            session.findings.wrongType(name, wanted: "a text", node)
            return nil
        }
        return Template(text, at: node.templatePlace)
    }

    private func count(_ key: String, _ reader: inout MappingReader, _ range: ClosedRange<Int>) -> Template? {
        guard let node = reader.take(key) else { return nil }
        guard let scalar = node.scalar else {
            session.findings.wrongType(reader.name(of: key), wanted: "a whole number", node)
            return nil
        }
        let template = Template(scalar.text, at: scalar.textPlace)
        guard !Rendering.hasExpression(scalar.text) else {
            session.check(template)
            return template
        }
        let isCount = isFine { () throws(InputError) in
            _ = try Join.count(template, key, range, in: EvaluationContext())
        }
        return isCount ? template : nil
    }

    private func isFine(_ body: () throws(InputError) -> Void) -> Bool {
        do throws(InputError) {
            try body()
            return true
        } catch {
            for finding in error.diagnostics { session.findings.add(finding) }
            return false
        }
    }

    // MARK: Params

    private func params(_ node: YAMLNode, path: String) -> [String: JoinParam] {
        let hint = "Such as {losses: {value: outputs.loss}}."
        guard let entries = node.entries else {
            session.findings.wrongType(path, wanted: "a mapping of params", node, hint: hint)
            return [:]
        }
        if entries.isEmpty {
            session.findings.error("spec.missing-key", "`\(path)` has no param.", hint: hint, at: node.place)
        }
        var params: [String: JoinParam] = [:]
        for entry in entries {
            if RunContext.reservedNames.contains(entry.key) {
                session.findings.error(
                    "spec.reserved-name", "'\(entry.key)' cannot be the name of a param.", hint: "Choose another name.",
                    at: entry.keyPlace)
            }
            params[entry.key] = param(entry, path: "\(path).\(entry.key)")
        }
        return params
    }

    private func param(_ entry: YAMLEntry, path: String) -> JoinParam {
        var param = JoinParam("", at: entry.keyPlace)
        guard entry.value.entries != nil else {
            session.findings.wrongType(
                path, wanted: "a full-form param", entry.value, hint: "Such as {value: outputs.loss}.")
            return param
        }
        guard var reader = MappingReader(entry.value, path: path, session.findings) else { return param }
        let node = reader.take("value")
        let value = node.flatMap { reader.text(of: $0, named: reader.name(of: "value")) }
        param.value = value ?? ""
        param.contextOnly = reader.flag("contextOnly") ?? false
        let params = ParamReader(session: session)
        param.toEnv = params.variable(&reader)
        params.refuseToInit(&reader)
        reader.refuse([
            "connection": "Give addresses and credentials as params.",
            "ref": "What a join's params refer to are the runs that it finds.",
        ])
        reader.finish()
        guard let node else {
            session.findings.error(
                "spec.missing-key", "`\(path)` has no `value`.", hint: "Such as value: outputs.loss.",
                at: entry.keyPlace)
            return param
        }
        guard let value else { return param }
        do throws(RunQuery.Problem) {
            _ = try JoinPath(value)
        } catch {
            session.findings.error(error.code, error.message, hint: error.hint, at: node.place)
        }
        return param
    }

    // MARK: Against params and inputs

    /// Reports names that get a value twice, and inputs that take no list.
    func match(_ joins: [Join], to component: Component, params: [String: Param], points: Set<String>) {
        var known: Set<String> = []
        for join in joins {
            for (name, param) in join.params.sorted(by: { $0.key < $1.key }) {
                let place = param.place ?? join.place
                let other = params[name] != nil ? "`params`" : points.contains(name) ? "The matrix" : nil
                if other != nil || !known.insert(name).inserted {
                    session.findings.error(
                        "spec.duplicate-param", "\(other ?? "Another join") gives '\(name)' a value already.",
                        hint: "Remove or rename one of the two.", at: place)
                }
                guard !param.contextOnly, let input = component.inputs.first(where: { $0.name == name }),
                    let type = input.inputType, !type.takesLists
                else { continue }
                session.findings.error(
                    "inputs.wrong-type", "A join makes a list of '\(name)', and the input takes \(type.name).",
                    hint: "Declare the input with isList: true, or write contextOnly: true.", at: place)
            }
        }
    }
}
