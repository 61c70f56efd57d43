import Glibc
import PostludeAPI

/// The agent that answers; found once per command.
struct AgentSession: Sendable {
    let settings: AgentSettings
    /// Whether an agent is started when none answers.
    let startsAgent: Bool
    let client: AgentClient

    static func connect(_ settings: AgentSettings, startsAgent: Bool) throws(CommandFailure) -> AgentSession {
        let socket = try answering(settings, startsAgent: startsAgent)
        return AgentSession(settings: settings, startsAgent: startsAgent, client: AgentClient(socketPath: socket))
    }

    /// The session again, with an agent started anew where that is ours to do.
    func reconnected() throws(CommandFailure) -> AgentSession {
        try Self.connect(settings, startsAgent: startsAgent)
    }

    private static func answering(_ settings: AgentSettings, startsAgent: Bool) throws(CommandFailure) -> String {
        var denied: String?
        for socket in settings.sockets {
            switch probe(socket) {
            case .answers: return socket
            case .denied: denied = denied ?? socket
            case .silent: continue
            }
        }
        // A socket that is there and closed to us is another user's; an agent of our own has another path.
        if let denied, denied == settings.own.socket {
            throw CommandFailure(
                .unreachable, "api.socket-denied", "You may not open the agent's socket '\(denied)'.",
                hint: "It belongs to another user's agent; name your own with --socket.")
        }
        // Who names a socket means the agent there; one that is started in its place would be another.
        if let socket = settings.explicitSocket {
            throw CommandFailure(
                .unreachable, "api.not-running", "No agent listens at '\(socket)'.",
                hint: "Check --socket and POSTLUDE_SOCKET, or start an agent there with `postluded --socket`.")
        }
        guard startsAgent else {
            throw CommandFailure(
                .unreachable, "api.not-running", "No agent listens at '\(settings.own.socket)'.",
                hint: "Leave --no-start out, or start one with `postluded`.")
        }
        let socket = settings.own.socket
        try AgentLauncher(settings: settings).start { probe(socket) == .answers }
        return socket
    }

    private enum Answer { case answers, silent, denied }

    /// Whether somebody accepts connections there; the connection is closed at once.
    private static func probe(_ path: String) -> Answer {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let capacity = MemoryLayout.size(ofValue: address.sun_path)
        guard path.utf8.count < capacity else { return .silent }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return .silent }
        defer { _ = close(descriptor) }
        let code = withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard code != 0 else { return .answers }
        return errno == EACCES || errno == EPERM ? .denied : .silent
    }
}
