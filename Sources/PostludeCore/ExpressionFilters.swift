/// The filters, by name: total functions from a value and literal arguments to a value.
enum ExpressionFilters {
    struct Argument {
        var label: String?
        var value: Value
        var offset: Int
    }

    static let names: [String] = [
        "default", "first", "float", "int", "join", "last", "length", "list", "lower", "map", "round", "string",
        "tojson",
        "upper",
    ]

    /// Filters that `map` can apply to each item.
    private static let mappable: Set<String> = [
        "float", "int", "length", "list", "lower", "round", "string", "tojson", "upper", "first", "last",
    ]

    /// - Parameter piped: nil when the filter is `default` and there is nothing to its left.
    static func apply(
        _ name: String, to piped: Value?, _ arguments: [Argument], at offset: Int
    )
        throws(ExpressionError) -> Value
    {
        if name == "default" { return try fallback(piped, arguments, at: offset) }
        guard let input = piped else { throw .mismatch("`\(name)` needs a value.", at: offset) }
        switch name {
        case "map": return try map(input, arguments, at: offset)
        case "join": return try join(input, arguments, at: offset)
        case "round": return try round(input, arguments, at: offset)
        case "int": return try int(input, arguments, at: offset)
        case "float": return try float(input, arguments, at: offset)
        case "list", "length", "string", "lower", "upper", "first", "last", "tojson":
            try limit(arguments, to: 0, name, at: offset)
            return try simple(name, input, at: offset)
        default:
            throw ExpressionError(
                "expression.unknown-filter", "There is no filter `\(name)`.",
                hint: "Filters are \(names.joined(separator: ", ")).", offset: offset)
        }
    }

    private static func simple(_ name: String, _ input: Value, at offset: Int) throws(ExpressionError) -> Value {
        switch name {
        case "list": return try list(input, at: offset)
        case "length": return try length(input, at: offset)
        case "lower": return .string(try bounded(try ExpressionText.text(of: input, at: offset).lowercased(), offset))
        case "upper": return .string(try bounded(try ExpressionText.text(of: input, at: offset).uppercased(), offset))
        case "first": return try end(input, name, at: offset)
        case "last": return try end(input, name, at: offset)
        case "tojson": return .string(try ExpressionText.json(input, at: offset))
        default: return .string(try ExpressionText.text(of: input, at: offset))
        }
    }

    // MARK: Each filter

    private static func fallback(
        _ piped: Value?, _ arguments: [Argument], at offset: Int
    ) throws(ExpressionError)
        -> Value
    {
        try limit(arguments, to: 2, "default", at: offset)
        let value = argument(arguments, 0, "default_value")?.value ?? .string("")
        guard let piped else { return value }
        // `default(x, true)` also replaces what is empty, zero or null, as in Jinja; null always counts as absent (P9).
        let alsoEmpty = argument(arguments, 1, "boolean").map { ExpressionOperators.isTrue($0.value) } ?? false
        return piped == .null || (alsoEmpty && !ExpressionOperators.isTrue(piped)) ? value : piped
    }

    private static func map(_ input: Value, _ arguments: [Argument], at offset: Int) throws(ExpressionError) -> Value {
        guard case .list(let items) = input else {
            throw .mismatch("`map` needs a list, not \(input.typeName).", hint: "Use `| list` first.", at: offset)
        }
        if let attribute = arguments.first(where: { $0.label == "attribute" }) {
            try limit(arguments, to: 1, "map", at: offset)
            guard case .string(let key) = attribute.value else {
                throw .mismatch("`map(attribute=...)` takes a name in quotes.", at: attribute.offset)
            }
            return .list(
                try each(items, at: offset) { (item) throws(ExpressionError) in
                    guard case .dict(let entries) = item else {
                        throw .mismatch("An item is \(item.typeName), which has no '\(key)'.", at: offset)
                    }
                    return try ExpressionOperators.entry(key, of: entries, described: "An item", at: offset)
                })
        }
        guard let first = arguments.first, first.label == nil, case .string(let name) = first.value else {
            throw .syntax(
                "`map` takes a filter's name in quotes.", hint: "Such as map('string') or map(attribute='name').",
                at: offset)
        }
        guard mappable.contains(name) else {
            throw ExpressionError(
                "expression.unknown-filter", "`map` cannot apply '\(name)'.",
                hint: Suggestion.hint(for: name, among: mappable)
                    ?? "It applies \(mappable.sorted().joined(separator: ", ")).", offset: first.offset)
        }
        let rest = Array(arguments.dropFirst())
        return .list(
            try each(items, at: offset) { (item) throws(ExpressionError) in
                try apply(name, to: item, rest, at: offset)
            })
    }

