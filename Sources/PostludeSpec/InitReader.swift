import PostludeCore

/// Reads one init step.
struct InitReader {
    let session: SpecSession
    let containers: ContainerReader

    func read(_ node: YAMLNode, path: String) -> InitSpec? {
        guard var reader = MappingReader(node, path: path, session.findings) else { return nil }
        let kinds = ["container", "file", "paths", "git"].filter(reader.has)
        let refused = Features.unsupportedInit.contains { reader.has($0.key) }
        let target = reader.take("path").flatMap { session.template($0, reader.name(of: "path")) }
        let connection = ConnectionReader(session: session).reference(&reader)
        reader.refuse(Features.unsupportedInit)
        var step: InitSpec?
        if let git = reader.mapping("git") {
            step = self.git(git, target, hasConnection: reader.has("connection")) ?? step
        }
        if let paths = reader.take("paths") { step = copies(paths, reader.name(of: "paths"), target) ?? step }
        if let file = reader.mapping("file") { step = self.file(file, target) ?? step }
        if let container = reader.take("container") {
            // Beside another kind, `container` only changes the image that does its work.
            if kinds.count == 1, !refused {
                step = containers.read(container, path: reader.name(of: "container")).map(InitSpec.container)
            } else {
                session.findings.noEffect(reader.name(of: "container"), at: container.place)
            }
        }
        if let connection {
            if case .container(var container)? = step {
                container.connections = [connection]
                step = .container(container)
            } else if step != nil || kinds.isEmpty {
                session.findings.unsupported(
                    "connection of an init step without a container",
                    "Fetch it with a container of your own, which finds the connection in $POSTLUDE_CONNECTION.",
                    at: connection.place)
            }
        }
        reader.finish()
        let own = kinds.filter { $0 != "container" }
        if own.count > 1 {
            session.findings.error(
                "spec.conflict", "An init step has \(own.joined(separator: " and ")).",
                hint: "Make two init steps of it.",
                at: reader.place)
        }
        if kinds.isEmpty, !refused {
            session.findings.error(
                "spec.missing-key", "An init step says nothing to do.",
                hint: "Give it one of container, file, paths, git.", at: reader.place)
        }
        return step
    }

    private func file(_ reader: MappingReader, _ target: Template?) -> InitSpec? {
        var reader = reader
        let content = reader.take("content").flatMap { session.template($0, reader.name(of: "content")) }
        let name = reader.take("filename").flatMap { session.template($0, reader.name(of: "filename")) }
        let mode = reader.take("chmod").flatMap { self.mode($0, reader.name(of: "chmod")) } ?? 0o644
        reader.ignore(["kind"])
        reader.finish()
        guard let content else {
            missing("content", "the file's text", reader)
            return nil
        }
        return .file(name: name ?? Template("file"), content: content, mode: mode, path: target)
    }

    /// `755`, `"0755"`, or `+x`.
    private func mode(_ node: YAMLNode, _ name: String) -> Int? {
        let text = node.scalar?.text ?? ""
        switch text {
        case "+x", "a+x": return 0o755
        case "u+x": return 0o744
        default: break
        }
        guard let mode = Int(text, radix: 8), mode >= 0, mode <= 0o777 else {
            session.findings.error(
                "spec.invalid-value", "`\(name)` is '\(text)', which is not a mode.", hint: "Such as 755 or +x.",
                at: node.place)
            return nil
        }
        return mode
    }

    private func git(_ reader: MappingReader, _ target: Template?, hasConnection: Bool) -> InitSpec? {
        var reader = reader
        let url = reader.take("url").flatMap { session.template($0, reader.name(of: "url")) }
        let revision = reader.take("revision").flatMap { session.template($0, reader.name(of: "revision")) }
        let flags = session.templates(reader.take("flags"), reader.name(of: "flags"))
        reader.finish()
        guard let url else {
            // With a `connection`, which is refused by name, the address would be the connection's.
            if !hasConnection { missing("url", "the repository's address", reader) }
            return nil
        }
        return .git(url: url, revision: revision, flags: flags, path: target)
    }

    /// `[a, b]`, `[[from, to]]`, or a single path.
    private func copies(_ node: YAMLNode, _ name: String, _ target: Template?) -> InitSpec? {
        var copies: [InitSpec.CopyPath] = []
        let items: [YAMLNode]
        if case .sequence(let list) = node.content { items = list } else { items = [node] }
        for item in items {
            switch item.content {
            case .scalar:
                if let from = session.template(item, name) { copies.append(.init(from: from)) }
            case .sequence(let pair) where pair.count == 2:
                if let from = session.template(pair[0], name), let to = session.template(pair[1], name) {
                    copies.append(.init(from: from, to: to))
                }
            case .sequence, .mapping:
                session.findings.wrongType(name, wanted: "paths or pairs [from, to]", item)
            }
        }
        return copies.isEmpty ? nil : .paths(copies, path: target)
    }

    private func missing(_ key: String, _ what: String, _ reader: MappingReader) {
        session.findings.error(
            "spec.missing-key", "`\(reader.path)` needs `\(key)`.", hint: "Add `\(key)` with \(what).", at: reader.place
        )
    }
}
