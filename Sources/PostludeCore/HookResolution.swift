/// Decides which hooks of a finished run fire, and with what. Pure: the same main gives the same answer.
///
/// Each hook is resolved on its own: trigger first, then condition, then templates. An error in one says nothing about
/// another (P3), and what main wrote is data in all of them (P5).
public enum HookResolution {
    /// A hook's outcome; `operation` is there exactly when it fires.
    public struct Resolved: Hashable, Sendable {
        /// Position in the operation's hooks.
        public var index: Int
        public var outcome: HookRecord.Outcome
        /// Why: the trigger, the condition as written with its operands, or the error and its place.
        public var detail: String
        /// What to run. Its params are data: nothing in them is a template any more.
        public var operation: Operation?
        /// How it came to that, step by step.
        public var explanation: HookExplanation

        public init(
            index: Int, outcome: HookRecord.Outcome, detail: String, operation: Operation? = nil,
            explanation: HookExplanation
        ) {
            self.index = index
            self.outcome = outcome
            self.detail = detail
            self.operation = operation
            self.explanation = explanation
        }
    }

    /// Resolves every hook of a main that has a final status.
    public static func resolve(_ hooks: [Hook], main: MainContext) -> [Resolved] {
        let seen = Seen(main)
        return hooks.indices.map { resolve(hooks[$0], at: $0, seen) }
    }

    /// What every hook of one main sees, made once.
    private struct Seen {
        let main: MainContext
        /// The names of its templates, or why there are none.
        let context: Result<EvaluationContext, InputError>
        let defaultParams: [String: Value]

        init(_ main: MainContext) {
            self.main = main
            context = Result { () throws(InputError) in try HookResolution.evaluation(of: main) }
            defaultParams = main.defaultParams
        }
    }

    private static func resolve(_ hook: Hook, at index: Int, _ seen: Seen) -> Resolved {
        let main = seen.main
        let matches = hook.trigger.matches(main.status)
        var explanation = HookExplanation(
            trigger: hook.trigger, status: main.status, triggerMatches: matches,
            condition: hook.conditions.map { HookExplanation.Condition(source: $0.source, place: $0.place) })
        func resolved(_ outcome: HookRecord.Outcome, _ detail: String, _ operation: Operation? = nil) -> Resolved {
            Resolved(
                index: index, outcome: outcome, detail: detail, operation: operation, explanation: explanation)
        }
        guard matches else {
            return resolved(.triggerMismatch, "\(main.status.rawValue) is not \(hook.trigger.rawValue)")
        }
        do throws(InputError) {
            let context = try seen.context.get()
            var detail = "\(hook.trigger.rawValue)"
            if let condition = hook.conditions {
                explanation.condition?.operands = operands(of: condition, in: context)
                let holds = try decides(condition, context, main)
                explanation.condition?.holds = holds
                let shown = explanation.condition?.words ?? condition.source
                guard holds else { return resolved(.conditionFalse, shown) }
                detail += "; " + shown
            }
            return resolved(.fired, detail, try operation(for: hook, context, seen, &explanation))
        } catch {
            explanation.errors = error.diagnostics
            return resolved(.error, error.description)
        }
    }

    private static func operands(of condition: Template, in context: EvaluationContext) -> [HookExplanation.Operand] {
        Rendering.operands(of: condition, in: context).map { path, value in
            HookExplanation.Operand(path, value.map { HookExplanation.shown($0) })
        }
    }

    private static func evaluation(of main: MainContext) throws(InputError) -> EvaluationContext {
        do throws(ExpressionError) {
            return try main.runContext().evaluation
        } catch {
            throw InputError(error)
        }
    }

    private static func decides(
        _ condition: Template, _ context: EvaluationContext, _ main: MainContext
    )
        throws(InputError) -> Bool
    {
        do throws(ExpressionError) {
            return try Rendering.holds(condition, in: context)
        } catch {
            throw InputError(explained(error, main, context))
        }
    }

    private static func operation(
        for hook: Hook, _ context: EvaluationContext, _ seen: Seen, _ explanation: inout HookExplanation
    )
        throws(InputError) -> Operation
    {
        var params: [String: Param] = [:]
        var problems: [Diagnostic] = []
        for (name, param) in hook.params.sorted(by: { $0.key < $1.key }) {
            var rendered = param
            do throws(ExpressionError) {
                rendered.value = try Rendering.render(param, in: context)
                explanation.params[name] = HookExplanation.shown(rendered.value)
            } catch {
                problems.append(explained(error, seen.main, context).diagnostic)
            }
            rendered.isTemplate = false
            params[name] = rendered
        }
        guard problems.isEmpty else { throw InputError(problems) }
        if !hook.disableDefaults {
            // As in Polyaxon, main's facts win over params of the same name; but what the component declares as an
            // input is its own, and takes what the hook gives it.
            let declared = Set(hook.component.inputs.map(\.name))
            for (name, value) in seen.defaultParams where !declared.contains(name) {
                params[name] = Param(value: value, isTemplate: false, contextOnly: true)
            }
        }
        let operation = Operation(
            name: hook.name, component: hook.component, params: params, hooks: hook.hooks ?? [], queue: hook.queue)
        _ = try Inputs.resolve(hook.component, params: operation.inputParams.mapValues(\.value))
        return operation
    }

    /// Says so when a missing name is an output that main declares but did not write.
    private static func explained(
        _ error: ExpressionError, _ main: MainContext, _ context: EvaluationContext
    )
        -> ExpressionError
    {
        guard error.code == ExpressionError.unknownName else { return error }
        var error = error
        for output in main.outputDeclarations where error.message.contains("'\(output.name)'") {
            guard context.names[output.name] == nil else { continue }
            error.hint =
                "Main declares the output '\(output.name)' but did not write it; "
                + "give a fallback, as in `\(output.name) | default(0)`."
        }
        if error.message.contains("'outputs'") || error.message.contains("'inputs'") {
            error.hint = "Inputs and outputs of main are bare names here, as in {{ loss }}."
        }
        return error
    }
}

extension Hook.Trigger {
    /// Whether a final status sets the hook off; a status that is not final never does.
    public func matches(_ status: RunStatus) -> Bool {
        switch self {
        case .succeeded: status == .succeeded
        case .failed: status == .failed
        case .stopped: status == .stopped
        case .skipped: status == .skipped
        case .upstreamFailed: status == .upstreamFailed
        case .done: status.isFinal
        }
    }
}
