import PostludeCore

/// Reads the connections that hooks, jobs and init steps name.
struct ConnectionReader {
    let session: SpecSession

    /// The one of `connection`.
    func reference(_ reader: inout MappingReader) -> ConnectionReference? {
        guard let entry = reader.entry("connection"), let name = reader.text("connection") else { return nil }
        return checked(name, reader.name(of: "connection"), at: entry.value.place)
    }

    /// Those of a list.
    func references(_ reader: inout MappingReader, _ key: String) -> [ConnectionReference] {
        guard let entry = reader.entry(key), reader.has(key) else { return [] }
        let name = reader.name(of: key)
        var found: [ConnectionReference] = []
        let items: [YAMLNode]
        switch entry.value.content {
        case .sequence(let nodes): items = nodes
        case .scalar: items = [entry.value]
        case .mapping:
            session.findings.wrongType(name, wanted: "a list of texts", entry.value)
            return []
        }
        for item in items {
            guard let text = reader.text(of: item, named: name), let one = checked(text, name, at: item.place) else {
                continue
            }
            if !found.contains(where: { $0.name == one.name }) { found.append(one) }
        }
        return found
    }

    /// Gives the component's main program a connection, if it is of a kind that it takes.
    func give(_ connection: ConnectionReference, to component: inout Component) {
        if let kinds = component.connectionKinds, let catalog = session.connections,
            catalog.entries[connection.name] != nil
        {
            report(catalog.objection(to: connection.name, kinds: kinds), at: connection.place)
        }
        var connections = component.job.container.connections ?? []
        connections.removeAll { $0.name == connection.name }
        component.job.container.connections = [connection] + connections
    }

    private func checked(_ name: String, _ key: String, at place: SourcePlace) -> ConnectionReference? {
        if Rendering.hasExpression(name) {
            session.findings.unsupported(
                "a template in \(key)", "Write the connection's name: who may use it is checked at submission.",
                at: place)
            return nil
        }
        if let catalog = session.connections {
            report(catalog.objection(to: name, kinds: nil), at: place)
        } else {
            session.findings.note(
                "spec.connection-unchecked", "Whether you may use the connection '\(name)' is for the agent to say.",
                at: place)
        }
        return ConnectionReference(name, at: place)
    }

    private func report(_ problem: (code: String, message: String, hint: String)?, at place: SourcePlace?) {
        guard let problem else { return }
        session.findings.error(problem.code, problem.message, hint: problem.hint, at: place)
    }
}
