import PostludeCore
import Yams

/// Reads YAML text into nodes, within bounds that no file can exceed.
enum YAMLReader {
    static let maximumBytes = 1 << 20
    static let maximumDepth = 64
    /// Parts of a file, those that aliases repeat included.
    static let maximumNodes = 50_000
    /// Aliases that may be there when keys are not plain, see `hasCostlyKeys`.
    private static let maximumAliasesWithKeys = 16

    /// The file's only document, or nil with the reason in `findings`.
    static func read(_ text: String, file: String, _ findings: Findings) -> YAMLNode? {
        let start = SourcePlace(file: file, line: 1, column: 1)
        guard text.utf8.count <= maximumBytes else {
            findings.error(
                "spec.too-large", "The file is larger than 1 MiB.",
                hint: "Keep data out of the file; mount or fetch it.",
                at: start)
            return nil
        }
        guard !hasCostlyKeys(text) else {
            findings.error(
                "spec.too-many-aliases", "The file uses aliases inside of keys.",
                hint: "Write keys as plain words and repeat values instead of aliasing them.", at: start)
            return nil
        }
        do {
            // Without rules that guess a plain text's type, for that is `YAMLScalar`'s to say: the parser would match
            // every key against all of them to find those that are there twice.
            guard let root = try Parser(yaml: text, resolver: .basic).singleRoot() else {
                empty(findings, at: start)
                return nil
            }
            var builder = YAMLBuilder(file: file, lines: YAMLLines(text), findings: findings)
            guard let node = builder.node(root), !node.isNull else {
                if !findings.hasErrors { empty(findings, at: start) }
                return nil
            }
            return node
        } catch let error as YamlError {
            findings.add(YAMLProblem.diagnostic(error, text, file))
        } catch {
            findings.error("spec.yaml", "The file cannot be read as YAML: \(error).", hint: "Check it.", at: start)
        }
        return nil
    }

    private static func empty(_ findings: Findings, at place: SourcePlace) {
        findings.error("spec.empty", "The file is empty.", hint: "Write at least one key.", at: place)
    }

    /// Whether keys may be made of aliased collections, which would take exponential time to compare.
    ///
    /// Seen from the text alone, because the comparison happens while the file is parsed.
    private static func hasCostlyKeys(_ text: String) -> Bool {
        guard text.utf8.withContiguousStorageIfAvailable({ $0.contains(0x26) && $0.contains(0x2a) }) ?? true else {
            return false
        }
        var anchors = 0
        var aliases = 0
        var keys = 0
        var before: UInt8 = 0x20
        var closing: UInt8 = 0
        for byte in text.utf8 {
            let starts = isBlank(before) || before == 0x5b || before == 0x2c || before == 0x7b || before == 0x3a
            if byte == 0x26, starts { anchors += 1 }
            if byte == 0x2a, starts { aliases += 1 }
            if byte == 0x3f, isBlank(before) { keys += 1 }
            if byte == 0x3a, closing != 0 { keys += 1 }
            if byte == 0x5d || byte == 0x7d { closing = byte } else if !isBlank(byte) { closing = 0 }
            before = byte
        }
        // An alias that is a key by itself (`*a :`) looks like any other: with many aliases, look for it line by line.
        return anchors > 0 && aliases > maximumAliasesWithKeys && (keys > 0 || hasAliasAsKey(text))
    }

    private static func hasAliasAsKey(_ text: String) -> Bool {
        text.split(separator: "\n").contains { line in
            guard let star = line.firstIndex(of: "*"), let colon = line[star...].firstIndex(of: ":") else {
                return false
            }
            return line[line.index(after: star)..<colon].utf8.last.map(isBlank) ?? false
        }
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0a || byte == 0x0d }
}

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

    func place(_ mark: Mark, in file: String) -> SourcePlace { place(mark.line, mark.column, in: file) }

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

/// Turns parsed YAML into nodes and counts as it goes.
private struct YAMLBuilder {
    let file: String
    let lines: YAMLLines
    let findings: Findings
    private var remaining = YAMLReader.maximumNodes

    init(file: String, lines: YAMLLines, findings: Findings) {
        self.file = file
        self.lines = lines
        self.findings = findings
    }

    mutating func node(_ node: Node) -> YAMLNode? { build(node, depth: 0) }