    /// `map` keeps the whole list within the bounds of one result, not only each item.
    private static func each(
        _ items: [Value], at offset: Int, _ body: (Value) throws(ExpressionError) -> Value
    )
        throws(ExpressionError) -> [Value]
    {
        var results: [Value] = []
        results.reserveCapacity(items.count)
        var bytes = 0
        var parts = items.count
        for item in items {
            let result = try body(item)
            switch result {
            case .string(let text): bytes += text.utf8.count
            case .list(let made): parts += made.count
            case .null, .bool, .int, .double, .dict: break
            }
            guard bytes <= ExpressionLimits.resultBytes, parts <= ExpressionLimits.resultItems else {
                throw .tooLarge("The list", at: offset)
            }
            results.append(result)
        }
        return results
    }

    private static func join(_ input: Value, _ arguments: [Argument], at offset: Int) throws(ExpressionError) -> Value {
        try limit(arguments, to: 1, "join", at: offset)
        guard case .list(let items) = input else {
            throw .mismatch("`join` needs a list, not \(input.typeName).", hint: "Use `| list` first.", at: offset)
        }
        let separator: String
        switch argument(arguments, 0, "d")?.value {
        case nil: separator = ""
        case .string(let text)?: separator = text
        case let other?: throw .mismatch("`join` takes a text, not \(other.typeName).", at: offset)
        }
        var text = ""
        for (index, item) in items.enumerated() {
            if index > 0 { text += separator }
            text += try ExpressionText.text(of: item, at: offset)
            _ = try bounded(text, offset)
        }
        return .string(text)
    }

    private static func round(_ input: Value, _ arguments: [Argument], at offset: Int) throws(ExpressionError) -> Value
    {
        try limit(arguments, to: 1, "round", at: offset)
        var digits: Int64 = 0
        if let given = argument(arguments, 0, "precision") {
            guard case .int(let number) = given.value, (0...15).contains(number) else {
                throw .mismatch("`round` takes 0 to 15 digits.", hint: "Such as round(2).", at: given.offset)
            }
            digits = number
        }
        switch input {
        case .int: return input
        case .double(let number):
            var scale = 1.0
            for _ in 0..<digits { scale *= 10 }
            let rounded = (number * scale).rounded(.toNearestOrEven) / scale
            return .double(rounded.isFinite ? rounded : number)
        case .null, .bool, .string, .list, .dict:
            throw .mismatch("`round` needs a number, not \(input.typeName).", at: offset)
        }
    }

    private static func int(_ input: Value, _ arguments: [Argument], at offset: Int) throws(ExpressionError) -> Value {
        try limit(arguments, to: 1, "int", at: offset)
        let fallback = argument(arguments, 0, "default")?.value
        switch input {
        case .int: return input
        case .bool(let flag): return .int(flag ? 1 : 0)
        case .double(let number):
            if let whole = Int64(exactly: number.rounded(.towardZero)) { return .int(whole) }
        case .string(let text):
            switch ExpressionText.number(text) {
            case .int(let number)?: return .int(number)
            case .double(let number)?:
                if let whole = Int64(exactly: number.rounded(.towardZero)) { return .int(whole) }
            case nil, .null?, .bool?, .string?, .list?, .dict?: break
            }
        case .null, .list, .dict: break
        }
        guard let fallback else { throw notConvertible(input, "an integer", "int", at: offset) }
        return fallback
    }

