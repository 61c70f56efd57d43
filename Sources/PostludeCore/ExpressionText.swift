/// Texts of values: what a template shows, and JSON.
enum ExpressionText {
    /// The text form in a template: a text as it is, null as nothing, numbers, `true` and `false` as JSON writes them,
    /// lists and dictionaries as JSON.
    static func text(of value: Value, at offset: Int) throws(ExpressionError) -> String {
        switch value {
        case .null: ""
        case .string(let text): text
        case .bool, .int, .double, .list, .dict: try json(value, at: offset)
        }
    }

    /// Compact JSON with sorted keys. A float that JSON cannot write is an error.
    static func json(_ value: Value, at offset: Int) throws(ExpressionError) -> String {
        var text = ""
        try append(value, to: &text, depth: 0, at: offset)
        return text
    }

    private static func append(
        _ value: Value, to text: inout String, depth: Int, at offset: Int
    )
        throws(ExpressionError)
    {
        guard depth <= ExpressionLimits.valueDepth, text.utf8.count <= ExpressionLimits.resultBytes else {
            throw .tooLarge("The value's text", at: offset)
        }
        switch value {
        case .null: text += "null"
        case .bool(let flag): text += flag ? "true" : "false"
        case .int(let number): text += String(number)
        case .double(let number):
            guard number.isFinite else { throw .overflow("The number \(number)", at: offset) }
            text += number.description
        case .string(let string):
            appendQuoted(string, to: &text)
        case .list(let items):
            text += "["
            for (index, item) in items.enumerated() {
                if index > 0 { text += ", " }
                try append(item, to: &text, depth: depth + 1, at: offset)
            }
            text += "]"
        case .dict(let entries):
            text += "{"
            for (index, key) in entries.keys.sorted().enumerated() {
                if index > 0 { text += ", " }
                appendQuoted(key, to: &text)
                text += ": "
                if let item = entries[key] { try append(item, to: &text, depth: depth + 1, at: offset) }
            }
            text += "}"
        }
        guard text.utf8.count <= ExpressionLimits.resultBytes else { throw .tooLarge("The value's text", at: offset) }
    }

    private static func appendQuoted(_ string: String, to text: inout String) {
        text += "\""
        // Copied whole from one scalar that JSON writes otherwise to the next.
        let scalars = string.unicodeScalars
        var copied = scalars.startIndex
        for index in scalars.indices {
            guard let escape = escape(scalars[index]) else { continue }
            text += string[copied..<index]
            text += escape
            copied = scalars.index(after: index)
        }
        text += string[copied...]
        text += "\""
    }

    /// How a scalar is written in a text of JSON; nil for as it is.
    private static func escape(_ scalar: Unicode.Scalar) -> String? {
        switch scalar {
        case "\"": return "\\\""
        case "\\": return "\\\\"
        case "\n": return "\\n"
        case "\r": return "\\r"
        case "\t": return "\\t"
        case "\u{0}"..."\u{1f}", "\u{7f}", "\u{2028}", "\u{2029}":
            let digits = String(scalar.value, radix: 16)
            return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        default: return nil
        }
    }

    /// Whether `part` occurs in `text`, byte by byte; linear in the text for each byte of the part.
    static func contains(_ text: String, _ part: String) -> Bool {
        let haystack = Array(text.utf8)
        let needle = Array(part.utf8)
        guard let first = needle.first else { return true }
        guard haystack.count >= needle.count else { return false }
        // Knuth, Morris and Pratt: a hostile text cannot make this quadratic.
        var fallback = [Int](repeating: 0, count: needle.count)
        var matched = 0
        for index in needle.indices.dropFirst() {
            while matched > 0, needle[index] != needle[matched] { matched = fallback[matched - 1] }
            if needle[index] == needle[matched] { matched += 1 }
            fallback[index] = matched
        }
        matched = 0
        for byte in haystack {
            if matched == 0, byte != first { continue }
            while matched > 0, byte != needle[matched] { matched = fallback[matched - 1] }
            if byte == needle[matched] { matched += 1 }
            if matched == needle.count { return true }
        }
        return false
    }

    /// A decimal number without blanks around it: `3`, `-0.5`, `1e-3`.
    static func number(_ text: String) -> Value? {
        let trimmed = trimmed(text)
        if let number = Int64(trimmed) { return .int(number) }
        // Double(_:) also reads `nan`, `inf` and hexadecimal, which are no numbers here.
        guard trimmed.utf8.allSatisfy({ ($0 >= 0x30 && $0 <= 0x39) || "+-.eE".utf8.contains($0) }),
            let number = Double(trimmed), number.isFinite
        else { return nil }
        return .double(number)
    }

    static func trimmed(_ text: String) -> String {
        func isBlank(_ scalar: Unicode.Scalar) -> Bool { scalar.properties.isWhitespace }
        let scalars = text.unicodeScalars
        guard let first = scalars.firstIndex(where: { !isBlank($0) }),
            let last = scalars.lastIndex(where: { !isBlank($0) })
        else { return "" }
        return String(scalars[first...last])
    }
}

extension Value {
    /// The value as compact JSON with sorted keys.
    /// - Throws: `ExpressionError` when it is larger than 1 MiB, nested too deeply, or holds an infinite number.
    public func json() throws(ExpressionError) -> String { try ExpressionText.json(self, at: 0) }

    /// The value as a template shows it.
    public func text() throws(ExpressionError) -> String { try ExpressionText.text(of: self, at: 0) }
}
