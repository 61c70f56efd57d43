import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix

/// One HTTP/1.1 request to the agent over its unix socket, each on a connection of its own.
struct Transport: Sendable {
    typealias Connection = NIOAsyncChannel<HTTPClientResponsePart, HTTPClientRequestPart>

    let socketPath: String

    /// One thread serves every connection of the process: a command has one or two.
    private static let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)

    struct Request: Sendable {
        var method: HTTPMethod = .GET
        var target: RequestTarget
        var headers: [(String, String)] = []
        var body: [UInt8]?
        /// How long the whole answer may take; nil for streams, which end when they end.
        var deadline: TimeAmount? = .seconds(30)
    }

    struct Head: Sendable {
        var status: Int
        var headers: HTTPHeaders
    }

    /// Sends the request, tells the head, then each piece of the body as it comes; throws `ClientError`.
    ///
    /// Pieces are pulled: while `body` works on one, no more than a window of them is read from the socket.
    func send(
        _ request: Request, head: (Head) throws -> Void, body: (ByteBuffer) async throws -> Void
    ) async throws {
        let start = ContinuousClock.now
        do {
            try await exchange(request, head: head, body: body)
        } catch let error as ClientError where error.kind == .lost {
            guard let deadline = request.deadline, start.duration(to: .now) >= .nanoseconds(deadline.nanoseconds) else {
                throw error
            }
            throw Self.noAnswer(within: deadline)
        }
    }

    private func exchange(
        _ request: Request, head: (Head) throws -> Void, body: (ByteBuffer) async throws -> Void
    ) async throws {
        let connection = try await connect()
        let channel = connection.channel
        let deadline = request.deadline.map { amount in
            channel.eventLoop.scheduleTask(in: amount) { channel.close(promise: nil) }
        }
        defer { deadline?.cancel() }
        do {
            try await connection.executeThenClose { inbound, outbound in
                // An agent that refuses a request may answer and close before it has read all of it.
                let unsent = await outcome { try await write(request, to: outbound) }
                for try await part in inbound {
                    switch part {
                    case .head(let response):
                        // 100-continue and its like come before the answer proper.
                        guard response.status.code >= 200 else { continue }
                        try head(Head(status: Int(response.status.code), headers: response.headers))
                    case .body(let buffer): try await body(buffer)
                    case .end: return
                    }
                }
                try Task.checkCancellation()
                throw unsent ?? Self.lost("The agent closed the connection before it had answered.")
            }
        } catch HTTPParserError.invalidEOFState, HTTPParserError.closedConnection {
            // The parser's words for an agent that died in the middle of an answer.
            throw Self.lost("The agent's answer ended in the middle.")
        } catch let error as NIOHTTPDecoderError where error == .unsolicitedResponse {
            // It has no connection left, and says so before it has read what it is asked.
            throw Self.busy(socketPath)
        } catch let error as HTTPParserError {
            throw ClientError(
                .unintelligible, "api.not-http", "What answers at '\(socketPath)' does not speak HTTP (\(error)).",
                hint: "Check that the socket is the agent's.")
        } catch let error as IOError {
            throw Self.lost("The connection to the agent broke: \(error).")
        } catch let error as ChannelError {
            throw Self.lost("The connection to the agent broke: \(error).")
        }
    }

    private func outcome(_ work: () async throws -> Void) async -> (any Error)? {
        do {
            try await work()
            return nil
        } catch {
            return error
        }
    }

    private func write(
        _ request: Request, to outbound: NIOAsyncChannelOutboundWriter<HTTPClientRequestPart>
    ) async throws {
        var headers = HTTPHeaders([("host", "postlude"), ("connection", "close")] + request.headers)
        if let body = request.body { headers.add(name: "content-length", value: String(body.count)) }
        let head = HTTPRequestHead(
            version: .http1_1, method: request.method, uri: request.target.text, headers: headers)
        try await outbound.write(.head(head))
        if let body = request.body { try await outbound.write(.body(.byteBuffer(ByteBuffer(bytes: body)))) }
        try await outbound.write(.end(nil))
    }

    private func connect() async throws -> Connection {
        do {
            return try await ClientBootstrap(group: Self.group)
                .connect(unixDomainSocketPath: socketPath) { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHTTPClientHandlers()
                        return try Connection(wrappingChannelSynchronously: channel)
                    }
                }
        } catch let error as IOError {
            throw Self.cannotConnect(socketPath, errno: error.errnoCode)
        } catch let error as SocketAddressError {
            throw ClientError(
                .unreachable, "api.socket-path", "'\(socketPath)' cannot be the path of a socket (\(error)).",
                hint: "A socket's path has at most 107 bytes; choose a shorter one in the configuration.")
        }
    }

    private static func lost(_ message: String) -> ClientError {
        ClientError(
            .lost, "api.connection-lost", message,
            hint: "Runs go on without the agent. Look at its log, then ask again with `postlude ps`.")
    }

    private static func noAnswer(within deadline: TimeAmount) -> ClientError {
        ClientError(
            .lost, "api.no-answer",
            "The agent has not answered within \(deadline.nanoseconds / 1_000_000_000) seconds.",
            hint:
                "It may be stopped, or its disk be slow, and may still do what was asked. Look at its log, then ask again"
                + " with `postlude ps`.")
    }

    private static func busy(_ path: String) -> ClientError {
        ClientError(
            .unreachable, "api.busy", "The agent at '\(path)' has too many connections waiting.",
            hint: "Try again in a moment.")
    }

    private static func cannotConnect(_ path: String, errno: CInt) -> ClientError {
        switch errno {
        case ENOENT, ECONNREFUSED:
            return ClientError(
                .notRunning, "api.not-running", "No agent listens at '\(path)'.",
                hint: "Start one with `postluded`, or as the system's service.")
        case EACCES, EPERM:
            return ClientError(
                .unreachable, "api.socket-denied", "You may not open the agent's socket '\(path)'.",
                hint: "It belongs to another user's agent; name your own with --socket.")
        case EAGAIN: return busy(path)
        default:
            return ClientError(
                .unreachable, "api.cannot-connect",
                "Cannot connect to '\(path)': \(String(cString: strerror(errno))) (errno \(errno)).",
                hint: "Check that the path is the agent's socket.")
        }
    }
}
