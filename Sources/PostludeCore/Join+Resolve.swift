/// A join's search with every value in place.
public struct RunSearch: Hashable, Sendable {
    public var criteria: RunCriteria
    public var order: RunOrder
    public var limit: Int
    public var offset: Int

    public init(criteria: RunCriteria, order: RunOrder, limit: Int, offset: Int) {
        self.criteria = criteria
        self.order = order
        self.limit = limit
        self.offset = offset
    }
}

extension Operation {
    /// Names of params that joins make, of those that have not searched yet.
    var openJoinParams: Set<String> {
        Set((joins ?? []).filter { $0.found == nil }.flatMap(\.params.keys))
    }

    /// Whether it searches for runs before it can be compiled. What a schedule says is each of its runs' business.
    public var isToJoin: Bool { schedule == nil && (joins ?? []).contains { $0.found == nil } }

    /// What its joins search for, in the file's order. Templates see globals, params and inputs, but no other join's.
    ///
    /// - Throws: `InputError` with every value that cannot be had.
    public func searches(facts: RunFacts) throws(InputError) -> [RunSearch] {
        let context = try JobCompiler.context(for: withoutPoints.withoutOpenJoins, facts: facts).context.evaluation
        var searches: [RunSearch] = []
        var problems: [Diagnostic] = []
        for join in joins ?? [] {
            do throws(InputError) {
                searches.append(try join.search(in: context))
            } catch {
                problems += error.diagnostics
            }
        }
        guard problems.isEmpty else { throw InputError(problems) }
        return searches
    }

    /// Without what only a search can tell: the inputs of its joins need no value.
    var withoutOpenJoins: Operation {
        let names = openJoinParams
        guard !names.isEmpty else { return self }
        var copy = self
        copy.component.inputs.removeAll { names.contains($0.name) }
        return copy
    }
}

extension Join {
    func search(in context: EvaluationContext) throws(InputError) -> RunSearch {
        let criteria = try RunQuery.parse(query).criteria(in: context)
        var order = RunOrder.newest
        if let sort {
            let text: String
            do throws(ExpressionError) { text = try Rendering.text(sort, in: context) } catch {
                throw InputError(error)
            }
            order = try Self.order(text, of: sort)
        }
        return RunSearch(
            criteria: criteria, order: order,
            limit: try limit.map { (limit) throws(InputError) in
                try Self.count(limit, "limit", 1...Self.maxLimit, in: context)
            } ?? Self.defaultLimit,
            offset: try offset.map { (offset) throws(InputError) in
                try Self.count(offset, "offset", 0...Self.maxOffset, in: context)
            } ?? 0)
    }

    /// - Throws: `InputError` for a text that is no order; `template` says where it is written.
    public static func order(_ text: String, of template: Template) throws(InputError) -> RunOrder {
        do throws(RunQuery.Problem) {
            return try RunOrder.parse(text)
        } catch {
            let isWritten = text == template.source
            throw InputError([
                isWritten
                    ? error.diagnostic(in: template)
                    : Diagnostic(.error, error.code, error.message, hint: error.hint, at: template.place)
            ])
        }
    }

    /// A number within the bounds, from a number, a text or a template.
    public static func count(
        _ template: Template, _ name: String, _ range: ClosedRange<Int>, in context: EvaluationContext
    ) throws(InputError) -> Int {
        var value: Value
        do throws(ExpressionError) { value = try Rendering.render(template, in: context) } catch {
            throw InputError(error)
        }
        if case .string(let text) = value, let number = ExpressionText.number(text) { value = number }
        guard case .int(let number) = value else {
            throw InputError([
                Diagnostic(
                    .error, "join.wrong-value", "`\(name)` of a join takes a whole number, not \(value.brief).",
                    hint: "Such as \(max(range.lowerBound, 10)).", at: template.place)
            ])
        }
        guard let count = Int(exactly: number), range.contains(count) else {
            throw InputError([
                Diagnostic(
                    .error, "join.wrong-value",
                    "`\(name)` of a join is \(number), which is not within \(range.lowerBound) and \(range.upperBound).",
                    hint: "Choose a number within these bounds; a narrower query finds fewer runs.", at: template.place)
            ])
        }
        return count
    }

    func paths() throws(InputError) -> [String: JoinPath] {
        var paths: [String: JoinPath] = [:]
        for (name, param) in params {
            do throws(RunQuery.Problem) {
                paths[name] = try JoinPath(param.value)
            } catch {
                throw InputError([Diagnostic(.error, error.code, error.message, hint: error.hint, at: param.place)])
            }
        }
        return paths
    }
}
