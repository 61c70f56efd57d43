/// Reads tokens into a tree; precedence is Jinja's.
struct ExpressionParser {
    typealias Node = Expression.Node
    typealias Kind = ExpressionLexer.Kind

    private let tokens: [ExpressionLexer.Token]
    private var position = 0
    private var depth = 0
    private var nodes = 0

    init(tokens: [ExpressionLexer.Token]) { self.tokens = tokens }

    mutating func parse() throws(ExpressionError) -> Node {
        guard current.kind != .end else {
            throw .syntax("The expression is empty.", hint: "Write a name or a value between {{ and }}.", at: 0)
        }
        let node = try conditional()
        guard current.kind == .end else { throw unexpected("an operator or the end of the expression") }
        return node
    }

    // MARK: Levels of precedence, loosest first

    private mutating func conditional() throws(ExpressionError) -> Node {
        try enter()
        defer { depth -= 1 }
        let then = try or()
        guard isKeyword("if") else { return then }
        let offset = advance().offset
        let condition = try or()
        guard isKeyword("else") else {
            throw .syntax(
                "`if` here needs an `else`.", hint: "Write `a if condition else b`.", at: current.offset)
        }
        advance()
        let otherwise = try conditional()
        return try make(.conditional(then: then, condition: condition, otherwise: otherwise), offset)
    }

    private mutating func or() throws(ExpressionError) -> Node {
        var left = try and()
        while isKeyword("or") {
            let offset = advance().offset
            left = try make(.or(left, try and()), offset)
        }
        return left
    }

    private mutating func and() throws(ExpressionError) -> Node {
        var left = try not()
        while isKeyword("and") {
            let offset = advance().offset
            left = try make(.and(left, try not()), offset)
        }
        return left
    }

    private mutating func not() throws(ExpressionError) -> Node {
        guard isKeyword("not") else { return try comparison() }
        try enter()
        defer { depth -= 1 }
        let offset = advance().offset
        return try make(.not(try not()), offset)
    }

    private mutating func comparison() throws(ExpressionError) -> Node {
        let first = try sum()
        var rest: [Expression.ComparisonTail] = []
        while let (comparison, offset) = try comparisonOperator() {
            rest.append(.init(comparison: comparison, operand: try sum(), offset: offset))
        }
        guard let head = rest.first else { return first }
        return try make(.comparison(first: first, rest: rest), head.offset)
    }

    private mutating func comparisonOperator() throws(ExpressionError) -> (Expression.Comparison, Int)? {
        let offset = current.offset
        if case .symbol(let text) = current.kind {
            if let comparison = Expression.Comparison(rawValue: text) {
                advance()
                return (comparison, offset)
            }
            if text == "=" {
                throw .syntax("'=' assigns nothing here.", hint: "Use == to compare.", at: offset)
            }
        }
        if isKeyword("in") {
            advance()
            return (.contained, offset)
        }
        if isKeyword("not") {
            advance()
            guard isKeyword("in") else { throw unexpected("`in` after `not`") }
            advance()
            return (.notContained, offset)
        }
        if isKeyword("is") {
            throw .unsupported(
                "`is`", hint: "Compare with ==, or give a fallback with `| default(value)`.", at: offset)
        }
        return nil
    }

    private mutating func sum() throws(ExpressionError) -> Node {
        var left = try product()
        while let arithmetic = arithmetic([.add, .subtract]) {
            let offset = advance().offset
            left = try make(.arithmetic(arithmetic, left, try product()), offset)
        }
        return left
    }

    private mutating func product() throws(ExpressionError) -> Node {
        var left = try unary()
        while let arithmetic = arithmetic([.multiply, .divide, .floorDivide, .remainder]) {
            let offset = advance().offset
            left = try make(.arithmetic(arithmetic, left, try unary()), offset)
        }
        return left
    }

    private mutating func unary() throws(ExpressionError) -> Node {
        guard case .symbol(let sign) = current.kind, sign == "-" || sign == "+" else { return try filtered() }
        try enter()
        defer { depth -= 1 }
        let offset = advance().offset
        let operand = try unary()
        return try make(sign == "-" ? .negate(operand) : .plus(operand), offset)
    }

    private mutating func filtered() throws(ExpressionError) -> Node {
        var node = try postfix()
        while isSymbol("|") {
            advance()
            let (name, offset) = try identifier("a filter's name")
            guard ExpressionFilters.names.contains(name) else {
                throw ExpressionError(
                    "expression.unknown-filter", "There is no filter `\(name)`.",
                    hint: Suggestion.hint(for: name, among: ExpressionFilters.names)
                        ?? "Filters are \(ExpressionFilters.names.joined(separator: ", ")).", offset: offset)
            }
            let arguments = isSymbol("(") ? try filterArguments() : []
            node = try make(.filter(node, name: name, arguments: arguments), offset)
        }
        return node
    }

    private mutating func filterArguments() throws(ExpressionError) -> [Expression.Argument] {
        advance()
        var arguments: [Expression.Argument] = []
        while !isSymbol(")") {
            var label: String?
            if case .name(let name) = current.kind, case .symbol("=") = next.kind {
                label = name
                advance()
                advance()
            }
            arguments.append(.init(label: label, value: try conditional()))
            guard isSymbol(",") else { break }
            advance()
        }
        try expect(")", "a filter's arguments")
        return arguments
    }

