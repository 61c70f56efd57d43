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
        let (changes, change) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        // Subscribed before the first look, so that no change falls in between.
        engine.tellChanges(to: change)
        try await withGracefulShutdownHandler {
            try await send(write, changes)
        } onGracefulShutdown: {
            change.finish()
        }
    }

    private func send(_ write: (ServerSentEvent) async throws -> Void, _ changes: AsyncStream<Void>) async throws {
        var changes = changes.makeAsyncIterator()
        var last = after
        while true {
            let page = try await engine.feed(of: run, after: last, for: caller)
            for event in page.events {
                try await write(try Self.encode(event))
                last = event.sequence
            }
            guard !page.hasMore else { continue }
            guard !page.isSettled else { break }
            guard await changes.next() != nil else { throw CancellationError() }
        }
        try await write(ServerSentEvent(name: StreamEvent.end, data: "{}", id: String(last)))
    }

    private static func encode(_ event: RunEvent) throws -> ServerSentEvent {
        ServerSentEvent(
            name: event.kind.rawValue, data: String(decoding: try Wire.encode(event), as: UTF8.self),
            id: String(event.sequence))
    }
}
