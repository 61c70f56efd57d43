import GRDB
import PostludeFailpoints
import PostludeThreads
import Synchronization

/// Group commit: what waits to be written when the last transaction ends goes into one transaction, with one fsync.
///
/// Each write has a savepoint of its own, so that one that fails takes none of the others with it.
final class CommitQueue: Sendable {
    private struct Job: Sendable {
        var commit: Commit
        var body: @Sendable (Database) throws -> Void
        var done: @Sendable ((any Error)?) -> Void
    }

    private struct Line {
        var waiting: [Job] = []
        var isDraining = false
    }

    private final class Slot<Value: Sendable>: Sendable {
        let value = Mutex<Value?>(nil)
    }

    /// Bounds how long the first of a batch waits for the last.
    private static let batchSize = 128

    private let pool: DatabasePool
    private let line = Mutex(Line())
    private let batches = Atomic<Int>(0)

    init(_ pool: DatabasePool) { self.pool = pool }

    /// How many transactions were needed so far.
    var transactionCount: Int { batches.load(ordering: .relaxed) }

    /// How many writes wait for the transaction that is being written.
    var waitingCount: Int { line.withLock { $0.waiting.count } }

    /// Runs `body` in a transaction and returns after the commit is on disk.
    func write<Value: Sendable>(
        _ commit: Commit, _ body: @escaping @Sendable (Database) throws -> Value
    ) async throws -> Value {
        let slot = Slot<Value>()
        return try await withCheckedThrowingContinuation { continuation in
            let job = Job(commit: commit) { db in
                let value = try body(db)
                slot.value.withLock { $0 = value }
            } done: { error in
                if let error {
                    continuation.resume(throwing: StoreError.from(error))
                } else if let value = slot.value.withLock({ $0 }) {
                    continuation.resume(returning: value)
                } else {
                    continuation.resume(throwing: StoreError.unreadable("a write without a result"))
                }
            }
            let starts = line.withLock { line in
                line.waiting.append(job)
                guard !line.isDraining else { return false }
                line.isDraining = true
                return true
            }
            // Here and now, on the caller's thread: going to another and back costs as much as the commit itself.
            if starts { drain() }
        }
    }

    /// Writes one batch; what has come meanwhile is left to a thread that has nothing else to do.
    private func drain() {
        let batch = line.withLock { line in
            let batch = Array(line.waiting.prefix(CommitQueue.batchSize))
            line.waiting.removeFirst(batch.count)
            return batch
        }
        let outcomes = pool.writeWithoutTransaction { db in commit(batch, db) }
        let goesOn = line.withLock { line in
            line.isDraining = !line.waiting.isEmpty
            return line.isDraining
        }
        for (job, error) in zip(batch, outcomes) where error == nil { Failpoint.reach(.after(job.commit)) }
        for (job, error) in zip(batch, outcomes) { job.done(error) }
        guard goesOn else { return }
        guard let pool = ThreadPool.blocking else { return drain() }
        pool.run { self.drain() }
    }

    private func commit(_ batch: [Job], _ db: Database) -> [(any Error)?] {
        batches.add(1, ordering: .relaxed)
        var outcomes: [(any Error)?] = []
        do {
            try db.inTransaction(.immediate) {
                for job in batch {
                    do {
                        try db.inSavepoint {
                            try job.body(db)
                            Failpoint.reach(.before(job.commit))
                            return .commit
                        }
                        outcomes.append(nil)
                    } catch {
                        // SQLite rolls the whole transaction back for some errors, a full disk among them.
                        guard db.isInsideTransaction else { throw error }
                        outcomes.append(error)
                    }
                }
                return .commit
            }
            return outcomes
        } catch {
            return batch.indices.map { index in
                if index < outcomes.count, let own = outcomes[index] { own } else { error }
            }
        }
    }
}
