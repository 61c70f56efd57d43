import Glibc
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

        public init(socketPath: String, info: AgentInfo, users: UserDirectory) {
            self.socketPath = socketPath
            self.info = info
            self.users = users
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
        router.middlewares.add(PeerMiddleware(users: configuration.users))
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

/// The file a unix socket is reached by.
struct SocketFile: Sendable {
    let path: String
    /// The system's agent serves every user and tells them apart by SO_PEERCRED; a user's own serves that user.
    let isShared: Bool

    /// Makes the directory, and checks that the path can be a socket's.
    func prepare() throws {
        // sun_path has 108 bytes with the closing NUL (unix(7)).
        guard path.utf8.count <= 107, path.hasPrefix("/") else {
            throw ServerError.badSocket(
                path, "a socket's path is absolute and has at most 107 bytes", hint: "Set `socket` to a shorter path.")
        }
        try makeDirectory(String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)]))
        var info = stat()
        guard lstat(path, &info) == 0 else {
            guard errno == ENOENT else {
                throw ServerError.badSocket(
                    path, String(cString: strerror(errno)),
                    hint: "Set `socket` to a path in a directory of the agent's.")
            }
            return
        }
        guard info.st_mode & S_IFMT == S_IFSOCK else {
            throw ServerError.badSocket(
                path, "there is a file of another kind", hint: "Move it away, or set `socket` to another path.")
        }
    }

    /// Lets its users in; until then only the agent's own user could connect.
    func open() throws {
        guard chmod(path, isShared ? 0o666 : 0o600) == 0 else {
            throw ServerError.badSocket(path, String(cString: strerror(errno)), hint: "Check its directory's owner.")
        }
    }

    func remove() { _ = unlink(path) }

    private func makeDirectory(_ directory: String) throws {
        guard !directory.isEmpty, mkdir(directory, isShared ? 0o755 : 0o700) != 0, errno != EEXIST else { return }
        guard errno == ENOENT else {
            throw ServerError.badSocket(
                path, "cannot make '\(directory)': \(String(cString: strerror(errno)))",
                hint: "Make the directory, or set `socket` to another path.")
        }
        try makeDirectory(String(directory[..<(directory.lastIndex(of: "/") ?? directory.startIndex)]))
        try makeDirectory(directory)
    }
}
