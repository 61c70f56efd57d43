import PostludeCore

/// Says what the YAML parser found in words that help.
enum YAMLProblem {
    static func diagnostic(_ fault: YAMLFault, _ text: String, _ file: String) -> Diagnostic {
        let lines = YAMLLines(text)
        func told(_ code: String, _ message: String, hint: String, _ mark: YAMLMark) -> Diagnostic {
            Diagnostic(.error, code, message, hint: hint, at: lines.place(mark, in: file))
        }
        let start = SourcePlace(file: file, line: 1, column: 1)
        switch fault {
        case .syntax(let problem, let mark): return syntax(problem, lines.place(mark, in: file), lines)
        case .unreadable(let problem, let offset):
            return Diagnostic(
                .error, "spec.yaml", "The file cannot be read: \(problem).",
                hint: "Write plain text in UTF-8 without control characters.", at: place(offset, text, file))
        case .undefinedAlias(let name, let mark):
            return told(
                "spec.yaml", "There is no anchor `&\(name)` above this alias.",
                hint: "Define the anchor with &name before it is used, or quote a text that starts with '*'.", mark)
        case .secondDocument(let mark):
            return told(
                "spec.multiple-documents", "The file holds more than one document.",
                hint: "Keep one; remove the `---` here and what follows.", mark)
        case .duplicateKey(let key, let mark, let first):
            let line = lines.place(first, in: file).line
            return told(
                "spec.duplicate-key", "The key `\(key)` is there twice.",
                hint: "Remove one; the first is on line \(line).", mark)
        case .listAsKey(let mark):
            return told("spec.wrong-type", "A key is a list.", hint: "Keys are plain words.", mark)
        case .mappingAsKey(let mark):
            return told(
                "spec.wrong-type", "A key is a mapping; is it a template without quotes?",
                hint: "Put a template in quotes, as in \"{{ x }}\".", mark)
        case .unsupportedTag(let tag, let mark):
            return told("spec.unsupported-tag", "The YAML tag '\(tag)' is not supported.", hint: "Remove it.", mark)
        case .noMergeableValue(let mark):
            return told(
                "spec.wrong-type", "`<<` takes a mapping or a list of mappings.",
                hint: "Alias a mapping, as in <<: *base.", mark)
        case .tooDeep(let mark): return tooDeep(lines.place(mark, in: file))
        case .tooManyNodes(let mark):
            return told(
                "spec.too-large",
                "The file has more than \(YAMLReader.maximumNodes) parts, aliases counted as often as they are used.",
                hint: "Use fewer aliases, or split the file.", mark)
        case .empty:
            return Diagnostic(
                .error, "spec.empty", "The file is empty.", hint: "Write at least one key.", at: start)
        case .outOfMemory:
            return Diagnostic(
                .error, "spec.yaml", "There is not enough memory to read the file.", hint: "Try again later.", at: start
            )
        }
    }

    private static func tooDeep(_ place: SourcePlace) -> Diagnostic {
        Diagnostic(
            .error, "spec.too-deep", "The file is nested more than \(YAMLReader.maximumDepth) levels deep.",
            hint: "Flatten it.", at: place)
    }

    private static func syntax(_ problem: String, _ place: SourcePlace, _ lines: YAMLLines) -> Diagnostic {
        if problem.contains("nesting level") { return tooDeep(place) }
        let line = lines[place.line] ?? ""
        if let tab = tab(in: line) {
            return Diagnostic(
                .error, "spec.tab", "The line is indented with a tab.", hint: "Indent with blanks.",
                at: SourcePlace(file: place.file, line: place.line, column: tab))
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
