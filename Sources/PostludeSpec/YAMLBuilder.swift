import PostludeCore

/// Turns the parser's events into nodes and counts as it goes.
struct YAMLBuilder {
    private let events: YAMLEvents
    private let lines: YAMLLines
    private let file: String
    private var remaining = YAMLReader.maximumNodes
    private var anchored: [String: Anchored] = [:]

    /// What an anchor stands for, with what it adds wherever it is repeated.
    private struct Anchored {
        var node: YAMLNode
        var count: Int
        var depth: Int
    }

    /// Parts that were built last.
    private struct Built {
        var node: YAMLNode
        /// How many levels there are below it.
        var depth: Int
    }

    private struct Key {
        var text: String
        var mark: YAMLMark
        var isMerge: Bool
    }

    init(_ events: YAMLEvents, lines: YAMLLines, file: String) {
        self.events = events
        self.lines = lines
        self.file = file
    }

    /// The only document of the file.
    mutating func document() throws(YAMLFault) -> YAMLNode {
        guard case .documentStart = try events.next().kind else { throw .empty }
        let root = try build(try events.next(), depth: 0).node
        _ = try events.next()
        let end = try events.next()
        guard case .streamEnd = end.kind else { throw .secondDocument(end.mark) }
        guard !root.isNull else { throw .empty }
        return root
    }

    private mutating func build(_ event: YAMLEvent, depth: Int) throws(YAMLFault) -> Built {
        if case .alias(let name) = event.kind { return try repeated(name, event.mark, depth: depth) }
        guard depth <= YAMLReader.maximumDepth else { throw .tooDeep(event.mark) }
        guard remaining > 0 else { throw .tooManyNodes(event.mark) }
        let before = remaining
        remaining -= 1
        let built: Built
        switch event.kind {
        case .scalar(let text, let style):
            built = Built(node: try scalar(text, style, event), depth: 0)
        case .sequenceStart:
            try check(event, hasTag: "tag:yaml.org,2002:seq")
            built = try sequence(place(event.mark), depth: depth)
        default:
            try check(event, hasTag: "tag:yaml.org,2002:map")
            built = try mapping(event.mark, depth: depth)
        }
        // Only now: what is anchored cannot be a part of itself.
        if let anchor = event.anchor {
            anchored[anchor] = Anchored(node: built.node, count: before - remaining, depth: built.depth)
        }
        return built
    }

    private mutating func repeated(_ name: String, _ mark: YAMLMark, depth: Int) throws(YAMLFault) -> Built {
        guard let found = anchored[name] else { throw .undefinedAlias(name, mark) }
        guard depth + found.depth <= YAMLReader.maximumDepth else { throw .tooDeep(mark) }
        guard remaining >= found.count else { throw .tooManyNodes(mark) }
        remaining -= found.count
        return Built(node: found.node, depth: found.depth)
    }

    private mutating func sequence(_ place: SourcePlace, depth: Int) throws(YAMLFault) -> Built {
        var items: [YAMLNode] = []
        var below = 0
        while true {
            let event = try events.next()
            if case .sequenceEnd = event.kind { break }
            let item = try build(event, depth: depth + 1)
            below = max(below, item.depth)
            items.append(item.node)
        }
        return Built(node: YAMLNode(content: .sequence(items), place: place), depth: below + 1)
    }

    // MARK: mappings

    private mutating func mapping(_ mark: YAMLMark, depth: Int) throws(YAMLFault) -> Built {
        var entries: [YAMLEntry] = []
        var merged: [YAMLEntry] = []
        var keys = YAMLKeys()
        var below = 0
        while true {
            let event = try events.next()
            if case .mappingEnd = event.kind { break }
            let key = try key(event, of: mark)
            if let first = keys.add(key.text, key.mark) { throw .duplicateKey(key.text, key.mark, first: first) }
            let next = try events.next()
            let value = try build(next, depth: depth + 1)
            below = max(below, value.depth)
            if key.isMerge {
                merged += try mergeable(value.node, next.mark)
            } else {
                entries.append(YAMLEntry(key: key.text, keyPlace: place(key.mark), value: value.node))
            }
        }
        if !merged.isEmpty {
            // What is written here wins over what is merged in, and an earlier merge over a later one.
            var seen = Set(entries.map(\.key))
            for entry in merged where seen.insert(entry.key).inserted { entries.append(entry) }
        }
        return Built(node: YAMLNode(content: .mapping(entries), place: place(mark)), depth: below + 1)
    }

