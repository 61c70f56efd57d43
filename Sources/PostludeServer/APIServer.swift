import Glibc
import Hummingbird
import HummingbirdCore
import Logging
import NIOPosix
import PostludeAPI
import PostludeCore
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
        /// What callers may have.
        public var settings: APISettings

        public init(
            socketPath: String, info: AgentInfo, users: UserDirectory, runs: RunCgroups,
            settings: APISettings = APISettings()
        ) {
            self.settings = settings
            self.socketPath = socketPath
            self.info = info
            self.users = users
            self.runs = runs
        }
    }

    private let configuration: Configuration
    private let admission: Admission
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
        admission = Admission(
            configuration.settings, users: configuration.users, descriptors: Self.descriptorLimit)
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
        let front = FrontDoor(
            responder: try router().buildResponder(), admission: admission, logger: logger)
        let (settings, admission) = (configuration.settings, admission)
        let channel = HTTP1Channel.Configuration(
            additionalChannelHandlers: [ConnectionGuardInstaller(settings, admission)],
            httpDecoderConfiguration: .init(
                maxHeaderFieldSize: API.maximumHeadBytes, maxHeaderListSize: API.maximumHeadBytes,
                maxHeaderFieldCount: APILimits.headerFields))
        // Hummingbird's Application would do the same, and wake up each second to write the date into a header.
        let server = try HTTPServerBuilder.http1(configuration: channel).buildServer(
            configuration: ServerConfiguration(address: .unixDomainSocket(path: socket.path)),
            eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: quiet(logger),
            responder: { request, writer, channel in try await front.answer(request, writer, channel) },
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
        let router = Router(context: APIContext.self, options: .autoGenerateHeadEndpoints)
        router.middlewares.add(ErrorMiddleware())
        router.middlewares.add(PeerMiddleware(users: configuration.users, runs: configuration.runs))
        router.middlewares.add(ActivityMiddleware(activity: activity))
        router.middlewares.add(DescriptionMiddleware())
        let routes = router.group(RouterPath(API.prefix))
        let users = configuration.users
        RunRoutes(engine: engine, users: users).add(to: routes)
        NodeRoutes(engine: engine, users: users, info: configuration.info).add(to: routes)
        StreamRoutes(engine: engine, users: users, activity: activity, files: try FileWatch(logger: logger))
            .add(to: routes)
        return router
    }

    private static var descriptorLimit: Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
        return Int(clamping: limit.rlim_cur)
    }

    /// The framework tells at `info` that it listens; for this agent that is `debug`.
    private func quiet(_ logger: Logger) -> Logger {
        var logger = logger
        if logger.logLevel == .info { logger.logLevel = .notice }
        return logger
    }
}
