/// Why a text is not JSON, and where.
public struct JSONProblem: Error, Hashable, Sendable, CustomStringConvertible {
    public var message: String
    /// Bytes from the start of the text.
    public var offset: Int

    public var description: String { "\(message) at byte \(offset + 1)" }
}

extension Value {
    /// Reads one JSON value (RFC 8259). A number without fraction and exponent that fits is an int; of two entries of one
    /// name the last counts.
    public static func parse(json: [UInt8]) throws(JSONProblem) -> Value {
        var parser = JSONParser(bytes: json)
        return try parser.whole()
    }

    public static func parse(json: String) throws(JSONProblem) -> Value { try parse(json: Array(json.utf8)) }
}

/// For programs that do without Foundation.
struct JSONParser {
    let bytes: [UInt8]
    private var position = 0

    /// Levels of lists and dictionaries: bounds the stack.
    static let maximumDepth = 64

    init(bytes: [UInt8]) { self.bytes = bytes }

    mutating func whole() throws(JSONProblem) -> Value {
        let value = try value(depth: 0)
        skipBlanks()
        guard position == bytes.count else { throw problem("There is more than one value") }
        return value
    }

    private func problem(_ message: String) -> JSONProblem { JSONProblem(message: message, offset: position) }

    private var current: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func skipBlanks() {
        while let byte = current, byte == 0x20 || (byte >= 0x09 && byte <= 0x0d && byte != 0x0b && byte != 0x0c) {
            position += 1
        }
    }

    private mutating func takes(_ byte: Character) -> Bool {
        guard let wanted = byte.asciiValue, current == wanted else { return false }
        position += 1
        return true
    }

    private mutating func value(depth: Int) throws(JSONProblem) -> Value {
        guard depth < Self.maximumDepth else { throw problem("It is nested too deeply") }
        skipBlanks()
        switch current {
        case UInt8(ascii: "{"): return try dictionary(depth: depth)
        case UInt8(ascii: "["): return try list(depth: depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case nil: throw problem("The text ends where a value is needed")
        default: return try number()
        }
    }

    private mutating func word(_ word: String, _ value: Value) throws(JSONProblem) -> Value {
        guard bytes[position...].starts(with: word.utf8) else { throw problem("This is no value") }
        position += word.utf8.count
        return value
    }

    private mutating func list(depth: Int) throws(JSONProblem) -> Value {
        position += 1
        var items: [Value] = []
        skipBlanks()
        if takes("]") { return .list([]) }
        while true {
            items.append(try value(depth: depth + 1))
            skipBlanks()
            if takes("]") { return .list(items) }
            guard takes(",") else { throw problem("A list needs a comma or its end") }
        }
    }

    private mutating func dictionary(depth: Int) throws(JSONProblem) -> Value {
        position += 1
        var entries: [String: Value] = [:]
        skipBlanks()
        if takes("}") { return .dict([:]) }
        while true {
            skipBlanks()
            guard current == UInt8(ascii: "\"") else { throw problem("A name in quotes is needed") }
            let name = try string()
            skipBlanks()
            guard takes(":") else { throw problem("A name needs a colon behind it") }
            entries[name] = try value(depth: depth + 1)
            skipBlanks()
            if takes("}") { return .dict(entries) }
            guard takes(",") else { throw problem("An object needs a comma or its end") }
        }
    }

    // MARK: Numbers

    private mutating func number() throws(JSONProblem) -> Value {
        let start = position
        _ = takes("-")
        let first = current
        guard try digits() == 1 || first != UInt8(ascii: "0") else { throw problem("A number begins with a zero") }
        var isWhole = true
        if takes(".") {
            isWhole = false
            _ = try digits()
        }
        if takes("e") || takes("E") {
            isWhole = false
            if !takes("+") { _ = takes("-") }
            _ = try digits()
        }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        if isWhole, let number = Int64(text) { return .int(number) }
        guard let number = Double(text), number.isFinite else { throw problem("The number is too large") }
        return .double(number)
    }

    private mutating func digits() throws(JSONProblem) -> Int {
        let start = position
        while let byte = current, byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") { position += 1 }
        guard position > start else { throw problem("This is no value") }
        return position - start
    }

    // MARK: Texts

    private mutating func string() throws(JSONProblem) -> String {
        position += 1
        var text: [UInt8] = []
        while let byte = current {
            position += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let string = String(validating: text, as: UTF8.self) else {
                    throw problem("The text before this is not UTF-8")
                }
                return string
            case UInt8(ascii: "\\"): text += try escaped()
            case ..<0x20: throw problem("A control character is not escaped")
            default: text.append(byte)
            }
        }
        throw problem("A text has no end")
    }

    private mutating func escaped() throws(JSONProblem) -> [UInt8] {
        guard let byte = current else { throw problem("A text has no end") }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
        case UInt8(ascii: "b"): return [0x08]
        case UInt8(ascii: "f"): return [0x0c]
        case UInt8(ascii: "n"): return [0x0a]
        case UInt8(ascii: "r"): return [0x0d]
        case UInt8(ascii: "t"): return [0x09]
        case UInt8(ascii: "u"): return Array(String(Character(try scalar())).utf8)
        default: throw problem("There is no such escape")
        }
    }

    /// `\uXXXX`, or the two of a surrogate pair; half a pair becomes U+FFFD.
    private mutating func scalar() throws(JSONProblem) -> Unicode.Scalar {
        let first = try unit()
        if let scalar = Unicode.Scalar(first) { return scalar }
        guard first < 0xdc00, bytes[position...].starts(with: "\\u".utf8) else { return "\u{FFFD}" }
        let before = position
        position += 2
        let second = try unit()
        guard (0xdc00...0xdfff).contains(second) else {
            position = before
            return "\u{FFFD}"
        }
        return Unicode.Scalar(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)) ?? "\u{FFFD}"
    }

    private mutating func unit() throws(JSONProblem) -> UInt32 {
        var unit: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = current, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw problem("\\u needs four hexadecimal digits")
            }
            unit = unit << 4 | UInt32(digit)
            position += 1
        }
        return unit
    }
}
