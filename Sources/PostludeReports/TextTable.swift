/// Rows of text in aligned columns, for terminals and files alike: no colour, no trailing spaces.
public struct TextTable: Sendable {
    public enum Alignment: Sendable { case leading, trailing }

    /// One column: its title, and where its cells stand.
    public struct Column: Sendable {
        public var title: String
        public var alignment: Alignment
        /// Wider cells are cut, with `…`; nil leaves them whole.
        public var limit: Int?

        public init(_ title: String, _ alignment: Alignment = .leading, limit: Int? = nil) {
            self.title = title
            self.alignment = alignment
            self.limit = limit
        }
    }

    public var columns: [Column]
    public var rows: [[String]]

    public init(_ columns: [Column], rows: [[String]] = []) {
        self.columns = columns
        self.rows = rows
    }

    /// The table as lines, the titles first; missing cells are empty.
    public var lines: [String] {
        let cells = ([columns.map(\.title)] + rows).map { row in
            columns.indices.map { index in cell(row, index) }
        }
        let widths = columns.indices.map { index in cells.map { $0[index].displayWidth }.max() ?? 0 }
        return cells.map { row in
            let joined = columns.indices.map { index in
                row[index].padded(to: widths[index], alignment: columns[index].alignment)
            }.joined(separator: "  ")
            return joined.droppingTrailingSpaces
        }
    }

    private func cell(_ row: [String], _ index: Int) -> String {
        guard index < row.count else { return "" }
        // Control characters in a name would break the line, or worse, talk to the terminal.
        let text = row[index].visible
        return columns[index].limit.map { text.truncated(to: $0) } ?? text
    }
}

extension String {
    fileprivate var droppingTrailingSpaces: String {
        var text = self[...]
        while text.last == " " { text.removeLast() }
        return String(text)
    }

    /// The text with control characters shown as `\n`, `\t` or `\x1b`, so that it stays on its line and commands no terminal.
    public var visible: String {
        guard unicodeScalars.contains(where: \.isUnsafe) else { return self }
        var text = ""
        for scalar in unicodeScalars {
            switch scalar {
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            case _ where scalar.isUnsafe: text += scalar.escaped
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text
    }
}

extension Unicode.Scalar {
    /// Whether a terminal may act on it rather than show it: C0, DEL, C1, and the marks that reorder text.
    public var isUnsafe: Bool {
        switch value {
        case 0..<0x20, 0x7f..<0xa0, 0x202a...0x202e, 0x2066...0x2069, 0x200e, 0x200f, 0x2028, 0x2029: true
        default: false
        }
    }

    /// `\x1b` for one byte, `\u{202e}` for more.
    public var escaped: String {
        let digits = String(value, radix: 16)
        return value < 0x100 ? "\\x" + (digits.utf8.count < 2 ? "0" : "") + digits : "\\u{\(digits)}"
    }
}
