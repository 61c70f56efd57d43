import HTTPTypes
import Hummingbird
import PostludeAPI
import PostludeCore
import PostludeEngine

/// Output and events as they come.
struct StreamRoutes: Sendable {
    let engine: Engine
    let users: UserDirectory
    let activity: Activity
    let files: FileWatch

    func add(to routes: RouterGroup<APIContext>) {
        routes.get("runs/:id/logs") { request, context in try await logs(request, context) }
        routes.get("runs/:id/events") { request, context in try await events(request, context) }
    }

    // MARK: - Output

    private func logs(_ request: Request, _ context: APIContext) async throws -> Response {
        let caller = users.caller(try context.requirePeer())
        let query = Query(request)
        let streamName = query.text("stream") ?? LogStream.stdout.rawValue
        guard let stream = LogStream(rawValue: streamName) else {
            throw ServerError.badParameter("stream", streamName, expected: "stdout or stderr")
        }
        let id = try await engine.resolveID(try context.parameters.require("id"), for: caller)
        let log = StepLog(
            engine: engine, files: files, caller: caller, run: id, step: query.text("step") ?? "main",
            stream: stream, attempt: try query.integer("attempt", in: 1...Int64(Int32.max)).map(Int.init))
        let offset = try query.integer("offset", in: 0...Int64.max) ?? 0
        guard try query.flag("follow", default: false) else {
            let reader = try await log.open()
            return streaming(request, contentType: "application/octet-stream") { write in
                try await log.copy(reader, from: offset, write)
            }
        }
        // A step that does not exist yet may still come; one that cannot come any more is refused before the head.
        try await log.checkCanCome()
        return streaming(request, contentType: "application/octet-stream") { write in
            try await log.follow(from: offset, write)
        }
    }

    // MARK: - Events

    private func events(_ request: Request, _ context: APIContext) async throws -> Response {
        let caller = users.caller(try context.requirePeer())
        let id = try await engine.resolveID(try context.parameters.require("id"), for: caller)
        var last = try Query(request).integer("after", in: 0...Int64.max) ?? 0
        if let name = HTTPField.Name("Last-Event-ID"), let text = request.headers[name], !text.isEmpty {
            guard let sequence = Int64(text), sequence >= 0 else {
                throw ServerError.badParameter("Last-Event-ID", text, expected: "the id of an event you have seen")
            }
            last = max(last, sequence)
        }
        let feed = EventFeed(engine: engine, caller: caller, run: id, after: last)
        return streaming(request, contentType: "text/event-stream") { write in
            try await feed.send { event in try await write(ByteBuffer(string: event.encoded)) }
        }
    }

    // MARK: - A body that takes as long as it takes

    /// Ends early, without the closing chunk, when the client leaves or the agent does: a cut stream shows that it is cut.
    private func streaming(
        _ request: Request, contentType: String,
        _ produce: @escaping @Sendable (_ write: (ByteBuffer) async throws -> Void) async throws -> Void
    ) -> Response {
        let activity = activity
        return Response(
            status: .ok, headers: [.contentType: contentType, .cacheControl: "no-store"],
            body: ResponseBody { writer in
                activity.begin()
                defer { activity.end() }
                try await request.body.consumeWithCancellationOnInboundClose { _ in
                    try await produce { try await writer.write($0) }
                    try Task.checkCancellation()
                }
                try await writer.finish(nil)
            })
    }
}
