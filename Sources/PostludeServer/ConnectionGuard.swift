import NIOCore
import NIOHTTP1
import PostludeCore

/// Watches over one connection: whose it is, how long its client takes, and that what is no HTTP is refused in the
/// envelope like all else. Stands between the HTTP parser and the framework.
final class ConnectionGuard: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private let settings: APISettings
    private let admission: Admission
    private let meter: HeadMeter
    private var peer: Peer?
    private var timer: Scheduled<Void>?
    private var stall: Scheduled<Void>?

    /// Requests whose head was let through and whose answer has not ended.
    private var unanswered = 0
    private var isReadingBody = false
    private var bodyBytes = 0
    /// The head of the current answer was written.
    private var isAnswering = false
    /// The current answer has an end that is known: no stream.
    private var isBounded = false
    /// What is said last, when the answers that are owed have been given.
    private var lastWord: ServerError?
    /// Nothing more is taken from this connection.
    private var isOver = false

    init(_ settings: APISettings, _ admission: Admission, _ meter: HeadMeter) {
        self.settings = settings
        self.admission = admission
        self.meter = meter
    }

    // MARK: - Coming and going

    func channelActive(context: ChannelHandlerContext) {
        begin(context)
        context.fireChannelActive()
    }

    func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { begin(context) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        stall?.cancel()
        if let peer { admission.close(peer) }
        peer = nil
        context.fireChannelInactive()
    }

    private func begin(_ context: ChannelHandlerContext) {
        wait(settings.idleSeconds, context)
        // On the channel's own loop the answer is there at once.
        Peer.credentials(of: context.channel).assumeIsolated().whenSuccess { [self] peer in
            guard let peer, context.channel.isActive else { return }
            if let refusal = admission.open(peer) { refuse(refusal, context) } else { self.peer = peer }
        }
    }

    // MARK: - Requests

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isOver else { return }
        switch unwrapInboundIn(data) {
        case .head(let head):
            if let objection = Self.objection(to: head) { return refuse(objection, context) }
            unanswered += 1
            isReadingBody = true
            meter.isCounting = false
            bodyBytes = 0
            wait(settings.bodySeconds, context)
        case .body(let part):
            bodyBytes += part.readableBytes
            // Also of routes that take no body, which would be read to its end all the same.
            if bodyBytes > APILimits.requestBytes { return refuseBody(.tooLarge, context) }
        case .end:
            isReadingBody = false
            meter.isCounting = true
            timer?.cancel()
        }
        context.fireChannelRead(data)
    }

    /// What is wrong with a head that the parser takes.
    private static func objection(to head: HTTPRequestHead) -> ServerError? {
        guard head.version == .http1_1 else { return .malformed("its version is \(head.version)") }
        // RFC 9112, 3.2: one, whatever is in it.
        guard head.headers["host"].count == 1 else { return .malformed("it must have one Host header field") }
        // The parser reads a body of another encoding up to the connection's end.
        guard head.headers["transfer-encoding"].allSatisfy({ $0.lowercased() == "chunked" }) else {
            return .malformed("its Transfer-Encoding is not chunked")
        }
        let lengths = head.headers["content-length"].compactMap { Int64($0) }
        return lengths.contains { $0 > Int64(APILimits.requestBytes) } ? .tooLarge : nil
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard event is HeadMeter.Overflow else { return context.fireUserInboundEventTriggered(event) }
        refuse(.headTooLarge, context)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard !(error is IOError), !(error is ChannelError), !isOver else { return context.fireErrorCaught(error) }
        if isReadingBody {
            // Whoever reads the body says what is wrong with it; after that the connection is of no more use.
            isOver = true
            return context.fireErrorCaught(error)
        }
        if case HTTPParserError.headerOverflow = error { return refuse(.headTooLarge, context) }
        refuse(.malformed("\(error)"), context)
    }

    // MARK: - Answers

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .head(let head):
            isAnswering = head.status.code >= 200
            isBounded = head.headers.contains(name: "content-length")
            context.write(data, promise: promise)
        case .body:
            context.write(data, promise: promise)
        case .end:
            isAnswering = false
            unanswered -= 1
            context.write(data, promise: promise)
            guard unanswered <= 0 else { return }
            if let lastWord {
                say(lastWord, context)
            } else if isOver {
                context.flush()
                context.close(promise: nil)
            } else if !isReadingBody {
                wait(settings.idleSeconds, context)
            }
        }
    }

    /// A client that does not take its answer holds the memory that it is in. A paused reader of a stream holds little.
    func channelWritabilityChanged(context: ChannelHandlerContext) {
        stall?.cancel()
        stall = nil
        if !context.channel.isWritable, isBounded {
            stall = context.eventLoop.assumeIsolated().scheduleTask(in: .seconds(settings.answerSeconds)) {
                context.close(promise: nil)
            }
        }
        context.fireChannelWritabilityChanged()
    }

    // MARK: - Refusals

    private func wait(_ seconds: Int64, _ context: ChannelHandlerContext) {
        timer?.cancel()
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: .seconds(seconds)) { [self] in
            isReadingBody ? refuseBody(.tooSlow, context) : refuse(.tooSlow, context)
        }
    }

    /// Of a request that is being worked on: its answer is this, unless it has begun.
    private func refuseBody(_ refusal: ServerError, _ context: ChannelHandlerContext) {
        guard !isOver else { return }
        isOver = true
        // Answers to earlier requests on this connection, or half of one, cannot be waited for: they may wait for the body.
        guard unanswered == 1, !isAnswering else { return context.close(promise: nil) }
        say(refusal, context)
    }

    /// Of what did not become a request: said after the answers that are owed.
    private func refuse(_ refusal: ServerError, _ context: ChannelHandlerContext) {
        guard !isOver else { return }
        isOver = true
        timer?.cancel()
        if unanswered > 0 { lastWord = refusal } else { say(refusal, context) }
    }

    /// Writes the refusal below the framework, which may not even know of the request, and closes.
    private func say(_ refusal: ServerError, _ context: ChannelHandlerContext) {
        do {
            let body = try refusal.body()
            var headers = HTTPHeaders(refusal.fields(of: body).map { ($0.name.rawName, $0.value) })
            headers.add(name: "connection", value: "close")
            let head = HTTPResponseHead(
                version: .http1_1, status: HTTPResponseStatus(statusCode: refusal.status), headers: headers)
            context.write(wrapOutboundOut(.head(head)), promise: nil)
            context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        } catch {
            // An envelope of plain texts always encodes; if not, the closed connection tells enough.
        }
        context.close(promise: nil)
    }
}
