extension Expression {
    /// What the expression reads from its context: names with the parts that are named of them, in the order of the
    /// text, each once. The value is nil where there is no such thing; whether evaluation gets there does not matter.
    public func operands(in context: EvaluationContext) -> [(path: String, value: Value?)] {
        var nodes: [(path: String, node: Node)] = []
        root.collectPaths(into: &nodes)
        var seen: Set<String> = []
        return nodes.filter { seen.insert($0.path).inserted }.map { path, node in
            var evaluator = ExpressionEvaluator(context: context, budget: ExpressionBudget())
            do throws(ExpressionError) {
                return (path, try evaluator.value(of: node))
            } catch {
                return (path, nil)
            }
        }
    }
}

extension Expression.Node {
    fileprivate func collectPaths(into paths: inout [(path: String, node: Expression.Node)]) {
        if let path { return paths.append((path, self)) }
        for child in kind.children { child.collectPaths(into: &paths) }
    }

    /// What is written in brackets: a literal, or a negative number.
    private var key: String? {
        switch kind {
        case .literal(let value): return HookExplanation.shown(value, limit: 80)
        case .negate(let operand):
            if case .literal(let value) = operand.kind { return "-\(HookExplanation.shown(value, limit: 80))" }
            return nil
        case .name, .list, .attribute, .index, .not, .plus, .and, .or, .arithmetic, .comparison, .conditional, .filter:
            return nil
        }
    }

    /// `a.b['c'][0]`, when the node is a name or a part of one that is named by what is written.
    private var path: String? {
        switch kind {
        case .name(let name):
            return name
        case .attribute(let base, let name):
            return base.path.map { "\($0).\(name)" }
        case .index(let base, let index):
            guard let path = base.path, let key = index.key else { return nil }
            return "\(path)[\(key)]"
        case .literal, .list, .not, .negate, .plus, .and, .or, .arithmetic, .comparison, .conditional, .filter:
            return nil
        }
    }
}

extension Rendering {
    /// What a template's expressions read from the context; nothing when its syntax is wrong.
    public static func operands(
        of template: Template, in context: EvaluationContext
    ) -> [(path: String, value: Value?)] {
        do throws(ExpressionError) {
            var seen: Set<String> = []
            return try parts(of: template).flatMap { part -> [(path: String, value: Value?)] in
                guard case .expression(let expression, _) = part else { return [] }
                return expression.operands(in: context)
            }.filter { seen.insert($0.path).inserted }
        } catch {
            return []
        }
    }
}
