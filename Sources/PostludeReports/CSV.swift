/// Comma-separated values as RFC 4180 has them: CRLF line ends, quotes doubled, unknown cells empty.
public enum CSV {
    public static func text(header: [String], rows: [[String?]]) -> String {
        ([header.map { $0 }] + rows).map { row in
            row.map { cell($0 ?? "") }.joined(separator: ",") + "\r\n"
        }.joined()
    }

    private static func cell(_ text: String) -> String {
        let needsQuotes = text.unicodeScalars.contains { [",", "\"", "\r", "\n"].contains($0) }
        // Spreadsheets run a cell that starts like a formula; a leading apostrophe makes it text.
        let starts = text.unicodeScalars.first.map { ["=", "+", "-", "@", "\t", "\r"].contains($0) } ?? false
        let isFormula = starts && Double(text) == nil
        let safe = isFormula ? "'" + text : text
        guard needsQuotes else { return safe }
        var quoted = "\""
        for scalar in safe.unicodeScalars {
            if scalar == "\"" { quoted += "\"\"" } else { quoted.unicodeScalars.append(scalar) }
        }
        return quoted + "\""
    }
}
