import PostludeCore

/// Reads `matrix`: the points that an operation runs with.
struct MatrixReader {
    let session: SpecSession

    static let unsupportedKinds: [String: String] = [
        "bayes": "Use grid, random or mapping.", "hyperband": "Use grid, random or mapping.",
        "tpe": "Use grid, random or mapping.", "hyperopt": "Use grid, random or mapping.",
        "iterative": "Use grid, random or mapping.",
    ]

    /// nil, with findings, when there is none that can be used.
    func read(_ reader: inout MappingReader) -> Matrix? {
        guard let kindNode = reader.take("kind"), let kind = reader.text(of: kindNode, named: reader.name(of: "kind"))
        else {
            session.findings.error(
                "spec.missing-key", "`\(reader.path)` has no `kind`.", hint: "Add kind: grid, random or mapping.",
                at: reader.place)
            return nil
        }
        if let hint = Self.unsupportedKinds[kind] {
            session.findings.unsupported("matrix.kind: \(kind)", hint, at: kindNode.place)
            return nil
        }
        let concurrency = positive("concurrency", &reader)
        reader.refuse(["earlyStopping": "Stop the matrix by hand, or let a hook of its points do so."])
        var matrix: Matrix?
        switch kind {
        case "grid":
            let axes = axes(&reader, isRandom: false)
            let limit = positive("numRuns", &reader)
            matrix = axes.map { Matrix(.grid(limit: limit), axes: $0) }
        case "random":
            let axes = axes(&reader, isRandom: true)
            if !reader.has("numRuns") {
                session.findings.error(
                    "spec.missing-key", "`\(reader.path)` has no `numRuns`.", hint: "Say how many points to draw.",
                    at: reader.place)
            }
            let count = positive("numRuns", &reader)
            let seed = reader.count("seed", least: 0).map { UInt64($0) }
            if let axes, let count { matrix = Matrix(.random(count: count, seed: seed), axes: axes) }
        case "mapping", "list":
            matrix = points(&reader).map { Matrix(.mapping($0)) }
        default:
            session.findings.error(
                "spec.invalid-value", "There is no matrix of the kind '\(kind)'.",
                hint: Suggestion.hint(for: kind, among: ["grid", "random", "mapping"])
                    ?? "Kinds are grid, random and mapping.", at: kindNode.place)
            return nil
        }
        let hooks = HookReader(session: session).read(reader.list("hooks") ?? [], path: reader.name(of: "hooks"))
        reader.finish()
        matrix?.concurrency = concurrency
        matrix?.hooks = hooks
        matrix?.place = reader.place
        return matrix.flatMap { bounded($0, reader.place) }
    }

    private func bounded(_ matrix: Matrix, _ place: SourcePlace) -> Matrix? {
        guard let count = matrix.count, count <= Matrix.maxPoints else {
            session.findings.error(
                "spec.too-many-points",
                "The matrix has \(matrix.count.map(String.init) ?? "more than can be counted") points; "
                    + "\(Matrix.maxPoints) are allowed.",
                hint: "Give it `numRuns`, or fewer values.", at: place)
            return nil
        }
        guard count > 0 else {
            session.findings.error(
                "spec.invalid-value", "The matrix has no point.", hint: "Give it at least one.", at: place)
            return nil
        }
        return matrix
    }

    private func positive(_ key: String, _ reader: inout MappingReader) -> Int? {
        reader.count(key, least: 1).map { Int(clamping: $0) }
    }

    private func points(_ reader: inout MappingReader) -> [[String: Value]]? {
        guard reader.has("values") else {
            session.findings.error(
                "spec.missing-key", "`\(reader.path)` has no `values`.", hint: "List the points, each a mapping.",
                at: reader.place)
            return nil
        }
        guard let items = reader.list("values") else { return nil }
        var points: [[String: Value]] = []
        for (index, item) in items.enumerated() {
            let name = "\(reader.name(of: "values"))[\(index)]"
            refuseTemplate(item, name)
            guard let value = item.value(session.findings) else { continue }
            guard case .dict(let point) = value, !point.isEmpty else {
                session.findings.wrongType(name, wanted: "a mapping of params to values", item)
                continue
            }
            points.append(point)
        }
        return points.count == items.count ? points : nil
    }

    private func refuseTemplate(_ node: YAMLNode, _ name: String) {
        guard node.hasTemplate else { return }
        session.findings.unsupported(
            "a template in \(name)", "What a point says is data; write the value, or a param beside the matrix.",
            at: node.place)
    }

    // MARK: Axes

    private func axes(_ reader: inout MappingReader, isRandom: Bool) -> [Matrix.Axis]? {
        guard let node = reader.take("params") else {
            session.findings.error(
                "spec.missing-key", "`\(reader.path)` has no `params`.",
                hint: "Such as params: {lr: {kind: choice, value: [0.1, 0.01]}}.", at: reader.place)
            return nil
        }
        guard let entries = node.entries else {
            session.findings.wrongType(reader.name(of: "params"), wanted: "a mapping of params", node)
            return nil
        }
        var axes: [Matrix.Axis] = []
        for entry in entries {
            let path = "\(reader.name(of: "params")).\(entry.key)"
            guard var axis = MappingReader(entry.value, path: path, session.findings) else { continue }
            guard let space = space(&axis, isRandom: isRandom) else { continue }
            axes.append(Matrix.Axis(entry.key, space, at: entry.keyPlace))
        }
        return axes.count == entries.count ? axes : nil
    }

