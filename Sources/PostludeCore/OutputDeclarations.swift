/// The outputs a component declares, as the context file tells them to whoever writes outputs inside a sandbox.
public struct OutputDeclarations: Hashable, Sendable {
    public var declarations: [IODeclaration]

    public init(_ declarations: [IODeclaration]) { self.declarations = declarations }

    /// Reads what `value` wrote; what cannot be read is passed over, for the agent checks outputs once more at the end.
    public init(_ value: Value) {
        guard case .dict(let entries) = value else {
            declarations = []
            return
        }
        declarations = entries.sorted { $0.key < $1.key }.map { name, entry in
            var declaration = IODeclaration(name: name)
            guard case .dict(let fields) = entry else { return declaration }
            if case .string(let type)? = fields["type"] { declaration.type = type }
            if case .bool(let isList)? = fields["is_list"] { declaration.isList = isList }
            if case .bool(let isOptional)? = fields["is_optional"] { declaration.isOptional = isOptional }
            if case .dict(let rules)? = fields["validation"] {
                declaration.validation = rules.sorted { $0.key < $1.key }.compactMap { name, operand in
                    IOConstraint.Rule(rawValue: name).map { IOConstraint($0, operand) }
                }
            }
            return declaration
        }
    }

    /// For the context file.
    public var value: Value {
        var entries: [String: Value] = [:]
        for output in declarations {
            var rules: [String: Value] = [:]
            for constraint in output.validation { rules[constraint.rule.rawValue] = constraint.operand }
            entries[output.name] = .dict([
                "type": output.type.map(Value.string) ?? .null, "is_list": .bool(output.isList),
                "is_optional": .bool(output.isOptional || output.value != nil), "validation": .dict(rules),
            ])
        }
        return .dict(entries)
    }

    /// Why an output cannot be written, as a sentence and a hint.
    public struct Problem: Error, Hashable, Sendable {
        public var message: String
        public var hint: String
    }

    /// The output that a word of a command line gives: `accuracy=0.93`.
    ///
    /// The declared type decides what the text is. Without one, numbers, `true`, `false`, lists and objects are what JSON
    /// has them be, and everything else is a text.
    /// - Parameter isJSON: the text behind `=` is JSON, whatever is declared.
    public func output(from word: String, isJSON: Bool) throws(Problem) -> (name: String, value: Value) {
        guard let equals = word.firstIndex(of: "="), equals != word.startIndex else {
            throw Problem(message: "'\(word)' is no output.", hint: "Write NAME=VALUE.")
        }
        let name = String(word[..<equals])
        let text = String(word[word.index(after: equals)...])
        return (name, try typed(try read(text, of: name, isJSON: isJSON), of: name))
    }

    /// The value as the declaration of that name has it; as it is when there is none.
    public func typed(_ value: Value, of name: String) throws(Problem) -> Value {
        guard let declaration = declaration(name), value != .null else { return value }
        do throws(Inputs.Problem) {
            return try Inputs.typed(value, as: declaration)
        } catch {
            throw Problem(message: "The output '\(name)' \(error.message).", hint: error.hint)
        }
    }

    /// The declarations of this name; nil for an output that nobody declared.
    public func declaration(_ name: String) -> IODeclaration? { declarations.first { $0.name == name } }

    private func read(_ text: String, of name: String, isJSON: Bool) throws(Problem) -> Value {
        if isJSON {
            do throws(JSONProblem) {
                return try Value.parse(json: text)
            } catch {
                throw Problem(
                    message: "The value of '\(name)' is not JSON: \(error).",
                    hint: "Quote texts twice, as in '\(name)=\"text\"', or leave --json out.")
            }
        }
        let isText = declaration(name)?.inputType.map(\.isText) ?? false
        guard !isText else { return .string(text) }
        do throws(JSONProblem) {
            let value = try Value.parse(json: text)
            // A text in quotes that the shell has left is meant with them, and nothing is ever null by accident.
            if case .string = value { return .string(text) }
            return value == .null ? .string(text) : value
        } catch {
            return .string(text)
        }
    }
}

extension InputType {
    /// Whether every value is a text, so that `1.0` is one too.
    var isText: Bool {
        switch self {
        case .string, .text, .uuid, .uri, .date, .datetime, .timedelta: true
        case .optional(let wrapped): wrapped.isText
        case .any, .int, .float, .bool, .dict, .list, .union, .description: false
        }
    }
}

extension Component {
    /// Outputs with the types they are declared with. One that does not fit stays as it was written: what is wrong with
    /// it is a note's business. JSON forgets that 1.0 is no integer, so this is needed after each reading of the store.
    public func typedOutputs(_ values: [String: Value]) -> [String: Value] { outputs.typed(values) }
}

extension [IODeclaration] {
    /// Values with the types they are declared with, those that fit.
    public func typed(_ values: [String: Value]) -> [String: Value] {
        var typed = values
        for declaration in self {
            guard let value = values[declaration.name], value != .null else { continue }
            do throws(Inputs.Problem) {
                typed[declaration.name] = try Inputs.typed(value, as: declaration)
            } catch {
                continue
            }
        }
        return typed
    }
}
