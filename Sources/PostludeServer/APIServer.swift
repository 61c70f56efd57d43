import Hummingbird
import HummingbirdCore
import Logging
import NIOPosix
import PostludeAPI
import PostludeEngine
import ServiceLifecycle

/// The agent's HTTP server on a unix socket.
public struct APIServer: Service {
    public struct Configuration: Sendable {
        /// Absolute; a socket left by an agent that died is replaced.
        public var socketPath: String
        public var info: AgentInfo
        public var users: UserDirectory
        /// Where the agent's runs are: no process there may call.
        public var runs: RunCgroups

        public init(socketPath: String, info: AgentInfo, users: UserDirectory, runs: RunCgroups) {
            self.socketPath = socketPath
            self.info = info
            self.users = users
            self.runs = runs
        }
    }

    private let configuration: Configuration
    private let engine: Engine
    private let activity: Activity
    private let logger: Logger
    private let whenReady: @Sendable () async -> Void

    /// `whenReady` is called once, when the socket takes requests.
    public init(
        configuration: Configuration, engine: Engine, activity: Activity = Activity(), logger: Logger,
        whenReady: @escaping @Sendable () async -> Void = {}
    ) {
        self.configuration = configuration
        self.engine = engine
        self.activity = activity
        self.logger = logger
        self.whenReady = whenReady
    }

    /// Looks whether the server can listen at the path, before anything else is started.
    ///
    /// - Throws: `ServerError`: `server.bad-socket`; `agent.socket-in-use` when somebody listens there.
    public static func checkSocket(_ path: String, users: UserDirectory) throws {
        try SocketFile(path: path, isShared: users.agentUID == 0).prepare()
    }

    public func run() async throws {
        let socket = SocketFile(path: configuration.socketPath, isShared: configuration.users.agentUID == 0)
        try socket.prepare()
        defer { socket.remove() }
        let (ready, whenReady, logger) = (socket.open, whenReady, logger)
        let responder = try router().buildResponder()
        // Hummingbird's Application would do the same, and wake up each second to write the date into a header.
        let server = try HTTPServerBuilder.http1().buildServer(
            configuration: ServerConfiguration(address: .unixDomainSocket(path: socket.path)),
            eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: quiet(logger),
            responder: { request, writer, channel in
                let context = APIContext(source: ApplicationRequestContextSource(channel: channel, logger: logger))
                let response = try await responder.respond(to: request, context: context)
                try await writer.write(response: response.head, body: response.body)
            },
            onServerRunning: { _ in
                do {
                    try ready()
                    await whenReady()
                } catch {
                    logger.error("cannot open the socket to its users", metadata: ["error": "\(error)"])
                }
            })
        try await server.run()
    }

    func router() throws -> Router<APIContext> {
        let router = Router(context: APIContext.self)
        router.middlewares.add(ErrorMiddleware())
        router.middlewares.add(PeerMiddleware(users: configuration.users, runs: configuration.runs))
        router.middlewares.add(ActivityMiddleware(activity: activity))
        let routes = router.group(RouterPath(API.prefix))
        let users = configuration.users
        RunRoutes(engine: engine, users: users).add(to: routes)
        NodeRoutes(engine: engine, users: users, info: configuration.info).add(to: routes)
        StreamRoutes(engine: engine, users: users, activity: activity, files: try FileWatch(logger: logger))
            .add(to: routes)
        return router
    }

    /// The framework tells at `info` that it listens; for this agent that is `debug`.
    private func quiet(_ logger: Logger) -> Logger {
        var logger = logger
        if logger.logLevel == .info { logger.logLevel = .notice }
        return logger
    }
}