    private mutating func postfix() throws(ExpressionError) -> Node {
        var node = try primary()
        while case .symbol(let symbol) = current.kind {
            let offset = current.offset
            switch symbol {
            case ".":
                advance()
                if case .int(let index) = current.kind {
                    let place = advance().offset
                    node = try make(.index(node, try make(.literal(.int(index)), place)), offset)
                } else {
                    let (name, place) = try identifier("a name after '.'")
                    node = try make(.attribute(node, name), place)
                }
            case "[":
                advance()
                let index = try conditional()
                if isSymbol(":") {
                    throw .unsupported("A slice", hint: "Take one item, as in x[0].", at: current.offset)
                }
                try expect("]", "an index")
                node = try make(.index(node, index), offset)
            case "(":
                throw .unsupported("A call", hint: "Use a filter, as in `x | upper`.", at: offset)
            default:
                return node
            }
        }
        return node
    }

    private mutating func primary() throws(ExpressionError) -> Node {
        let token = current
        switch token.kind {
        case .int(let value):
            advance()
            return try make(.literal(.int(value)), token.offset)
        case .double(let value):
            advance()
            return try make(.literal(.double(value)), token.offset)
        case .string(let value):
            advance()
            return try make(.literal(.string(value)), token.offset)
        case .name(let name):
            if let literal = Self.constants[name] {
                advance()
                return try make(.literal(literal), token.offset)
            }
            guard !Self.keywords.contains(name) else { throw unexpected("a value") }
            advance()
            return try make(.name(name), token.offset)
        case .symbol("("):
            advance()
            let inner = try conditional()
            if isSymbol(",") {
                throw .unsupported("A tuple", hint: "Write a list, as in [a, b].", at: current.offset)
            }
            try expect(")", "the parenthesis")
            return inner
        case .symbol("["):
            return try list()
        case .symbol("{"):
            throw .unsupported("A dictionary", hint: "Pass it as a param and use its name.", at: token.offset)
        case .symbol, .end:
            throw unexpected("a value")
        }
    }

    private mutating func list() throws(ExpressionError) -> Node {
        let offset = advance().offset
        var items: [Node] = []
        while !isSymbol("]") {
            items.append(try conditional())
            guard isSymbol(",") else { break }
            advance()
        }
        try expect("]", "the list")
        return try make(.list(items), offset)
    }

    // MARK: Tokens

    private static let constants: [String: Value] = [
        "true": .bool(true), "True": .bool(true), "false": .bool(false), "False": .bool(false), "none": .null,
        "None": .null, "null": .null,
    ]
    private static let keywords: Set<String> = ["and", "or", "not", "in", "if", "else", "is"]

    private var current: ExpressionLexer.Token { tokens[position] }

    private var next: ExpressionLexer.Token { tokens[min(position + 1, tokens.count - 1)] }

    @discardableResult
    private mutating func advance() -> ExpressionLexer.Token {
        let token = tokens[position]
        if position < tokens.count - 1 { position += 1 }
        return token
    }

    private func isSymbol(_ symbol: String) -> Bool {
        if case .symbol(let found) = tokens[position].kind { found == symbol } else { false }
    }

    private func isKeyword(_ word: String) -> Bool {
        if case .name(let found) = tokens[position].kind { found == word } else { false }
    }

    private func arithmetic(_ operators: [Expression.Arithmetic]) -> Expression.Arithmetic? {
        guard case .symbol(let symbol) = tokens[position].kind else { return nil }
        return operators.first { $0.rawValue == symbol }
    }

    private mutating func identifier(_ what: String) throws(ExpressionError) -> (String, Int) {
        guard case .name(let name) = current.kind else { throw unexpected(what) }
        return (name, advance().offset)
    }

    private mutating func expect(_ symbol: String, _ what: String) throws(ExpressionError) {
        guard isSymbol(symbol) else { throw unexpected("'\(symbol)' to close \(what)") }
        advance()
    }

    private func unexpected(_ expected: String) -> ExpressionError {
        let found: String
        switch current.kind {
        case .name(let name): found = "'\(name)'"
        case .int(let value): found = "\(value)"
        case .double(let value): found = "\(value)"
        case .string: found = "a text"
        case .symbol(let symbol): found = "'\(symbol)'"
        case .end: found = "the end of the expression"
        }
        return .syntax("Expected \(expected), found \(found).", hint: hint(for: current.kind), at: current.offset)
    }

    private func hint(for kind: Kind) -> String {
        switch kind {
        case .symbol("&&"): "Write `and`."
        case .symbol("||"): "Write `or`."
        case .symbol("!"): "Write `not`."
        case .symbol("**"): "Powers are not supported; multiply."
        case .symbol("~"): "Join texts with +, as in a + '/' + b."
        case .symbol, .name, .int, .double, .string, .end: "See whether a quote, an operator or a bracket is missing."
        }
    }

    private mutating func enter() throws(ExpressionError) {
        depth += 1
        guard depth <= ExpressionLimits.depth else { throw tooDeep(ExpressionLimits.depth, at: current.offset) }
    }

    private func tooDeep(_ limit: Int, at offset: Int) -> ExpressionError {
        ExpressionError(
            "expression.too-deep", "The expression has more than \(limit) levels.",
            hint: "Split it into several params.", offset: offset)
    }

    private mutating func make(_ kind: Expression.Kind, _ offset: Int) throws(ExpressionError) -> Node {
        nodes += 1
        guard nodes <= ExpressionLimits.nodes else { throw .tooLarge("The expression", at: offset) }
        let height = 1 + (kind.children.lazy.map(\.height).max() ?? 0)
        guard height <= ExpressionLimits.treeHeight else { throw tooDeep(ExpressionLimits.treeHeight, at: offset) }
        return Node(kind: kind, offset: offset, height: height)
    }
}
