import PostludeCore

/// A part of a YAML file with its place; anchors and merge keys are already followed.
struct YAMLNode: Sendable {
    enum Content: Sendable {
        case scalar(YAMLScalar)
        case sequence([YAMLNode])
        case mapping([YAMLEntry])
    }

    var content: Content
    /// Where the part starts.
    var place: SourcePlace
}

struct YAMLEntry: Sendable {
    var key: String
    var keyPlace: SourcePlace
    var value: YAMLNode
}

struct YAMLScalar: Sendable {
    let text: String
    /// Quoted and block scalars, and those tagged `!!str`, are texts whatever they look like.
    let isText: Bool
    /// Where the text itself starts: behind the quote, on the first line of a block.
    let textPlace: SourcePlace
    /// The typed value: YAML 1.1 words for true and false, decimal, `0x`, `0o` and leading-zero octal integers, floats.
    /// nil for a number that does not fit or is not finite.
    let value: Value?

    init(text: String, isText: Bool, textPlace: SourcePlace) {
        self.text = text
        self.isText = isText
        self.textPlace = textPlace
        value = isText ? .string(text) : Self.value(of: text)
    }
}

extension YAMLNode {
    /// How messages call it.
    var typeName: String {
        switch content {
        case .scalar(let scalar):
            scalar.value.map { $0 == .null ? "nothing" : "a \($0.typeName)" } ?? "a number out of range"
        case .sequence: "a list"
        case .mapping: "a mapping"
        }
    }

    var isNull: Bool {
        if case .scalar(let scalar) = content { scalar.value == .null } else { false }
    }

    var scalar: YAMLScalar? {
        if case .scalar(let scalar) = content { scalar } else { nil }
    }

    var entries: [YAMLEntry]? {
        if case .mapping(let entries) = content { entries } else { nil }
    }
}

extension YAMLScalar {
    private static func value(of text: String) -> Value? {
        switch text {
        case "", "~", "null", "Null", "NULL": return .null
        case "true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON": return .bool(true)
        case "false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF": return .bool(false)
        case ".inf", ".Inf", ".INF", "+.inf", "-.inf", "-.Inf", "-.INF", ".nan", ".NaN", ".NAN": return nil
        default: break
        }
        guard let first = text.utf8.first, "+-.0123456789".utf8.contains(first) else { return .string(text) }
        return number(text) ?? .some(.string(text))
    }

    /// nil when the text is no number; `.some(nil)` when it is one that does not fit.
    private static func number(_ text: String) -> Value?? {
        let isNegative = text.hasPrefix("-")
        var digits = isNegative || text.hasPrefix("+") ? text.dropFirst() : text[...]
        var radix = 10
        if let prefixed = [("0x", 16), ("0o", 8), ("0b", 2)].first(where: { digits.hasPrefix($0.0) }) {
            digits = digits.dropFirst(2)
            radix = prefixed.1
        }
        // As YAML 1.1, which Polyaxon reads: 0755 is octal.
        if radix == 10, digits.count > 1, digits.hasPrefix("0"), digits.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x37 }) {
            radix = 8
        }
        let plain = digits.filter { $0 != "_" }
        guard let head = plain.utf8.first, head != 0x2b, head != 0x2d else { return nil }
        let isInteger = plain.utf8.allSatisfy { byte in
            switch byte {
            case 0x30...0x39: Int(byte) - 0x30 < radix
            case 0x41...0x46, 0x61...0x66: radix == 16
            default: false
            }
        }
        if isInteger {
            if radix == 10, plain.count > 1, plain.hasPrefix("0") { return nil }
            return .some(Int64((isNegative ? "-" : "") + plain, radix: radix).map(Value.int))
        }
        guard radix == 10, isFloat(plain), let number = Double(plain.hasPrefix(".") ? "0" + plain : plain) else {
            return nil
        }
        return .some(number.isFinite ? .double(isNegative ? -number : number) : nil)
    }

    private static func isFloat(_ digits: String) -> Bool {
        var seenDigit = false
        var seenPoint = false
        var bytes = Array(digits.utf8)[...]
        while let byte = bytes.first {
            bytes = bytes.dropFirst()
            switch byte {
            case 0x30...0x39: seenDigit = true
            case 0x2e where !seenPoint: seenPoint = true
            case 0x45 where seenDigit, 0x65 where seenDigit:
                if bytes.first == 0x2b || bytes.first == 0x2d { bytes = bytes.dropFirst() }
                return !bytes.isEmpty && bytes.allSatisfy { $0 >= 0x30 && $0 <= 0x39 }
            default: return false
            }
        }
        return seenDigit
    }
}
