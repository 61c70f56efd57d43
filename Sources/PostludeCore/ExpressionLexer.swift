/// Splits an expression into tokens.
enum ExpressionLexer {
    enum Kind: Hashable, Sendable {
        case name(String)
        case int(Int64)
        case double(Double)
        case string(String)
        case symbol(String)
        case end
    }

    struct Token: Hashable, Sendable {
        var kind: Kind
        var offset: Int
    }

    static func tokens(of text: [Unicode.Scalar]) throws(ExpressionError) -> [Token] {
        var tokens: [Token] = []
        var position = 0
        while position < text.count {
            let scalar = text[position]
            if scalar == " " || scalar == "\t" || scalar == "\n" || scalar == "\r" {
                position += 1
            } else if isNameStart(scalar) {
                let start = position
                while position < text.count, isNamePart(text[position]) { position += 1 }
                tokens.append(Token(kind: .name(string(text[start..<position])), offset: start))
            } else if isDigit(scalar) {
                tokens.append(try number(text, &position))
            } else if scalar == "'" || scalar == "\"" {
                tokens.append(try quoted(text, &position))
            } else if position + 1 < text.count, let pair = pair(text, position) {
                tokens.append(Token(kind: .symbol(pair), offset: position))
                position += 2
            } else if isSymbol(scalar) {
                tokens.append(Token(kind: .symbol(String(scalar)), offset: position))
                position += 1
            } else {
                throw .syntax(
                    "The character '\(printable(scalar))' has no meaning here.",
                    hint: "Put text in quotes, as in 'text'.", at: position)
            }
        }
        tokens.append(Token(kind: .end, offset: text.count))
        return tokens
    }

    /// The symbol of two characters that starts here; asked for first, so that `//` is not read as `/` twice.
    private static func pair(_ text: [Unicode.Scalar], _ position: Int) -> String? {
        switch (text[position], text[position + 1]) {
        case ("=", "="): "=="
        case ("!", "="): "!="
        case ("<", "="): "<="
        case (">", "="): ">="
        case ("/", "/"): "//"
        case ("*", "*"): "**"
        case ("&", "&"): "&&"
        case ("|", "|"): "||"
        default: nil
        }
    }

    private static func isSymbol(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "+", "-", "*", "/", "%", "<", ">", "(", ")", "[", "]", "{", "}", ",", ".", "|", ":", "=", "~", "!", "&":
            true
        default: false
        }
    }

    private static func number(_ text: [Unicode.Scalar], _ position: inout Int) throws(ExpressionError) -> Token {
        let start = position
        var isFloat = false
        while position < text.count, isDigit(text[position]) { position += 1 }
        if position + 1 < text.count, text[position] == ".", isDigit(text[position + 1]) {
            isFloat = true
            position += 1
            while position < text.count, isDigit(text[position]) { position += 1 }
        }
        if position < text.count, text[position] == "e" || text[position] == "E" {
            var next = position + 1
            if next < text.count, text[next] == "+" || text[next] == "-" { next += 1 }
            if next < text.count, isDigit(text[next]) {
                isFloat = true
                position = next
                while position < text.count, isDigit(text[position]) { position += 1 }
            }
        }
        let digits = string(text[start..<position])
        if position < text.count, isNamePart(text[position]) {
            throw .syntax(
                "'\(digits)\(printable(text[position]))' is neither a number nor a name.",
                hint: "Names start with a letter; put text in quotes.", at: start)
        }
        if isFloat {
            guard let value = Double(digits), value.isFinite else {
                throw .overflow("The number \(shortened(digits))", at: start)
            }
            return Token(kind: .double(value), offset: start)
        }
        guard let value = Int64(digits) else { throw .overflow("The number \(shortened(digits))", at: start) }
        return Token(kind: .int(value), offset: start)
    }

    private static func quoted(_ text: [Unicode.Scalar], _ position: inout Int) throws(ExpressionError) -> Token {
        let start = position
        let quote = text[position]
        var content = String.UnicodeScalarView()
        position += 1
        while position < text.count, text[position] != quote {
            guard text[position] == "\\" else {
                content.append(text[position])
                position += 1
                continue
            }
            guard position + 1 < text.count else { break }
            content.append(try escape(text, &position))
        }
        guard position < text.count else {
            throw .syntax("The text that starts here has no closing \(quote).", hint: "Add the quote.", at: start)
        }
        position += 1
        return Token(kind: .string(String(content)), offset: start)
    }

    private static func escape(
        _ text: [Unicode.Scalar], _ position: inout Int
    ) throws(ExpressionError)
        -> Unicode.Scalar
    {
        let start = position
        let letter = text[position + 1]
        position += 2
        switch letter {
        case "n": return "\n"
        case "t": return "\t"
        case "r": return "\r"
        case "0": return "\0"
        case "\\", "'", "\"", "/": return letter
        case "u":
            let end = position + 4
            if end <= text.count, let code = UInt32(string(text[position..<end]), radix: 16),
                let scalar = Unicode.Scalar(code)
            {
                position = end
                return scalar
            }
            throw .syntax("\\u takes four hexadecimal digits of a character.", hint: "Such as \\u00e9.", at: start)
        default:
            throw .syntax(
                "'\\\(printable(letter))' is no escape.", hint: "Write \\\\ for a backslash.", at: start)
        }
    }

    static func isNameStart(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "a"..."z", "A"..."Z", "_": true
        default: !scalar.isASCII && scalar.properties.isAlphabetic
        }
    }

    static func isNamePart(_ scalar: Unicode.Scalar) -> Bool { isNameStart(scalar) || isDigit(scalar) }

    static func isDigit(_ scalar: Unicode.Scalar) -> Bool { scalar.value >= 0x30 && scalar.value <= 0x39 }

    /// The text of some scalars. What `String.UnicodeScalarView.append(contentsOf:)` makes too, ten times as slowly.
    static func string(_ scalars: ArraySlice<Unicode.Scalar>) -> String {
        let size = scalars.reduce(0) { $0 + UTF8.width($1) }
        return String(unsafeUninitializedCapacity: size) { buffer in
            var end = 0
            for scalar in scalars {
                for byte in Unicode.UTF8.encode(scalar) ?? Unicode.UTF8.encodedReplacementCharacter {
                    buffer[end] = byte
                    end += 1
                }
            }
            return end
        }
    }

    private static func printable(_ scalar: Unicode.Scalar) -> String {
        scalar.value < 0x20 || scalar.value == 0x7f ? "U+" + String(scalar.value, radix: 16) : String(scalar)
    }

    private static func shortened(_ digits: String) -> String {
        digits.count > 24 ? "\(digits.prefix(24))..." : digits
    }
}
