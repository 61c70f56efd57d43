/// What operators mean, as Jinja has it where that is total, and as an error where it is not.
enum ExpressionOperators {
    /// Empty things, zero, false and null are not true.
    static func isTrue(_ value: Value) -> Bool {
        switch value {
        case .null: false
        case .bool(let value): value
        case .int(let value): value != 0
        case .double(let value): value != 0
        case .string(let text): !text.isEmpty
        case .list(let items): !items.isEmpty
        case .dict(let entries): !entries.isEmpty
        }
    }

    static func negated(_ value: Value, at offset: Int) throws(ExpressionError) -> Value {
        switch value {
        case .int(let number):
            let (result, overflow) = (0 as Int64).subtractingReportingOverflow(number)
            if overflow { throw .overflow("-(\(number))", at: offset) }
            return .int(result)
        case .double(let number):
            return .double(-number)
        case .null, .bool, .string, .list, .dict:
            throw .mismatch("`-` needs a number, not \(value.typeName).", at: offset)
        }
    }

    // MARK: Arithmetic

    static func combine(
        _ operation: Expression.Arithmetic, _ a: Value, _ b: Value, at offset: Int
    )
        throws(ExpressionError) -> Value
    {
        switch (operation, a, b) {
        case (.divide, .int(let x), .int(let y)):
            return try divide(Double(x), Double(y), at: offset)
        case (_, .int(let x), .int(let y)):
            return .int(try integers(operation, x, y, at: offset))
        case (_, .int(let x), .double(let y)):
            return try floats(operation, Double(x), y, at: offset)
        case (_, .double(let x), .int(let y)):
            return try floats(operation, x, Double(y), at: offset)
        case (_, .double(let x), .double(let y)):
            return try floats(operation, x, y, at: offset)
        case (.add, .string(let x), .string(let y)):
            guard x.utf8.count + y.utf8.count <= ExpressionLimits.resultBytes else {
                throw .tooLarge("The text", at: offset)
            }
            return .string(x + y)
        case (.add, .list(let x), .list(let y)):
            guard x.count + y.count <= ExpressionLimits.resultItems else { throw .tooLarge("The list", at: offset) }
            return .list(x + y)
        case (_, _, _):
            throw .mismatch(
                "`\(operation.rawValue)` cannot join \(a.typeName) and \(b.typeName).",
                hint: operation == .add ? "Convert one side, as in `'n=' + (n | string)`." : nil, at: offset)
        }
    }

    private static func integers(
        _ operation: Expression.Arithmetic, _ x: Int64, _ y: Int64, at offset: Int
    )
        throws(ExpressionError) -> Int64
    {
        let outcome: (partialValue: Int64, overflow: Bool)
        switch operation {
        case .add: outcome = x.addingReportingOverflow(y)
        case .subtract: outcome = x.subtractingReportingOverflow(y)
        case .multiply: outcome = x.multipliedReportingOverflow(by: y)
        case .divide, .floorDivide:
            guard y != 0 else { throw divisionByZero(at: offset) }
            outcome = x.dividedReportingOverflow(by: y)
            if !outcome.overflow, x % y != 0, (x < 0) != (y < 0) { return outcome.partialValue - 1 }
        case .remainder:
            guard y != 0 else { throw divisionByZero(at: offset) }
            guard y != -1 else { return 0 }  // Int64.min % -1 traps although its value is 0
            let remainder = x % y
            return remainder != 0 && (remainder < 0) != (y < 0) ? remainder + y : remainder
        }
        guard !outcome.overflow else { throw .overflow("\(x) \(operation.rawValue) \(y)", at: offset) }
        return outcome.partialValue
    }

