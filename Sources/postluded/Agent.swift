import Glibc
import Logging
import PostludeAPI
import PostludeCore
import PostludeEngine
import PostludeSandbox
import PostludeServer
import PostludeStore
import ServiceLifecycle

/// The concrete parts, put together.
struct Agent {
    private let group: ServiceGroup
    private let logger: Logger

    /// Takes the state directory (one agent has it at a time) and probes the host.
    init(
        _ setup: AgentSetup, readiness: ReadinessChannel, signals: TerminationSignals, logger: Logger
    ) throws {
        let configuration = setup.configuration
        let store = try Store(directory: configuration.stateDirectory)
        if !store.isChecked {
            logger.notice(
                "the database is too large to be looked at to its end before the start",
                metadata: ["state": "\(configuration.stateDirectory)"])
        }
        let users = UserDirectory(agentUID: geteuid(), administratorsGroup: configuration.administratorsGroup)
        try APIServer.checkSocket(configuration.socket, users: users)
        let sandbox = try Sandbox(configuration: setup.sandbox)
        let engine = try Engine(
            configuration: setup.engine, store: store, sandbox: sandbox, devices: setup.devices, logger: logger)
        let info = AgentInfo(
            version: Version.current, pid: getpid(), uid: geteuid(), stateDirectory: configuration.stateDirectory)
        let activity = Activity()
        let server = APIServer(
            configuration: APIServer.Configuration(
                socketPath: configuration.socket, info: info, users: users, runs: RunCgroups(sandbox.runs),
                settings: configuration.api),
            engine: engine, activity: activity, logger: logger,
            whenReady: {
                logger.notice(
                    "agent ready",
                    metadata: [
                        "socket": "\(configuration.socket)", "state": "\(configuration.stateDirectory)",
                        "devices": "\(setup.devices.map(\.id).joined(separator: " "))", "version": "\(Version.current)",
                    ])
                readiness.tell(.ready(info))
                ServiceManager.tell("READY=1", logger)
            })
        // Ended from last to first: no request comes in any more when the engine lets go.
        var services: [ServiceGroupConfiguration.ServiceConfiguration] = [
            .init(service: engine), .init(service: server),
            .init(service: signals.service(logger), successTerminationBehavior: .gracefullyShutdownGroup),
        ]
        if let seconds = configuration.idleExitSeconds {
            services.append(
                .init(
                    service: IdleExit(engine: engine, activity: activity, after: .seconds(seconds)),
                    successTerminationBehavior: .gracefullyShutdownGroup))
        }
        var settings = ServiceGroupConfiguration(services: services, logger: logger)
        // A client that does not read its stream must not keep the agent.
        settings.maximumGracefulShutdownDuration = .seconds(10)
        group = ServiceGroup(configuration: settings)
        self.logger = logger
    }

    /// Until SIGTERM or SIGINT, or the agent is idle for long enough. Running attempts go on.
    func run() async throws {
        // Writing to a client that left is an error to handle, not an end.
        signal(SIGPIPE, SIG_IGN)
        try await group.run()
        ServiceManager.tell("STOPPING=1", logger)
    }
}
