import ArgumentParser
import FoundationEssentials
import Glibc
import PostludeAPI
import PostludeCore

/// How results are shown; the same for every command.
struct OutputOptions: ParsableArguments {
    @Flag(help: "Print one JSON document (JSON lines when following).")
    var json = false

    var streams: Streams { Streams(terminal: .current(CommandEnvironment.variables)) }

    /// The whole answer as one document.
    func print(_ document: some Encodable) throws {
        try streams.write(try Wire.encode(document, pretty: true) + [UInt8(ascii: "\n")], to: STDOUT_FILENO)
    }
}

/// Which agent to ask.
struct AgentOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The agent's socket (default: POSTLUDE_SOCKET, then the configuration's).", valueName: "path"))
    var socket: String?

    @Option(
        help: ArgumentHelp(
            "The configuration file (default: POSTLUDE_CONFIG, then the user's or the system's).", valueName: "file"))
    var config: String?

    @Flag(help: "Fail when no agent runs, instead of starting one (as with --socket).")
    var noStart = false

    func settings() throws -> AgentSettings {
        try AgentSettings.resolve(
            socket: socket, configuration: config, environment: CommandEnvironment.variables, uid: geteuid(),
            home: CommandEnvironment.home)
    }

    func session() throws -> AgentSession { try AgentSession.connect(try settings(), startsAgent: !noStart) }
}

/// The operation file and what is said about it on the command line.
struct SubmissionOptions: ParsableArguments {
    @Argument(help: "The operation file, or - for standard input.")
    var file: String

    @Option(
        name: [.customShort("P"), .customLong("param")], parsing: .singleValue,
        help: ArgumentHelp(
            "A param's value, typed as YAML does: -P lr=0.1. Repeatable; wins over the file.", valueName: "name=value"))
    var params: [String] = []

    @Option(help: "A name for the run.")
    var name: String?

    @Option(help: "The project the run belongs to.")
    var project: String?

    @Option(help: ArgumentHelp("Submitting again with the same key gives the same run.", valueName: "key"))
    var idempotencyKey: String?

    @Flag(help: "Leave the operation's hooks out.")
    var noHooks = false

    @Option(help: "The queue, in place of the one that the file names.")
    var queue: String?

    @Flag(help: "Keep the run from being started until `postlude release`.")
    var hold = false

    func submission() throws -> Submission {
        var submission = try SubmissionFile(path: file).submission(
            params: params, name: name, project: project,
            // A request that is sent again after a lost connection must not run twice.
            idempotencyKey: idempotencyKey ?? RunID.random().description)
        if noHooks { submission.withoutHooks = true }
        submission.queue = queue
        if hold { submission.hold = true }
        return submission
    }
}

/// What the process was started with.
enum CommandEnvironment {
    static let variables = ProcessInfo.processInfo.environment

    static var home: String {
        if let home = variables["HOME"], home.hasPrefix("/") { return home }
        return getpwuid(geteuid()).map { String(cString: $0.pointee.pw_dir) } ?? "/"
    }

    static var now: Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000)
    }
}
