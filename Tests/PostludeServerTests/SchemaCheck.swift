import Foundation
import PostludeCore

@testable import PostludeAPI

/// Holds JSON documents against the schemas of the API's description: the part of JSON Schema that these use, and no
/// silence about the rest.
enum SchemaCheck {
    /// Everything that does not fit, each with its place; empty for a document that fits.
    static func problems(_ value: Value, _ schema: Value, at place: String = "") -> [String] {
        guard case .dict(let schema) = schema else { return ["\(place): no schema"] }
        if case .string(let reference)? = schema["$ref"] {
            guard let target = OpenAPI.schemas[String(reference.split(separator: "/").last ?? "")] else {
                return ["\(place): '\(reference)' names no schema"]
            }
            return problems(value, target, at: place)
        }
        return schema.flatMap { key, rule in problems(value, key, rule, schema, at: place) }
    }

    private static func problems(
        _ value: Value, _ key: String, _ rule: Value, _ schema: [String: Value], at place: String
    ) -> [String] {
        func unless(_ fits: Bool, _ words: String) -> [String] { fits ? [] : ["\(place): \(words), found \(value)"] }
        switch (key, rule, value) {
        case ("type", .string(let type), _): return unless(isOf(type, value), "not of type \(type)")
        case ("type", .list(let types), _):
            return unless(types.contains { isOf(text($0), value) }, "of none of the types \(types)")
        case ("properties", .dict(let properties), .dict(let entries)):
            return properties.flatMap { name, member in
                entries[name].map { problems($0, member, at: "\(place).\(name)") } ?? []
            }
        case ("required", .list(let names), .dict(let entries)):
            return names.filter { entries[text($0)] == nil }.map { "\(place): '\(text($0))' is missing" }
        case ("additionalProperties", .bool(false), .dict(let entries)):
            guard case .dict(let known)? = schema["properties"] else { return ["\(place): no properties"] }
            return entries.keys.filter { known[$0] == nil }.map { "\(place): '\($0)' is not described" }
        case ("additionalProperties", let member, .dict(let entries)):
            return entries.flatMap { problems($0.value, member, at: "\(place).\($0.key)") }
        case ("items", let item, .list(let items)):
            return items.enumerated().flatMap { problems($0.element, item, at: "\(place)[\($0.offset)]") }
        case ("enum", .list(let words), _): return unless(words.contains(value), "not one of \(words)")
        case ("const", let only, _): return unless(value == only, "not \(only)")
        case ("oneOf", .list(let schemas), _):
            let fitting = schemas.filter { problems(value, $0, at: place).isEmpty }
            return unless(fitting.count == 1, "\(fitting.count) of the alternatives fit")
        case ("pattern", .string(let pattern), .string(let text)):
            return unless(text.range(of: pattern, options: .regularExpression) != nil, "not like \(pattern)")
        case ("minimum", .int(let least), .int(let number)): return unless(number >= least, "below \(least)")
        case ("maximum", .int(let most), .int(let number)): return unless(number <= most, "above \(most)")
        case ("minLength", .int(let least), .string(let text)):
            return unless(text.unicodeScalars.count >= least, "too short")
        case ("maxLength", .int(let most), .string(let text)):
            return unless(text.unicodeScalars.count <= most, "too long")
        case ("description", _, _), ("format", _, _): return []
        // What is of the wrong type has been told by `type`.
        case ("properties", _, _), ("required", _, _), ("additionalProperties", _, _), ("items", _, _),
            ("pattern", _, _), ("minimum", _, _), ("maximum", _, _), ("minLength", _, _), ("maxLength", _, _):
            return []
        default: return ["\(place): this check does not know '\(key)'"]
        }
    }

    private static func text(_ value: Value) -> String {
        guard case .string(let text) = value else { return "\(value)" }
        return text
    }

