extension Rendering {
    /// Polyaxon's reading of a rendered condition: true, false, or a reason why it is neither.
    ///
    /// True: y yes t true on 1; false: n no f false off 0, in any case, also as a bool or a number. Everything else,
    /// the empty text included, is an error: a condition that nobody can read must not decide anything.
    public static func truth(of value: Value) throws(ExpressionError) -> Bool {
        switch value {
        case .bool(let flag): return flag
        case .int(1): return true
        case .int(0): return false
        case .double(1): return true
        case .double(0): return false
        case .string(let text):
            let word = text.lowercased()
            if ["y", "yes", "t", "true", "on", "1"].contains(word) { return true }
            if ["n", "no", "f", "false", "off", "0"].contains(word) { return false }
            throw neither("'\(text.prefix(60))'", isText: true)
        case .null: throw neither("null", isText: false)
        case .int(let number): throw neither("\(number)", isText: false)
        case .double(let number): throw neither("\(number)", isText: false)
        case .list: throw neither("a list", isText: false)
        case .dict: throw neither("a dict", isText: false)
        }
    }

    /// Renders a condition and reads its truth.
    /// - Throws: `ExpressionError` with the condition's place.
    public static func holds(_ condition: Template, in context: EvaluationContext) throws(ExpressionError) -> Bool {
        let value = try render(condition, in: context)
        do throws(ExpressionError) {
            return try truth(of: value)
        } catch {
            var error = error
            error.place = condition.place
            throw error
        }
    }

    private static func neither(_ shown: String, isText: Bool) -> ExpressionError {
        ExpressionError(
            "expression.not-a-condition", "The condition is \(shown), which is neither true nor false.",
            hint: isText
                ? "Write a comparison in braces, such as \"{{ loss < 0.1 }}\"." : "Compare it, such as \"{{ x > 0 }}\"."
        )
    }
}
