import NIOCore
import NIOHTTP1
import PostludeAPI
import PostludeCore

/// Bounds what is kept of a head that has not come whole: the parser bounds header fields, and no request line.
final class HeadMeter: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    /// Too much came, and no head.
    struct Overflow {}

    /// Set between requests.
    var isCounting = true { didSet { count = 0 } }
    private var count = 0

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if isCounting {
            count += unwrapInboundIn(data).readableBytes
            // One read may bring the ends of several requests besides: the parser's own bound is the exact one.
            if count > 4 * API.maximumHeadBytes {
                context.fireUserInboundEventTriggered(Overflow())
                return
            }
        }
        context.fireChannelRead(data)
    }
}

/// Puts meter and guard into the pipeline around the parser, where the framework leaves no place for handlers.
final class ConnectionGuardInstaller: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = Never

    private let settings: APISettings
    private let admission: Admission

    init(_ settings: APISettings, _ admission: Admission) {
        self.settings = settings
        self.admission = admission
    }

    func handlerAdded(context: ChannelHandlerContext) {
        let pipeline = context.pipeline.syncOperations
        do {
            let meter = HeadMeter()
            let parser = try pipeline.handler(type: ByteToMessageHandler<HTTPRequestDecoder>.self)
            try pipeline.addHandler(meter, position: .before(parser))
            try pipeline.addHandler(ConnectionGuard(settings, admission, meter), position: .after(parser))
        } catch {
            // Without its guard a connection is not served.
            context.close(promise: nil)
        }
    }
}
