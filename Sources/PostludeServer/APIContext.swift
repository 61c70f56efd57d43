import Hummingbird
import Logging

/// A request with the process that sent it.
struct APIContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    /// nil when the kernel does not know.
    var peer: Peer?

    init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
    }

    var maxUploadSize: Int { APILimits.requestBytes }

    /// The caller's process.
    func requirePeer() throws -> Peer {
        guard let peer else { throw ServerError.noPeer }
        return peer
    }
}
