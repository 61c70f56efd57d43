import HTTPTypes
import Hummingbird
import Logging
import PostludeAPI
import PostludeEngine

/// Turns every failure into the one error envelope, and what no client should see into a line of the log.
struct ErrorMiddleware: RouterMiddleware {
    func handle(
        _ request: Request, context: APIContext, next: (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch {
            let error = Self.named(error, request)
            let (status, envelope) = Self.answer(to: error)
            if status >= 500 {
                context.logger.error(
                    "request failed",
                    metadata: [
                        "method": "\(request.method)", "path": "\(request.uri.path)", "code": "\(envelope.code)",
                        "error": "\(error)",
                    ])
            }
            var response = try Response.json(envelope, status: HTTPResponse.Status(code: status))
            if let error = error as? ServerError { response.headers.append(contentsOf: error.headers) }
            return response
        }
    }

    /// The framework's words for what the router and the reading of bodies refuse, in ours.
    private static func named(_ error: any Error, _ request: Request) -> any Error {
        switch error {
        case let error as HTTPError where error.status == .notFound || error.status == .methodNotAllowed:
            var methods = OpenAPI.endpoints(at: request.uri.path).map(\.method)
            if methods.contains("GET") { methods.append("HEAD") }
            guard methods.isEmpty else {
                return ServerError.methodNotAllowed(
                    request.method.rawValue, request.uri.path, allowed: methods.sorted())
            }
            return ServerError.unknownRoute(request.method.rawValue, request.uri.path)
        case let error as any HTTPResponseError where error.status == .contentTooLarge: return ServerError.tooLarge
        default: return error
        }
    }

    static func answer(to error: any Error) -> (Int, ErrorEnvelope) {
        switch error {
        case let error as EngineError:
            return (
                status(error.kind),
                ErrorEnvelope(code: error.code, message: error.message, hint: error.hint, details: error.diagnostics)
            )
        case let error as ServerError:
            return (error.status, ErrorEnvelope(code: error.code, message: error.message, hint: error.hint))
        case let error as any HTTPResponseError where error.status.code < 500:
            let message = (error as? HTTPError)?.body ?? error.status.reasonPhrase
            return (
                error.status.code,
                ErrorEnvelope(
                    code: "server.bad-request", message: message, hint: "The API's description says what is taken here."
                )
            )
        default:
            // What went wrong inside is for the log: a message may tell more than the caller should know.
            return (
                500,
                ErrorEnvelope(
                    code: "server.internal", message: "The agent failed to answer this request.",
                    hint: "The agent's log says why.")
            )
        }
    }

    private static func status(_ kind: EngineError.Kind) -> Int {
        switch kind {
        case .badRequest: 400
        case .exhausted: 429
        case .forbidden: 403
        case .notFound: 404
        case .conflict: 409
        case .unavailable: 503
        case .internalFault: 500
        }
    }
}

extension Response {
    /// A JSON document, followed by a line end for people who use curl.
    static func json(_ value: some Encodable, status: HTTPResponse.Status = .ok) throws -> Response {
        var body = ByteBuffer(bytes: try Wire.encode(value))
        body.writeInteger(UInt8(ascii: "\n"))
        return Response(
            status: status,
            headers: [.contentType: "application/json; charset=utf-8", .contentLength: String(body.readableBytes)],
            body: ResponseBody(byteBuffer: body))
    }
}
