import HTTPTypes
import Hummingbird
import PostludeAPI

/// Refuses parameters that the API's description does not have: a filter that is ignored would show more than was meant.
struct DescriptionMiddleware: RouterMiddleware {
    /// Names of parameters by method and path.
    private let names = Dictionary(
        OpenAPI.endpoints.map { ("\($0.method) \($0.path)", $0.queryNames) }, uniquingKeysWith: { $0.union($1) })

    func handle(
        _ request: Request, context: APIContext, next: (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        if let query = request.uri.query, !query.isEmpty, let path = context.endpointPath {
            let method = request.method == .head ? HTTPRequest.Method.get : request.method
            if let known = names["\(method.rawValue) \(path)"] { try Self.check(query, known) }
        }
        return try await next(request, context)
    }

    private static func check(_ query: String, _ known: Set<String>) throws {
        var seen: Set<String> = []
        for item in query.split(separator: "&") {
            let parts = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = String(parts[0])
            guard known.contains(name) else { throw ServerError.unknownParameter(name, known: known) }
            guard seen.insert(name).inserted else {
                throw ServerError.badParameter(name, "\(item)", expected: "it once")
            }
            guard parts.count == 1 || isEncoded(parts[1]) else {
                throw ServerError.badParameter(name, String(parts[1]), expected: "UTF-8, percent-encoded")
            }
        }
    }

    /// Whether every `%` begins an encoded byte, and the bytes are UTF-8 without NUL.
    static func isEncoded(_ text: Substring) -> Bool {
        var bytes: [UInt8] = []
        var rest = text.utf8
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) else {
                return false
            }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return !bytes.contains(0) && String(validating: bytes, as: UTF8.self) != nil
    }
}
