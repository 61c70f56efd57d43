import Synchronization

/// Who waits for what somebody else does already, by its key.
final class Waiting: Sendable {
    private struct State {
        var next: UInt64 = 0
        var waiters: [String: [UInt64: CheckedContinuation<Void, any Error>]] = [:]
    }

    private let state = Mutex(State())

    /// Whether nobody does it yet; it is the caller's then, who ends it.
    func begin(_ key: String) -> Bool {
        state.withLock { state in
            guard state.waiters[key] == nil else { return false }
            state.waiters[key] = [:]
            return true
        }
    }

    /// Tells all who wait.
    func end(_ key: String, _ result: Result<Void, any Error>) {
        let waiters = state.withLock { $0.waiters.removeValue(forKey: key) }
        for waiter in (waiters ?? [:]).values { waiter.resume(with: result) }
    }

    /// Returns when it is done, at once when it is not being done; ends early when the task is cancelled.
    func join(_ key: String) async throws {
        let number = state.withLock { state in
            state.next += 1
            return state.next
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let isOver = state.withLock { state in
                    // Cancelled before it waits: the handler has found nobody.
                    guard state.waiters[key] != nil, !Task.isCancelled else { return true }
                    state.waiters[key]?[number] = continuation
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiters[key]?.removeValue(forKey: number) }?.resume(throwing: CancellationError())
        }
    }
}
