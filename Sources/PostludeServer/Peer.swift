import Glibc
import Hummingbird
import NIOCore

/// The process at the other end of a unix socket, as the kernel knows it since it connected.
struct Peer: Hashable, Sendable {
    var pid: Int32
    var uid: UInt32
    var gid: UInt32

    /// `SO_PEERCRED` of the connection (unix(7)): the kernel's word, which no client can forge.
    static func of(_ channel: any Channel) async throws -> Peer? {
        guard let socket = channel as? any SocketOptionProvider else { return nil }
        let credentials: Credentials = try await socket.unsafeGetSocketOption(
            level: .socket, name: NIOBSDSocket.Option(rawValue: SO_PEERCRED)
        ).get()
        // The kernel tells a peer that it knows nothing of by the overflow ids: -1.
        guard credentials.uid != UInt32.max else { return nil }
        return Peer(pid: credentials.pid, uid: credentials.uid, gid: credentials.gid)
    }

    /// `struct ucred` of <sys/socket.h>, whose layout is part of the kernel's interface.
    private struct Credentials: Sendable {
        var pid: Int32
        var uid: UInt32
        var gid: UInt32
    }
}

/// Finds out who calls, and turns runs away, and other users from a user's own agent.
struct PeerMiddleware: RouterMiddleware {
    let users: UserDirectory
    let runs: RunCgroups

    func handle(
        _ request: Request, context: APIContext, next: (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        guard let peer = try await Peer.of(context.channel) else { throw ServerError.noPeer }
        try users.admit(peer.uid)
        switch runs.membership(of: peer.pid) {
        case .run: throw ServerError.sandboxed(peer.pid)
        // A run could connect in a child that ends and leaves the connection to its parent.
        case .unknown: throw ServerError.callerGone
        case .other: break
        }
        var context = context
        context.peer = peer
        return try await next(request, context)
    }
}
