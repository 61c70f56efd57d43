/// Everything the templates of a run see.
public struct RunContext: Hashable, Sendable {
    public var globals: [String: Value]
    /// Typed values of the declared inputs, by name; null for an optional one that was not given.
    public var inputs: [String: Value]
    /// What the run wrote; empty while it has not run.
    public var outputs: [String: Value]
    /// Params that only templates see.
    public var contextParams: [String: Value]
    /// `params.X`: value, as_arg, as_str, type, connection; and `as_args`.
    public let params: [String: Value]
    public var connections: [String: Value]
    public var initializers: [String: Value]
    /// What a bare name of a flag shows instead of its value: `--name` or nothing.
    private let flags: [String: Value]

    /// Names that no input and no output may have.
    public static let reservedNames: Set<String> = ["globals", "params", "connections", "init"]

    /// - Parameters:
    ///   - declarations: the component's inputs, which say how `params.X.as_arg` looks.
    ///   - inputs: typed values, as `Inputs.resolve` makes them.
    /// - Throws: `ExpressionError` when an `argFormat` cannot be rendered.
    public init(
        globals: [String: Value], declarations: [IODeclaration] = [], inputs: [String: Value],
        outputs: [String: Value] = [:], contextParams: [String: Value] = [:], connections: [String: Value] = [:],
        initializers: [String: Value] = [:]
    ) throws(ExpressionError) {
        self.globals = globals
        self.inputs = inputs
        self.outputs = outputs
        self.contextParams = contextParams
        self.connections = connections
        self.initializers = initializers
        var params: [String: Value] = [:]
        var flags: [String: Value] = [:]
        var arguments: [Value] = []
        for declaration in declarations {
            let value = inputs[declaration.name] ?? .null
            let argument = try Self.argument(for: declaration, value, inputs)
            if !argument.isEmpty { arguments.append(.string(argument)) }
            if declaration.isFlag { flags[declaration.name] = .string(Self.flag(declaration, value)) }
            params[declaration.name] = .dict([
                "value": value, "as_arg": .string(argument), "as_str": .string(try Self.shown(declaration, value)),
                "type": declaration.type.map(Value.string) ?? .null, "connection": .null,
            ])
        }
        for (name, value) in contextParams where params[name] == nil {
            let text = try value.text()
            params[name] = .dict([
                "value": value, "as_arg": .string(value == .null ? "" : "--\(name)=\(text)"), "as_str": .string(text),
                "type": .null, "connection": .null,
            ])
        }
        params["as_args"] = .list(arguments)
        self.params = params
        self.flags = flags
    }

    /// The names for the evaluator: outputs shadow inputs, which shadow params that only templates see.
    public var evaluation: EvaluationContext {
        var names = contextParams
        names.merge(inputs) { _, input in input }
        names.merge(flags) { _, flag in flag }
        names.merge(outputs) { _, output in output }
        names["globals"] = .dict(globals)
        names["params"] = .dict(params)
        names["connections"] = .dict(connections)
        names["init"] = .dict(initializers)
        return EvaluationContext(names)
    }

    private static func argument(
        for declaration: IODeclaration, _ value: Value, _ inputs: [String: Value]
    )
        throws(ExpressionError) -> String
    {
        guard value != .null else { return "" }
        if let format = declaration.argFormat {
            // Reads typed values, flags included, as Polyaxon does; place unknown beyond the declaration's.
            return try Rendering.text(Template(format, at: declaration.place), in: EvaluationContext(inputs))
        }
        if declaration.isFlag { return flag(declaration, value) }
        return "--\(declaration.name)=\(try value.text())"
    }

    private static func flag(_ declaration: IODeclaration, _ value: Value) -> String {
        ExpressionOperators.isTrue(value) ? "--\(declaration.name)" : ""
    }

    private static func shown(_ declaration: IODeclaration, _ value: Value) throws(ExpressionError) -> String {
        declaration.isFlag ? flag(declaration, value) : try value.text()
    }
}