    private mutating func build(_ node: Node, depth: Int) -> YAMLNode? {
        let place = place(node.mark)
        guard depth <= YAMLReader.maximumDepth else {
            findings.error(
                "spec.too-deep", "The file is nested more than \(YAMLReader.maximumDepth) levels deep.",
                hint: "Flatten it.", at: place)
            return nil
        }
        guard remaining > 0 else {
            findings.error(
                "spec.too-large",
                "The file has more than \(YAMLReader.maximumNodes) parts, aliases counted as often as "
                    + "they are used.", hint: "Use fewer aliases, or split the file.", at: place)
            return nil
        }
        remaining -= 1
        switch node {
        case .scalar(let scalar): return self.scalar(scalar, place)
        case .sequence(let sequence):
            guard hasTag(node, [.implicit, .seq], place) else { return nil }
            var items: [YAMLNode] = []
            for item in sequence {
                guard let built = build(item, depth: depth + 1) else { return nil }
                items.append(built)
            }
            return YAMLNode(content: .sequence(items), place: place)
        case .mapping(let mapping):
            guard hasTag(node, [.implicit, .map], place), let entries = entries(mapping, depth: depth) else {
                return nil
            }
            return YAMLNode(content: .mapping(entries), place: place)
        case .alias:
            findings.error("spec.yaml", "An alias is left unresolved.", hint: "Repeat the value.", at: place)
            return nil
        }
    }

    private mutating func entries(_ mapping: Node.Mapping, depth: Int) -> [YAMLEntry]? {
        var entries: [YAMLEntry] = []
        var merged: [YAMLEntry] = []
        for (key, value) in mapping {
            guard case .scalar(let name) = key else {
                // `{{ x }}` without quotes is a mapping whose key is a mapping.
                let isList = isSequence(key)
                findings.error(
                    "spec.wrong-type",
                    isList ? "A key is a list." : "A key is a mapping; is it a template without quotes?",
                    hint: isList ? "Keys are plain words." : "Put a template in quotes, as in \"{{ x }}\".",
                    at: place(isList ? key.mark : mapping.mark))
                return nil
            }
            guard let built = build(value, depth: depth + 1) else { return nil }
            if name.string == "<<", name.style == .plain {
                guard let added = mergeable(built) else { return nil }
                merged += added
            } else {
                entries.append(YAMLEntry(key: name.string, keyPlace: place(name.mark), value: built))
            }
        }
        // What is written here wins over what is merged in, and an earlier merge over a later one.
        var keys = Set(merged.isEmpty ? [] : entries.map(\.key))
        for entry in merged where keys.insert(entry.key).inserted { entries.append(entry) }
        return entries
    }

    private func mergeable(_ node: YAMLNode) -> [YAMLEntry]? {
        switch node.content {
        case .mapping(let entries): return entries
        case .sequence(let items):
            let parts = items.compactMap(\.entries)
            if parts.count == items.count { return parts.flatMap { $0 } }
        case .scalar: break
        }
        findings.error(
            "spec.wrong-type", "`<<` takes a mapping or a list of mappings.", hint: "Alias a mapping, as in <<: *base.",
            at: node.place)
        return nil
    }

    private func scalar(_ scalar: Node.Scalar, _ place: SourcePlace) -> YAMLNode? {
        let isText: Bool
        switch Tag.Name(rawValue: scalar.tag.rawValue) {
        case .str, .nonSpecific: isText = true
        case .implicit, .bool, .int, .float, .null, .timestamp: isText = scalar.style != .plain && scalar.style != .any
        default:
            findings.error(
                "spec.unsupported-tag", "The YAML tag '\(scalar.tag.description)' is not supported.",
                hint: "Remove it.", at: place)
            return nil
        }
        var textPlace = place
        switch scalar.style {
        case .singleQuoted, .doubleQuoted: textPlace.column += 1
        case .literal, .folded:
            if let start = lines.blockStart(after: place.line) {
                textPlace.line = start.line
                textPlace.column = start.column
            }
        case .plain, .any: break
        }
        return YAMLNode(
            content: .scalar(YAMLScalar(text: scalar.string, isText: isText, textPlace: textPlace)), place: place)
    }

    private func hasTag(_ node: Node, _ allowed: [Tag.Name], _ place: SourcePlace) -> Bool {
        if allowed.contains(Tag.Name(rawValue: node.tag.rawValue)) { return true }
        findings.error(
            "spec.unsupported-tag", "The YAML tag '\(node.tag.description)' is not supported.", hint: "Remove it.",
            at: place)
        return false
    }

    private func isSequence(_ node: Node) -> Bool {
        if case .sequence = node { true } else { false }
    }

    private func place(_ mark: Mark?) -> SourcePlace {
        mark.map { lines.place($0, in: file) } ?? SourcePlace(file: file, line: 1, column: 1)
    }
}
