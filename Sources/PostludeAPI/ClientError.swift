import PostludeCore

/// Why a request to the agent failed.
public struct ClientError: Error, Hashable, Sendable {
    public enum Kind: Hashable, Sendable {
        /// Nobody listens at the socket.
        case notRunning
        /// The socket is there, and this user may not use it, or it is no socket.
        case unreachable
        /// The connection ended, or the answer did not come in time.
        case lost
        /// The agent answered with an error; the HTTP status.
        case refused(status: Int)
        /// The answer is not what this version of the API says.
        case unintelligible
    }

    public var kind: Kind
    public var code: String
    public var message: String
    public var hint: String?
    public var details: [Diagnostic]

    public init(
        _ kind: Kind, _ code: String, _ message: String, hint: String? = nil, details: [Diagnostic] = []
    ) {
        self.kind = kind
        self.code = code
        self.message = message
        self.hint = hint
        self.details = details
    }

    init(_ envelope: ErrorEnvelope, status: Int) {
        self.init(
            .refused(status: status), envelope.code, envelope.message, hint: envelope.hint, details: envelope.details)
    }
}
