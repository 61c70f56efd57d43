import GRDB
import PostludeCore
import Synchronization

/// The operations of the runs that were needed last: decoding one takes longer than reading all else of its run, each of
/// a run's effects needs it, and a stored operation never changes.
final class OperationCache: Sendable {
    private struct State {
        var operations: [RunID: Operation] = [:]
        /// Oldest first.
        var order: [RunID] = []
    }

    private let limit: Int
    private let state = Mutex(State())

    /// Keeps `limit` operations, those that came last.
    init(limit: Int = 64) { self.limit = limit }

    /// The run's operation, decoded at most once as long as it is kept.
    func operation(of run: RunID, _ row: Row) throws -> Operation {
        if let known = state.withLock({ $0.operations[run] }) { return known }
        let operation = try row.json("operation", as: Operation.self)
        state.withLock { state in
            guard state.operations.updateValue(operation, forKey: run) == nil else { return }
            state.order.append(run)
            if state.order.count > limit { state.operations[state.order.removeFirst()] = nil }
        }
        return operation
    }
}