    private static func isOf(_ type: String, _ value: Value) -> Bool {
        switch value {
        case .null: type == "null"
        case .bool: type == "boolean"
        case .int: type == "integer" || type == "number"
        // Beyond Int64, as masks of capabilities can be, a whole number comes as a double.
        case .double(let number): type == "number" || type == "integer" && number == number.rounded()
        case .string: type == "string"
        case .list: type == "array"
        case .dict: type == "object"
        }
    }

    /// A document that fits: with all that may be in it, or only with what must.
    static func sample(_ schema: Value, complete: Bool) -> Value {
        guard case .dict(let schema) = schema else { return .null }
        if case .string(let reference)? = schema["$ref"] {
            let target = OpenAPI.schemas[String(reference.split(separator: "/").last ?? "")]
            return sample(target ?? .null, complete: complete)
        }
        if case .list(let words)? = schema["enum"] { return words.first ?? .null }
        if let only = schema["const"] { return only }
        if case .list(let schemas)? = schema["oneOf"] { return sample(schemas.first ?? .null, complete: complete) }
        var type = schema["type"]
        if case .list(let types)? = type { type = types.first }
        switch type.map(text) {
        case "string": return .string(Self.sample(pattern: schema["pattern"].map(text)))
        case "integer": return .int(7)
        case "number": return .double(0.5)
        case "boolean": return .bool(true)
        case "array": return .list(complete ? [sample(schema["items"] ?? .null, complete: true)] : [])
        case "object":
            guard case .dict(let properties)? = schema["properties"] else {
                guard complete, let member = schema["additionalProperties"] else { return .dict([:]) }
                return .dict(["key": sample(member, complete: true)])
            }
            var required: Set<String> = []
            if case .list(let names)? = schema["required"] { required = Set(names.map(text)) }
            return .dict(
                properties.filter { complete || required.contains($0.key) }
                    .mapValues { sample($0, complete: complete) })
        default: return .list([.int(1), .string("any")])
        }
    }

    /// A text like one of the patterns in use: of a code, or of digits.
    private static func sample(pattern: String?) -> String {
        guard let pattern else { return "text" }
        return pattern.hasPrefix("^[a-z]") ? "spec.code" : String(repeating: "0a", count: 16)
    }

    /// What an answer to this request does not have as described; the path has no query.
    static func problems(
        _ method: String, _ path: String, status: Int, type: String?, body: [UInt8]
    ) -> [String] {
        let place = "\(method) \(path) \(status)"
        let asked = method == "HEAD" ? "GET" : method
        let endpoints = OpenAPI.endpoints(at: path)
        let isJSON = type == "application/json; charset=utf-8"
        var answer: Endpoint.Answer?
        var codes: [String]
        if let endpoint = endpoints.first(where: { $0.method == asked }) {
            guard let known = endpoint.answers[status] else { return ["\(place): the status is not described"] }
            codes = known
            if status == endpoint.answer.status { answer = endpoint.answer }
        } else {
            // What the document says in words: other methods, other paths, and what any request may get.
            codes = Endpoint.common[status] ?? []
            if status == 404, endpoints.isEmpty { codes = ["server.unknown-route"] }
            if status == 405, !endpoints.isEmpty { codes = ["server.method-not-allowed"] }
        }
        if let answer, answer.mediaType != "application/json" {
            return type == answer.mediaType ? [] : ["\(place): the type is \(type ?? "none")"]
        }
        guard isJSON else { return ["\(place): the type is \(type ?? "none")"] }
        guard method != "HEAD" else { return body.isEmpty ? [] : ["\(place): HEAD has a body"] }
        do {
            let value = try Wire.decode(Value.self, from: body)
            if let answer {
                return answer.schema.map { problems(value, Schema.named($0), at: place) } ?? []
            }
            let code = try Wire.decode(ErrorEnvelope.self, from: body).code
            let unknown = codes.contains(code) ? [] : ["\(place): the code '\(code)' is not described, only \(codes)"]
            return unknown + problems(value, Schema.named("ErrorEnvelope"), at: place)
        } catch {
            return ["\(place): \(Wire.explain(error)): \(String(decoding: body, as: UTF8.self))"]
        }
    }
}
