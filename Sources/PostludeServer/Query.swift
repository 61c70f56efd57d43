import Hummingbird
import HummingbirdCore

/// A request's query, read strictly: a value that is not what the parameter takes is refused, never replaced.
struct Query {
    private let uri: URI

    init(_ request: Request) { uri = request.uri }

    func text(_ name: String) -> String? { uri.queryParameters[Substring(name)].map(String.init) }

    func flag(_ name: String, default missing: Bool) throws -> Bool {
        guard let value = text(name) else { return missing }
        switch value {
        case "true": return true
        case "false": return false
        default: throw ServerError.badParameter(name, value, expected: "true or false")
        }
    }

    func integer(_ name: String, in range: ClosedRange<Int64>) throws -> Int64? {
        guard let value = text(name) else { return nil }
        guard let number = Int64(value), range.contains(number) else {
            let bound =
                range.upperBound == .max
                ? "of at least \(range.lowerBound)" : "from \(range.lowerBound) to \(range.upperBound)"
            throw ServerError.badParameter(name, value, expected: "a whole number \(bound)")
        }
        return number
    }
}
