import Glibc
import PostludeCore
import PostludeEngine
import PostludeServer

extension Connection {
    /// The connection with its directory's links followed, once it is sure that it names somebody, and that its secrets
    /// can be read and are read by nobody else.
    func checked() throws -> Connection {
        for user in users where user != "*" && !UserDirectory.isUser(user) { throw unknown("user", user) }
        for group in groups where !UserDirectory.isGroup(group) { throw unknown("group", group) }
        try verify()
        guard let directory else { return self }
        var connection = self
        var status = stat()
        guard let real = realpath(directory, nil), stat(directory, &status) == 0, status.st_mode & S_IFMT == S_IFDIR
        else {
            throw AgentFailure(
                "agent.connection-directory",
                "The directory '\(directory)' of the connection '\(name)' is not there, or is none.",
                hint: "Make it, or correct `connections` in the configuration.")
        }
        defer { free(real) }
        connection.directory = String(cString: real)
        return connection
    }

    private func unknown(_ kind: String, _ who: String) -> AgentFailure {
        AgentFailure(
            "agent.connection-unknown-\(kind)",
            "The connection '\(name)' is for the \(kind) '\(who)', which is not there.",
            hint: "Correct `connections` in the configuration.")
    }
}

extension [Connection] {
    /// A configuration that has secrets written into it is a secret itself.
    func check(configurationFile path: String) throws {
        guard contains(where: { $0.secrets.values.contains(where: \.isWritten) }) else { return }
        var status = stat()
        guard stat(path, &status) == 0 else { return }
        guard let why = SecretFile.objection(to: status) else { return }
        throw AgentFailure(
            "agent.configuration-readable",
            "The configuration '\(path)' has secrets of connections written into it, and \(why).",
            hint: "chmod 600 it, or keep the secrets in files of their own: {file: /etc/postlude/secrets/name}.")
    }
}

extension Connection.Secret {
    fileprivate var isWritten: Bool {
        switch self {
        case .value: true
        case .file: false
        }
    }
}
