import Glibc
import PostludeAPI
import PostludeCore
import PostludeSpec

/// Which agent a command talks to, and how to start one.
struct AgentSettings: Hashable, Sendable {
    /// Sockets to try, in this order.
    var sockets: [String]
    /// What an agent is started with when none of them answers.
    var own: AgentConfiguration
    /// The configuration file that was read; handed on to an agent that is started.
    var configurationFile: String?
    /// The socket named on the command line or in the environment; no agent is started for it.
    var explicitSocket: String?

    /// Looks at the options, then the environment, then the configuration file, then the defaults.
    ///
    /// A user without a configuration of their own uses the system's agent when it answers: it has the devices.
    static func resolve(
        socket: String?, configuration: String?, environment: [String: String], uid: UInt32, home: String
    ) throws(CommandFailure) -> AgentSettings {
        let named = configuration ?? environment["POSTLUDE_CONFIG"].flatMap { $0.isEmpty ? nil : $0 }
        let file = named ?? standardFile(environment: environment, uid: uid, home: home)
        let own = try read(file, environment: environment, uid: uid, home: home)
        let explicit = socket ?? environment["POSTLUDE_SOCKET"].flatMap { $0.isEmpty ? nil : $0 }
        if let explicit {
            guard explicit.hasPrefix("/") else {
                throw CommandFailure(
                    .usage, "cli.socket-path", "The socket's path '\(explicit)' is not absolute.",
                    hint: "Give the whole path, starting with /.")
            }
            var configuration = own
            configuration.socket = explicit
            return AgentSettings(
                sockets: [explicit], own: configuration, configurationFile: file, explicitSocket: explicit)
        }
        guard uid != 0, named == nil else {
            return AgentSettings(sockets: [own.socket], own: own, configurationFile: file)
        }
        let system = AgentConfiguration.defaults(uid: 0, environment: [:], home: "/root").socket
        return AgentSettings(sockets: [system, own.socket], own: own, configurationFile: file)
    }

    private static func standardFile(environment: [String: String], uid: UInt32, home: String) -> String? {
        let base = environment["XDG_CONFIG_HOME"].flatMap { $0.hasPrefix("/") ? $0 : nil } ?? "\(home)/.config"
        let file = uid == 0 ? "/etc/postlude/postlude.yaml" : "\(base)/postlude/postlude.yaml"
        return access(file, F_OK) == 0 ? file : nil
    }

    private static func read(
        _ file: String?, environment: [String: String], uid: UInt32, home: String
    ) throws(CommandFailure) -> AgentConfiguration {
        let defaults = AgentConfiguration.defaults(uid: uid, environment: environment, home: home)
        guard let file else { return defaults }
        let text = try InputFile.text(at: file)
        do {
            return try AgentConfigurationReader.read(text, path: file, defaults: defaults)
        } catch {
            throw CommandFailure(
                .usage, "cli.configuration", "'\(file)' is not a valid configuration.",
                hint: error.hint ?? "Each problem is shown with its place.", details: error.diagnostics)
        }
    }
}
