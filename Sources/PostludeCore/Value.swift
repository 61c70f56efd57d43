/// A typed value: what an input, a param, an output or an expression holds.
///
/// Values are data. Nothing a value contains is ever evaluated as a template (promise P5).
public enum Value: Hashable, Sendable {
    case null
    case bool(Bool)
    case int(Int64)
    case double(Double)
    case string(String)
    case list([Value])
    case dict([String: Value])
}

extension Value {
    /// The type's name as messages and the Polyaxonfile write it.
    public var typeName: String {
        switch self {
        case .null: "null"
        case .bool: "bool"
        case .int: "int"
        case .double: "float"
        case .string: "str"
        case .list: "list"
        case .dict: "dict"
        }
    }
}

extension Value: Codable {
    private struct Key: CodingKey {
        var stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    public init(from decoder: any Decoder) throws {
        if let keyed = try Self.unless(wrongType: { try decoder.container(keyedBy: Key.self) }) {
            var entries: [String: Value] = [:]
            for key in keyed.allKeys { entries[key.stringValue] = try keyed.decode(Value.self, forKey: key) }
            self = .dict(entries)
        } else if var unkeyed = try Self.unless(wrongType: { try decoder.unkeyedContainer() }) {
            var items: [Value] = []
            while !unkeyed.isAtEnd { items.append(try unkeyed.decode(Value.self)) }
            self = .list(items)
        } else {
            self = try Self.scalar(try decoder.singleValueContainer())
        }
    }

    /// JSON has one kind of number: one without a fraction that fits is an int, whatever it was when it was written.
    private static func scalar(_ single: any SingleValueDecodingContainer) throws -> Value {
        if single.decodeNil() { return .null }
        if let value = try unless(wrongType: { try single.decode(Bool.self) }) { return .bool(value) }
        if let value = try unless(wrongType: { try single.decode(Int64.self) }) { return .int(value) }
        if let value = try unless(wrongType: { try single.decode(Double.self) }) { return .double(value) }
        return .string(try single.decode(String.self))
    }

    /// nil when the decoder says that what is there is something else; a number that does not fit counts as that.
    private static func unless<T>(wrongType decode: () throws -> T) throws -> T? {
        do {
            return try decode()
        } catch DecodingError.typeMismatch {
            return nil
        } catch DecodingError.valueNotFound {
            return nil
        } catch DecodingError.dataCorrupted {
            return nil
        } catch  where !(error is DecodingError) {
            // Foundation's decoder throws an error of its own, not a `DecodingError`, for 0.5 as an integer.
            return nil
        }
    }

    public func encode(to encoder: any Encoder) throws {
        switch self {
        case .null:
            var container = encoder.singleValueContainer()
            try container.encodeNil()
        case .bool(let value):
            var container = encoder.singleValueContainer()
            try container.encode(value)
        case .int(let value):
            var container = encoder.singleValueContainer()
            try container.encode(value)
        case .double(let value):
            var container = encoder.singleValueContainer()
            try container.encode(value)
        case .string(let value):
            var container = encoder.singleValueContainer()
            try container.encode(value)
        case .list(let items):
            var container = encoder.unkeyedContainer()
            for item in items { try container.encode(item) }
        case .dict(let entries):
            var container = encoder.container(keyedBy: Key.self)
            for (key, value) in entries { try container.encode(value, forKey: Key(stringValue: key)) }
        }
    }
}
