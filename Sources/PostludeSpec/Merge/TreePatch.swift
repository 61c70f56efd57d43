import PostludeCore

/// How one part of a file is merged over another; Polyaxon's words and rules.
enum PatchStrategy: String, CaseIterable, Sendable {
    case replace, isnull
    case postMerge = "post_merge"
    case preMerge = "pre_merge"
}

/// Merges trees as Polyaxon 2.18 merges its typed objects; every part keeps the place it came from.
///
/// Mappings that the format knows are merged key by key. Of a container and the like only the first level of keys is:
/// below it, mappings are merged as data and lists replaced. Lists hold each item once, told apart by what they say.
struct TreePatch {
    let strategy: PatchStrategy

    /// `value` over `current`, both mappings of a known kind.
    func fields(_ current: [YAMLEntry], _ value: [YAMLEntry], of object: FormatObject) -> [YAMLEntry] {
        var shapes: [String: FormatShape] = [:]
        for key in object.keys { shapes[key.name] = key.shape }
        return fields(current, value) { shapes[$0] }
    }

    /// Key by key, in either spelling; a key whose shape is not known is data.
    private func fields(
        _ current: [YAMLEntry], _ value: [YAMLEntry], shape: (String) -> FormatShape?
    ) -> [YAMLEntry] {
        var result = current
        var places: [String: Int] = [:]
        for (index, entry) in current.enumerated() {
            let name = MappingReader.canonical(entry.key)
            if places[name] == nil { places[name] = index }
        }
        for entry in value {
            let name = MappingReader.canonical(entry.key)
            guard let index = places[name] else {
                places[name] = result.count
                result.append(entry)
                continue
            }
            guard !result[index].value.isNull else {
                result[index] = entry
                continue
            }
            let merged = merged(result[index].value, entry.value, shape(name))
            // A value that comes from the patch whole brings its key along.
            if merged.place == entry.value.place { result[index].keyPlace = entry.keyPlace }
            result[index].value = merged
        }
        return result
    }

    private func merged(_ current: YAMLNode, _ value: YAMLNode, _ shape: FormatShape?) -> YAMLNode {
        if let object = shape?.object, !object.hasKinds, let entries = current.entries, isObject(current, shape) {
            guard !value.isNull else { return current }
            if let patch = value.entries {
                var merged = current
                switch object.merging {
                case .fields: merged.content = .mapping(fields(entries, patch, of: object))
                case .kubernetes: merged.content = .mapping(kubernetes(entries, patch))
                }
                return merged
            }
        }
        switch strategy {
        case .isnull: return current
        case .replace: return value
        case .postMerge: return value.isNull ? value : united(current, value, shape)
        case .preMerge: return value.isNull ? current : united(current, value, shape)
        }
    }

    /// A mapping may also be data where the format knows both: `resources: {cpu: 1}`.
    private func isObject(_ node: YAMLNode, _ shape: FormatShape?) -> Bool {
        guard let object = shape?.object, shape?.element != nil else { return true }
        return node.entries?.contains { object.key(MappingReader.canonical($0.key)) != nil } ?? false
    }

    private func kubernetes(_ current: [YAMLEntry], _ value: [YAMLEntry]) -> [YAMLEntry] {
        fields(current, value.filter { !$0.value.isNull }) { _ in nil }
    }

    /// Both in one: by `post_merge` what is new wins, by `pre_merge` what was there.
    private func united(_ current: YAMLNode, _ value: YAMLNode, _ shape: FormatShape?) -> YAMLNode {
        let isPost = strategy == .postMerge
        var merged = current
        switch (current.content, value.content) {
        case (.mapping(let old), .mapping(let new)):
            // A matrix or a schedule of another kind has nothing in common with this one.
            if shape?.object?.hasKinds ?? true, let one = current.value(of: "kind")?.scalar,
                let other = value.value(of: "kind")?.scalar
            {
                guard one.text == other.text else { return isPost ? value : current }
                merged.content = .mapping(sameKind(old, new))
                return merged
            }
            // Params are each of one piece.
            let depth = shape?.element?.object == nil ? Int.max : 1
            merged.content = .mapping(isPost ? Self.deep(old, new, depth) : Self.deep(new, old, depth))
        case (.sequence(let old), .sequence(let new)):
            merged.content = .sequence(isPost ? Self.union(old, new) : Self.union(new, old))
        case (.scalar, _), (.mapping, _), (.sequence, _): return isPost ? value : current
        }
        return merged
    }

    /// Key by key; the params of a matrix are each of one piece.
    private func sameKind(_ current: [YAMLEntry], _ value: [YAMLEntry]) -> [YAMLEntry] {
        fields(current, value) { $0 == "params" ? .dictionary(.object(.axis)) : nil }
    }

    private static func union(_ first: [YAMLNode], _ second: [YAMLNode]) -> [YAMLNode] {
        let known = Set(first.map(\.fingerprint))
        return first + second.filter { !known.contains($0.fingerprint) }
    }

    /// Mappings as data: `new` over `old` down to a depth; lists are replaced.
    private static func deep(_ old: [YAMLEntry], _ new: [YAMLEntry], _ depth: Int) -> [YAMLEntry] {
        var result = old
        var places: [String: Int] = [:]
        for (index, entry) in old.enumerated() { places[entry.key] = index }
        for entry in new {
            guard let index = places[entry.key] else {
                places[entry.key] = result.count
                result.append(entry)
                continue
            }
            if depth > 1, case .mapping(let below) = result[index].value.content,
                case .mapping(let above) = entry.value.content
            {
                result[index].value.content = .mapping(deep(below, above, depth - 1))
            } else {
                result[index] = entry
            }
        }
        return result
    }
}

extension YAMLNode {
    /// The value of a key in either spelling; nil when it is not there or null.
    func value(of key: String) -> YAMLNode? {
        entries?.first { MappingReader.canonical($0.key) == key && !$0.value.isNull }?.value
    }

    /// Equal for nodes that say the same: places, spelling of keys, quotes and keys without a value do not count.
    var fingerprint: String {
        switch content {
        case .scalar(let scalar):
            guard let value = scalar.value else { return "n\(scalar.text.utf8.count):\(scalar.text)" }
            return value == .string(scalar.text) ? "s\(scalar.text.utf8.count):\(scalar.text)" : "v\(value);"
        case .sequence(let items): return "[" + items.map(\.fingerprint).joined() + "]"
        case .mapping(let entries):
            let pairs = entries.filter { !$0.value.isNull }.map { entry in
                let key = MappingReader.canonical(entry.key)
                return "\(key.utf8.count):\(key)" + entry.value.fingerprint
            }
            return "{" + pairs.sorted().joined() + "}"
        }
    }
}