    static let kinds = [
        "choice", "pchoice", "range", "linspace", "logspace", "geomspace", "uniform", "quniform", "loguniform",
        "qloguniform", "normal", "qnormal", "lognormal", "qlognormal",
    ]

    private func space(_ reader: inout MappingReader, isRandom: Bool) -> Matrix.Space? {
        let kindPlace = reader.entry("kind")?.value.place ?? reader.place
        guard let kind = reader.text("kind"), let node = reader.take("value") else {
            reader.accept(["value"])
            session.findings.error(
                "spec.missing-key", "`\(reader.path)` needs `kind` and `value`.",
                hint: "Such as {kind: choice, value: [1, 2]}.", at: reader.place)
            return nil
        }
        reader.finish()
        let name = reader.name(of: "value")
        refuseTemplate(node, name)
        switch kind {
        case "choice": return choices(node, name).map(Matrix.Space.values)
        case "pchoice": return random(isRandom, kind, kindPlace) ? weighted(node, name) : nil
        case "range", "linspace", "logspace", "geomspace": return list(kind, node, name)
        case "daterange", "datetimerange":
            session.findings.unsupported("kind: \(kind)", "List the dates with kind: choice.", at: kindPlace)
            return nil
        case _ where Self.kinds.contains(kind):
            return random(isRandom, kind, kindPlace) ? distribution(kind, node, name) : nil
        default:
            session.findings.error(
                "spec.invalid-value", "'\(kind)' is no kind of values.",
                hint: Suggestion.hint(for: kind, among: Self.kinds)
                    ?? "Kinds are \(Self.kinds.joined(separator: ", ")).",
                at: kindPlace)
            return nil
        }
    }

    private func random(_ isRandom: Bool, _ kind: String, _ place: SourcePlace) -> Bool {
        if isRandom { return true }
        session.findings.error(
            "spec.invalid-value", "A grid cannot go through '\(kind)', from which values are drawn by chance.",
            hint: "Use choice, range, linspace, logspace or geomspace, or kind: random for the matrix.", at: place)
        return false
    }

    private func choices(_ node: YAMLNode, _ name: String) -> [Value]? {
        guard case .sequence(let items) = node.content, !items.isEmpty else {
            session.findings.wrongType(name, wanted: "a list of values", node)
            return nil
        }
        let values = items.compactMap { $0.value(session.findings) }
        return values.count == items.count ? values : nil
    }

    private func weighted(_ node: YAMLNode, _ name: String) -> Matrix.Space? {
        guard let pairs = choices(node, name) else { return nil }
        var choices: [Matrix.Weighted] = []
        for pair in pairs {
            guard case .list(let parts) = pair, parts.count == 2, let weight = parts[1].number, weight >= 0, weight <= 1
            else {
                session.findings.wrongType(name, wanted: "pairs of a value and its weight", node)
                return nil
            }
            choices.append(Matrix.Weighted(parts[0], weight: weight))
        }
        let sum = choices.reduce(0) { $0 + $1.weight }
        guard sum > 0, sum <= 1.000_001 else {
            session.findings.error(
                "spec.invalid-value", "The weights of `\(name)` add up to \(sum).", hint: "Make them add up to 1.",
                at: node.place)
            return nil
        }
        if sum < 0.999_999 {
            session.findings.note(
                "spec.weights", "The weights of `\(name)` add up to \(sum); each counts as its share of that.",
                at: node.place)
        }
        return .weighted(choices)
    }

    // MARK: Numbers

    /// `[a, b, c]`, `a:b:c` or a mapping with these keys.
    private func numbers(_ node: YAMLNode, _ name: String, _ required: [String], _ optional: [String] = []) -> [Value]?
    {
        func wrong() -> [Value]? {
            session.findings.wrongType(
                name, wanted: "\(required.joined(separator: ", ")) as a list, a text or a mapping", node,
                hint: "Such as [\(required.joined(separator: ", "))] or \(required.joined(separator: ":")).")
            return nil
        }
        switch node.content {
        case .sequence(let items):
            let values = items.compactMap { $0.value(session.findings) }
            guard (required.count...required.count + optional.count).contains(values.count),
                values.allSatisfy({ $0.number != nil })
            else { return wrong() }
            return values
        case .scalar(let scalar):
            let values = scalar.text.split(separator: ":", omittingEmptySubsequences: false).compactMap {
                part -> Value? in
                Int64(part).map(Value.int) ?? Double(part).flatMap { $0.isFinite ? .double($0) : nil }
            }
            let parts = scalar.text.split(separator: ":", omittingEmptySubsequences: false).count
            guard values.count == parts, (required.count...required.count + optional.count).contains(parts) else {
                return wrong()
            }
            return values
        case .mapping(let entries):
            guard var reader = MappingReader(node, path: name, session.findings) else { return nil }
            if entries.contains(where: { $0.key == "size" }) {
                reader.refuse(["size": "A point has one value of each param."])
            }
            let values = (required + optional).compactMap { reader.take($0)?.value(session.findings) }
            reader.finish()
            guard values.count >= required.count, values.allSatisfy({ $0.number != nil }) else { return wrong() }
            return values
        }
    }

