/// Gathers what an operation's joins find, run by run: never more than params may hold, however much the runs have.
public struct JoinGathering: Sendable {
    private let operation: Operation
    private let paths: [[String: JoinPath]]
    private var lists: [[String: [Value]]]
    private var found: [Join.Found]
    private var bytes = 0
    private var artifacts: Set<RunID> = []

    /// - Throws: `InputError` for a param that takes what no run has.
    public init(_ operation: Operation) throws(InputError) {
        self.operation = operation
        let joins = operation.joins ?? []
        var paths: [[String: JoinPath]] = []
        for join in joins { paths.append(try join.paths()) }
        self.paths = paths
        lists = joins.map { join in join.params.mapValues { _ in [] } }
        found = joins.map { _ in Join.Found(taken: 0, leftOut: 0, hasMore: false) }
    }

    /// Takes the next run that a join has found. One that lacks a value is left out of all of the join's lists, so that
    /// these go together item by item.
    ///
    /// - Throws: `InputError` when it is more than params may hold.
    public mutating func take(_ run: FoundRun, for join: Int) throws(InputError) {
        let values = paths[join].mapValues { $0.value(in: run) }
        guard values.values.allSatisfy({ $0 != .null }) else {
            found[join].leftOut += 1
            return
        }
        found[join].taken += 1
        for (name, value) in values {
            bytes += value.roughBytes
            lists[join][name]?.append(value)
        }
        guard bytes <= Join.maxBytes else {
            throw tooMuch(join, "The values take more than \(Join.maxBytes >> 10) KiB.")
        }
        guard paths[join].values.contains(where: \.isArtifacts) else { return }
        artifacts.insert(run.artifacts)
        guard artifacts.count <= Join.maxArtifacts else {
            throw tooMuch(join, "The artifacts of more than \(Join.maxArtifacts) runs would be read.")
        }
    }

    /// Notes that more runs matched than a join takes.
    public mutating func noteMore(for join: Int) { found[join].hasMore = true }

    /// The operation with what its joins found as params: data from there on, whatever it contains (P5).
    public var result: Operation {
        var result = operation
        guard var joins = operation.joins else { return result }
        for index in joins.indices {
            joins[index].found = found[index]
            for (name, param) in joins[index].params {
                result.params[name] = Param(
                    value: .list(lists[index][name] ?? []), isTemplate: false, contextOnly: param.contextOnly,
                    toEnv: param.toEnv, place: param.place)
            }
        }
        result.joins = joins
        if !artifacts.isEmpty { result.reads = artifacts.union(operation.reads ?? []).sorted() }
        return result
    }

    private func tooMuch(_ join: Int, _ message: String) -> InputError {
        InputError([
            Diagnostic(
                .error, "join.too-much", "A join finds too much. \(message)",
                hint: "Give it a smaller `limit` or a narrower query.", at: operation.joins?[join].place)
        ])
    }
}

extension Value {
    /// About what its JSON takes.
    fileprivate var roughBytes: Int {
        switch self {
        case .null, .bool, .int, .double: 8
        case .string(let text): text.utf8.count + 3
        case .list(let items): items.reduce(2) { $0 + $1.roughBytes }
        case .dict(let entries): entries.reduce(2) { $0 + $1.key.utf8.count + 4 + $1.value.roughBytes }
        }
    }
}
