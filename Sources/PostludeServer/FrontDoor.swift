import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import PostludeAPI
import Synchronization

/// Where every request comes in: counted for its user, answered by the router, written out.
struct FrontDoor: Sendable {
    let responder: RouterResponder<APIContext>
    let admission: Admission
    let logger: Logger

    func answer(_ request: Request, _ writer: consuming ResponseWriter, _ channel: any Channel) async throws {
        var context = APIContext(source: ApplicationRequestContextSource(channel: channel, logger: logger))
        context.peer = try await Peer.credentials(of: channel).get()
        guard let peer = context.peer else {
            return try await write(try await responder.respond(to: request, context: context), request, writer)
        }
        if let refusal = admission.begin(peer) {
            return try await write(try Response.refusal(refusal), request, writer)
        }
        let ticket = Ticket(admission, peer)
        let response = try await responder.respond(to: request, context: context)
        // A stream lasts as long as its reader likes, and counts as a connection only.
        if response.headers[.contentLength] == nil { ticket.giveBack() }
        try await write(response, request, writer)
        ticket.giveBack()
    }

    private func write(
        _ response: Response, _ request: Request, _ writer: consuming ResponseWriter
    ) async throws {
        // Refusals have their body in the envelope, which HEAD must not get.
        let body = request.method == .head ? ResponseBody() : response.body
        try await writer.write(response: response.head, body: body)
    }

    /// Given back once, whatever happens in between.
    private final class Ticket: Sendable {
        private let admission: Admission
        private let peer: Peer
        private let isHeld = Atomic(true)

        init(_ admission: Admission, _ peer: Peer) {
            self.admission = admission
            self.peer = peer
        }

        func giveBack() {
            if isHeld.exchange(false, ordering: .relaxed) { admission.end(peer) }
        }

        deinit { giveBack() }
    }
}

extension Response {
    static func refusal(_ error: ServerError) throws -> Response {
        let body = try error.body()
        return Response(
            status: .init(code: error.status), headers: error.fields(of: body), body: ResponseBody(byteBuffer: body))
    }
}
