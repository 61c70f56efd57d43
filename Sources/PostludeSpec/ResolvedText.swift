import PostludeCore

/// A merged file as YAML, each value with the place that it came from as a comment.
struct ResolvedText {
    private var lines: [String] = []

    static func render(_ root: YAMLNode) -> String {
        var text = ResolvedText()
        text.mapping(root.entries ?? [], indent: 0)
        return text.lines.joined(separator: "\n") + "\n"
    }

    private mutating func mapping(_ entries: [YAMLEntry], indent: Int, first: String? = nil) {
        var lead = first
        for entry in entries {
            let margin = lead ?? String(repeating: " ", count: indent)
            lead = nil
            value(entry.value, after: margin + Self.word(entry.key) + ":", indent: indent)
        }
    }

    /// A value behind its key or dash.
    private mutating func value(_ node: YAMLNode, after head: String, indent: Int) {
        switch node.content {
        case .scalar(let scalar): self.scalar(scalar, after: head, indent: indent, node.place)
        case .sequence(let items) where items.isEmpty: lines.append("\(head) []\(Self.comment(node.place))")
        case .mapping(let entries) where entries.isEmpty: lines.append("\(head) {}\(Self.comment(node.place))")
        case .mapping(let entries):
            lines.append(head)
            mapping(entries, indent: indent + 2)
        case .sequence(let items):
            lines.append(head)
            sequence(items, indent: indent)
        }
    }

    private mutating func sequence(_ items: [YAMLNode], indent: Int) {
        let dash = String(repeating: " ", count: indent) + "-"
        for item in items {
            if let entries = item.entries, !entries.isEmpty {
                mapping(entries, indent: indent + 2, first: dash + " ")
            } else {
                value(item, after: dash, indent: indent + 2)
            }
        }
    }

    private mutating func scalar(_ scalar: YAMLScalar, after head: String, indent: Int, _ place: SourcePlace) {
        let comment = Self.comment(place)
        guard scalar.isText || scalar.text.contains("\n") else {
            lines.append("\(head) \(scalar.text)\(comment)")
            return
        }
        let parts = scalar.text.split(separator: "\n", omittingEmptySubsequences: false)
        guard parts.count > 1, Self.fitsBlock(scalar.text) else {
            lines.append("\(head) \(Self.word(scalar.text))\(comment)")
            return
        }
        let ends = scalar.text.hasSuffix("\n")
        lines.append("\(head) \(ends ? "|" : "|-")\(comment)")
        let margin = String(repeating: " ", count: indent + 2)
        for part in ends ? parts.dropLast() : parts[...] { lines.append(part.isEmpty ? "" : margin + part) }
    }

    /// Whether a block says the same as the text: no line that a reader would take for something else.
    private static func fitsBlock(_ text: String) -> Bool {
        guard let first = text.first, first != " ", first != "\n", first != "\t", !text.hasSuffix("\n\n") else {
            return false
        }
        return text.unicodeScalars.allSatisfy { $0 == "\n" || ($0.value >= 0x20 && $0.value < 0x7f) }
    }

    /// A text, in quotes where it would be something else without them.
    private static func word(_ text: String) -> String {
        let isPlain =
            !text.isEmpty
            && text.utf8.allSatisfy { byte in
                (byte >= 0x30 && byte <= 0x39) || (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a)
                    || byte == 0x5f || byte == 0x2d || byte == 0x2e || byte == 0x2f
            } && !text.hasPrefix("-")
        let scalar = YAMLScalar(text: text, isText: false, textPlace: SourcePlace(file: "", line: 1, column: 1))
        if isPlain, scalar.value == .string(text) { return text }
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\n": quoted += "\\n"
            case "\t": quoted += "\\t"
            case _ where scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value):
                let digits = String(scalar.value, radix: 16)
                quoted += "\\x" + (digits.count == 1 ? "0" : "") + digits
            case "\u{2028}": quoted += "\\L"
            case "\u{2029}": quoted += "\\P"
            case "\u{FEFF}": quoted += "\\uFEFF"
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }

    private static func comment(_ place: SourcePlace) -> String {
        // A file's name may hold what would end the comment.
        let file = place.file.unicodeScalars.map { scalar in
            scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value) ? "?" : String(scalar)
        }
        return "  # \(file.joined()):\(place.line):\(place.column)"
    }
}
