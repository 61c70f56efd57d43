import PostludeCore

/// JSON Schema (2020-12) in the few words that the wire types need; each gives a schema as a JSON document.
enum Schema {
    /// An object with these members and no others; `optional` ones are left out when there is nothing to say.
    static func object(
        _ description: String? = nil, required: [String: Value] = [:], optional: [String: Value] = [:]
    ) -> Value {
        var schema: [String: Value] = [
            "type": "object", "additionalProperties": false,
            "properties": .dict(required.merging(optional) { given, _ in given }),
        ]
        if !required.isEmpty { schema["required"] = .list(required.keys.sorted().map { .string($0) }) }
        return described(.dict(schema), description)
    }

    /// An object with any keys.
    static func map(_ values: Value, _ description: String? = nil) -> Value {
        described(["type": "object", "additionalProperties": values], description)
    }

    static func list(_ items: Value, _ description: String? = nil) -> Value {
        described(["type": "array", "items": items], description)
    }

    /// The schema of that name among the document's components.
    static func named(_ name: String) -> Value { ["$ref": .string("#/components/schemas/\(name)")] }

    static func text(_ description: String? = nil, pattern: String? = nil) -> Value {
        var schema: [String: Value] = ["type": "string"]
        if let pattern { schema["pattern"] = .string(pattern) }
        return described(.dict(schema), description)
    }

    static func words(_ words: [String], _ description: String? = nil) -> Value {
        described(["type": "string", "enum": .list(words.map { .string($0) })], description)
    }

    static func integer(_ description: String? = nil, in range: ClosedRange<Int64>? = nil) -> Value {
        var schema: [String: Value] = ["type": "integer", "format": "int64"]
        if let range {
            schema["minimum"] = .int(range.lowerBound)
            schema["maximum"] = .int(range.upperBound)
        }
        return described(.dict(schema), description)
    }

    /// A number that an unsigned type of so many bits holds.
    static func unsigned(bits: Int, _ description: String? = nil) -> Value {
        // JSON Schema compares mathematically, but a document should not have numbers that readers cannot hold.
        let most: Int64 = bits >= 63 ? .max : (1 << bits) - 1
        var schema: [String: Value] = ["type": "integer", "minimum": 0]
        if bits < 64 { schema["maximum"] = .int(most) }
        return described(.dict(schema), description)
    }

    static func number(_ description: String? = nil) -> Value { described(["type": "number"], description) }

    static func flag(_ description: String? = nil) -> Value { described(["type": "boolean"], description) }

    static func time(_ description: String? = nil) -> Value { described(named("Timestamp"), description) }

    static func run(_ description: String? = nil) -> Value { described(named("RunID"), description) }

    static func oneOf(_ schemas: [Value], _ description: String? = nil) -> Value {
        described(["oneOf": .list(schemas)], description)
    }

    /// The same, or null; for members that a request may leave out.
    static func orNull(_ schema: Value) -> Value {
        guard case .dict(var entries) = schema, let type = entries["type"] else { return schema }
        entries["type"] = [type, "null"]
        return .dict(entries)
    }

    private static func described(_ schema: Value, _ description: String?) -> Value {
        guard let description, case .dict(var entries) = schema else { return schema }
        entries["description"] = .string(description)
        return .dict(entries)
    }
}

// Literals, for documents that are written down in code.
extension Value: ExpressibleByStringLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    public init(stringLiteral value: String) { self = .string(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(integerLiteral value: Int64) { self = .int(value) }
    public init(arrayLiteral elements: Value...) { self = .list(elements) }
    public init(dictionaryLiteral elements: (String, Value)...) {
        self = .dict(Dictionary(elements, uniquingKeysWith: { _, last in last }))
    }
}
