import Hummingbird
import Logging
import NIOCore

/// A request with the process that sent it.
struct APIContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let channel: any Channel
    /// Set by `PeerMiddleware` before any route runs.
    var peer: Peer?

    init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        channel = source.channel
    }

    var maxUploadSize: Int { APILimits.requestBytes }

    /// The caller's process; throws when a route was reached around the middleware.
    func requirePeer() throws -> Peer {
        guard let peer else { throw ServerError.noPeer }
        return peer
    }
}
