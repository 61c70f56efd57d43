extension Dag {
    /// A finished or unfinished run that params of another refer to.
    public struct Upstream: Hashable, Sendable {
        public var id: RunID
        public var name: String
        public var project: String
        public var owner: String
        public var status: RunStatus?
        public var inputs: [String: Value]
        public var outputs: [String: Value]
        public var createdAt: Timestamp?
        /// The run whose artifacts are its own: another one's for a run whose outputs were known.
        public var artifacts: RunID

        public init(
            id: RunID, name: String, project: String, owner: String, status: RunStatus?, inputs: [String: Value],
            outputs: [String: Value], createdAt: Timestamp? = nil, artifacts: RunID? = nil
        ) {
            self.id = id
            self.name = name
            self.project = project
            self.owner = owner
            self.status = status
            self.inputs = inputs
            self.outputs = outputs
            self.createdAt = createdAt
            self.artifacts = artifacts ?? id
        }

        /// What a param that refers to the run sees: `outputs.x`, `inputs.x`, `globals.x`, `status`.
        var evaluation: EvaluationContext {
            var globals = RunFacts.globals(id: id, name: name, project: project, owner: owner, createdAt: createdAt)
            globals.merge(RunFacts.artifactPaths(of: artifacts)) { _, known in known }
            globals["status"] = status.map { .string($0.rawValue) } ?? .null
            return EvaluationContext([
                "inputs": .dict(inputs), "outputs": .dict(outputs), "globals": .dict(globals),
                "status": globals["status"] ?? .null, "uuid": .string(id.description), "name": .string(name),
            ])
        }
    }

    /// The operation of a node with what its params refer to in place: data from there on, whatever it contains (P5).
    ///
    /// - Throws: `InputError` for each reference whose value is not there.
    public static func resolved(
        _ node: Node, upstreams: [String: Upstream], dag: Upstream
    ) throws(InputError) -> Operation {
        var operation = node.operation
        var problems: [Diagnostic] = []
        operation.reads = Set(upstreams.values.map(\.artifacts)).sorted()
        for (name, param) in node.operation.params.sorted(by: { $0.key < $1.key }) {
            guard let reference = param.reference else { continue }
            let source: Upstream?
            switch reference {
            case .operation(let other): source = upstreams[other]
            case .dag: source = dag
            }
            guard let source else {
                problems.append(
                    Diagnostic(
                        .error, "dag.no-run", "The param '\(name)' refers to an operation that has no run.",
                        hint: "Give the operation another trigger, or the param a value.", at: param.place))
                continue
            }
            do throws(ExpressionError) {
                operation.params[name]?.value = try Rendering.render(Self.template(of: param), in: source.evaluation)
                operation.params[name]?.isTemplate = false
                operation.params[name]?.reference = nil
            } catch {
                problems.append(error.diagnostic)
            }
        }
        guard problems.isEmpty else { throw InputError(problems) }
        return operation
    }

    /// `outputs.loss` is short for `{{ outputs['loss'] }}`, as in Polyaxon, where a name may hold a dash.
    public static func template(of param: Param) -> Template {
        guard case .string(let text) = param.value else { return Template("", at: param.place) }
        if Rendering.hasExpression(text) { return Template(text, at: param.place) }
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        let isPath = parts.allSatisfy { !$0.isEmpty && $0.unicodeScalars.allSatisfy { $0 != "'" && $0 != "\\" } }
        guard isPath, let first = parts.first else { return Template("{{\(text)}}", at: param.place) }
        return Template("{{\(first)\(parts.dropFirst().map { "['\($0)']" }.joined())}}", at: param.place)
    }
}