    /// `{{ x }}` without quotes is a mapping whose key is a mapping; the place is that of the first brace.
    private func key(_ event: YAMLEvent, of mapping: YAMLMark) throws(YAMLFault) -> Key {
        switch event.kind {
        case .scalar(let text, let style):
            return Key(text: text, mark: event.mark, isMerge: text == "<<" && style == .plain)
        case .alias(let name):
            guard let found = anchored[name] else { throw .undefinedAlias(name, event.mark) }
            switch found.node.content {
            case .scalar(let scalar): return Key(text: scalar.text, mark: event.mark, isMerge: false)
            case .sequence: throw .listAsKey(event.mark)
            case .mapping: throw .mappingAsKey(event.mark)
            }
        case .sequenceStart: throw .listAsKey(event.mark)
        default: throw .mappingAsKey(mapping)
        }
    }

    private func mergeable(_ node: YAMLNode, _ mark: YAMLMark) throws(YAMLFault) -> [YAMLEntry] {
        switch node.content {
        case .mapping(let entries): return entries
        case .sequence(let items):
            let parts = items.compactMap(\.entries)
            if parts.count == items.count { return parts.flatMap { $0 } }
        case .scalar: break
        }
        throw .noMergeableValue(mark)
    }

    // MARK: scalars

    private func scalar(_ text: String, _ style: YAMLEvent.Style, _ event: YAMLEvent) throws(YAMLFault) -> YAMLNode {
        let isText = try isText(event.tag, style, event.mark)
        let place = place(event.mark)
        var textPlace = place
        switch style {
        case .quoted: textPlace.column += 1
        case .block:
            if let start = lines.blockStart(after: place.line) {
                textPlace.line = start.line
                textPlace.column = start.column
            }
        case .plain: break
        }
        let scalar = YAMLScalar(text: text, isText: isText, textPlace: textPlace)
        return YAMLNode(content: .scalar(scalar), place: place)
    }

    private func isText(_ tag: String?, _ style: YAMLEvent.Style, _ mark: YAMLMark) throws(YAMLFault) -> Bool {
        guard let tag else { return style != .plain }
        let standard = "tag:yaml.org,2002:"
        if tag == "!" { return true }
        switch tag.hasPrefix(standard) ? tag.dropFirst(standard.count) : "" {
        case "str": return true
        case "bool", "int", "float", "null", "timestamp": return style != .plain
        default: throw .unsupportedTag(tag, mark)
        }
    }

    private func check(_ event: YAMLEvent, hasTag wanted: String) throws(YAMLFault) {
        if let tag = event.tag, tag != wanted { throw .unsupportedTag(tag, event.mark) }
    }

    private func place(_ mark: YAMLMark) -> SourcePlace { lines.place(mark, in: file) }
}

/// The keys of one mapping. Most have a few, which are compared faster than hashed.
private struct YAMLKeys {
    private static let few = 12
    private var list: [(text: String, mark: YAMLMark)] = []
    private var table: [String: YAMLMark] = [:]

    /// Where the key was before; nil when it is new.
    mutating func add(_ text: String, _ mark: YAMLMark) -> YAMLMark? {
        if list.count < Self.few {
            if let first = list.first(where: { $0.text == text }) { return first.mark }
            list.append((text, mark))
            return nil
        }
        if table.isEmpty { for key in list { table[key.text] = key.mark } }
        if let first = table[text] { return first }
        table[text] = mark
        return nil
    }
}
