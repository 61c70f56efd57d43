import PostludeCore
import Yams

/// Says what the YAML parser found in words that help.
enum YAMLProblem {
    static func diagnostic(_ error: YamlError, _ text: String, _ file: String) -> Diagnostic {
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _):
            return syntax(problem, mark, text, file)
        case .composer(_, let problem, let mark, _):
            let place = YAMLLines(text).place(mark, in: file)
            if problem.contains("another document") {
                return Diagnostic(
                    .error, "spec.multiple-documents", "The file holds more than one document.",
                    hint: "Keep one; remove the `---` here and what follows.", at: place)
            }
            return Diagnostic(
                .error, "spec.yaml", "The file is not valid YAML: \(problem).",
                hint: "Define the anchor with &name before it is used, or quote a text that starts with '*'.", at: place
            )
        case .duplicatedKeysInMapping(let keys, _) where keys.contains("<uncovertable>"):
            // With keys that are collections the parser tells them in no order, and the place is anyone's.
            return Diagnostic(
                .error, "spec.wrong-type", "A key is a list or a mapping, and other keys are there twice.",
                hint: "Keys are plain words; put a template in quotes.",
                at: SourcePlace(file: file, line: 1, column: 1))
        case .duplicatedKeysInMapping(let keys, let context):
            // Of several such keys the parser tells the place of any one.
            let told = SourcePlace(file: file, line: 1, column: 1)
            let (key, first) =
                keys.count > 1
                ? earliest(of: keys, text, file) ?? (keys[0], told)
                : (keys.first ?? "", YAMLLines(text).place(context.mark, in: file))
            let place = second(key, first, text)
            return Diagnostic(
                .error, "spec.duplicate-key", "The key `\(key)` is there twice.",
                hint: "Remove one; the first is on line \(first.line).", at: place)
        case .reader(let problem, let offset, _, _):
            return Diagnostic(
                .error, "spec.yaml", "The file cannot be read: \(problem).",
                hint: "Write plain text in UTF-8 without control characters.", at: place(offset ?? 0, text, file))
        case .no, .memory, .writer, .emitter, .representer, .dataCouldNotBeDecoded:
            return Diagnostic(
                .error, "spec.yaml", "The file cannot be read as YAML.", hint: "Check it.",
                at: SourcePlace(file: file, line: 1, column: 1))
        }
    }

    private static func syntax(_ problem: String, _ mark: Mark, _ text: String, _ file: String) -> Diagnostic {
        let lines = YAMLLines(text)
        let place = lines.place(mark, in: file)
        if problem.contains("nesting level") {
            return Diagnostic(
                .error, "spec.too-deep", "The file is nested more than \(YAMLReader.maximumDepth) levels deep.",
                hint: "Flatten it.", at: place)
        }
        let line = lines[place.line] ?? ""
        if let tab = tab(in: line) {
            return Diagnostic(
                .error, "spec.tab", "The line is indented with a tab.", hint: "Indent with blanks.",
                at: SourcePlace(file: file, line: place.line, column: tab))
        }
        return Diagnostic(
            .error, "spec.yaml", "The file is not valid YAML: \(problem).", hint: hint(problem, line), at: place)
    }

    private static func hint(_ problem: String, _ line: Substring) -> String {
        if line.contains("{{") { return "Put a text that starts with '{{' in quotes." }
        if problem.contains("could not find expected ':'") { return "Write `key: value`, or quote the text." }
        if problem.contains("cannot start any token") { return "Quote the text that starts with this character." }
        if problem.contains("unexpected end of stream") || problem.contains("quoted scalar") {
            return "Close the quote."
        }
        if problem.contains("mapping values are not allowed") {
            return "Quote a text that holds ': ', or check the indentation of this line."
        }
        return "Check the indentation of this line and the one above."
    }

    /// The column of a tab before the first character that is no blank.
    private static func tab(in line: Substring) -> Int? {
        for (index, character) in line.enumerated() {
            if character == "\t" { return index + 1 }
            if character != " " && character != "-" { return nil }
        }
        return nil
    }

    /// The key that is written first, and where; nil when none is found as it is.
    private static func earliest(of keys: [String], _ text: String, _ file: String) -> (String, SourcePlace)? {
        let lines = YAMLLines(text)
        var number = 1
        while let line = lines[number] {
            let indentation = line.prefix { $0 == " " || $0 == "-" || $0 == "{" }.count
            if let key = keys.sorted().first(where: { starts(line.dropFirst(indentation), with: $0) }) {
                return (key, SourcePlace(file: file, line: number, column: indentation + 1))
            }
            number += 1
        }
        return nil
    }

    private static func starts(_ rest: Substring, with key: String) -> Bool {
        [key, "\"\(key)\"", "'\(key)'"].contains { form in
            rest.hasPrefix(form) && rest.dropFirst(form.count).drop { $0 == " " }.first == ":"
        }
    }

    /// The parser tells the first of two equal keys; the one to remove is the next at the same column.
    private static func second(_ key: String, _ first: SourcePlace, _ text: String) -> SourcePlace {
        let lines = YAMLLines(text)
        var place = first
        func starts(_ rest: Substring) -> Bool { Self.starts(rest, with: key) }
        if let line = lines[first.line] {
            // A flow mapping has both on one line, as a rule.
            for offset in 0..<line.count where offset >= first.column {
                if starts(line.dropFirst(offset)) {
                    place.column = offset + 1
                    return place
                }
            }
        }
        place.line += 1
        while let line = lines[place.line] {
            if starts(line.dropFirst(first.column - 1)),
                line.prefix(first.column - 1).allSatisfy({ $0 == " " || $0 == "-" })
            {
                return place
            }
            place.line += 1
        }
        return first
    }

    private static func place(_ offset: Int, _ text: String, _ file: String) -> SourcePlace {
        var place = SourcePlace(file: file, line: 1, column: 1)
        for byte in text.utf8.prefix(offset) {
            if byte == 0x0a {
                place.line += 1
                place.column = 1
            } else if byte & 0xc0 != 0x80 {
                place.column += 1
            }
        }
        return place
    }
}
