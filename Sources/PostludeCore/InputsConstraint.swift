extension IOConstraint {
    /// Whether the operand is what the rule needs; a reason when not. Held when the file is read.
    public var operandProblem: String? {
        switch rule {
        case .gt, .ge, .lt, .le:
            return operand.isNumber || operand.isText ? nil : "takes a number or a text to compare with"
        case .multipleOf:
            return operand.isNumber && !isZero ? nil : "takes a number other than 0"
        case .minDigits, .maxDigits, .decimalPlaces, .minLength, .maxLength, .minItems, .maxItems:
            guard case .int(let number) = operand, number >= 0 else { return "takes a count" }
            return nil
        case .regex:
            guard case .string(let pattern) = operand else { return "takes a pattern in quotes" }
            do throws(Pattern.Problem) {
                _ = try Pattern(pattern)
                return nil
            } catch {
                return error.message
            }
        case .contains, .excludes, .keys, .containsKeys, .excludesKeys:
            return operand == .null ? "takes a value or a list of values" : nil
        case .options:
            guard case .list(let options) = operand, !options.isEmpty else { return "takes a list of values" }
            return nil
        }
    }

    private var isZero: Bool { operand == .int(0) || operand == .double(0) }

    /// Holds a value against the rule; the items of a list one by one, where the rule is about single values.
    func check(_ value: Value) throws(Inputs.Problem) {
        switch rule {
        case .gt, .ge, .lt, .le, .multipleOf, .minDigits, .maxDigits, .decimalPlaces, .regex, .minLength, .maxLength,
            .options:
            if case .list(let items) = value, !isOption(value) {
                for item in items { try check(item) }
                return
            }
        case .contains, .excludes, .keys, .containsKeys, .excludesKeys, .minItems, .maxItems:
            break
        }
        if let broken = try broken(by: value) {
            throw Inputs.Problem(
                code: "inputs.rule-broken", message: "is \(value.brief), which \(broken)",
                hint: "The rule is `\(rule.rawValue): \(shownOperand)`.")
        }
    }

    private func isOption(_ value: Value) -> Bool {
        guard rule == .options, case .list(let options) = operand else { return false }
        return options.contains { ExpressionOperators.equals($0, value) }
    }

    /// What is wrong, as the end of a sentence; nil when the rule holds.
    private func broken(by value: Value) throws(Inputs.Problem) -> String? {
        switch rule {
        case .gt: return try ordered(value, [.greater]) ? nil : "is not greater than \(shownOperand)"
        case .ge: return try ordered(value, [.greater, .equal]) ? nil : "is less than \(shownOperand)"
        case .lt: return try ordered(value, [.less]) ? nil : "is not less than \(shownOperand)"
        case .le: return try ordered(value, [.less, .equal]) ? nil : "is greater than \(shownOperand)"
        case .multipleOf: return try isMultiple(value) ? nil : "is no multiple of \(shownOperand)"
        case .minDigits: return try digits(value).all < count ? "has fewer than \(count) digits" : nil
        case .maxDigits: return try digits(value).all > count ? "has more than \(count) digits" : nil
        case .decimalPlaces:
            return try digits(value).decimal > count ? "has more than \(count) decimal places" : nil
        case .regex: return try matches(value) ? nil : "does not match"
        case .minLength: return try length(value) < count ? "is shorter than \(count)" : nil
        case .maxLength: return try length(value) > count ? "is longer than \(count)" : nil
        case .minItems: return try items(value) < count ? "has fewer than \(count) items" : nil
        case .maxItems: return try items(value) > count ? "has more than \(count) items" : nil
        case .options: return isOption(value) ? nil : "is not one of the options"
        case .contains:
            for wanted in operands where !(try holds(value, wanted)) { return "does not contain \(wanted.brief)" }
        case .excludes:
            for unwanted in operands where try holds(value, unwanted) { return "contains \(unwanted.brief)" }
        case .keys:
            let wanted = Set(operands.compactMap(\.asText))
            return try keys(value) == wanted ? nil : "does not have exactly these keys"
        case .containsKeys:
            let present = try keys(value)
            for wanted in operands.compactMap(\.asText) where !present.contains(wanted) { return "lacks '\(wanted)'" }
        case .excludesKeys:
            let present = try keys(value)
            for unwanted in operands.compactMap(\.asText) where present.contains(unwanted) {
                return "has '\(unwanted)'"
            }
        }
        return nil
    }

    private var operands: [Value] {
        if case .list(let items) = operand { items } else { [operand] }
    }

    private var count: Int {
        if case .int(let number) = operand { Int(clamping: number) } else { 0 }
    }

    private var shownOperand: String {
        do throws(ExpressionError) { return try operand.json() } catch { return operand.typeName }
    }

    private func ordered(_ value: Value, _ wanted: [ExpressionOperators.Order]) throws(Inputs.Problem) -> Bool {
        guard let order = ExpressionOperators.order(value, operand) else { throw notApplicable(to: value) }
        return wanted.contains(order)
    }

    private func isMultiple(_ value: Value) throws(Inputs.Problem) -> Bool {
        switch (value, operand) {
        case (.int(let number), .int(let factor)): return factor == -1 || number % factor == 0
        case (_, _):
            guard let number = value.asDouble, let factor = operand.asDouble else { throw notApplicable(to: value) }
            let quotient = number / factor
            // 0.3 is a multiple of 0.1 for everybody but binary fractions.
            return abs(quotient - quotient.rounded()) <= 1e-9 * max(1, abs(quotient))
        }
    }

    /// Counts of digits of the shortest decimal text, without leading zeros.
    private func digits(_ value: Value) throws(Inputs.Problem) -> (all: Int, decimal: Int) {
        let text: String
        switch value {
        case .int(let number): text = String(number.magnitude)
        case .double(let number): text = abs(number).description
        case .null, .bool, .string, .list, .dict: throw notApplicable(to: value)
        }
        let parts = text.split(separator: "e")
        let exponent = parts.count > 1 ? Int(parts[1]) ?? 0 : 0
        let mantissa = parts[0].split(separator: ".", omittingEmptySubsequences: false)
        let fraction = mantissa.count > 1 && mantissa[1] != "0" ? mantissa[1].count : 0
        let whole = mantissa[0] == "0" ? 0 : mantissa[0].count
        return (max(1, whole + fraction + max(0, exponent - fraction)), max(0, fraction - exponent))
    }

    private func matches(_ value: Value) throws(Inputs.Problem) -> Bool {
        guard case .string(let text) = value, case .string(let pattern) = operand else {
            throw notApplicable(to: value)
        }
        do throws(Pattern.Problem) {
            return try Pattern(pattern).matches(text)
        } catch {
            throw Inputs.Problem(
                code: "inputs.rule-broken", message: "cannot be matched: \(error.message)", hint: "Simplify `regex`.")
        }
    }

    private func length(_ value: Value) throws(Inputs.Problem) -> Int {
        guard case .string(let text) = value else { throw notApplicable(to: value) }
        return text.unicodeScalars.count
    }

    private func items(_ value: Value) throws(Inputs.Problem) -> Int {
        switch value {
        case .list(let items): return items.count
        case .dict(let entries): return entries.count
        case .null, .bool, .int, .double, .string: throw notApplicable(to: value)
        }
    }

    private func holds(_ value: Value, _ part: Value) throws(Inputs.Problem) -> Bool {
        switch (value, part) {
        case (.string(let text), .string(let wanted)): return ExpressionText.contains(text, wanted)
        case (.list(let items), _): return items.contains { ExpressionOperators.equals($0, part) }
        case (.dict(let entries), .string(let key)): return entries[key] != nil
        case (_, _): throw notApplicable(to: value)
        }
    }

    private func keys(_ value: Value) throws(Inputs.Problem) -> Set<String> {
        guard case .dict(let entries) = value else { throw notApplicable(to: value) }
        return Set(entries.keys)
    }

    private func notApplicable(to value: Value) -> Inputs.Problem {
        Inputs.Problem(
            code: "inputs.rule-broken",
            message: "is \(value.brief), to which the rule `\(rule.rawValue)` does not apply",
            hint: "Remove the rule or change the type.")
    }
}

extension Value {
    var isText: Bool { asText != nil }

    var asText: String? {
        if case .string(let text) = self { text } else { nil }
    }

    var asDouble: Double? {
        switch self {
        case .int(let number): Double(number)
        case .double(let number): number
        case .null, .bool, .string, .list, .dict: nil
        }
    }
}
