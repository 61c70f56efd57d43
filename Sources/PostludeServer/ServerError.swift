import HTTPTypes
import NIOCore
import PostludeAPI
import PostludeCore

/// What the server itself refuses, before the engine is asked.
public struct ServerError: Error, Hashable, Sendable {
    public var status: Int
    public var code: String
    public var message: String
    public var hint: String?
    /// Header fields of the answer, besides those of its body.
    var headers: HTTPFields = [:]

    init(_ status: Int, _ code: String, _ message: String, hint: String? = nil) {
        self.status = status
        self.code = code
        self.message = message
        self.hint = hint
    }

    /// Header fields of an answer with this body.
    func fields(of body: ByteBuffer) -> HTTPFields {
        var fields = headers
        fields[.contentType] = "application/json; charset=utf-8"
        fields[.contentLength] = String(body.readableBytes)
        return fields
    }

    /// The envelope.
    func body() throws -> ByteBuffer {
        ByteBuffer(bytes: try Wire.encode(ErrorEnvelope(code: code, message: message, hint: hint)) + [0x0a])
    }

    static let noPeer = ServerError(
        403, "server.unknown-caller", "The caller's identity cannot be read from this connection.",
        hint: "Connect to the agent's unix socket.")

    static func otherUser(_ uid: UInt32, agent: UInt32) -> ServerError {
        ServerError(
            403, "server.other-user", "This is the agent of user \(agent); user \(uid) may not use it.",
            hint: "Run `postlude` as yourself: it uses your own agent, or the system's.")
    }

    static func sandboxed(_ pid: Int32) -> ServerError {
        ServerError(
            403, "agent.caller-sandboxed", "Process \(pid) belongs to a run, and runs may not use their agent.",
            hint: "Let hooks or joins start what comes next; a run gets no way out of its sandbox.")
    }

    static let callerGone = ServerError(
        403, "agent.caller-unknown", "The process that opened this connection has ended, or cannot be seen from here.",
        hint: "Ask from the process that connects, in the agent's own PID namespace or below.")

    static let cannotLook = ServerError(
        503, "agent.out-of-descriptors", "The agent has no descriptor left to see who asks.",
        hint: "Try again; if it stays so, raise the limit of open files (LimitNOFILE) of postluded.")

    static let onlyAdministrators = ServerError(
        403, "server.only-administrators", "Only administrators may do this.",
        hint: "Ask root, or a member of the group that `administratorsGroup` names.")

    static func unknownRoute(_ method: String, _ path: String) -> ServerError {
        ServerError(
            404, "server.unknown-route", "There is nothing at \(method) \(path).",
            hint: "The API is at \(API.prefix); an older agent may lack what a newer client asks for.")
    }

    /// - Parameter allowed: the methods that the path has.
    static func methodNotAllowed(_ method: String, _ path: String, allowed: [String]) -> ServerError {
        var error = ServerError(
            405, "server.method-not-allowed", "\(path) does not have the method \(method).",
            hint: "It has \(allowed.joined(separator: ", ")).")
        error.headers[.allow] = allowed.joined(separator: ", ")
        return error
    }

    static func unknownParameter(_ name: String, known: Set<String>) -> ServerError {
        ServerError(
            400, "server.unknown-parameter", "There is no parameter '\(name)' here.",
            hint: known.isEmpty
                ? "This request takes none in its query."
                : "It takes \(known.sorted().joined(separator: ", ")); an older agent may lack what a newer client asks for."
        )
    }

    static func badParameter(_ name: String, _ value: String, expected: String) -> ServerError {
        ServerError(
            400, "server.bad-parameter", "'\(value)' is not a value of the parameter '\(name)'.",
            hint: "Give \(expected).")
    }

    static func badBody(_ why: String) -> ServerError {
        ServerError(
            400, "server.bad-body", "The request's body cannot be read: \(why).",
            hint: "Send the JSON document that this version of the API describes.")
    }

    static func notJSON(_ type: String) -> ServerError {
        ServerError(
            415, "server.unsupported-media-type", "The request's body is said to be '\(type)'.",
            hint: "Send JSON, as application/json.")
    }

    /// - Parameter why: in the parser's words.
    static func malformed(_ why: String) -> ServerError {
        ServerError(
            400, "server.bad-request", "This is no request that HTTP/1.1 knows: \(why).",
            hint: "Send one by a client that speaks HTTP, such as curl --unix-socket.")
    }

    static let headTooLarge = ServerError(
        431, "server.head-too-large", "The request line or the header fields are larger than the agent reads.",
        hint: "Send at most \(API.maximumHeadBytes >> 10) KiB in at most \(APILimits.headerFields) fields.")

    static let tooSlow = ServerError(
        408, "server.too-slow", "The request did not come whole in time.",
        hint: "Send it again, all at once; the agent closes this connection.")

    static func tooManyRequests(_ limit: String, retryAfter seconds: Int64) -> ServerError {
        var error = ServerError(
            429, "server.too-many-requests", "A user may send \(limit) requests here.",
            hint: "Wait as long as Retry-After says, or ask an administrator to raise `api.perUser`.")
        error.headers[.retryAfter] = String(seconds)
        return error
    }

    static func tooManyConnections(_ limit: Int) -> ServerError {
        var error = ServerError(
            429, "server.too-many-connections", "A user may have \(limit) connections here.",
            hint: "Close some, or ask an administrator to raise `api.perUser.connections`.")
        error.headers[.retryAfter] = "1"
        return error
    }

    static let full: ServerError = {
        var error = ServerError(
            503, "server.full", "The agent has as many connections as it can.",
            hint: "Try again in a moment; an administrator can see whose they are, and raise `api.connections`.")
        error.headers[.retryAfter] = "1"
        return error
    }()

    static let tooLarge = ServerError(
        413, "server.too-large", "The request is larger than \(APILimits.requestBytes >> 20) MiB.",
        hint: "Keep data out of the operation file; name its path in a param instead.")

    static func unreadableLog(_ step: String, _ why: String) -> ServerError {
        ServerError(
            500, "server.unreadable-log", "The output of step '\(step)' cannot be read: \(why).",
            hint: "Look at the attempt's directory below the agent's state directory.")
    }

    static func socketInUse(_ path: String) -> ServerError {
        ServerError(
            500, "agent.socket-in-use", "Another process listens at '\(path)'.",
            hint: "Use the agent that runs there, end it first, or set `socket` to another path.")
    }

    static func badSocket(_ path: String, _ why: String, hint: String) -> ServerError {
        ServerError(500, "server.bad-socket", "Cannot listen at '\(path)': \(why).", hint: hint)
    }
}

enum APILimits {
    static let requestBytes = API.maximumRequestBytes
    /// Bytes of a log file read at a time.
    static let logChunk = 64 << 10
    /// The most runs one answer lists.
    static let runs = 10_000
    static let headerFields = 100
}
