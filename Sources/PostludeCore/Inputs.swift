/// Types, defaults and rules of inputs and outputs.
public enum Inputs {
    /// The typed value of every declared input: the param, else the declaration's default, else null when optional.
    ///
    /// Params without a declared input are not looked at; they belong to the templates' context.
    /// - Throws: `InputError` with every input that is missing or not valid.
    public static func resolve(_ component: Component, params: [String: Value]) throws(InputError) -> [String: Value] {
        var values: [String: Value] = [:]
        var problems: [Diagnostic] = []
        for input in component.inputs {
            let given = params[input.name]
            guard let value = given ?? input.value, value != .null else {
                let isMissing = !input.isOptional && input.value == nil
                if isMissing { problems.append(missing(input, params)) } else { values[input.name] = .null }
                continue
            }
            do throws(Problem) {
                values[input.name] = try typed(value, as: input)
            } catch {
                problems.append(error.diagnostic(of: "input", input, .error))
            }
        }
        guard problems.isEmpty else { throw InputError(problems) }
        return values
    }

    /// The code of a declared output that was not written.
    public static let missingOutput = "outputs.missing"

    /// What is wrong with outputs a run wrote: required ones that are missing, and values against their declaration.
    public static func validateOutputs(_ component: Component, _ outputs: [String: Value]) -> [Diagnostic] {
        component.outputs.compactMap { output in
            guard let value = outputs[output.name], value != .null else {
                guard !output.isOptional, output.value == nil else { return nil }
                let type = output.inputType?.name ?? "any"
                return Diagnostic(
                    .warning, missingOutput,
                    "The run did not write its output '\(output.name)', which is declared as \(type).",
                    hint: Suggestion.hint(for: output.name, among: outputs.keys)
                        ?? "Write it with postlude-output \(output.name)=VALUE, or declare it with isOptional.",
                    at: output.place)
            }
            do throws(Problem) {
                _ = try typed(value, as: output)
                return nil
            } catch {
                return error.diagnostic(of: "output", output, .warning)
            }
        }
    }

    /// Why a value is not what a declaration asks for.
    public struct Problem: Error, Hashable, Sendable {
        /// `inputs.wrong-type`, `inputs.unknown-type` or `inputs.rule-broken`.
        public var code: String
        /// A sentence part that follows the input's name: "is 3, which is not less than 2".
        public var message: String
        public var hint: String

        func diagnostic(of what: String, _ declaration: IODeclaration, _ severity: Diagnostic.Severity) -> Diagnostic {
            Diagnostic(
                severity, code, "The \(what) '\(declaration.name)' \(message).", hint: hint, at: declaration.place)
        }
    }

    /// The value converted to the declaration's type and held against its rules.
    /// - Throws: `Problem` with what does not fit.
    public static func typed(_ value: Value, as declaration: IODeclaration) throws(Problem) -> Value {
        guard let type = declaration.inputType else {
            throw Problem(
                code: "inputs.unknown-type", message: "has the type '\(declaration.type ?? "")', which is unknown",
                hint: Suggestion.hint(for: declaration.type ?? "", among: InputType.names)
                    ?? "Types are \(InputType.names.sorted().joined(separator: ", ")), List[...] and Dict[...].")
        }
        let typed = try type.typed(value)
        for constraint in declaration.validation { try constraint.check(typed) }
        return typed
    }

    private static func missing(_ input: IODeclaration, _ params: [String: Value]) -> Diagnostic {
        Diagnostic(
            .error, "inputs.missing", "The input '\(input.name)' needs a value.",
            hint: Suggestion.hint(for: input.name, among: params.keys.filter { $0 != input.name })
                ?? "Give it in `params`, or give the input a `value`.", at: input.place)
    }
}
