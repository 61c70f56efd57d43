import PostludeAPI
import PostludeCore
import PostludeEngine
import ServiceLifecycle

/// The events of a run and of its hook runs, in the order of their sequence numbers, until all of them are final.
struct EventFeed: Sendable {
    let engine: Engine
    let caller: Caller
    let run: RunID
    let after: Int64

    init(engine: Engine, caller: Caller, run: RunID, after: Int64) {
        self.engine = engine
        self.caller = caller
        self.run = run
        self.after = after
    }

    func send(_ write: (ServerSentEvent) async throws -> Void) async throws {
        // Subscribed before the first look, so that no change falls in between.
        var changes = engine.changes().cancelOnGracefulShutdown().makeAsyncIterator()
        var last = after
        while true {
            let batch = try await nextBatch(after: last)
            for event in batch.events {
                try await write(try Self.encode(event))
                last = event.sequence
            }
            guard !batch.hasMore else { continue }
            guard !batch.isSettled else { break }
            guard await changes.next() != nil else { throw CancellationError() }
        }
        try await write(ServerSentEvent(name: StreamEvent.end, data: "{}", id: String(last)))
    }

    struct Batch {
        var events: [RunEvent]
        /// There are newer events already, which were left for the next batch to keep the order.
        var hasMore: Bool
        /// Nothing will be added to these runs any more.
        var isSettled: Bool
    }

    /// What is new, in order. Runs are read one after the other, so what the second look shows beyond the first look's
    /// newest may have an unseen neighbour; it is left for the next batch. Otherwise a client that resumes by the last
    /// id it saw could miss an event.
    private func nextBatch(after last: Int64) async throws -> Batch {
        let own = try await events(of: run, after: last)
        let detail = try await engine.detail(run, for: caller)
        let hooks = detail.hooks.compactMap(\.run)
        let isSettled = Self.isSettled(detail)
        guard !hooks.isEmpty else {
            // The run may have ended between the two reads; its last events are then still to come.
            let rest = isSettled ? try await events(of: run, after: last) : own
            return Batch(events: rest, hasMore: false, isSettled: isSettled)
        }
        var bound = own.last?.sequence ?? last
        for hook in hooks {
            bound = max(bound, try await events(of: hook, after: last).last?.sequence ?? last)
        }
        var events: [RunEvent] = []
        for id in [run] + hooks { events += try await self.events(of: id, after: last) }
        events.sort { $0.sequence < $1.sequence }
        let due = events.prefix { $0.sequence <= bound }
        return Batch(events: Array(due), hasMore: due.count < events.count, isSettled: isSettled)
    }

    /// All of them; the engine gives a page at a time.
    private func events(of id: RunID, after last: Int64) async throws -> [RunEvent] {
        var events: [RunEvent] = []
        while true {
            let page = try await engine.events(of: id, after: events.last?.sequence ?? last, for: caller)
            events += page
            guard page.count >= Self.page else { return events }
        }
    }

    /// How many events the engine gives at most.
    private static let page = 1000

    static func isSettled(_ detail: RunDetail) -> Bool {
        detail.summary.status.isFinal
            && detail.hooks.allSatisfy { hook in
                guard let outcome = hook.outcome else { return false }
                return outcome != .fired || hook.status?.isFinal ?? false
            }
    }

    private static func encode(_ event: RunEvent) throws -> ServerSentEvent {
        ServerSentEvent(
            name: event.kind.rawValue, data: String(decoding: try Wire.encode(event), as: UTF8.self),
            id: String(event.sequence))
    }
}
