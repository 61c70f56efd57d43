import PostludeCore

/// Keys that operations, components and hooks share.
enum RootReader {
    /// Version, description, tags, and what neither may have.
    static func readCommon(_ reader: inout MappingReader, _ session: SpecSession, isNode: Bool = false) {
        version(&reader, session)
        _ = reader.text("description")
        _ = reader.texts("tags")
        reader.refuse(Features.unsupported)
        if !isNode { reader.refuse(Features.notOfNodes) }
        reader.ignore(Features.clusterOnly)
        // Describes the file to people.
        reader.accept(["template"])
    }

    static func name(_ reader: inout MappingReader, _ session: SpecSession) -> String? {
        guard let entry = reader.entry("name"), let name = reader.text("name") else { return nil }
        let isWord = name.utf8.allSatisfy { byte in
            (byte >= 0x30 && byte <= 0x39) || (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a)
                || byte == 0x5f || byte == 0x2d || byte == 0x2e
        }
        guard isWord, (1...128).contains(name.utf8.count) else {
            session.findings.error(
                "spec.invalid-value", "'\(name.prefix(64))' cannot be a name.",
                hint: "Use letters, digits, '-', '_' and '.', 128 at most.", at: entry.value.place)
            return nil
        }
        return name
    }

    static func conditions(_ reader: inout MappingReader, _ session: SpecSession) -> Template? {
        guard let node = reader.take("conditions") else { return nil }
        let name = reader.name(of: "conditions")
        guard case .string(let text)?? = node.scalar.map(\.value) else {
            session.findings.wrongType(
                name, wanted: "a text", node, hint: "Quote it, as in \"{{ loss < 0.1 }}\" or \"true\".")
            return nil
        }
        let template = Template(text, at: node.templatePlace)
        session.check(template)
        guard !Rendering.hasExpression(text) else { return template }
        // Without an expression the text decides by itself, so what it says can be held against it right now.
        do throws(ExpressionError) {
            _ = try Rendering.truth(of: .string(text))
        } catch {
            session.findings.error(error.code, error.message, hint: error.hint ?? "Write it in braces.", at: node.place)
        }
        return template
    }

    static func queue(_ reader: inout MappingReader, _ session: SpecSession) -> String? {
        reader.text("queue")
    }

    private static func version(_ reader: inout MappingReader, _ session: SpecSession) {
        guard let node = reader.take("version") else { return }
        guard let text = node.scalar?.text, let number = Double(text), number.isFinite else {
            session.findings.wrongType(
                "version", wanted: "a number", node, hint: "Write version: 1.1, or leave it out.")
            return
        }
        guard number < 1 || number >= 3 else { return }
        // As Polyaxon: the number is kept and selects nothing.
        session.findings.warn(
            "spec.unknown-version", "The version \(text) is none that is known; the file is read as 1.1.",
            hint: "Write version: 1.1, or leave it out.", at: node.place)
    }
}
