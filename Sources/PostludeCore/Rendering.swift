/// Turns templates into values.
public enum Rendering {
    /// A template that is one single expression keeps its type; otherwise text with each expression's text form.
    ///
    /// What an expression yields is inserted as it is and never scanned again (promise P5).
    /// - Throws: `ExpressionError` with the place in the user's file.
    public static func render(_ template: Template, in context: EvaluationContext) throws(ExpressionError) -> Value {
        var budget = ExpressionBudget()
        return try render(template, in: context, within: &budget)
    }

    private static func render(
        _ template: Template, in context: EvaluationContext, within budget: inout ExpressionBudget
    ) throws(ExpressionError) -> Value {
        let parts = try parts(of: template)
        if parts.count == 1, case .expression(let expression, let offset) = parts[0] {
            return try evaluate(expression, from: offset, of: template, in: context, within: &budget)
        }
        return .string(try join(parts, template, context, within: &budget))
    }

    /// The template's text, whatever it is made of.
    /// - Throws: `ExpressionError` with the place in the user's file.
    public static func text(_ template: Template, in context: EvaluationContext) throws(ExpressionError) -> String {
        var budget = ExpressionBudget()
        return try join(try parts(of: template), template, context, within: &budget)
    }

    /// Renders every text of a param's value; a param that is data stays as it is.
    public static func render(_ param: Param, in context: EvaluationContext) throws(ExpressionError) -> Value {
        var budget = ExpressionBudget()
        return param.isTemplate
            ? try render(inside: param.value, at: param.place, in: context, within: &budget) : param.value
    }

    private static func render(
        inside value: Value, at place: SourcePlace?, in context: EvaluationContext,
        within budget: inout ExpressionBudget
    )
        throws(ExpressionError) -> Value
    {
        switch value {
        case .null, .bool, .int, .double:
            return value
        case .string(let text):
            return hasExpression(text) ? try render(Template(text, at: place), in: context, within: &budget) : value
        case .list(let items):
            var rendered: [Value] = []
            for item in items {
                rendered.append(try render(inside: item, at: place, in: context, within: &budget))
            }
            return .list(rendered)
        case .dict(let entries):
            var rendered: [String: Value] = [:]
            for (key, item) in entries {
                rendered[key] = try render(inside: item, at: place, in: context, within: &budget)
            }
            return .dict(rendered)
        }
    }

    /// Checks a template's syntax without evaluating it.
    /// - Throws: `ExpressionError` with the place in the user's file.
    public static func check(_ template: Template) throws(ExpressionError) { _ = try parts(of: template) }

    /// Whether text holds anything that a template would evaluate or refuse.
    public static func hasExpression(_ text: String) -> Bool {
        var before: UInt8 = 0
        for byte in text.utf8 {
            if before == 0x7b, byte == 0x7b || byte == 0x25 { return true }
            before = byte
        }
        return false
    }

    /// The names that a template reads; empty when its syntax is wrong.
    public static func freeNames(of template: Template) -> Set<String> {
        do {
            return try parts(of: template).reduce(into: []) { names, part in
                if case .expression(let expression, _) = part { names.formUnion(expression.freeNames) }
            }
        } catch {
            return []
        }
    }

    // MARK: Scanning

    enum Part {
        case text(String)
        /// With the offset of its first scalar in the template.
        case expression(Expression, offset: Int)
    }

