/// A query with its values in place: what a run is held against. Pure and total.
public struct RunCriteria: Hashable, Sendable {
    /// All of them must hold.
    var conditions: [Condition]

    struct Condition: Hashable, Sendable {
        var field: RunField
        var isNegated = false
        var test: Test
    }

    enum Test: Hashable, Sendable {
        case missing
        case oneOf([Operand])
        case compare(RunQuery.Comparison, Operand)
        /// Both ends belong to it.
        case between(Operand, Operand)
        /// Microseconds since 1970; any of these.
        case instants([Range<Int64>])
    }

    /// A value of a query.
    struct Operand: Hashable, Sendable {
        var text: String
        /// The number that it is, for values that are numbers; nil for a text.
        var number: Value?
        /// Whether `%` was written at the start or the end: any text may be there.
        var isOpenBefore = false
        var isOpenBehind = false
    }

    /// Whether all conditions hold. A run without the value that a condition asks about is found by `nil` alone, not by
    /// the negation of anything: what is not known is neither this nor that (P9).
    public func matches(_ run: FoundRun) -> Bool {
        conditions.allSatisfy { $0.matches(run.value(of: $0.field)) }
    }

    /// Whether what a run's inputs, or its outputs, are has a part in it.
    public var readsInputs: Bool { conditions.contains { $0.field.isInput } }
    public var readsOutputs: Bool { conditions.contains { $0.field.isOutput } }
    public var readsTags: Bool { conditions.contains { $0.field == .tags } }

    /// Texts of which a run must have one in this field; nil when the field may be anything, or need not be just that.
    public func words(of field: RunField) -> [String]? {
        for condition in conditions where condition.field == field && !condition.isNegated {
            guard case .oneOf(let operands) = condition.test,
                operands.allSatisfy({ !$0.isOpenBefore && !$0.isOpenBehind })
            else { continue }
            return operands.map(\.text)
        }
        return nil
    }

    /// Names of outputs that a run must have to be found.
    public var requiredOutputs: [String] {
        conditions.compactMap { condition in
            if case .missing = condition.test, !condition.isNegated { return nil }
            switch condition.field {
            case .output(let name), .metric(let name): return name
            case .uuid, .name, .project, .status, .kind, .queue, .tags, .pipeline, .createdAt, .startedAt, .finishedAt,
                .duration, .input:
                return nil
            }
        }
    }
}

extension RunField {
    var isInput: Bool {
        if case .input = self { true } else { false }
    }

    var isOutput: Bool {
        switch self {
        case .output, .metric: true
        case .uuid, .name, .project, .status, .kind, .queue, .tags, .pipeline, .createdAt, .startedAt, .finishedAt,
            .duration, .input:
            false
        }
    }
}

extension RunCriteria.Condition {
    func matches(_ value: Value) -> Bool {
        if case .missing = test { return (value == .null || value == .list([])) != isNegated }
        // That a run has no tags is known.
        guard value != .null else { return false }
        return holds(value) != isNegated
    }

    private func holds(_ value: Value) -> Bool {
        switch test {
        case .missing: return false
        case .oneOf(let operands):
            if case .list(let items) = value, field == .tags {
                return items.contains { item in operands.contains { $0.equals(item) } }
            }
            return operands.contains { $0.equals(value) }
        case .compare(let comparison, let operand):
            switch (comparison, operand.order(of: value)) {
            case (.less, .less), (.lessOrEqual, .less), (.lessOrEqual, .equal), (.greater, .greater),
                (.greaterOrEqual, .greater), (.greaterOrEqual, .equal):
                return true
            case (.less, _), (.lessOrEqual, _), (.greater, _), (.greaterOrEqual, _): return false
            }
        case .between(let low, let high):
            let (above, below) = (low.order(of: value), high.order(of: value))
            return (above == .greater || above == .equal) && (below == .less || below == .equal)
        case .instants(let spans):
            guard case .int(let instant) = value else { return false }
            return spans.contains { $0.contains(instant) }
        }
    }
}

extension RunCriteria.Operand {
    /// A value of a template, or a text of the file; nil for what has no place in a query.
    init?(_ value: Value) {
        switch value {
        case .string(let text): self.init(text: text, number: ExpressionText.number(text))
        case .int, .double, .bool:
            do throws(ExpressionError) {
                self.init(text: try value.text(), number: value.isNumber ? value : nil)
            } catch {
                return nil
            }
        case .null, .list, .dict: return nil
        }
    }

    func equals(_ value: Value) -> Bool {
        switch value {
        case .string(let other): return matches(other)
        case .int, .double: return number.map { ExpressionOperators.order(value, $0) == .equal } ?? false
        case .bool(let flag): return (flag ? ["true", "1"] : ["false", "0"]).contains(text.lowercased())
        case .null, .list, .dict: return false
        }
    }

    private func matches(_ other: String) -> Bool {
        switch (isOpenBefore, isOpenBehind) {
        case (false, false): return other.utf8.elementsEqual(text.utf8)
        case (true, false): return other.utf8.suffix(text.utf8.count).elementsEqual(text.utf8)
        case (false, true): return other.utf8.starts(with: text.utf8)
        case (true, true): return ExpressionText.contains(other, text)
        }
    }

    /// How a run's value stands to the query's: numbers as numbers, texts by their code points, nil for what has no order.
    func order(of value: Value) -> ExpressionOperators.Order? {
        switch value {
        case .int, .double: number.flatMap { ExpressionOperators.order(value, $0) }
        case .string: ExpressionOperators.order(value, .string(text))
        case .null, .bool, .list, .dict: nil
        }
    }
}
