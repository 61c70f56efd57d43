/// Turns an operation and the facts of one run into programs with literal values: no template is left.
public enum JobCompiler {
    /// A run ready to be scheduled and launched.
    public struct Compiled: Hashable, Sendable {
        /// Typed values by input name.
        public var inputs: [String: Value]
        public var contextParams: [String: Value]
        /// In the order they run: init steps; then sidecars and main.
        public var steps: [StepSpec]
        /// nil means the default for operations (`main`) or hooks (`hook`).
        public var profile: String?
        /// False when the operation's condition is false: the run is skipped.
        public var isDue: Bool
        /// The condition as written, when there is one.
        public var condition: String?
        /// The content of the file that `POSTLUDE_CONTEXT` names.
        public var contextFile: Value
    }

    /// Renders params, checks inputs, decides the condition and makes the steps.
    /// - Throws: `InputError` with every problem found at the stage that failed.
    public static func compile(_ operation: Operation, facts: RunFacts) throws(InputError) -> Compiled {
        let (context, inputs, contextParams) = try context(for: operation, facts: facts)
        var isDue = true
        if let condition = operation.conditions {
            do throws(ExpressionError) {
                isDue = try Rendering.holds(condition, in: context.evaluation)
            } catch {
                throw InputError(error)
            }
        }
        let file = contextFile(context, facts, operation.component)
        return Compiled(
            inputs: inputs, contextParams: contextParams,
            steps: isDue ? try steps(operation, context: context, facts: facts, file: file) : [],
            profile: operation.component.job.profile, isDue: isDue, condition: operation.conditions?.source,
            contextFile: file)
    }

    /// What is known of a run before it starts.
    public struct Outline: Hashable, Sendable {
        /// Typed values by input name.
        public var inputs: [String: Value]
        /// False when the operation's condition is false.
        public var isDue: Bool
        /// The condition as written, when there is one.
        public var condition: String?
        /// Of a run that has any; those of a parent's children are made when they are.
        public var steps: [StepSpec] = []
    }

    /// Checks inputs and decides the condition; the steps of a run that has any are made once to see that they can be. A
    /// parent knows nothing of the inputs that its children get from a matrix, and the condition of a schedule is decided
    /// for each of its runs.
    /// - Throws: `InputError` with every problem found at the stage that failed.
    public static func outline(_ operation: Operation, facts: RunFacts) throws(InputError) -> Outline {
        guard operation.isParent else {
            let compiled = try compile(operation, facts: facts)
            return Outline(
                inputs: compiled.inputs, isDue: compiled.isDue, condition: compiled.condition, steps: compiled.steps)
        }
        let (context, inputs, _) = try context(for: operation.withoutPoints.withoutOpenJoins, facts: facts)
        guard operation.schedule == nil, let condition = operation.conditions else {
            return Outline(inputs: inputs, isDue: true)
        }
        do throws(ExpressionError) {
            let isDue = try Rendering.holds(condition, in: context.evaluation)
            return Outline(inputs: inputs, isDue: isDue, condition: condition.source)
        } catch {
            throw InputError(error)
        }
    }

    /// The steps of a component in a context that is already made.
    /// - Throws: `InputError` with every template that cannot be rendered.
    public static func steps(
        _ component: Component, context: RunContext, facts: RunFacts
    ) throws(InputError)
        -> [StepSpec]
    {
        try steps(
            Operation(component: component), context: context, facts: facts,
            file: contextFile(context, facts, component))
    }

    /// What the run's templates see.
    /// - Throws: `InputError` with every param that cannot be rendered and every input that is not valid.
    public static func context(
        for operation: Operation, facts: RunFacts
    ) throws(InputError)
        -> (context: RunContext, inputs: [String: Value], contextParams: [String: Value])
    {
        let globals = globals(of: operation, facts)
        // Params see what is known without them; they never see each other, so there is no order to get wrong.
        let outer = EvaluationContext([
            "globals": .dict(globals), "connections": .dict([:]), "init": .dict([:]),
        ])
        var problems: [Diagnostic] = []
        func rendered(_ params: [String: Param]) -> [String: Value] {
            var values: [String: Value] = [:]
            for (name, param) in params.sorted(by: { $0.key < $1.key }) {
                do throws(ExpressionError) {
                    values[name] = try Rendering.render(param, in: outer)
                } catch {
                    problems.append(error.diagnostic)
                }
            }
            return values
        }
        let contextParams = rendered(operation.contextOnlyParams)
        let given = rendered(operation.inputParams)
        guard problems.isEmpty else { throw InputError(problems) }
        let inputs = try Inputs.resolve(operation.component, params: given)
        do throws(ExpressionError) {
            let context = try RunContext(
                globals: globals, declarations: operation.component.inputs, inputs: inputs,
                contextParams: contextParams)
            return (context, inputs, contextParams)
        } catch {
            throw InputError(error)
        }
    }

    private static func globals(of operation: Operation, _ facts: RunFacts) -> [String: Value] {
        var globals = facts.globals
        if let service = operation.component.job.service {
            globals["ports"] = .list(service.ports.map { .int(Int64($0)) })
            // Nothing stands between a service and who calls it, so there is no prefix to its paths.
            globals["base_url"] = .string("")
        }
        return globals
    }

    private static func contextFile(_ context: RunContext, _ facts: RunFacts, _ component: Component) -> Value {
        var content: [String: Value] = [
            "version": .int(1),
            "run": .dict([
                "uuid": .string(facts.id.description), "name": .string(facts.name),
                "kind": .string(component.job.service == nil ? "job" : "service"),
                "project": .string(facts.project), "owner": .string(facts.user.name),
                "attempt": .int(Int64(facts.attempt)), "created_at": .string(facts.createdAt.iso8601),
                "artifacts_path": .string(InsidePaths.artifacts(of: facts.id)),
                "outputs_path": .string(InsidePaths.outputs(of: facts.id)),
            ]), "inputs": .dict(context.inputs), "params": .dict(context.contextParams),
            "declared_outputs": OutputDeclarations(component.outputs).value,
        ]
        if let main = facts.main { content["main"] = main.description }
        return .dict(content)
    }

    private static func steps(
        _ operation: Operation, context: RunContext, facts: RunFacts, file: Value
    )
        throws(InputError) -> [StepSpec]
    {
        var builder = StepBuilder(operation: operation, context: context, facts: facts, contextFile: file)
        return try builder.build()
    }
}
