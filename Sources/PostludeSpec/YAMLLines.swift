import PostludeCore

/// The lines of a file, for places that the parser does not tell.
final class YAMLLines {
    private let text: String
    /// Without the line feeds that end them. Only block scalars and messages need them.
    private lazy var lines = text.utf8.split(separator: 0x0a, omittingEmptySubsequences: false).map(Substring.init)
    /// Where the parser's lines start, when it counts more of them: for YAML 1.1 a lone carriage return, U+0085, U+2028
    /// and U+2029 end a line too, for an editor they do not.
    private let starts: [(line: Int, column: Int)]

    init(_ text: String) {
        self.text = text
        starts = Self.starts(text)
    }

    /// A line without what ends it, from 1 on; nil behind the last.
    subscript(number: Int) -> Substring? {
        guard lines.indices.contains(number - 1) else { return nil }
        let line = lines[number - 1]
        return line.utf8.last == 0x0d ? Substring(line.utf8.dropLast()) : line
    }

    func place(_ mark: YAMLMark, in file: String) -> SourcePlace { place(mark.line, mark.column, in: file) }

    /// Of a line and column as the parser counts them.
    func place(_ line: Int, _ column: Int, in file: String) -> SourcePlace {
        guard starts.indices.contains(line - 1) else { return SourcePlace(file: file, line: line, column: column) }
        let start = starts[line - 1]
        return SourcePlace(file: file, line: start.line, column: start.column + column - 1)
    }

    /// Empty when the parser's lines are the file's.
    private static func starts(_ text: String) -> [(line: Int, column: Int)] {
        // The first bytes of those that end a line for the parser alone: most files have none of them.
        let mayDiffer = text.utf8.withContiguousStorageIfAvailable { bytes in
            bytes.contains { $0 == 0x0d || $0 == 0xc2 || $0 == 0xe2 }
        }
        guard mayDiffer ?? true else { return [] }
        var starts = [(line: 1, column: 1)]
        var (line, column) = (1, 1)
        var differs = false
        var afterReturn = false
        func breakLine() {
            starts.append((line, column))
            differs = true
        }
        for scalar in text.unicodeScalars {
            if afterReturn, scalar != "\n" { breakLine() }
            afterReturn = scalar == "\r"
            column += 1
            switch scalar {
            case "\n":
                (line, column) = (line + 1, 1)
                starts.append((line, column))
            case "\u{85}", "\u{2028}", "\u{2029}": breakLine()
            default: break
            }
        }
        if afterReturn { breakLine() }
        return differs ? starts : []
    }

    /// Where the text of a block scalar starts whose `|` or `>` is at this line.
    func blockStart(after line: Int) -> (line: Int, column: Int)? {
        for number in (line + 1)...(line + 1 + 10_000) {
            guard let text = self[number] else { return nil }
            let indent = text.utf8.prefix { $0 == 0x20 }.count
            if indent < text.utf8.count { return (line + 1, indent + 1) }
        }
        return nil
    }
}
