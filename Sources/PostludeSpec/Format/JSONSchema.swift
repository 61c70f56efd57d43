import PostludeCore

/// The format as a JSON Schema (draft 2020-12), for editors and other tools.
public enum JSONSchema {
    /// The schema of operation, component and preset files.
    public static var document: Value {
        var definitions: [String: Value] = [:]
        for object in FormatObject.allCases { definitions[object.rawValue] = schema(of: object) }
        return .dict([
            "$schema": .string("https://json-schema.org/draft/2020-12/schema"),
            "title": .string("Postlude operation"),
            "description": .string("An operation, component or preset file of Postlude: the Polyaxonfile format."),
            "$ref": .string("#/$defs/\(FormatObject.file.rawValue)"), "$defs": .dict(definitions),
        ])
    }

    private static func schema(of object: FormatObject) -> Value {
        var properties: [String: Value] = [:]
        for key in object.keys {
            var value = schema(of: key.shape, orNull: true)
            if !key.about.isEmpty { value["description"] = .string(key.about) }
            properties[key.name] = .dict(value)
            let snake = snakeCase(key.name)
            if snake != key.name {
                value["description"] = .string("The same as \(key.name).")
                properties[snake] = .dict(value)
            }
        }
        return .dict(["type": .string("object"), "properties": .dict(properties), "additionalProperties": .bool(false)])
    }

    /// A key without a value is one that is not there.
    private static func schema(of shape: FormatShape, orNull: Bool = false) -> [String: Value] {
        func type(_ names: String...) -> [String: Value] {
            let all = names + (orNull ? ["null"] : [])
            return ["type": all.count == 1 ? .string(all[0]) : .list(all.map(Value.string))]
        }
        func orNothing(_ schema: [String: Value]) -> [String: Value] {
            orNull ? ["anyOf": .list([.dict(schema), .dict(["type": .string("null")])])] : schema
        }
        switch shape {
        case .text: return type("string")
        case .flag: return type("boolean")
        case .integer: return type("integer")
        case .number: return type("number")
        case .scalar: return type("string", "number", "boolean")
        case .anything: return [:]
        case .choice(let words): return ["enum": .list(words.map(Value.string) + (orNull ? [.null] : []))]
        case .list(let item):
            var schema = type("array")
            schema["items"] = .dict(self.schema(of: item))
            return schema
        case .dictionary(let element):
            var schema = type("object")
            schema["additionalProperties"] = .dict(self.schema(of: element, orNull: true))
            return schema
        case .object(let object): return orNothing(["$ref": .string("#/$defs/\(object.rawValue)")])
        case .either(let shapes):
            var any = shapes.map { Value.dict(self.schema(of: $0)) }
            if orNull { any.append(.dict(["type": .string("null")])) }
            return ["anyOf": .list(any)]
        }
    }

    /// Polyaxon reads `mountPath` and `mount_path` alike.
    static func snakeCase(_ key: String) -> String {
        var result = ""
        for character in key {
            if character.isUppercase { result += "_" + character.lowercased() } else { result.append(character) }
        }
        // Of letters in a row (`hostPID`) no spelling leads back.
        return MappingReader.canonical(result) == key ? result : key
    }
}
