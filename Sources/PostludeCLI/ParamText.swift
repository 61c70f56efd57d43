import PostludeAPI
import PostludeCore

/// `-P name=value`: the value is typed as YAML types a scalar; lists and maps are written as JSON.
enum ParamText {
    static func parse(_ arguments: [String]) throws(CommandFailure) -> [String: Value] {
        var params: [String: Value] = [:]
        for argument in arguments {
            guard let equals = argument.firstIndex(of: "=") else {
                throw CommandFailure(
                    .usage, "cli.param-without-value", "'\(argument)' has no value.", hint: "Write -P name=value.")
            }
            let name = String(argument[..<equals])
            guard isName(name) else {
                throw CommandFailure(
                    .usage, "cli.param-name", "'\(name)' is not the name of a param.",
                    hint: "Names have letters, digits, `_` and `-`, and do not start with a digit.")
            }
            guard params[name] == nil else {
                throw CommandFailure(
                    .usage, "cli.param-twice", "The param '\(name)' is given twice.", hint: "Give it once.")
            }
            params[name] = try value(String(argument[argument.index(after: equals)...]), of: name)
        }
        return params
    }

    private static func isName(_ name: String) -> Bool {
        guard let first = name.unicodeScalars.first, first == "_" || first.properties.isAlphabetic else { return false }
        return name.unicodeScalars.allSatisfy {
            $0 == "_" || $0 == "-" || $0.properties.isAlphabetic || ("0"..."9").contains($0)
        }
    }

    static func value(_ text: String, of name: String) throws(CommandFailure) -> Value {
        switch text.first {
        case "[", "{":
            do {
                return try Wire.decode(Value.self, from: text.utf8)
            } catch {
                throw CommandFailure(
                    .usage, "cli.param-json", "The value of '\(name)' starts like a list or a map, and is no JSON.",
                    hint: "Write -P '\(name)=[1, \"two\"]', or quote a text: -P '\(name)=\"[text\"'.")
            }
        case "\"":
            do {
                return .string(try Wire.decode(String.self, from: text.utf8))
            } catch {
                throw CommandFailure(
                    .usage, "cli.param-quotes", "The quotes in the value of '\(name)' do not match.",
                    hint: "Write -P '\(name)=\"text\"', or leave the quotes out.")
            }
        case "'":
            guard text.count >= 2, text.hasSuffix("'") else {
                throw CommandFailure(
                    .usage, "cli.param-quotes", "The quotes in the value of '\(name)' do not match.",
                    hint: "Write -P \"\(name)='text'\", or leave the quotes out.")
            }
            return .string(
                text.dropFirst().dropLast().split(separator: "''", omittingEmptySubsequences: false).joined(
                    separator: "'"))
        default: return scalar(text)
        }
    }

    /// A plain scalar by YAML 1.2's core schema.
    static func scalar(_ text: String) -> Value {
        switch text {
        case "", "~", "null", "Null", "NULL": return .null
        case "true", "True", "TRUE": return .bool(true)
        case "false", "False", "FALSE": return .bool(false)
        case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF": return .double(.infinity)
        case "-.inf", "-.Inf", "-.INF": return .double(-.infinity)
        case ".nan", ".NaN", ".NAN": return .double(.nan)
        default: break
        }
        if let integer = integer(text) { return .int(integer) }
        // Swift's own parser takes more than YAML does: hexadecimal floats, `inf`, `nan`.
        let isNumber = text.utf8.allSatisfy { byte in
            (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || "+-.eE".utf8.contains(byte)
        }
        if isNumber, text != ".", let number = Double(text), number.isFinite { return .double(number) }
        return .string(text)
    }

    private static func integer(_ text: String) -> Int64? {
        if text.hasPrefix("0x") { return digits(text.dropFirst(2), radix: 16) }
        if text.hasPrefix("0o") { return digits(text.dropFirst(2), radix: 8) }
        return Int64(text)
    }

    private static func digits(_ text: Substring, radix: Int) -> Int64? {
        // No second sign behind the prefix.
        text.first.map { $0.isHexDigit } ?? false ? Int64(text, radix: radix) : nil
    }
}
