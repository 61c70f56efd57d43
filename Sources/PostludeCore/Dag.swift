/// Operations that depend on each other; each becomes one child run.
public struct Dag: Hashable, Sendable, Codable {
    /// Operations that a graph may have.
    public static let maxNodes = 1_000

    /// In the file's order.
    public var nodes: [Node]
    /// Children alive at a time; nil for all that may start.
    public var concurrency: Int?

    public init(_ nodes: [Node], concurrency: Int? = nil) {
        self.nodes = nodes
        self.concurrency = concurrency
    }

    public struct Node: Hashable, Sendable, Codable {
        public var name: String
        public var operation: Operation
        /// Positions in `nodes`, ascending: what the file lists and what params refer to.
        public var dependencies: [Int]
        public var trigger: Trigger
        /// Whether one skipped dependency skips this one as well.
        public var skipOnUpstreamSkip: Bool
        public var place: SourcePlace?

        public init(
            _ name: String, _ operation: Operation, dependencies: [Int] = [], trigger: Trigger = .allSucceeded,
            skipOnUpstreamSkip: Bool = false, at place: SourcePlace? = nil
        ) {
            self.name = name
            self.operation = operation
            self.dependencies = dependencies
            self.trigger = trigger
            self.skipOnUpstreamSkip = skipOnUpstreamSkip
            self.place = place
        }
    }

    /// When a node may start, by how those that it depends on ended.
    public enum Trigger: String, Hashable, Sendable, Codable, CaseIterable {
        case allSucceeded = "all_succeeded"
        case allFailed = "all_failed"
        case allDone = "all_done"
        case oneSucceeded = "one_succeeded"
        case oneFailed = "one_failed"
        case oneDone = "one_done"
    }

    /// What is to become of a node that has no run yet.
    public enum Verdict: Hashable, Sendable {
        case start
        /// It can never start; the text names who is to blame.
        case upstreamFailed(String)
        case skip(String)
    }
}

extension Dag.Trigger {
    /// Whether the node may start (true), never will (false), or has to wait (nil). A node without dependencies starts.
    ///
    /// A run that could not start because another failed counts as failed. Other than in Polyaxon, a `one_...` trigger is
    /// given up only when all dependencies have ended and none of them is the one.
    public func isDue(_ upstream: [RunStatus?]) -> Bool? {
        guard !upstream.isEmpty else { return true }
        let ended = upstream.compactMap { $0 }.filter(\.isFinal)
        let isOver = ended.count == upstream.count
        let succeeded = ended.filter { $0 == .succeeded }.count
        let failed = ended.filter { $0 == .failed || $0 == .upstreamFailed }.count
        switch self {
        case .allSucceeded: return succeeded < ended.count ? false : isOver ? true : nil
        case .allFailed: return failed < ended.count ? false : isOver ? true : nil
        case .allDone: return isOver ? true : nil
        case .oneSucceeded: return succeeded > 0 ? true : isOver ? false : nil
        case .oneFailed: return failed > 0 ? true : isOver ? false : nil
        case .oneDone: return !ended.isEmpty ? true : nil
        }
    }
}

extension Dag {
    /// Decides about every node that has no run yet. `statuses` are of the nodes' runs, nil where there is none.
    ///
    /// Pure and complete: what follows from a verdict of this very answer is in it too. At most as many nodes start as the
    /// concurrency leaves room for, first those that come first in the file.
    public func decide(_ statuses: [RunStatus?]) -> [(node: Int, verdict: Verdict)] {
        var known = statuses
        var verdicts: [(node: Int, verdict: Verdict)] = []
        // A verdict that ends a node may decide about those that depend on it, wherever they stand in the file.
        var isSettled = false
        while !isSettled {
            isSettled = true
            for index in nodes.indices where known[index] == nil {
                guard let verdict = ending(index, known) else { continue }
                verdicts.append((index, verdict))
                known[index] = if case .skip = verdict { .skipped } else { .upstreamFailed }
                isSettled = false
            }
        }
        let alive = known.compactMap { $0 }.filter { !$0.isFinal }.count
        var room = concurrency.map { max(0, $0 - alive) } ?? nodes.count
        for index in nodes.indices where known[index] == nil && room > 0 {
            guard nodes[index].trigger.isDue(nodes[index].dependencies.map { known[$0] }) == true else { continue }
            verdicts.append((index, .start))
            room -= 1
        }
        return verdicts
    }

    /// The verdict on a node that will not run; nil when it may yet.
    private func ending(_ index: Int, _ known: [RunStatus?]) -> Verdict? {
        let node = nodes[index]
        func words(_ positions: [Int]) -> String {
            positions.map { "'\(nodes[$0].name)' \(known[$0]?.rawValue ?? "not run")" }.joined(separator: ", ")
        }
        let skipped = node.dependencies.filter { known[$0] == .skipped }
        if node.skipOnUpstreamSkip, !skipped.isEmpty { return .skip("Of its dependencies: \(words(skipped)).") }
        guard node.trigger.isDue(node.dependencies.map { known[$0] }) == false else { return nil }
        let ended = node.dependencies.filter { known[$0]?.isFinal == true }
        return .upstreamFailed("The trigger is \(node.trigger.rawValue), and of its dependencies: \(words(ended)).")
    }

    /// The names of a cycle in order, the first one again at the end; nil when there is none. `dependencies` of nodes that
    /// are not in range are passed over.
    public var cycle: [Int]? {
        enum Mark { case new, open, done }
        var marks = [Mark](repeating: .new, count: nodes.count)
        for root in nodes.indices where marks[root] == .new {
            // Depth first with a stack of its own: a chain of a thousand nodes must not take the thread's.
            var path: [(node: Int, next: Int)] = [(root, 0)]
            marks[root] = .open
            while let (node, next) = path.last {
                let dependencies = nodes[node].dependencies
                guard next < dependencies.count else {
                    marks[node] = .done
                    path.removeLast()
                    continue
                }
                path[path.count - 1].next += 1
                let target = dependencies[next]
                guard nodes.indices.contains(target) else { continue }
                switch marks[target] {
                case .done: continue
                case .new:
                    marks[target] = .open
                    path.append((target, 0))
                case .open:
                    let start = path.firstIndex { $0.node == target } ?? 0
                    return path[start...].map(\.node) + [target]
                }
            }
        }
        return nil
    }
}
