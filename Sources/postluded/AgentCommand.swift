import ArgumentParser
import Glibc
import Logging
import PostludeAPI
import PostludeFailpoints
import PostludeThreads

/// `postluded`: the agent of this machine.
struct AgentCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "postluded",
        abstract: "The Postlude agent: queues operations, runs them in sandboxes, and leases the accelerators.",
        discussion: """
            It stays in the foreground and logs to standard error. SIGTERM and SIGINT end it; what runs goes on, and the \
            next agent on the same state directory takes it up again.

            Exit status: 0 ended as asked, 1 cannot start or failed, 2 wrong command line.
            """,
        version: "postluded \(Version.current)")

    enum LogFormat: String, ExpressibleByArgument, CaseIterable { case text, json }

    @Option(
        help: ArgumentHelp(
            "The configuration (default: POSTLUDE_CONFIG, then the system's or the user's).", valueName: "file"))
    var config: String?

    @Option(help: ArgumentHelp("Listen here instead of where the configuration says.", valueName: "path"))
    var socket: String?

    @Option(help: ArgumentHelp("Keep the state here instead of where the configuration says.", valueName: "path"))
    var stateDirectory: String?

    @Option(help: ArgumentHelp("Leave after so many seconds without work; 0 stays.", valueName: "seconds"))
    var idleExit: Double?

    @Option(help: "How log lines are written.")
    var logFormat: LogFormat = .text

    @Option(help: "What is logged: trace, debug, info, notice, warning, error or critical.")
    var logLevel: Logger.Level = .notice

    @Flag(
        help: """
            Make a new database out of what can be read of a damaged one, say what was kept, and leave. The damaged files \
            stay.
            """)
    var repair = false

    @Option(help: ArgumentHelp("With --repair: go back to this backup instead.", valueName: "file"))
    var from: String?

    @Flag(help: ArgumentHelp("Started by a command that needs an agent: leave when idle.", visibility: .hidden))
    var onDemand = false

    @Option(help: ArgumentHelp("Tell readiness on this descriptor.", visibility: .hidden))
    var readyFd: Int32?

    func validate() throws {
        if let idleExit, !(0...31_536_000).contains(idleExit) {
            throw ValidationError("--idle-exit takes a number of seconds from 0 to a year.")
        }
        if from != nil, !repair { throw ValidationError("--from belongs to --repair.") }
        for path in [socket, stateDirectory].compactMap({ $0 }) where !path.hasPrefix("/") {
            throw ValidationError("'\(path)' is not an absolute path.")
        }
        if let readyFd, readyFd < 3 {
            throw ValidationError("--ready-fd takes a descriptor that is not a standard stream.")
        }
    }

    /// Parses the command line, runs the agent to its end, and exits.
    ///
    /// The agent's tasks run on threads of its own, and this one only waits: at rest nothing of the agent wakes up.
    static func start() -> Never {
        let command: AgentCommand
        do {
            command = try AgentCommand.parse()
        } catch {
            let isHelp = AgentCommand.exitCode(for: error) == .success
            let text = AgentCommand.fullMessage(for: error) + "\n"
            _ = text.withCString { write(isHelp ? STDOUT_FILENO : STDERR_FILENO, $0, strlen($0)) }
            Glibc.exit(isHelp ? 0 : 2)
        }
        let readiness = ReadinessChannel(descriptor: command.readyFd)
        // The directory it was started in must stay removable.
        if command.onDemand { _ = chdir("/") }
        let (format, level) = (command.logFormat, command.logLevel)
        LoggingSystem.bootstrap { label in LineLogHandler(label: label, format: format, level: level) }
        let signals = TerminationSignals()
        do {
            let threads = try ThreadPool(name: "tasks", maximum: max(4, 2 * sysconf(Int32(_SC_NPROCESSORS_ONLN))))
            Task(executorPreference: threads) { await command.run(readiness, signals) }
        } catch {
            _ = "postluded: cannot start a thread: \(error)\n".withCString { write(STDERR_FILENO, $0, strlen($0)) }
            Glibc.exit(1)
        }
        signals.forward()
    }

    /// For crash tests of the agent as it is shipped. Nobody reaches it from a run or over the socket: only who starts the
    /// agent sets its environment, and could as well kill it.
    private static func armFailpoint(_ logger: Logger) throws {
        guard let text = getenv(FailpointOrder.variable).map({ String(cString: $0) }), !text.isEmpty else { return }
        do throws(FailpointError) {
            let order = try FailpointOrder(text)
            order.arm()
            logger.critical(
                "this agent is under test and will kill itself; unset POSTLUDE_FAILPOINT for real work",
                metadata: ["failpoint": "\(order.text)"])
        } catch {
            let names = Failpoint.all.map(\.name).joined(separator: ", ")
            throw AgentFailure(
                "agent.unknown-failpoint", "POSTLUDE_FAILPOINT is '\(error.text)', which names no failpoint.",
                hint: "Unset it; it is for tests of the agent. They know \(names), each with @N for its Nth hit.")
        }
    }

    private func run(_ readiness: ReadinessChannel, _ signals: TerminationSignals) async -> Never {
        let command = self
        let logger = Logger(label: "postluded")
        do {
            try Self.armFailpoint(logger)
            if repair {
                try Repair.run(stateDirectory: try AgentSetup.configuration(command).stateDirectory, from: from)
                Glibc.exit(0)
            }
            let agent = try Agent(try AgentSetup(command), readiness: readiness, signals: signals, logger: logger)
            try await agent.run()
            logger.notice("agent ended")
            Glibc.exit(0)
        } catch {
            let failure = AgentFailure(error)
            readiness.tell(.failed(failure.envelope))
            logger.critical(
                "\(failure.envelope.message)",
                metadata: failure.envelope.hint.map { ["code": "\(failure.envelope.code)", "hint": "\($0)"] }
                    ?? ["code": "\(failure.envelope.code)"])
            Glibc.exit(1)
        }
    }
}

extension Logger.Level: @retroactive ExpressibleByArgument {}
