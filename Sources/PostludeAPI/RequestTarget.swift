/// A request target: a path of escaped segments, and a query.
public struct RequestTarget: Hashable, Sendable {
    /// Path and query as they stand in the request line.
    public let text: String

    public init(_ segments: String..., query: [(String, String?)] = []) {
        let path = API.prefix + segments.map { "/" + Self.escaped($0) }.joined()
        let items = query.compactMap { name, value in value.map { Self.escaped(name) + "=" + Self.escaped($0) } }
        text = path + (items.isEmpty ? "" : "?" + items.joined(separator: "&"))
    }

    /// Percent-encoded but for the unreserved characters of RFC 3986.
    static func escaped(_ text: String) -> String {
        var result = ""
        for byte in text.utf8 {
            let isPlain =
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                    UInt8(ascii: "~"):
                    true
                default: false
                }
            if isPlain {
                result.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                let digits = String(byte, radix: 16, uppercase: true)
                result += "%" + (digits.utf8.count < 2 ? "0" : "") + digits
            }
        }
        return result
    }
}
