/// The names an expression can see.
public struct EvaluationContext: Sendable, Hashable {
    public var names: [String: Value]

    public init(_ names: [String: Value] = [:]) { self.names = names }
}

/// A parsed expression of a template: typed, total and single pass.
///
/// It reads names from its context and makes a value; it calls nothing, assigns nothing and loops over nothing but the
/// data at hand. What a value contains is never parsed again (promise P5).
public struct Expression: Hashable, Sendable {
    /// The text between `{{` and `}}`.
    public let source: String
    let root: Node

    /// Parses one expression.
    /// - Throws: `ExpressionError` with the offset in `source` where the text stops making sense.
    public static func parse(_ source: String) throws(ExpressionError) -> Expression {
        let scalars = Array(source.unicodeScalars)
        guard scalars.count <= ExpressionLimits.sourceLength else {
            throw .tooLarge("The expression", at: 0)
        }
        var parser = ExpressionParser(tokens: try ExpressionLexer.tokens(of: scalars))
        return Expression(source: source, root: try parser.parse())
    }

    /// The expression's value in `context`.
    /// - Throws: `ExpressionError` with the offset of the part that has no value.
    public func evaluate(_ context: EvaluationContext) throws(ExpressionError) -> Value {
        var budget = ExpressionBudget()
        return try evaluate(context, within: &budget)
    }

    /// The same, for one of several expressions that share a budget.
    func evaluate(
        _ context: EvaluationContext, within budget: inout ExpressionBudget
    ) throws(ExpressionError) -> Value {
        var evaluator = ExpressionEvaluator(context: context, budget: budget)
        defer { budget = evaluator.budget }
        return try evaluator.value(of: root)
    }

    /// The names the expression reads from its context (the first part of each path).
    public var freeNames: Set<String> {
        var names: Set<String> = []
        root.collectNames(into: &names)
        return names
    }
}

extension Expression {
    /// A node of the tree, with the offset that errors point to.
    struct Node: Hashable, Sendable {
        var kind: Kind
        var offset: Int
        /// Levels below and including this one: bounds the stack that evaluation needs.
        var height: Int
    }

    indirect enum Kind: Hashable, Sendable {
        case literal(Value)
        case name(String)
        case list([Node])
        case attribute(Node, String)
        case index(Node, Node)
        case not(Node)
        case negate(Node)
        case plus(Node)
        case and(Node, Node)
        case or(Node, Node)
        case arithmetic(Arithmetic, Node, Node)
        /// `a < b <= c`: operands and the operators between them.
        case comparison(first: Node, rest: [ComparisonTail])
        case conditional(then: Node, condition: Node, otherwise: Node)
        case filter(Node, name: String, arguments: [Argument])
    }

    struct ComparisonTail: Hashable, Sendable {
        var comparison: Comparison
        var operand: Node
        var offset: Int
    }

    struct Argument: Hashable, Sendable {
        var label: String?
        var value: Node
    }

    enum Arithmetic: String, Hashable, Sendable {
        case add = "+"
        case subtract = "-"
        case multiply = "*"
        case divide = "/"
        case floorDivide = "//"
        case remainder = "%"
    }

    enum Comparison: String, Hashable, Sendable {
        case equal = "=="
        case notEqual = "!="
        case less = "<"
        case lessOrEqual = "<="
        case greater = ">"
        case greaterOrEqual = ">="
        case contained = "in"
        case notContained = "not in"
    }
}

extension Expression.Kind {
    var children: [Expression.Node] {
        switch self {
        case .literal, .name: []
        case .list(let items): items
        case .attribute(let base, _): [base]
        case .not(let operand), .negate(let operand), .plus(let operand): [operand]
        case .index(let a, let b), .and(let a, let b), .or(let a, let b), .arithmetic(_, let a, let b): [a, b]
        case .comparison(let first, let rest): [first] + rest.map(\.operand)
        case .conditional(let then, let condition, let otherwise): [then, condition, otherwise]
        case .filter(let input, _, let arguments): [input] + arguments.map(\.value)
        }
    }
}

extension Expression.Node {
    func collectNames(into names: inout Set<String>) {
        if case .name(let name) = kind { names.insert(name) }
        for child in kind.children { child.collectNames(into: &names) }
    }
}
