import PostludeCore
import Synchronization

/// Lets connections and requests in, by who sends them: one user's flood is that user's alone.
final class Admission: Sendable {
    private struct State {
        var users: [UInt32: UserAllowance] = [:]
        var connections = 0
    }

    private let limits: APISettings.UserLimits
    private let most: Int
    private let users: UserDirectory
    private let state = Mutex(State())

    /// - Parameter descriptors: how many this process may open.
    init(_ settings: APISettings, users: UserDirectory, descriptors: Int) {
        limits = settings.perUser
        most = settings.connections ?? max(8, descriptors / 2)
        self.users = users
    }

    /// Counts a connection that was accepted; nil when it may stay, and then `close` is owed.
    func open(_ peer: Peer) -> ServerError? {
        let isUnbounded = isUnbounded(peer.uid)
        // Looked up only when it matters: who administers is a question to the host's account database.
        let isNearlyFull = state.withLock { $0.connections >= most - most / 8 }
        let mayTakeReserve = isUnbounded || (isNearlyFull && users.caller(peer).isAdministrator)
        return state.withLock { state in
            guard state.connections < (mayTakeReserve ? most : most - most / 8) else { return .full }
            var user = state.users[peer.uid] ?? UserAllowance(limits, at: .now)
            guard isUnbounded || user.connections < limits.connections else {
                return .tooManyConnections(limits.connections)
            }
            user.connections += 1
            state.users[peer.uid] = user
            state.connections += 1
            return nil
        }
    }

    func close(_ peer: Peer) {
        state.withLock { state in
            state.connections -= 1
            state.users[peer.uid]?.connections -= 1
            // Nothing is remembered of those who are gone, once their allowance is whole again.
            state.users = state.users.filter { !$0.value.isFresh(limits, at: .now) }
        }
    }

    /// Counts a request; nil when it may be answered, and then `end` is owed.
    func begin(_ peer: Peer) -> ServerError? {
        guard !isUnbounded(peer.uid) else { return nil }
        return state.withLock { state in
            var user = state.users[peer.uid] ?? UserAllowance(limits, at: .now)
            defer { state.users[peer.uid] = user }
            guard user.requests < limits.requests else {
                return .tooManyRequests("\(limits.requests) at once", retryAfter: 1)
            }
            if let wait = user.take(limits, at: .now) {
                return .tooManyRequests("\(limits.requestsPerSecond) per second", retryAfter: wait)
            }
            user.requests += 1
            return nil
        }
    }

    func end(_ peer: Peer) {
        guard !isUnbounded(peer.uid) else { return }
        state.withLock { $0.users[peer.uid]?.requests -= 1 }
    }

    /// Root could take the agent over anyway, and so could the owner of a user's own agent.
    private func isUnbounded(_ uid: UInt32) -> Bool { uid == 0 || uid == users.agentUID }
}

/// What one user has of the agent's API at a moment.
struct UserAllowance: Hashable, Sendable {
    var connections = 0
    var requests = 0
    /// Requests that may come without waiting; grows with time.
    private var tokens: Double
    private var counted: ContinuousClock.Instant

    init(_ limits: APISettings.UserLimits, at now: ContinuousClock.Instant) {
        tokens = Double(limits.burst)
        counted = now
    }

    /// Takes one request's token, or says after how many seconds there is one.
    mutating func take(_ limits: APISettings.UserLimits, at now: ContinuousClock.Instant) -> Int64? {
        tokens = grown(limits, at: now)
        counted = max(counted, now)
        guard tokens < 1 else {
            tokens -= 1
            return nil
        }
        return max(1, Int64(((1 - tokens) / Double(limits.requestsPerSecond)).rounded(.up)))
    }

    /// Whether nothing would be lost by forgetting it.
    func isFresh(_ limits: APISettings.UserLimits, at now: ContinuousClock.Instant) -> Bool {
        connections == 0 && requests == 0 && grown(limits, at: now) >= Double(limits.burst)
    }

    private func grown(_ limits: APISettings.UserLimits, at now: ContinuousClock.Instant) -> Double {
        let passed = max(.zero, counted.duration(to: now)) / .seconds(1)
        return min(Double(limits.burst), tokens + passed * Double(limits.requestsPerSecond))
    }
}
