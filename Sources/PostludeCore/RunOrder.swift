/// How runs that were found are put in order: `-metrics.accuracy, created_at`; among equals the newest comes first.
public struct RunOrder: Hashable, Sendable {
    var keys: [Key]

    struct Key: Hashable, Sendable {
        var field: RunField
        var isDescending: Bool
    }

    /// As for `sort` that is not there: the newest first.
    static let newest = RunOrder(keys: [])

    /// Whether runs are wanted just as they were submitted, the last one first: then nobody needs to see all of them.
    public var isNewestFirst: Bool { keys.isEmpty || keys == [Key(field: .createdAt, isDescending: true)] }

    public var readsInputs: Bool { keys.contains { $0.field.isInput } }
    public var readsOutputs: Bool { keys.contains { $0.field.isOutput } }

    /// - Throws: `Problem` with what is no field; there are as many as a query has conditions at most.
    static func parse(_ text: String) throws(RunQuery.Problem) -> RunOrder {
        var keys: [Key] = []
        var offset = 0
        let parts = text.unicodeScalars.split(separator: ",", omittingEmptySubsequences: false)
        guard parts.count <= RunQuery.maxConditions else {
            throw RunQuery.Problem(
                "syntax", "`sort` has \(parts.count) fields; \(RunQuery.maxConditions) are allowed.",
                hint: "Two or three tell runs apart.", at: 0)
        }
        for part in parts {
            let start = offset + part.prefix { $0.properties.isWhitespace }.count
            offset += part.count + 1
            var name = ExpressionText.trimmed(String(part))
            let isDescending = name.hasPrefix("-")
            if isDescending { name = ExpressionText.trimmed(String(name.dropFirst())) }
            guard !name.isEmpty else {
                throw RunQuery.Problem(
                    "syntax", "A field is missing in `sort`.",
                    hint: "Write field or -field, as in -metrics.accuracy, created_at.", at: start)
            }
            let field = try RunField.named(name, at: start)
            guard field != .tags else {
                throw RunQuery.Problem(
                    "wrong-operator", "Runs cannot be sorted by their tags.", hint: "Sort by name or created_at.",
                    at: start)
            }
            keys.append(Key(field: field, isDescending: isDescending))
        }
        return RunOrder(keys: keys)
    }

    /// What of a run decides about its place. Of a long text the beginning is enough.
    public func rank(_ run: FoundRun) -> RunRank {
        RunRank(
            values: keys.map { key in
                switch run.value(of: key.field) {
                case .string(let text): .string(String(text.unicodeScalars.prefix(128)))
                case .bool(let flag): .int(flag ? 1 : 0)
                case .int(let number): .int(number)
                case .double(let number): number.isNaN ? .null : .double(number)
                case .null, .list, .dict: .null
                }
            })
    }

    /// Whether a run comes before another, each with the number that it was submitted under. A run without a value comes
    /// after all that have one, whichever way is up; numbers come before texts.
    func precedes(_ a: (rank: RunRank, number: Int64), _ b: (rank: RunRank, number: Int64)) -> Bool {
        for (key, (x, y)) in zip(keys, zip(a.rank.values, b.rank.values)) {
            switch (x, y) {
            case (.null, .null): continue
            case (.null, _): return false
            case (_, .null): return true
            case (_, _): break
            }
            switch ExpressionOperators.order(x, y) {
            case .less?: return !key.isDescending
            case .greater?: return key.isDescending
            case .equal?, .unordered?: continue
            case nil: return x.isNumber
            }
        }
        return a.number > b.number
    }
}

/// A run's place among others, by what the order looks at.
public struct RunRank: Hashable, Sendable {
    var values: [Value]
}

/// The best of the runs that a search comes by, in no more memory than they take themselves.
public struct BestRuns: Sendable {
    private let order: RunOrder
    private let limit: Int
    private var kept: [(rank: RunRank, number: Int64)] = []
    /// How many there were.
    public private(set) var count = 0

    /// - Parameter limit: how many are wanted, those before the offset among them.
    public init(_ order: RunOrder, limit: Int) {
        self.order = order
        self.limit = max(1, limit)
    }

    /// - Parameter number: under which the run was submitted.
    public mutating func add(_ rank: RunRank, number: Int64) {
        count += 1
        kept.append((rank, number))
        if kept.count >= 2 * limit { cut() }
    }

    /// Their numbers, the best first.
    public mutating func numbers() -> [Int64] {
        cut()
        return kept.map(\.number)
    }

    private mutating func cut() {
        kept.sort { order.precedes($0, $1) }
        if kept.count > limit { kept.removeSubrange(limit...) }
    }
}
