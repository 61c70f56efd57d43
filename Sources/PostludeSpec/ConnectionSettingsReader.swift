import PostludeCore

/// Reads what is below `connections` of the configuration. No finding repeats a value: it may be a secret.
struct ConnectionSettingsReader {
    let findings: Findings

    func connections(_ nodes: [YAMLNode]) -> [Connection] {
        var connections: [Connection] = []
        for (index, node) in nodes.enumerated() {
            guard let connection = connection(node, "connections[\(index)]") else { continue }
            if connections.contains(where: { $0.name == connection.name }) {
                findings.error(
                    "config.duplicate-connection", "The connection '\(connection.name)' is there twice.",
                    hint: "Rename or remove one.", at: node.place)
            }
            connections.append(connection)
        }
        return connections
    }

    private func connection(_ node: YAMLNode, _ path: String) -> Connection? {
        guard var reader = MappingReader(node, path: path, findings) else { return nil }
        let name = word(&reader, "name")
        let kind = word(&reader, "kind")
        reader.accept(["description"])
        let users = reader.has("users") ? reader.texts("users") : []
        let groups = reader.has("groups") ? reader.texts("groups") : []
        let secrets = secrets(&reader)
        let settings = settings(&reader)
        let directory = directory(&reader)
        reader.finish()
        guard let name, let kind else {
            for key in ["name", "kind"] where !reader.has(key) {
                findings.error(
                    "spec.missing-key", "`\(path)` has no `\(key)`.",
                    hint: "Such as {name: team-chat, kind: slack, users: [ada], secrets: {url: {file: /etc/...}}}.",
                    at: reader.place)
            }
            return nil
        }
        if users.isEmpty, groups.isEmpty {
            findings.error(
                "config.connection-for-nobody", "`\(path)` does not say who may use it.",
                hint: "Add `users` or `groups`; users: [\"*\"] is everybody.", at: reader.place)
        }
        return Connection(
            name: name, kind: kind, users: users, groups: groups, settings: settings, secrets: secrets,
            directory: directory)
    }

    private func secrets(_ reader: inout MappingReader) -> [String: Connection.Secret] {
        guard let node = reader.take("secrets") else { return [:] }
        let path = reader.name(of: "secrets")
        guard let entries = node.entries else {
            findings.error(
                "spec.wrong-type", "`\(path)` takes a mapping.", hint: "Such as {token: {file: /etc/...}}.",
                at: node.place)
            return [:]
        }
        var secrets: [String: Connection.Secret] = [:]
        for entry in entries {
            guard Self.isWord(entry.key), entry.key != "directory" else {
                findings.error(
                    "spec.invalid-value", "A key of `\(path)` is not a plain name.",
                    hint: "It becomes a file's name: use letters, digits, '_' and '-'.", at: entry.keyPlace)
                continue
            }
            secrets[entry.key] = secret(entry.value, "\(path).\(entry.key)")
        }
        return secrets
    }

    private func secret(_ node: YAMLNode, _ path: String) -> Connection.Secret? {
        switch node.content {
        case .scalar(let scalar):
            guard !node.isNull, !scalar.text.isEmpty, !scalar.text.contains("\0") else { break }
            return .value(SecretText(scalar.text))
        case .mapping:
            guard var reader = MappingReader(node, path: path, findings) else { return nil }
            guard let file = reader.take("file")?.scalar?.text, SettingsReader.isPlain(file) else { break }
            reader.finish()
            return .file(file)
        case .sequence: break
        }
        findings.error(
            "spec.invalid-value", "`\(path)` is no secret.",
            hint: "Write {file: /absolute/path} of a file with mode 600, or the value itself.", at: node.place)
        return nil
    }

    private func settings(_ reader: inout MappingReader) -> [String: Value] {
        guard let node = reader.take("settings") else { return [:] }
        guard case .dict(let values)? = node.value(findings) else {
            findings.wrongType(reader.name(of: "settings"), wanted: "a mapping", node)
            return [:]
        }
        return values
    }

    private func directory(_ reader: inout MappingReader) -> String? {
        guard let entry = reader.entry("directory"), let path = reader.text("directory") else { return nil }
        guard SettingsReader.isPlain(path), path != "/" else {
            findings.error(
                "config.invalid-path", "`\(reader.name(of: "directory"))` is not an absolute path.",
                hint: "Start with '/', without '..' and without '/' at the end.", at: entry.value.place)
            return nil
        }
        return path
    }

    private func word(_ reader: inout MappingReader, _ key: String) -> String? {
        guard let entry = reader.entry(key), let text = reader.text(key) else { return nil }
        guard Self.isWord(text) else {
            findings.error(
                "spec.invalid-value", "`\(reader.name(of: key))` is not a plain name.",
                hint: "Use letters, digits, '_' and '-'.", at: entry.value.place)
            return nil
        }
        return text
    }

    /// Names become names of files and directories.
    private static func isWord(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= 64
            && text.utf8.allSatisfy { byte in
                (byte >= 0x30 && byte <= 0x39) || (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a)
                    || byte == 0x5f || byte == 0x2d
            }
    }
}
