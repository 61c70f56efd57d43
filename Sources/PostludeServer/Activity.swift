import Hummingbird
import PostludeEngine
import PostludeThreads
import ServiceLifecycle
import Synchronization

/// When the agent was last of use to anybody.
public final class Activity: Sendable {
    private struct State {
        var open = 0
        var last = ContinuousClock.now
    }

    private let state = Mutex(State())

    public init() {}

    func begin() {
        state.withLock { state in
            state.open += 1
            state.last = .now
        }
    }

    func end() {
        state.withLock { state in
            state.open -= 1
            state.last = .now
        }
    }

    func touch() { state.withLock { $0.last = .now } }

    /// Since when nobody asks for anything; nil while somebody does.
    var quietSince: ContinuousClock.Instant? { state.withLock { $0.open == 0 ? $0.last : nil } }
}

struct ActivityMiddleware: RouterMiddleware {
    let activity: Activity

    func handle(
        _ request: Request, context: APIContext, next: (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        activity.begin()
        defer { activity.end() }
        return try await next(request, context)
    }
}

/// Ends by itself when the agent has had nothing to do for a while, and with it the group of services it is in.
public struct IdleExit: Service {
    let engine: Engine
    let activity: Activity
    let after: Duration

    public init(engine: Engine, activity: Activity, after: Duration) {
        self.engine = engine
        self.activity = activity
        self.after = after
    }

    public func run() async throws {
        try await cancelWhenGracefulShutdown {
            // One timer at a time, set to when the agent could leave at the earliest: an agent in use hardly wakes.
            while true {
                let since = activity.quietSince ?? .now
                try await pause(until: since + after)
                guard let quiet = activity.quietSince, quiet + after <= .now else { continue }
                if await engine.isIdle { return }
                activity.touch()
            }
        }
    }
}