    private static func floats(
        _ operation: Expression.Arithmetic, _ x: Double, _ y: Double, at offset: Int
    )
        throws(ExpressionError) -> Value
    {
        let result: Double
        switch operation {
        case .add: result = x + y
        case .subtract: result = x - y
        case .multiply: result = x * y
        case .divide: return try divide(x, y, at: offset)
        case .floorDivide:
            guard y != 0 else { throw divisionByZero(at: offset) }
            result = (x / y).rounded(.down)
        case .remainder:
            guard y != 0 else { throw divisionByZero(at: offset) }
            let remainder = x.truncatingRemainder(dividingBy: y)
            result = remainder != 0 && (remainder < 0) != (y < 0) ? remainder + y : remainder
        }
        guard result.isFinite else { throw .overflow("\(x) \(operation.rawValue) \(y)", at: offset) }
        return .double(result)
    }

    private static func divide(_ x: Double, _ y: Double, at offset: Int) throws(ExpressionError) -> Value {
        guard y != 0 else { throw divisionByZero(at: offset) }
        let result = x / y
        guard result.isFinite else { throw .overflow("\(x) / \(y)", at: offset) }
        return .double(result)
    }

    private static func divisionByZero(at offset: Int) -> ExpressionError {
        ExpressionError(
            "expression.division-by-zero", "Division by zero.",
            hint: "Guard it, as in `a / b if b != 0 else 0`.", offset: offset)
    }

    // MARK: Comparison

    static func holds(
        _ comparison: Expression.Comparison, _ a: Value, _ b: Value, at offset: Int
    )
        throws(ExpressionError) -> Bool
    {
        switch comparison {
        case .equal: return equals(a, b)
        case .notEqual: return !equals(a, b)
        case .contained: return try contains(b, a, at: offset)
        case .notContained: return !(try contains(b, a, at: offset))
        case .less: return try order(a, b, comparison, at: offset) == .less
        case .greater: return try order(a, b, comparison, at: offset) == .greater
        case .lessOrEqual:
            let order = try order(a, b, comparison, at: offset)
            return order == .less || order == .equal
        case .greaterOrEqual:
            let order = try order(a, b, comparison, at: offset)
            return order == .greater || order == .equal
        }
    }

    /// Equal by value: 1 equals 1.0 and true, as in Polyaxon; a text equals only the same text, byte by byte.
    static func equals(_ a: Value, _ b: Value) -> Bool {
        switch (a, b) {
        case (.null, .null): return true
        case (.string(let x), .string(let y)): return x.utf8.elementsEqual(y.utf8)
        case (.list(let x), .list(let y)): return x.count == y.count && zip(x, y).allSatisfy { equals($0, $1) }
        case (.dict(let x), .dict(let y)):
            return x.count == y.count
                && x.allSatisfy { entry in y[entry.key].map { equals(entry.value, $0) } ?? false }
        case (_, _):
            guard let x = number(a, boolsToo: true), let y = number(b, boolsToo: true) else { return false }
            return order(x, y) == .equal
        }
    }

    private static func contains(_ container: Value, _ item: Value, at offset: Int) throws(ExpressionError) -> Bool {
        switch (container, item) {
        case (.list(let items), _):
            return items.contains { equals($0, item) }
        case (.dict(let entries), .string(let key)):
            return entries[key] != nil
        case (.string(let text), .string(let part)):
            return ExpressionText.contains(text, part)
        case (_, _):
            throw .mismatch("`in` cannot look for \(item.typeName) in \(container.typeName).", at: offset)
        }
    }

    enum Order { case less, equal, greater, unordered }

    private enum Number {
        case int(Int64)
        case double(Double)
    }

    private static func number(_ value: Value, boolsToo: Bool = false) -> Number? {
        switch value {
        case .int(let number): .int(number)
        case .double(let number): .double(number)
        case .bool(let flag): boolsToo ? .int(flag ? 1 : 0) : nil
        case .null, .string, .list, .dict: nil
        }
    }

    /// The order of two numbers or two texts; nil for anything else.
    static func order(_ a: Value, _ b: Value) -> Order? {
        if let x = number(a), let y = number(b) { return order(x, y) }
        guard case .string(let x) = a, case .string(let y) = b else { return nil }
        if x.utf8.elementsEqual(y.utf8) { return .equal }
        // UTF-8 keeps the order of code points.
        return x.utf8.lexicographicallyPrecedes(y.utf8) ? .less : .greater
    }

