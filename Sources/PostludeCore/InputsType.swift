/// The type of an input or output.
public indirect enum InputType: Hashable, Sendable {
    case any
    case string
    case int
    case float
    case bool
    case dict(key: InputType, value: InputType)
    case list(InputType)
    case optional(InputType)
    case union([InputType])
    case uuid
    case uri
    case date
    case datetime
    case timedelta
    /// Texts with a meaning that only programs know: `path`, `image` and their like.
    case text(String)
    /// Things described by a text, a list or a dict: `git`, `artifacts`, `dockerfile` and their like.
    case description(String)

    /// The names of types without brackets.
    public static let names: Set<String> = Set(simple.keys)

    private static let simple: [String: InputType] = {
        var types: [String: InputType] = [
            "any": .any, "Any": .any, "str": .string, "int": .int, "float": .float, "bool": .bool,
            "dict": .dict(key: .any, value: .any), "list": .list(.any), "uuid": .uuid, "uri": .uri, "date": .date,
            "datetime": .datetime, "timedelta": .timedelta,
        ]
        for name in ["path", "image", "gcs", "s3", "wasb", "auth", "email"] { types[name] = .text(name) }
        for name in ["git", "file", "artifacts", "dockerfile", "tensorboard", "event", "metric", "metadata"] {
            types[name] = .description(name)
        }
        return types
    }()

    /// Reads `int`, `List[str]`, `Dict[str, List[int]]`, `Optional[int]`, `Union[int, str]`; nil for anything else.
    public static func parse(_ text: String) -> InputType? {
        guard text.utf8.count <= 256 else { return nil }
        return parse(text[...], depth: 0)
    }

    private static func parse(_ text: Substring, depth: Int) -> InputType? {
        let name = ExpressionText.trimmed(String(text))
        if let type = simple[name] { return type }
        guard depth < 8, name.hasSuffix("]"), let open = name.firstIndex(of: "[") else { return nil }
        let inner = name[name.index(after: open)...].dropLast()
        var arguments: [InputType] = []
        for part in split(inner) {
            guard let type = parse(part, depth: depth + 1) else { return nil }
            arguments.append(type)
        }
        switch (name[..<open], arguments.count) {
        case ("List", 1), ("list", 1): return .list(arguments[0])
        case ("Dict", 2), ("dict", 2): return .dict(key: arguments[0], value: arguments[1])
        case ("Optional", 1): return .optional(arguments[0])
        case ("Union", 1...): return .union(arguments)
        default: return nil
        }
    }

    /// At commas outside of brackets.
    private static func split(_ text: Substring) -> [Substring] {
        var parts: [Substring] = []
        var start = text.startIndex
        var depth = 0
        for index in text.indices {
            switch text[index] {
            case "[": depth += 1
            case "]": depth -= 1
            case "," where depth == 0:
                parts.append(text[start..<index])
                start = text.index(after: index)
            default: break
            }
        }
        parts.append(text[start...])
        return parts
    }

    /// As the file writes it.
    public var name: String {
        switch self {
        case .any: "any"
        case .string: "str"
        case .int: "int"
        case .float: "float"
        case .bool: "bool"
        case .dict(.any, .any): "dict"
        case .dict(let key, let value): "Dict[\(key.name), \(value.name)]"
        case .list(.any): "list"
        case .list(let item): "List[\(item.name)]"
        case .optional(let wrapped): "Optional[\(wrapped.name)]"
        case .union(let types): "Union[\(types.map(\.name).joined(separator: ", "))]"
        case .uuid: "uuid"
        case .uri: "uri"
        case .date: "date"
        case .datetime: "datetime"
        case .timedelta: "timedelta"
        case .text(let name), .description(let name): name
        }
    }
}

extension IODeclaration {
    /// The declared type with `isList` applied; `any` without one, nil when it is unknown.
    public var inputType: InputType? {
        guard let type else { return isList ? .list(.any) : .any }
        guard let parsed = InputType.parse(type) else { return nil }
        if isList {
            if case .list = parsed { return parsed }
            return .list(parsed)
        }
        return parsed
    }
}

extension InputType {
    /// Whether a list may be a value.
    public var takesLists: Bool {
        switch self {
        case .any, .list, .description: true
        case .optional(let wrapped): wrapped.takesLists
        case .union(let types): types.contains(where: \.takesLists)
        case .string, .int, .float, .bool, .dict, .uuid, .uri, .date, .datetime, .timedelta, .text: false
        }
    }
}

