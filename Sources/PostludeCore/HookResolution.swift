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

        public init(index: Int, outcome: HookRecord.Outcome, detail: String, operation: Operation? = nil) {
            self.index = index
            self.outcome = outcome
            self.detail = detail
            self.operation = operation
        }
    }

    /// Resolves every hook of a main that has a final status.
    public static func resolve(_ hooks: [Hook], main: MainContext) -> [Resolved] {
        hooks.indices.map { resolve(hooks[$0], at: $0, main: main) }
    }

    private static func resolve(_ hook: Hook, at index: Int, main: MainContext) -> Resolved {
        guard hook.trigger.matches(main.status) else {
            let detail = "\(main.status.rawValue) is not \(hook.trigger.rawValue)"
            return Resolved(index: index, outcome: .triggerMismatch, detail: detail)
        }
        do throws(InputError) {
            let context = try evaluation(of: main)
            var detail = "\(hook.trigger.rawValue)"
            if let condition = hook.conditions {
                let shown = shown(condition, in: context)
                guard try decides(condition, context, main) else {
                    return Resolved(index: index, outcome: .conditionFalse, detail: shown)
                }
                detail += "; " + shown
            }
            let operation = try operation(for: hook, context, main)
            return Resolved(index: index, outcome: .fired, detail: detail, operation: operation)
        } catch {
            return Resolved(index: index, outcome: .error, detail: error.description)
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
        for hook: Hook, _ context: EvaluationContext, _ main: MainContext
    )
        throws(InputError) -> Operation
    {
        var params: [String: Param] = [:]
        var problems: [Diagnostic] = []
        for (name, param) in hook.params.sorted(by: { $0.key < $1.key }) {
            var rendered = param
            do throws(ExpressionError) {
                rendered.value = try Rendering.render(param, in: context)
            } catch {
                problems.append(explained(error, main, context).diagnostic)
            }
            rendered.isTemplate = false
            params[name] = rendered
        }
        guard problems.isEmpty else { throw InputError(problems) }
        if !hook.disableDefaults {
            // As in Polyaxon, main's facts win over params of the same name; but what the component declares as an
            // input is its own, and takes what the hook gives it.
            let declared = Set(hook.component.inputs.map(\.name))
            for (name, value) in main.defaultParams where !declared.contains(name) {
                params[name] = Param(value: value, isTemplate: false, contextOnly: true)
            }
        }
        let operation = Operation(
            name: hook.name, component: hook.component, params: params, hooks: [], queue: hook.queue)
        _ = try Inputs.resolve(hook.component, params: operation.inputParams.mapValues(\.value))
        return operation
    }

    /// The condition as written, with the values of the names it reads.
    private static func shown(_ condition: Template, in context: EvaluationContext) -> String {
        let operands = Rendering.freeNames(of: condition).subtracting(RunContext.reservedNames).sorted().compactMap {
            name -> String? in
            guard let value = context.names[name] else { return nil }
            return "\(name) = \(brief(value))"
        }
        return operands.isEmpty ? condition.source : "\(condition.source) with \(operands.joined(separator: ", "))"
    }

    private static func brief(_ value: Value) -> String {
        do {
            let text = try value.json()
            return text.unicodeScalars.count > 80 ? String(text.unicodeScalars.prefix(80)) + "..." : text
        } catch {
            return value.typeName
        }
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