    private static func float(_ input: Value, _ arguments: [Argument], at offset: Int) throws(ExpressionError) -> Value
    {
        try limit(arguments, to: 1, "float", at: offset)
        switch input {
        case .double: return input
        case .int(let number): return .double(Double(number))
        case .bool(let flag): return .double(flag ? 1 : 0)
        case .string(let text):
            switch ExpressionText.number(text) {
            case .int(let number)?: return .double(Double(number))
            case .double(let number)?: return .double(number)
            case nil, .null?, .bool?, .string?, .list?, .dict?: break
            }
        case .null, .list, .dict: break
        }
        guard let fallback = argument(arguments, 0, "default")?.value else {
            throw notConvertible(input, "a number", "float", at: offset)
        }
        return fallback
    }

    private static func list(_ input: Value, at offset: Int) throws(ExpressionError) -> Value {
        switch input {
        case .list: return input
        case .dict(let entries): return .list(entries.keys.sorted().map(Value.string))
        case .string(let text):
            guard text.utf8.count <= ExpressionLimits.resultItems else { throw .tooLarge("The list", at: offset) }
            return .list(text.unicodeScalars.map { .string(String($0)) })
        case .null, .bool, .int, .double:
            throw .mismatch("`list` cannot split \(input.typeName).", hint: "Write [x] for a list of one.", at: offset)
        }
    }

    private static func length(_ input: Value, at offset: Int) throws(ExpressionError) -> Value {
        switch input {
        case .string(let text): return .int(Int64(text.unicodeScalars.count))
        case .list(let items): return .int(Int64(items.count))
        case .dict(let entries): return .int(Int64(entries.count))
        case .null, .bool, .int, .double:
            throw .mismatch("`length` needs a text, a list or a dict, not \(input.typeName).", at: offset)
        }
    }

    private static func end(_ input: Value, _ name: String, at offset: Int) throws(ExpressionError) -> Value {
        let index: Value = .int(name == "first" ? 0 : -1)
        switch input {
        case .list, .string: return try ExpressionOperators.item(index, of: input, described: "The value", at: offset)
        case .null, .bool, .int, .double, .dict:
            throw .mismatch("`\(name)` needs a list or a text, not \(input.typeName).", at: offset)
        }
    }

    // MARK: Arguments

    private static func argument(_ arguments: [Argument], _ position: Int, _ label: String) -> Argument? {
        if let labelled = arguments.first(where: { $0.label == label }) { return labelled }
        guard position < arguments.count, arguments[position].label == nil else { return nil }
        return arguments[position]
    }

    private static func limit(
        _ arguments: [Argument], to count: Int, _ name: String, at offset: Int
    )
        throws(ExpressionError)
    {
        guard arguments.count > count else { return }
        throw .syntax(
            "`\(name)` takes \(count == 0 ? "no arguments" : "at most \(count)").", hint: "Remove the rest.",
            at: arguments[count].offset)
    }

    private static func bounded(_ text: String, _ offset: Int) throws(ExpressionError) -> String {
        guard text.utf8.count <= ExpressionLimits.resultBytes else { throw .tooLarge("The text", at: offset) }
        return text
    }

    private static func notConvertible(
        _ value: Value, _ wanted: String, _ name: String, at offset: Int
    )
        -> ExpressionError
    {
        // Not the text itself: it may be a secret, and messages end up in logs.
        let shown =
            if case .string(let text) = value { "A text of \(text.count) characters" } else { "A \(value.typeName)" }
        return .mismatch("\(shown) is not \(wanted).", hint: "Give a fallback, as in `| \(name)(0)`.", at: offset)
    }
}
