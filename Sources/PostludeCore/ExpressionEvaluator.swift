/// Walks a tree and makes its value.
struct ExpressionEvaluator {
    typealias Node = Expression.Node

    let context: EvaluationContext
    /// What may still be made and read.
    var budget: ExpressionBudget

    mutating func value(of node: Node) throws(ExpressionError) -> Value {
        switch node.kind {
        case .literal(let value):
            return value
        case .name(let name):
            return try look(up: name, at: node.offset)
        case .list(let items):
            var values: [Value] = []
            values.reserveCapacity(items.count)
            for item in items { values.append(try value(of: item)) }
            return .list(values)
        case .attribute(let base, let name):
            return try attribute(name, of: try value(of: base), base, at: node.offset)
        case .index(let base, let index):
            return try ExpressionOperators.item(
                try value(of: index), of: try value(of: base), described: describe(base), at: node.offset)
        case .not(let operand):
            return .bool(!ExpressionOperators.isTrue(try value(of: operand)))
        case .negate(let operand):
            return try ExpressionOperators.negated(try value(of: operand), at: node.offset)
        case .plus(let operand):
            let value = try value(of: operand)
            guard value.isNumber else { throw .mismatch("`+` needs a number, not \(value.typeName).", at: node.offset) }
            return value
        case .and(let left, let right):
            let first = try value(of: left)
            return ExpressionOperators.isTrue(first) ? try value(of: right) : first
        case .or(let left, let right):
            let first = try value(of: left)
            return ExpressionOperators.isTrue(first) ? first : try value(of: right)
        case .arithmetic(let operation, let left, let right):
            let result = try ExpressionOperators.combine(
                operation, try value(of: left), try value(of: right), at: node.offset)
            try budget.spend(result, at: node.offset)
            return result
        case .comparison(let first, let rest):
            return .bool(try compare(first, rest))
        case .conditional(let then, let condition, let otherwise):
            return ExpressionOperators.isTrue(try value(of: condition))
                ? try value(of: then) : try value(of: otherwise)
        case .filter(let input, let name, let arguments):
            return try filter(name, input, arguments, at: node.offset)
        }
    }

    private func look(up name: String, at offset: Int) throws(ExpressionError) -> Value {
        if let value = context.names[name] { return value }
        let hint = Suggestion.hint(for: name, among: context.names.keys) ?? known(context.names.keys)
        throw ExpressionError(
            ExpressionError.unknownName, "There is nothing called '\(name)' here.", hint: hint, offset: offset)
    }

    private mutating func attribute(
        _ name: String, of value: Value, _ base: Node, at offset: Int
    ) throws(ExpressionError)
        -> Value
    {
        guard case .dict(let entries) = value else {
            throw .mismatch(
                "\(describe(base)) is \(value.typeName), which has no parts to name with '.\(name)'.",
                hint: "Only dictionaries have named parts.", at: offset)
        }
        return try ExpressionOperators.entry(name, of: entries, described: describe(base), at: offset)
    }

    private mutating func compare(_ first: Node, _ rest: [Expression.ComparisonTail]) throws(ExpressionError) -> Bool {
        var left = try value(of: first)
        for tail in rest {
            let right = try value(of: tail.operand)
            try budget.spend(left, at: tail.offset)
            try budget.spend(right, at: tail.offset)
            guard try ExpressionOperators.holds(tail.comparison, left, right, at: tail.offset) else { return false }
            left = right
        }
        return true
    }

    private mutating func filter(
        _ name: String, _ input: Node, _ arguments: [Expression.Argument], at offset: Int
    )
        throws(ExpressionError) -> Value
    {
        var given: [ExpressionFilters.Argument] = []
        for argument in arguments {
            given.append(
                .init(label: argument.label, value: try value(of: argument.value), offset: argument.value.offset))
        }
        let piped: Value?
        do throws(ExpressionError) {
            piped = try value(of: input)
        } catch {
            // `missing | default(0)`: what is not there is what this filter is for; any other mistake stays one.
            guard name == "default", error.isAbsence else { throw error }
            piped = nil
        }
        if let piped { try budget.spend(piped, at: offset) }
        let result = try ExpressionFilters.apply(name, to: piped, given, at: offset)
        try budget.spend(result, at: offset)
        // Only `map` makes more than the parts that its list shows at once.
        if name == "map", case .list(let items) = result {
            for item in items { try budget.spend(item, at: offset) }
        }
        return result
    }

    /// The path as written, for messages.
    private func describe(_ node: Node) -> String {
        switch node.kind {
        case .name(let name): "'\(name)'"
        case .attribute(let base, let name): "\(describe(base).dropLast()).\(name)'"
        case .literal, .list, .index, .not, .negate, .plus, .and, .or, .arithmetic, .comparison, .conditional, .filter:
            "'the value'"
        }
    }

    private func known(_ names: some Collection<String>) -> String {
        guard !names.isEmpty else { return "No names are known here." }
        let listed = names.sorted().prefix(12).joined(separator: ", ")
        return "Known names: \(listed)\(names.count > 12 ? ", ..." : "")."
    }
}