    static func parts(of template: Template) throws(ExpressionError) -> [Part] {
        guard template.source.utf8.count <= ExpressionLimits.templateBytes else {
            throw located(.tooLarge("The template", at: 0), from: 0, of: template)
        }
        guard hasExpression(template.source) else { return template.source.isEmpty ? [] : [.text(template.source)] }
        let scalars = Array(template.source.unicodeScalars)
        var parts: [Part] = []
        var position = 0
        // Where the text starts that is in no part yet.
        var literal = 0
        func addText(upTo end: Int) {
            if literal < end { parts.append(.text(ExpressionLexer.string(scalars[literal..<end]))) }
        }
        while position < scalars.count {
            guard scalars[position] == "{", position + 1 < scalars.count else {
                position += 1
                continue
            }
            switch scalars[position + 1] {
            case "{":
                let start = position + 2
                let end = try close(scalars, from: start, of: template)
                addText(upTo: position)
                parts.append(.expression(try parse(scalars[start..<end], at: start, of: template), offset: start))
                position = end + 2
                literal = position
            case "%":
                let error = ExpressionError.unsupported(
                    "`{% %}`", hint: "Use an expression in {{ }}, such as {{ a if condition else b }}.", at: position)
                throw located(error, from: 0, of: template)
            default:
                // `{#` too: Jinja's comments would vanish silently, and it is data as likely as not.
                position += 1
            }
        }
        addText(upTo: scalars.count)
        return parts
    }

    private static func close(
        _ scalars: [Unicode.Scalar], from start: Int, of template: Template
    )
        throws(ExpressionError) -> Int
    {
        var quote: Unicode.Scalar?
        var position = start
        while position < scalars.count {
            let scalar = scalars[position]
            if let open = quote {
                if scalar == "\\" { position += 1 } else if scalar == open { quote = nil }
            } else if scalar == "'" || scalar == "\"" {
                quote = scalar
            } else if scalar == "}", position + 1 < scalars.count, scalars[position + 1] == "}" {
                return position
            }
            position += 1
        }
        throw located(
            .syntax(
                "The `{{` that starts here has no `}}`.", hint: "Close it, or write { { to mean the text.",
                at: start - 2),
            from: 0, of: template)
    }

    private static func parse(
        _ scalars: ArraySlice<Unicode.Scalar>, at offset: Int, of template: Template
    )
        throws(ExpressionError) -> Expression
    {
        do throws(ExpressionError) {
            return try Expression.parse(ExpressionLexer.string(scalars))
        } catch {
            throw located(error, from: offset, of: template)
        }
    }

    private static func evaluate(
        _ expression: Expression, from offset: Int, of template: Template, in context: EvaluationContext,
        within budget: inout ExpressionBudget
    ) throws(ExpressionError) -> Value {
        do throws(ExpressionError) {
            return try expression.evaluate(context, within: &budget)
        } catch {
            throw located(error, from: offset, of: template)
        }
    }

    private static func join(
        _ parts: [Part], _ template: Template, _ context: EvaluationContext, within budget: inout ExpressionBudget
    )
        throws(ExpressionError) -> String
    {
        var text = ""
        for part in parts {
            switch part {
            case .text(let literal): text += literal
            case .expression(let expression, let offset):
                let value = try evaluate(expression, from: offset, of: template, in: context, within: &budget)
                do throws(ExpressionError) {
                    text += try ExpressionText.text(of: value, at: 0)
                } catch {
                    throw located(error, from: offset, of: template)
                }
            }
            guard text.utf8.count <= ExpressionLimits.templateBytes else {
                throw located(.tooLarge("The rendered text", at: 0), from: 0, of: template)
            }
        }
        return text
    }

    /// Moves an error's offset from the expression to the template, and from there to the user's file.
    private static func located(_ error: ExpressionError, from offset: Int, of template: Template) -> ExpressionError {
        var error = error
        error.offset += offset
        error.place = template.place(at: error.offset)
        return error
    }
}

extension Template {
    /// Where the scalar at `offset` is in the file: each line of a template starts at the column of the first.
    public func place(at offset: Int) -> SourcePlace? {
        guard var place else { return nil }
        let column = place.column
        for scalar in source.unicodeScalars.prefix(offset) { place.step(over: scalar, linesFrom: column) }
        return place
    }
}

extension SourcePlace {
    /// To the scalar behind this one, where lines start at the column.
    mutating func step(over scalar: Unicode.Scalar, linesFrom column: Int) {
        if scalar == "\n" {
            line += 1
            self.column = column
        } else {
            self.column += 1
        }
    }
}
