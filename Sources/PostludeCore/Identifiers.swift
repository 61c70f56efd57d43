/// The identity of a run: 32 lower-case hexadecimal digits, as Polyaxon writes a UUID.
public struct RunID: Hashable, Sendable, Codable, CustomStringConvertible, Comparable {
    /// The 32 hexadecimal digits.
    public let description: String

    /// Accepts 32 hexadecimal digits, with or without the dashes of a UUID; returns nil for anything else.
    public init?(_ text: String) {
        let digits = text.lowercased().filter { $0 != "-" }
        guard digits.utf8.count == 32, digits.utf8.allSatisfy(RunID.isHexadecimal) else { return nil }
        description = digits
    }

    /// Makes a new random identity (122 bits of the system's random number generator, UUID version 4 layout).
    public static func random() -> RunID {
        var generator = SystemRandomNumberGenerator()
        return random(using: &generator)
    }

    /// Makes a new identity from the given generator.
    public static func random(using generator: inout some RandomNumberGenerator) -> RunID {
        let high = (generator.next() as UInt64) & 0xffff_ffff_ffff_0fff | 0x4000
        let low = (generator.next() as UInt64) & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000
        return RunID(unchecked: hexadecimal(high) + hexadecimal(low))
    }

    /// The first eight digits: what people read and type; the CLI accepts any unambiguous prefix.
    public var short: String { String(description.prefix(8)) }

    public static func < (a: RunID, b: RunID) -> Bool { a.description < b.description }

    private init(unchecked: String) { description = unchecked }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let id = RunID(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "'\(text)' is not a run id")
        }
        self = id
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
    }

    private static func hexadecimal(_ value: UInt64) -> String {
        let text = String(value, radix: 16)
        return String(repeating: "0", count: 16 - text.utf8.count) + text
    }
}

/// One try of a run; attempts count from 1.
public struct AttemptID: Hashable, Sendable, Codable, CustomStringConvertible {
    public var run: RunID
    public var number: Int

    public init(run: RunID, number: Int) {
        self.run = run
        self.number = number
    }

    /// `<run>.<number>`.
    public var description: String { "\(run).\(number)" }
}

/// A point in wall-clock time: microseconds since 1970-01-01T00:00:00Z.
public struct Timestamp: Hashable, Sendable, Codable, Comparable {
    public var microseconds: Int64

    public init(microseconds: Int64) { self.microseconds = microseconds }

    public static func < (a: Timestamp, b: Timestamp) -> Bool { a.microseconds < b.microseconds }

    /// Seconds from `earlier` to this point; negative when the clock was set back in between.
    public func seconds(since earlier: Timestamp) -> Double {
        Double(microseconds - earlier.microseconds) / 1_000_000
    }

    public init(from decoder: any Decoder) throws {
        microseconds = try decoder.singleValueContainer().decode(Int64.self)
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(microseconds)
    }
}
