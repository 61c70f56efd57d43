/// What the agent's API gives each caller of its connections, and how long it waits for them.
public struct APISettings: Hashable, Sendable {
    /// Connections that all callers together may have open; nil takes half of the descriptors that the agent may open. The
    /// last eighth is kept for root and administrators.
    public var connections: Int?
    /// Each of these is for one user; root, and the owner of a user's own agent, are not bounded by them.
    public var perUser = UserLimits()
    /// How long a connection may be open without a whole head of a request on it.
    public var idleSeconds: Int64 = 30
    /// How long the body of a request may take to come.
    public var bodySeconds: Int64 = 30
    /// How long a client may keep from reading an answer that is ready; streams wait for their readers.
    public var answerSeconds: Int64 = 60

    public struct UserLimits: Hashable, Sendable {
        /// Open at once, streams among them.
        public var connections = 128
        /// Requests being answered at once, without streams.
        public var requests = 16
        public var requestsPerSecond = 100
        /// Requests that may come at once after a quiet time.
        public var burst = 500

        public init() {}
    }

    public init() {}
}