    private static func order(
        _ a: Value, _ b: Value, _ comparison: Expression.Comparison, at offset: Int
    )
        throws(ExpressionError) -> Order
    {
        guard let order = order(a, b) else {
            throw .mismatch("`\(comparison.rawValue)` cannot compare \(a.typeName) and \(b.typeName).", at: offset)
        }
        return order
    }

    private static func order(_ a: Number, _ b: Number) -> Order {
        switch (a, b) {
        case (.int(let x), .int(let y)): order(x, y)
        case (.double(let x), .double(let y)): x.isNaN || y.isNaN ? .unordered : order(x, y)
        case (.int(let x), .double(let y)): order(x, y)
        case (.double(let x), .int(let y)):
            switch order(y, x) {
            case .less: .greater
            case .greater: .less
            case .equal: .equal
            case .unordered: .unordered
            }
        }
    }

    private static func order<T: Comparable>(_ x: T, _ y: T) -> Order { x < y ? .less : x == y ? .equal : .greater }

    /// Exact, also above 2^53 where a float cannot hold every integer.
    private static func order(_ x: Int64, _ y: Double) -> Order {
        if y.isNaN { return .unordered }
        if y >= 0x1p63 { return .less }
        if y < -0x1p63 { return .greater }
        let whole = y.rounded(.down)
        let ordered = order(x, Int64(whole))
        return ordered == .equal && y > whole ? .less : ordered
    }

    // MARK: Access

    static func entry(
        _ name: String, of entries: [String: Value], described path: String, at offset: Int
    )
        throws(ExpressionError) -> Value
    {
        if let value = entries[name] { return value }
        let listed = entries.keys.sorted().prefix(12).joined(separator: ", ") + (entries.count > 12 ? ", ..." : "")
        let hint =
            Suggestion.hint(for: name, among: entries.keys)
            ?? (entries.isEmpty ? "\(path) is empty." : "It has \(listed).")
        throw ExpressionError(
            ExpressionError.unknownKey, "\(path) has nothing called '\(name)'.", hint: hint, offset: offset)
    }

    static func item(
        _ index: Value, of value: Value, described path: String, at offset: Int
    ) throws(ExpressionError)
        -> Value
    {
        switch (value, index) {
        case (.dict(let entries), .string(let key)):
            return try entry(key, of: entries, described: path, at: offset)
        case (.list(let items), .int(let position)):
            let place = position < 0 ? Int64(items.count).addingReportingOverflow(position).partialValue : position
            guard place >= 0, place < Int64(items.count) else { throw outOfRange(position, items.count, path, offset) }
            return items[Int(place)]
        case (.string(let text), .int(let position)):
            let scalars = text.unicodeScalars
            let place = position < 0 ? Int64(scalars.count).addingReportingOverflow(position).partialValue : position
            guard place >= 0, place < Int64(scalars.count) else {
                throw outOfRange(position, scalars.count, path, offset)
            }
            return .string(String(scalars[scalars.index(scalars.startIndex, offsetBy: Int(place))]))
        case (_, _):
            throw .mismatch(
                "\(path) is \(value.typeName), which cannot be indexed with \(index.typeName).",
                hint: "Lists take a number, dictionaries a text in quotes.", at: offset)
        }
    }

    private static func outOfRange(_ index: Int64, _ count: Int, _ path: String, _ offset: Int) -> ExpressionError {
        ExpressionError(
            ExpressionError.indexOutOfRange, "\(path) has \(count) items; there is none at \(index).",
            hint: "Items count from 0.", offset: offset)
    }
}

extension Value {
    var isNumber: Bool {
        switch self {
        case .int, .double: true
        case .null, .bool, .string, .list, .dict: false
        }
    }
}
