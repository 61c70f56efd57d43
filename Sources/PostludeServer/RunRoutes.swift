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
        routes.post("runs/:id/hold") { _, context in try await answer(context, engine.hold) }
        routes.post("runs/:id/release") { _, context in try await answer(context, engine.release) }
        routes.get("runs/:id/wait") { _, context in try await wait(context) }
        routes.post("runs/:id/rerun") { request, context in try await rerun(request, context) }
        routes.post("runs/:id/approve") { _, context in try await approve(context) }
    }

    private func submit(_ request: Request, _ context: APIContext) async throws -> Response {
        // Without a type it is taken for what it has to be.
        if let type = request.headers[.contentType], !Self.isJSON(type) { throw ServerError.notJSON(type) }
        let body = try await body(of: request)
        var submission: Submission
        do {
            let keyed = try Wire.decode(Wire.Keyed<Submission>.self, from: body.readableBytesView)
            submission = keyed.value
            // What is not understood may be what the caller relies on.
            if let key = keyed.keys.subtracting(OpenAPI.keys(of: "Submission")).min() {
                throw ServerError.badBody("the key '\(key)' is not known")
            }
        } catch let error as ServerError {
            throw error
        } catch {
            throw ServerError.badBody(Wire.explain(error))
        }
        if let name = HTTPField.Name(API.idempotencyHeader), let key = request.headers[name] {
            submission.idempotencyKey = submission.idempotencyKey ?? key
        }
        if let key = submission.idempotencyKey, !(1...API.maximumKeyBytes).contains(key.utf8.count) {
            throw ServerError.badParameter(
                API.idempotencyHeader, String(key.prefix(32)), expected: "from 1 to \(API.maximumKeyBytes) bytes")
        }
        let peer = try context.requirePeer()
        let detail = try await engine.submit(
            submission, as: try users.identity(peer), groups: users.groupNames(of: peer))
        return try Response.json(detail, status: .created)
    }

    private static func isJSON(_ type: String) -> Bool {
        type.prefix { $0 != ";" }.lowercased().filter { $0 != " " } == "application/json"
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
        let limit = Int(try query.integer("limit", in: 1...Int64(APILimits.runs)) ?? 1000)
        let caller = users.caller(try context.requirePeer())
        var filter = RunFilter(
            user: query.text("user"), project: query.text("project"), queue: query.text("queue"),
            includesHooks: try query.flag("hooks", default: true))
        if let text = query.text("status") {
            do {
                filter.statuses = try RunFilter.statuses(text).get()
            } catch {
                throw ServerError.badParameter(
                    "status", error.word,
                    expected: "statuses with commas between them, such as running,queued; active; or done")
            }
        }
        if let before = query.text("before") { filter.before = try await engine.resolveID(before, for: caller) }
        // One more than asked for tells whether there is another page.
        let runs = try await engine.list(for: caller, filter, limit: limit + 1)
        let page = Array(runs.prefix(limit))
        return try Response.json(RunList(runs: page, next: runs.count > limit ? page.last?.id : nil))
    }

    private func show(_ context: APIContext) async throws -> Response {
        let caller = users.caller(try context.requirePeer())
        let id = try await engine.resolveID(try context.parameters.require("id"), for: caller)
        return try Response.json(try await engine.detail(id, for: caller))
    }

    /// Runs the hook that the query names again.
    private func rerun(_ request: Request, _ context: APIContext) async throws -> Response {
        let caller = users.caller(try context.requirePeer())
        let id = try await engine.resolveID(try context.parameters.require("id"), for: caller)
        guard let hook = Query(request).text("hook") else {
            throw ServerError.badParameter("hook", "", expected: "the hook's name, or its number from 0")
        }
        return try Response.json(try await engine.rerun(id, hook: hook, for: caller), status: .created)
    }

    private func answer(
        _ context: APIContext, _ change: (RunID, Caller) async throws -> RunDetail
    ) async throws -> Response {
        let caller = users.caller(try context.requirePeer())
        let id = try await engine.resolveID(try context.parameters.require("id"), for: caller)
        return try Response.json(try await change(id, caller))
    }

    private func wait(_ context: APIContext) async throws -> Response {
        let caller = users.caller(try context.requirePeer())
        let id = try await engine.resolveID(try context.parameters.require("id"), for: caller)
        return try Response.json(WaitAnswer(wait: try await engine.waitReport(id, for: caller)))
    }

    private func approve(_ context: APIContext) async throws -> Response {
        let caller = users.caller(try context.requirePeer())
        let id = try await engine.resolveID(try context.parameters.require("id"), for: caller)
        try await engine.approve(id, for: caller)
        return try Response.json(try await engine.detail(id, for: caller), status: .accepted)
    }

    private func stop(_ context: APIContext) async throws -> Response {
        let caller = users.caller(try context.requirePeer())
        let id = try await engine.resolveID(try context.parameters.require("id"), for: caller)
        try await engine.stop(id, for: caller)
        return try Response.json(try await engine.detail(id, for: caller), status: .accepted)
    }
}