// MARK: Conversion

extension InputType {
    /// The value as this type: numbers and texts convert where nothing is lost (`"3"` is an int, `1` is a float).
    func typed(_ value: Value) throws(Inputs.Problem) -> Value {
        switch (self, value) {
        case (.any, _), (.description, .string), (.description, .dict), (.description, .list): return value
        case (.optional(let wrapped), _): return value == .null ? .null : try wrapped.typed(value)
        case (.union(let types), _):
            for type in types {
                do throws(Inputs.Problem) { return try type.typed(value) } catch { continue }
            }
            throw mismatch(value)
        case (.list(let item), .list(let items)):
            var typed: [Value] = []
            for element in items { typed.append(try item.typed(element)) }
            return .list(typed)
        case (.dict(let key, let item), .dict(let entries)):
            var typed: [String: Value] = [:]
            for (name, element) in entries {
                _ = try key.typed(.string(name))
                typed[name] = try item.typed(element)
            }
            return .dict(typed)
        case (.int, .int), (.float, .double), (.bool, .bool): return value
        case (.int, .double(let number)):
            guard let whole = Int64(exactly: number) else { throw mismatch(value) }
            return .int(whole)
        case (.int, .string(let text)):
            guard let number = Int64(ExpressionText.trimmed(text)) else { throw mismatch(value) }
            return .int(number)
        case (.float, .int(let number)): return .double(Double(number))
        case (.float, .string(let text)):
            switch ExpressionText.number(text) {
            case .int(let number)?: return .double(Double(number))
            case .double(let number)?: return .double(number)
            case nil, .null?, .bool?, .string?, .list?, .dict?: throw mismatch(value)
            }
        case (.bool, .int), (.bool, .double), (.bool, .string):
            do throws(ExpressionError) { return .bool(try Rendering.truth(of: value)) } catch { throw mismatch(value) }
        case (.string, _), (.text, _), (.uuid, _), (.uri, _), (.date, _), (.datetime, _), (.timedelta, _):
            return try typedText(value)
        case (_, _): throw mismatch(value)
        }
    }

    private func typedText(_ value: Value) throws(Inputs.Problem) -> Value {
        let text: String
        switch value {
        case .string(let given): text = given
        case .bool, .int, .double:
            // `version: 1.0` is a text as far as its author cares; a timedelta may be a number of seconds.
            do throws(ExpressionError) { text = try value.text() } catch { throw mismatch(value) }
        case .null, .list, .dict: throw mismatch(value)
        }
        let isFit: Bool
        switch self {
        case .string, .text: isFit = true
        case .uuid: isFit = RunID(text) != nil
        case .uri: isFit = InputFormats.isURI(text)
        case .date: isFit = InputFormats.isDate(text)
        case .datetime: isFit = InputFormats.isDateTime(text)
        case .timedelta: isFit = InputFormats.isDuration(text)
        case .any, .int, .float, .bool, .dict, .list, .optional, .union, .description: isFit = false
        }
        guard isFit else { throw mismatch(value) }
        return .string(text)
    }

    private func mismatch(_ value: Value) -> Inputs.Problem {
        Inputs.Problem(
            code: "inputs.wrong-type", message: "takes \(name), not \(value.brief)", hint: "Such as \(example).")
    }

    private var example: String {
        switch self {
        case .any: "1"
        case .string: "\"text\""
        case .int: "3"
        case .float: "0.1"
        case .bool: "true"
        case .dict(_, let value): "{key: \(value.example)}"
        case .list(let item): "[\(item.example)]"
        case .optional(let wrapped): wrapped.example
        case .union(let types): types.first?.example ?? "1"
        case .uuid: "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
        case .uri: "https://example.org/data"
        case .date: "2026-11-22"
        case .datetime: "2026-11-22T10:30:00Z"
        case .timedelta: "3600, \"01:00:00\" or \"PT1H\""
        case .text: "a text"
        case .description(let name): "a dict or a text that describes the \(name)"
        }
    }
}

extension Value {
    /// For messages: the value, cut where it is long, with its type.
    var brief: String {
        switch self {
        case .null: return "null"
        case .string(let text):
            return "the text '\(text.unicodeScalars.count > 40 ? text.prefix(40) + "..." : text[...])'"
        case .bool, .int, .double:
            do throws(ExpressionError) { return "the \(typeName) \(try json())" } catch { return typeName }
        case .list: return "a list"
        case .dict: return "a dict"
        }
    }
}
