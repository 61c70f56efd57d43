import Glibc
import PostludeAPI
import PostludeCore

/// Starts an agent for this user and waits until it says that it takes requests, or why it does not.
struct AgentLauncher: Sendable {
    let settings: AgentSettings
    let executable: String

    /// How long an agent may take to start, in milliseconds: recovery after a crash reads every unfinished attempt.
    private static let patience: Int32 = 60_000

    init(settings: AgentSettings) throws(CommandFailure) {
        guard let executable = Installation.current()?.agent else {
            throw CommandFailure(
                .unreachable, "cli.no-agent-executable",
                "No agent is running, and there is no `postluded` beside this program.",
                hint: "Install both, or start the system's agent.")
        }
        self.settings = settings
        self.executable = executable
    }

    /// Two commands that start an agent at once are told apart by a lock; the second finds the first one's agent.
    func start(unless answers: () -> Bool) throws(CommandFailure) {
        let directory = settings.own.stateDirectory
        try makeDirectory(directory)
        let lock = try openFile("\(directory)/start.lock", flags: O_RDWR | O_CREAT, mode: 0o600)
        defer { _ = close(lock) }
        while flock(lock, LOCK_EX) != 0 {
            guard errno == EINTR else { throw failure("lock", "\(directory)/start.lock") }
        }
        guard !answers() else { return }
        let log = try openFile("\(directory)/agent.log", flags: O_WRONLY | O_CREAT | O_APPEND, mode: 0o600)
        defer { _ = close(log) }
        var pipe: [Int32] = [-1, -1]
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, kind, 0, &pipe) == 0 else { throw failure("make a channel to", executable) }
        defer { _ = close(pipe[0]) }
        do {
            defer { _ = close(pipe[1]) }
            try spawn(log: log, ready: pipe[1])
        }
        try awaitReadiness(pipe[0], log: "\(directory)/agent.log", answers: answers)
    }

    /// POSIX_SPAWN_SETSID of <spawn.h>, which shows it to GNU sources only.
    private static let newSession: Int32 = 0x80

    private var arguments: [String] {
        var arguments = [executable, "--on-demand", "--ready-fd", "3"]
        if let file = settings.configurationFile { arguments += ["--config", file] }
        return arguments
    }

    /// A session of its own, so that neither this terminal's Ctrl-C nor its end reaches the agent.
    private func spawn(log: Int32, ready: Int32) throws(CommandFailure) {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        // 3 may be a descriptor of ours, so it is replaced last. What this process was given without close-on-exec, such
        // as a lock or a pipe of the shell's, is not passed on: the agent would hold it for as long as it lives.
        posix_spawn_file_actions_adddup2(&actions, log, 1)
        posix_spawn_file_actions_adddup2(&actions, log, 2)
        for descriptor in inherited() { posix_spawn_file_actions_addclose(&actions, descriptor) }
        posix_spawn_file_actions_adddup2(&actions, ready, 3)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        let flags = Self.newSession | Int32(POSIX_SPAWN_SETSIGDEF) | Int32(POSIX_SPAWN_SETSIGMASK)
        posix_spawnattr_setflags(&attributes, Int16(flags))
        var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var pid: pid_t = 0
        let code = posix_spawn(&pid, executable, &actions, &attributes, &words, environ)
        guard code == 0 else {
            errno = code
            throw failure("start", executable)
        }
    }

    /// Descriptors above standard error that an executed program would get.
    private func inherited() -> [Int32] {
        guard let directory = opendir("/proc/self/fd") else { return [] }
        defer { closedir(directory) }
        var found: [Int32] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard let descriptor = Int32(name), descriptor > STDERR_FILENO else { continue }
            if fcntl(descriptor, F_GETFD) & FD_CLOEXEC == 0 { found.append(descriptor) }
        }
        return found
    }

    private func awaitReadiness(_ descriptor: Int32, log: String, answers: () -> Bool) throws(CommandFailure) {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while !bytes.contains(UInt8(ascii: "\n")) {
            var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let count = poll(&waiting, 1, Self.patience)
            guard count >= 0 || errno == EINTR else { throw failure("wait for", executable) }
            guard count != 0 else {
                throw CommandFailure(
                    .unreachable, "cli.agent-slow", "The agent has not said within a minute that it is ready.",
                    hint: "Look into '\(log)'; it may still become ready.")
            }
            guard count > 0 else { continue }
            let size = read(descriptor, &chunk, chunk.count)
            guard size > 0 else { break }
            bytes += chunk.prefix(size)
        }
        let message: Readiness
        do {
            message = try Wire.decode(Readiness.self, from: bytes)
        } catch {
            throw CommandFailure(
                .unreachable, "cli.agent-died", "The agent ended before it was ready.",
                hint: "Its log '\(log)' says why.")
        }
        switch message {
        case .ready: return
        case .failed(let envelope):
            // Somebody else's agent was faster; it is as good as ours.
            guard !answers() else { return }
            throw CommandFailure(
                .unreachable, envelope.code, envelope.message, hint: envelope.hint, details: envelope.details)
        }
    }

    // MARK: - Files

    private func openFile(_ path: String, flags: Int32, mode: mode_t) throws(CommandFailure) -> Int32 {
        let descriptor = open(path, flags | O_CLOEXEC | O_NOFOLLOW, mode)
        guard descriptor >= 0 else { throw failure("open", path) }
        return descriptor
    }

    private func makeDirectory(_ path: String) throws(CommandFailure) {
        guard mkdir(path, 0o755) != 0, errno != EEXIST else { return }
        guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex else {
            throw failure("make", path)
        }
        try makeDirectory(String(path[..<slash]))
        guard mkdir(path, 0o755) != 0, errno != EEXIST else { return }
        throw failure("make", path)
    }

    private func failure(_ verb: String, _ path: String) -> CommandFailure {
        let denied = errno == EACCES || errno == EPERM
        return CommandFailure(
            .unreachable, "cli.cannot-start-agent",
            "No agent is running, and none can be started: cannot \(verb) '\(path)': \(String(cString: strerror(errno))).",
            hint: denied
                ? "Start the system's agent as root, or name a state directory of yours in the configuration."
                : "Check the path and its disk.")
    }
}
