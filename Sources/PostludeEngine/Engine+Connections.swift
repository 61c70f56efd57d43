import PostludeCore
import PostludeStore

extension Engine {
    /// The attempt with what its steps get of the connections that they name.
    ///
    /// Who may use a connection, and its kind, are looked at again: they may have changed since the operation was
    /// submitted. Secrets are read here and handed to the sandbox; nothing that is stored or logged has them.
    ///
    /// - Throws: `engine.connection-gone`, `engine.connection-not-allowed`, `engine.connection-kind`, or
    ///   `engine.connection-secret` for a secret that cannot be read.
    func granting(connectionsOf run: StoredRun, to spec: AttemptSpec) throws(EngineError) -> AttemptSpec {
        guard spec.steps.contains(where: { !$0.connections.isEmpty }) else { return spec }
        let subject = SitePolicy.Subject(
            name: run.user.name, uid: run.user.uid, groups: configuration.groupNames(run.user))
        let catalog = ConnectionCatalog(configuration.connections, for: subject)
        let kinds = run.operation.component.connectionKinds
        var spec = spec
        for index in spec.steps.indices {
            let isMain = spec.steps[index].role == .main
            for name in spec.steps[index].connections {
                if let problem = catalog.objection(to: name, kinds: isMain ? kinds : nil) {
                    throw EngineError(
                        .forbidden, problem.code.replacing("spec.", with: "engine."), problem.message,
                        hint: problem.hint)
                }
                guard let connection = configuration.connections.first(where: { $0.name == name }) else { continue }
                spec.steps[index].grants.append(try connection.grant())
            }
        }
        return spec
    }
}

extension Connection {
    /// The connection as a step gets it, its secrets read now.
    func grant() throws(EngineError) -> ConnectionGrant {
        var files: [String: SecretText] = [:]
        for (key, secret) in secrets {
            switch secret {
            case .value(let text): files[key] = text
            case .file(let path): files[key] = try SecretFile.read(path, of: "\(name).\(key)")
            }
        }
        let description: Value = .dict([
            "name": .string(name), "kind": .string(kind), "settings": .dict(settings),
            "secrets": .list(secrets.keys.sorted().map(Value.string)),
        ])
        do throws(ExpressionError) {
            files[Self.descriptionFile] = SecretText(try description.json() + "\n")
        } catch {
            throw EngineError(.internalFault, "engine.connection-settings", "The settings of '\(name)': \(error).")
        }
        return ConnectionGrant(name: name, files: files, directory: directory)
    }

    /// Beside the secrets, each of which is a file of its own.
    static let descriptionFile = "connection.json"

    /// Whether every secret can be read now.
    public func verify() throws(EngineError) { _ = try grant() }
}
