import HTTPTypes
import Hummingbird
import PostludeAPI
import PostludeCore
import PostludeEngine

/// Submitting, listing, showing and stopping runs.
struct RunRoutes: Sendable {
    let engine: Engine
    let users: UserDirectory

    func add(to routes: RouterGroup<APIContext>) {
        routes.post("runs") { request, context in try await submit(request, context) }
        routes.get("runs") { request, context in try await list(request, context) }
        routes.get("runs/:id") { _, context in try await show(context) }
        routes.post("runs/:id/stop") { _, context in try await stop(context) }
    }

    private func submit(_ request: Request, _ context: APIContext) async throws -> Response {
        let body = try await body(of: request)
        var submission: Submission
        do {
            submission = try Wire.decode(Submission.self, from: body.readableBytesView)
        } catch {
            throw ServerError.badBody(Wire.explain(error))
        }
        if let name = HTTPField.Name(API.idempotencyHeader), let key = request.headers[name] {
            submission.idempotencyKey = submission.idempotencyKey ?? key
        }
        let peer = try context.requirePeer()
        let detail = try await engine.submit(
            submission, as: try users.identity(peer), groups: users.groupNames(of: peer))
        return try Response.json(detail, status: .created)
    }

    private func body(of request: Request) async throws -> ByteBuffer {
        do {
            return try await request.body.collect(upTo: APILimits.requestBytes)
        } catch let error as any HTTPResponseError {
            throw error
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            // What else goes wrong while a body comes in is the client's: chunks that are none, or an early end.
            throw ServerError.badBody("it is not transferred as HTTP says (\(error))")
        }
    }

    private func list(_ request: Request, _ context: APIContext) async throws -> Response {
        let query = Query(request)
        let limit = try query.integer("limit", in: 1...Int64(APILimits.runs)) ?? 1000
        var runs = try await engine.list(
            for: users.caller(try context.requirePeer()), includeHooks: try query.flag("hooks", default: true),
            limit: Int(limit))
        if let user = query.text("user") { runs.removeAll { $0.user != user && String($0.uid) != user } }
        return try Response.json(RunList(runs: runs))
    }

    private func show(_ context: APIContext) async throws -> Response {
        let caller = users.caller(try context.requirePeer())
        let id = try await engine.resolveID(try context.parameters.require("id"), for: caller)
        return try Response.json(try await engine.detail(id, for: caller))
    }

    private func stop(_ context: APIContext) async throws -> Response {
        let caller = users.caller(try context.requirePeer())
        let id = try await engine.resolveID(try context.parameters.require("id"), for: caller)
        try await engine.stop(id, for: caller)
        return try Response.json(try await engine.detail(id, for: caller), status: .accepted)
    }
}
