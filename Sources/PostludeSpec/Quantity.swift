import PostludeCore

/// Kubernetes quantities: `500m`, `2Gi`, `1.5`, `1e3`.
enum Quantity {
    private static let suffixes: [(text: String, numerator: Int128, denominator: Int128)] = [
        ("Ki", 1 << 10, 1), ("Mi", 1 << 20, 1), ("Gi", 1 << 30, 1), ("Ti", 1 << 40, 1), ("Pi", 1 << 50, 1),
        ("Ei", 1 << 60, 1), ("n", 1, 1_000_000_000), ("u", 1, 1_000_000), ("m", 1, 1_000), ("k", 1_000, 1),
        ("M", 1_000_000, 1), ("G", 1_000_000_000, 1), ("T", 1_000_000_000_000, 1), ("P", 1_000_000_000_000_000, 1),
        ("E", 1_000_000_000_000_000_000, 1),
    ]

    /// The quantity times `scale`, rounded up as Kubernetes does; nil when it is none, negative or too large.
    static func parse(_ text: String, scale: Int128 = 1) -> Int64? {
        guard text.utf8.count <= 40 else { return nil }
        var digits = text[...]
        var numerator = scale
        var denominator: Int128 = 1
        if let suffix = suffixes.first(where: { text.hasSuffix($0.text) && text.utf8.count > $0.text.utf8.count }) {
            digits = digits.dropLast(suffix.text.count)
            numerator *= suffix.numerator
            denominator = suffix.denominator
        } else if let mark = digits.firstIndex(where: { $0 == "e" || $0 == "E" }) {
            guard let exponent = Int(digits[digits.index(after: mark)...]), (-9...18).contains(exponent) else {
                return nil
            }
            digits = digits[..<mark]
            for _ in 0..<abs(exponent) { if exponent > 0 { numerator *= 10 } else { denominator *= 10 } }
        }
        let parts = digits.split(separator: ".", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), let whole = digit(parts[0]), parts[0].utf8.count <= 18 else { return nil }
        var mantissa = whole
        if parts.count == 2 {
            guard let fraction = digit(parts[1]), parts[1].utf8.count <= 9 else { return nil }
            for _ in parts[1].utf8 {
                mantissa *= 10
                denominator *= 10
            }
            mantissa += fraction
        }
        let (product, overflow) = mantissa.multipliedReportingOverflow(by: numerator)
        guard !overflow else { return nil }
        let (quotient, remainder) = product.quotientAndRemainder(dividingBy: denominator)
        return Int64(exactly: quotient + (remainder > 0 ? 1 : 0))
    }

    private static func digit(_ text: Substring) -> Int128? {
        guard !text.isEmpty, text.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else { return nil }
        return Int128(text)
    }
}
