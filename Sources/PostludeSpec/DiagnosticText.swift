import PostludeCore

/// Diagnostics as text for people.
public enum DiagnosticText {
    /// `file:line:column: error: message [code]`, the hint on a line of its own.
    public static func line(_ diagnostic: Diagnostic) -> String {
        ([head(diagnostic)] + hint(diagnostic)).joined(separator: "\n")
    }

    /// The same with the source line and a caret under the column.
    ///
    /// - Parameter sources: the texts of files, by the path that places name.
    public static func render(_ diagnostic: Diagnostic, sources: [String: String]) -> String {
        render([diagnostic], sources: sources)
    }

    private static func render(_ diagnostic: Diagnostic, _ source: Substring?) -> String {
        var lines = [head(diagnostic)]
        if let place = diagnostic.place, let line = source {
            let number = String(place.line)
            let margin = String(repeating: " ", count: number.count)
            let shown = excerpt(line, around: place.column)
            lines.append(" \(number) | \(shown.text)")
            lines.append(" \(margin) | \(shown.indent)^")
        }
        return (lines + hint(diagnostic)).joined(separator: "\n")
    }

    /// All of them, with a blank line in between.
    public static func render(_ diagnostics: [Diagnostic], sources: [String: String]) -> String {
        zip(diagnostics, lines(of: diagnostics, sources: sources)).map(render).joined(separator: "\n\n")
    }

    /// The line of its file that each diagnostic is about; nil when it has no place, or the file is not at hand.
    public static func sourceLines(of diagnostics: [Diagnostic], sources: [String: String]) -> [String?] {
        lines(of: diagnostics, sources: sources).map { $0.map(String.init) }
    }

    /// Each file is taken apart once, however much is wrong with it.
    private static func lines(of diagnostics: [Diagnostic], sources: [String: String]) -> [Substring?] {
        var known: [String: YAMLLines] = [:]
        return diagnostics.map { diagnostic in
            guard let place = diagnostic.place, let text = sources[place.file] else { return nil }
            let lines = known[place.file] ?? YAMLLines(text)
            known[place.file] = lines
            return lines[place.line]
        }
    }

    private static func head(_ diagnostic: Diagnostic) -> String {
        let place = diagnostic.place.map { "\($0): " } ?? ""
        return escaped("\(place)\(diagnostic.severity.rawValue): \(diagnostic.message) [\(diagnostic.code)]")
    }

    private static func hint(_ diagnostic: Diagnostic) -> [String] {
        diagnostic.hint.map { ["hint: " + escaped($0)] } ?? []
    }

    /// Messages quote what files say, which must command no terminal: ESC becomes `\x1b`. Line ends and tabs stay.
    private static func escaped(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isEscaped) else { return text }
        var shown = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            guard isEscaped(scalar) else {
                shown.append(scalar)
                continue
            }
            let digits = String(scalar.value, radix: 16)
            shown.append(contentsOf: "\\x\(digits.count == 1 ? "0" : "")\(digits)".unicodeScalars)
        }
        return String(shown)
    }

    private static func isEscaped(_ scalar: Unicode.Scalar) -> Bool {
        isControl(scalar) && scalar != "\n" && scalar != "\t"
    }

    /// C0, DEL and C1.
    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value)
    }

    /// At most 100 columns of the line, the caret's among them; control characters become blanks.
    private static func excerpt(_ line: Substring, around column: Int) -> (text: String, indent: String) {
        let scalars = line.unicodeScalars.map { isControl($0) ? " " : $0 }
        let caret = min(max(column - 1, 0), scalars.count)
        let start = max(0, caret - 70)
        let end = min(scalars.count, start + 100)
        var text = String.UnicodeScalarView()
        text.append(contentsOf: scalars[start..<end])
        let head = start > 0 ? "..." : ""
        let tail = end < scalars.count ? "..." : ""
        return (head + String(text) + tail, String(repeating: " ", count: caret - start + head.count))
    }
}

/// Text of files as bytes.
public enum SourceText {
    /// The text of a file, or why it is none: not UTF-8, or larger than a file may be.
    public static func decode(_ bytes: [UInt8], path: String) -> Result<String, SpecError> {
        guard bytes.count <= YAMLReader.maximumBytes else {
            return .failure(
                SpecError(
                    "spec.too-large", "The file is larger than 1 MiB.",
                    hint: "Keep data out of the file; mount or fetch it.",
                    at: SourcePlace(file: path, line: 1, column: 1)))
        }
        if let text = String(validating: bytes, as: UTF8.self) {
            return .success(text.unicodeScalars.first == "\u{FEFF}" ? String(text.unicodeScalars.dropFirst()) : text)
        }
        return .failure(
            SpecError(
                "spec.not-utf8", "The file is not UTF-8 text.", hint: "Save it as UTF-8.",
                at: firstInvalid(bytes, path)))
    }

    private static func firstInvalid(_ bytes: [UInt8], _ path: String) -> SourcePlace {
        var place = SourcePlace(file: path, line: 1, column: 1)
        var decoder = UTF8()
        var iterator = bytes.makeIterator()
        while true {
            switch decoder.decode(&iterator) {
            case .scalarValue("\n"):
                place.line += 1
                place.column = 1
            case .scalarValue: place.column += 1
            case .emptyInput, .error: return place
            }
        }
    }
}
