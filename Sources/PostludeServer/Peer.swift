import Glibc
import Hummingbird
import NIOCore

/// The process at the other end of a unix socket, as the kernel knows it since it connected.
struct Peer: Hashable, Sendable {
    var pid: Int32
    var uid: UInt32
    var gid: UInt32

    /// `SO_PEERCRED` of the connection (unix(7)): the kernel's word, which no client can forge.
    static func credentials(of channel: any Channel) -> EventLoopFuture<Peer?> {
        guard let socket = channel as? any SocketOptionProvider else {
            return channel.eventLoop.makeSucceededFuture(nil)
        }
        let answer: EventLoopFuture<Credentials> = socket.unsafeGetSocketOption(
            level: .socket, name: NIOBSDSocket.Option(rawValue: SO_PEERCRED))
        return answer.map { credentials in
            // The kernel tells a peer that it knows nothing of by the overflow ids: -1.
            guard credentials.uid != UInt32.max else { return nil }
            return Peer(pid: credentials.pid, uid: credentials.uid, gid: credentials.gid)
        }
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
        let peer = try context.requirePeer()
        try users.admit(peer.uid)
        switch runs.membership(of: peer.pid) {
        case .run: throw ServerError.sandboxed(peer.pid)
        // A run could connect in a child that ends and leaves the connection to its parent.
        case .unknown: throw ServerError.callerGone
        case .unreadable: throw ServerError.cannotLook
        case .other: break
        }
        return try await next(request, context)
    }
}
