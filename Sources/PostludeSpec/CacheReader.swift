import PostludeCore

/// Reads `cache`: when the outputs of an earlier run may stand for those of this one.
struct CacheReader {
    let session: SpecSession

    /// nil without one, and with `disable: true`, which says what is so without.
    func read(_ parent: inout MappingReader, inputs: [IODeclaration], isComplete: Bool) -> CachePolicy? {
        guard var reader = parent.mapping("cache") else { return nil }
        let isDisabled = reader.flag("disable") ?? false
        let seconds = reader.count("ttl", least: 1).map(Double.init)
        let io = reader.has("io") ? reader.texts("io") : nil
        let place = reader.entry("io")?.value.place
        reader.accept(["io"])
        if isComplete {
            for name in io ?? [] where !inputs.contains(where: { $0.name == name }) {
                session.findings.error(
                    "spec.unknown-input", "`\(reader.name(of: "io"))` names '\(name)', which is no input.",
                    hint: Suggestion.hint(for: name, among: inputs.map(\.name))
                        ?? "Name inputs, or leave `io` out for all.", at: place)
            }
        }
        let sections = sections(&reader)
        reader.finish()
        return isDisabled ? nil : CachePolicy(ttlSeconds: seconds, io: io, sections: sections)
    }

    private func sections(_ reader: inout MappingReader) -> [CachePolicy.Section]? {
        guard let place = reader.entry("sections")?.value.place, reader.has("sections") else { return nil }
        let names = CachePolicy.Section.allCases.map(\.rawValue)
        return reader.texts("sections").compactMap { name in
            if let section = CachePolicy.Section(rawValue: name) { return section }
            session.findings.error(
                "spec.invalid-value", "'\(name)' is no section that a cache can look at.",
                hint: Suggestion.hint(for: name, among: names) ?? "Sections are \(names.joined(separator: ", ")).",
                at: place)
            return nil
        }
    }
}
