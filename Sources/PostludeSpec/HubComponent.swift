import PostludeCore

/// What a component of the hub is for, and what it takes: its file, for people.
public struct HubComponent: Hashable, Sendable, Encodable {
    public struct Item: Hashable, Sendable, Encodable {
        public var name: String
        public var type: String?
        public var description: String?
        /// What it is when it is not given; nil when there is none.
        public var value: Value?
        public var isOptional: Bool
    }

    public var name: String
    /// Newest first; `latest` is what a reference without a tag means.
    public var versions: [String]
    public var path: String
    public var description: String
    public var tags: [String]
    public var inputs: [Item]
    public var outputs: [Item]
    /// Kinds of connections that it can use; nil for any.
    public var connectionKinds: [String]?
    /// The sandbox profile that it runs in.
    public var profile: String?

    /// The description's first sentence.
    public var summary: String {
        let text = description.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        for end in [". ", ": "] {
            if let range = text.firstRange(of: end) { return String(text[..<range.lowerBound]) }
        }
        return text.hasSuffix(".") ? String(text.dropLast()) : text
    }
}

extension Hub {
    /// Every component in its newest version. One whose file cannot be read is told of in the second list.
    public func components() -> (components: [HubComponent], problems: [Diagnostic]) {
        var components: [HubComponent] = []
        var problems: [Diagnostic] = []
        for name in names {
            do throws(SpecError) {
                components.append(try describe(name))
            } catch {
                problems += error.diagnostics
            }
        }
        return (components, problems)
    }

    /// What is in the file of `name` or `name:tag`.
    /// - Throws: `SpecError` when there is none, or its file is not valid.
    public func describe(_ reference: String) throws(SpecError) -> HubComponent {
        let entry = try component(named: reference)
        let findings = Findings()
        guard let root = YAMLReader.read(entry.text, file: entry.path, findings),
            var reader = MappingReader(root, path: "", findings)
        else { throw SpecError(findings.sorted) }
        let description = reader.text("description") ?? ""
        let tags = reader.texts("tags")
        let kinds = reader.has("connectionKinds") ? reader.texts("connectionKinds") : nil
        let inputs = items(&reader, "inputs")
        let outputs = items(&reader, "outputs")
        var run = reader.mapping("run")
        let profile = run?.text("profile")
        guard !findings.hasErrors else { throw SpecError(findings.sorted) }
        return HubComponent(
            name: entry.name, versions: self.tags(of: entry.name), path: entry.path, description: description,
            tags: tags, inputs: inputs, outputs: outputs, connectionKinds: kinds, profile: profile)
    }

    private func items(_ parent: inout MappingReader, _ key: String) -> [HubComponent.Item] {
        (parent.list(key) ?? []).compactMap { node in
            guard var reader = MappingReader(node, path: key, parent.findings), let name = reader.text("name") else {
                return nil
            }
            let value = reader.entry("value")
            return HubComponent.Item(
                name: name, type: reader.text("type"), description: reader.text("description"),
                value: value?.value.value(parent.findings),
                isOptional: value != nil || reader.flag("isOptional") ?? false)
        }
    }
}
