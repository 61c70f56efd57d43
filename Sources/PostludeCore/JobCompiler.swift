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
        let file = contextFile(context, facts)
        return Compiled(
            inputs: inputs, contextParams: contextParams,
            steps: isDue ? try steps(operation, context: context, facts: facts, file: file) : [],
            profile: operation.component.job.profile, isDue: isDue, condition: operation.conditions?.source,
            contextFile: file)
    }

    /// The steps of a component in a context that is already made.
    /// - Throws: `InputError` with every template that cannot be rendered.
    public static func steps(
        _ component: Component, context: RunContext, facts: RunFacts
    ) throws(InputError)
        -> [StepSpec]
    {
        try steps(
            Operation(component: component), context: context, facts: facts, file: contextFile(context, facts))
    }

    /// What the run's templates see.
    /// - Throws: `InputError` with every param that cannot be rendered and every input that is not valid.
    public static func context(
        for operation: Operation, facts: RunFacts
    ) throws(InputError)
        -> (context: RunContext, inputs: [String: Value], contextParams: [String: Value])
    {
        // Params see what is known without them; they never see each other, so there is no order to get wrong.
        let outer = EvaluationContext([
            "globals": .dict(facts.globals), "connections": .dict([:]), "init": .dict([:]),
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
                globals: facts.globals, declarations: operation.component.inputs, inputs: inputs,
                contextParams: contextParams)
            return (context, inputs, contextParams)
        } catch {
            throw InputError(error)
        }
    }

    private static func contextFile(_ context: RunContext, _ facts: RunFacts) -> Value {
        var content: [String: Value] = [
            "version": .int(1),
            "run": .dict([
                "uuid": .string(facts.id.description), "name": .string(facts.name), "kind": .string("job"),
                "project": .string(facts.project), "owner": .string(facts.user.name),
                "attempt": .int(Int64(facts.attempt)), "created_at": .string(facts.createdAt.iso8601),
                "artifacts_path": .string(InsidePaths.artifacts(of: facts.id)),
                "outputs_path": .string(InsidePaths.outputs(of: facts.id)),
            ]), "inputs": .dict(context.inputs), "params": .dict(context.contextParams),
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