    private func list(_ kind: String, _ node: YAMLNode, _ name: String) -> Matrix.Space? {
        let isRange = kind == "range"
        guard
            let values = numbers(
                node, name, ["start", "stop", isRange ? "step" : "num"], kind == "logspace" ? ["base"] : [])
        else { return nil }
        let found: [Value]?
        if isRange {
            found = Matrix.range(start: values[0], stop: values[1], step: values[2])
        } else if case .int(let count) = values[2], let start = values[0].number, let stop = values[1].number {
            let count = Int(clamping: count)
            found =
                switch kind {
                case "linspace": Matrix.linear(start: start, stop: stop, count: count)
                case "geomspace": Matrix.geometric(start: start, stop: stop, count: count)
                default:
                    Matrix.logarithmic(
                        start: start, stop: stop, count: count, base: values.count > 3 ? values[3].number ?? 10 : 10)
                }
        } else {
            found = nil
        }
        guard let found, found.allSatisfy({ $0.number?.isFinite == true }) else {
            session.findings.error(
                "spec.invalid-value", "`\(name)` gives no values, or more than \(Matrix.maxPoints).",
                hint: isRange ? "Go from start towards stop in steps." : "Give the number of values last, from 1.",
                at: node.place)
            return nil
        }
        return .values(found)
    }

    private func distribution(_ kind: String, _ node: YAMLNode, _ name: String) -> Matrix.Space? {
        let isQuantized = kind.hasPrefix("q")
        let isNormal = kind.hasSuffix("normal")
        let names = (isNormal ? ["loc", "scale"] : ["low", "high"]) + (isQuantized ? ["q"] : [])
        guard let values = numbers(node, name, names)?.compactMap(\.number), values.count == names.count else {
            return nil
        }
        let quantum = isQuantized ? values[2] : nil
        guard quantum ?? 1 > 0, isNormal ? values[1] >= 0 : values[0] <= values[1] else {
            session.findings.error(
                "spec.invalid-value", "`\(name)` is no \(kind): \(names.joined(separator: ", ")) do not go together.",
                hint: isNormal ? "`scale` is 0 or more, `q` more than 0." : "`low` is at most `high`, `q` more than 0.",
                at: node.place)
            return nil
        }
        let distribution: Matrix.Distribution =
            switch kind {
            case "uniform", "quniform": .uniform(low: values[0], high: values[1])
            case "loguniform", "qloguniform": .logUniform(low: values[0], high: values[1])
            case "normal", "qnormal": .normal(mean: values[0], deviation: values[1])
            default: .logNormal(mean: values[0], deviation: values[1])
            }
        return .distribution(distribution, quantum: quantum)
    }

    // MARK: Against inputs

    /// Reports values that are not what the component's inputs take. Values of an axis are looked at one by one, so that
    /// the product of the axes need not be.
    func match(_ matrix: Matrix, to component: Component, params: [String: Param]) {
        for axis in matrix.axes {
            warnOfParam(axis.name, params, axis.place ?? matrix.place)
            guard let input = component.inputs.first(where: { $0.name == axis.name }) else { continue }
            let values: [Value]
            switch axis.space {
            case .values(let all): values = all
            case .weighted(let choices): values = choices.map(\.value)
            case .distribution(let distribution, let quantum):
                let center = distribution.center
                values = [.double(quantum.map { (center / $0).rounded() * $0 } ?? center)]
            }
            check(values, input, axis.name, axis.place ?? matrix.place)
        }
        guard case .mapping(let points) = matrix.search else { return }
        for name in matrix.names.sorted() {
            warnOfParam(name, params, matrix.place)
            guard let input = component.inputs.first(where: { $0.name == name }) else { continue }
            if !input.isOptional, input.value == nil, let missing = points.firstIndex(where: { $0[name] == nil }) {
                session.findings.error(
                    "inputs.missing", "The point \(missing) of the matrix has no '\(name)'.",
                    hint: "Give every point one, or the input a `value`.", at: matrix.place)
            }
            check(points.compactMap { $0[name] }, input, name, matrix.place)
        }
    }

    private func warnOfParam(_ name: String, _ params: [String: Param], _ place: SourcePlace?) {
        guard let param = params[name] else { return }
        session.findings.warn(
            "spec.shadowed-param", "The matrix gives '\(name)' its values; the param of that name has no effect.",
            hint: "Remove one.", at: param.place ?? place)
    }

    private func check(_ values: [Value], _ input: IODeclaration, _ name: String, _ place: SourcePlace?) {
        for value in values {
            do throws(Inputs.Problem) {
                _ = try Inputs.typed(value, as: input)
            } catch {
                session.findings.error(
                    error.code, "The matrix's param '\(name)' \(error.message).", hint: error.hint, at: place)
                return
            }
        }
    }
}
