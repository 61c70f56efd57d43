import PostludeCore

/// Takes the keys of one mapping and remembers which were asked for, so that the rest can be told apart from slips.
struct MappingReader {
    let node: YAMLNode
    /// How messages call the mapping: `run.container`; empty for the file's root.
    let path: String
    let findings: Findings
    private let entries: [YAMLEntry]
    /// The entries' keys, all spelled `likeThis`.
    private let names: [String]
    /// In the order asked, some twice: mappings are small, and a set would hash every key that might be there.
    private var known: [String] = []
    private var refused: [String] = []

    /// nil, with a finding, when the node is no mapping.
    init?(_ node: YAMLNode, path: String, _ findings: Findings) {
        guard let entries = node.entries else {
            findings.wrongType(path.isEmpty ? "The file" : path, wanted: "a mapping", node)
            return nil
        }
        self.node = node
        self.path = path
        self.findings = findings
        self.entries = entries
        names = entries.map { Self.canonical($0.key) }
    }

    var place: SourcePlace { node.place }

    /// The full name of a key in messages.
    func name(of key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

    /// The entry of a key, written `likeThis` or `like_this`; nil when it is not there.
    mutating func entry(_ key: String) -> YAMLEntry? {
        known.append(key)
        return names.firstIndex(of: key).map { entries[$0] }
    }

    /// The value of a key; nil when it is not there or null, which mean the same everywhere but in `value`.
    mutating func take(_ key: String) -> YAMLNode? {
        guard let value = entry(key)?.value, !value.isNull else { return nil }
        return value
    }

    func has(_ key: String) -> Bool { zip(names, entries).contains { $0 == key && !$1.value.isNull } }

    // MARK: Typed values

    mutating func text(_ key: String) -> String? {
        guard let value = take(key) else { return nil }
        return text(of: value, named: name(of: key))
    }

    /// A text; numbers and flags are not texts, as in Polyaxon.
    func text(of value: YAMLNode, named name: String) -> String? {
        guard case .string(let text)?? = value.scalar.map(\.value) else {
            findings.wrongType(
                name, wanted: "a text", value, hint: value.scalar.map { "Quote it: \"\($0.text)\"." })
            return nil
        }
        return text
    }

    mutating func flag(_ key: String) -> Bool? {
        guard let value = take(key) else { return nil }
        guard case .bool(let flag)?? = value.scalar.map(\.value) else {
            findings.wrongType(name(of: key), wanted: "true or false", value)
            return nil
        }
        return flag
    }

    mutating func count(_ key: String, least: Int64 = 0) -> Int64? {
        guard let value = take(key) else { return nil }
        guard case .int(let number)?? = value.scalar.map(\.value) else {
            findings.wrongType(name(of: key), wanted: "a whole number", value)
            return nil
        }
        guard number >= least else {
            findings.error(
                "spec.invalid-value", "`\(name(of: key))` is \(number), which is less than \(least).",
                hint: "Give \(least) or more.", at: value.place)
            return nil
        }
        return number
    }

    mutating func list(_ key: String) -> [YAMLNode]? {
        guard let value = take(key) else { return nil }
        guard case .sequence(let items) = value.content else {
            findings.wrongType(name(of: key), wanted: "a list", value, hint: "Write it as [ ... ] or with dashes.")
            return nil
        }
        return items
    }

    /// A list of texts; a single text stands for a list of one, as in Polyaxon.
    mutating func texts(_ key: String) -> [String] {
        guard let value = take(key) else { return [] }
        let name = name(of: key)
        switch value.content {
        case .sequence(let items): return items.compactMap { text(of: $0, named: name) }
        case .scalar: return [text(of: value, named: name)].compactMap { $0 }
        case .mapping:
            findings.wrongType(name, wanted: "a list of texts", value)
            return []
        }
    }

    mutating func mapping(_ key: String) -> MappingReader? {
        guard let value = take(key) else { return nil }
        return MappingReader(value, path: name(of: key), findings)
    }

    // MARK: Keys that are only named

    /// Refuses keys of features that this version does not have.
    mutating func refuse(_ features: KeyValuePairs<String, String>) {
        for (key, hint) in features {
            refused.append(key)
            guard let entry = entry(key), !entry.value.isNull else { continue }
            findings.unsupported(key, hint, at: entry.keyPlace)
        }
    }

    /// Accepts keys that only a cluster gives a meaning.
    mutating func ignore(_ keys: [String]) {
        for key in keys {
            guard let entry = entry(key), !entry.value.isNull else { continue }
            findings.noEffect(name(of: key), at: entry.keyPlace)
        }
    }

    /// Accepts keys that say what is so anyway.
    mutating func accept(_ keys: [String]) {
        for key in keys { _ = entry(key) }
    }

    /// Call last: what was not asked for is unknown.
    func finish() {
        findings.coverage?.add(Set(known).subtracting(refused), at: path)
        tellDuplicates()
        for (key, entry) in zip(names, entries) {
            guard !known.contains(key) else { continue }
            findings.error(
                "spec.unknown-key", "There is no key `\(entry.key)`\(path.isEmpty ? "" : " in `\(path)`").",
                hint: Suggestion.hint(for: entry.key, among: Set(known))
                    ?? "Keys here are \(Set(known).sorted().joined(separator: ", ")).", at: entry.keyPlace)
        }
    }

    /// Of keys in two spellings; the file is not read when a key is there twice in one.
    private func tellDuplicates() {
        guard zip(names, entries).contains(where: { $0 != $1.key }) else { return }
        var seen: Set<String> = []
        for (key, entry) in zip(names, entries) where !seen.insert(key).inserted {
            findings.error(
                "spec.duplicate-key", "The key `\(name(of: key))` is there twice.",
                hint: "Remove one of its two spellings.", at: entry.keyPlace)
        }
    }

    /// `mount_path` and `mountPath` are the same key, as in Polyaxon.
    static func canonical(_ key: String) -> String {
        // Bytes, for nearly every key ends here and `contains` of texts takes a hundred times as long.
        guard key.utf8.withContiguousStorageIfAvailable({ $0.contains(0x5f) }) ?? true else { return key }
        let parts = key.split(separator: "_", omittingEmptySubsequences: false)
        guard !parts.contains(where: \.isEmpty), let first = parts.first else { return key }
        return first + parts.dropFirst().map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
    }
}

extension YAMLNode {
    /// The node as a value; a number that does not fit is reported and nil.
    func value(_ findings: Findings) -> Value? {
        switch content {
        case .scalar(let scalar):
            if let value = scalar.value { return value }
            findings.error(
                "spec.number-range", "The number \(scalar.text) does not fit.",
                hint: "Integers have 64 bits and floats are finite; quote it to keep it as a text.", at: place)
            return nil
        case .sequence(let items):
            var values: [Value] = []
            for item in items {
                guard let value = item.value(findings) else { return nil }
                values.append(value)
            }
            return .list(values)
        case .mapping(let entries):
            var values: [String: Value] = [:]
            for entry in entries {
                guard let value = entry.value.value(findings) else { return nil }
                values[entry.key] = value
            }
            return .dict(values)
        }
    }

    /// Whether any text in the node is a template.
    var hasTemplate: Bool {
        switch content {
        case .scalar(let scalar): Rendering.hasExpression(scalar.text)
        case .sequence(let items): items.contains(where: \.hasTemplate)
        case .mapping(let entries): entries.contains { $0.value.hasTemplate }
        }
    }

    /// The first scalar's text place, where errors in a template count from.
    var templatePlace: SourcePlace { scalar?.textPlace ?? place }
}
