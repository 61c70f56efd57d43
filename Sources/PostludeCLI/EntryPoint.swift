import ArgumentParser
import Glibc
import PostludeAPI
import PostludeReports
import PostludeSpec

/// Runs the command line and gives the process its exit status.
public enum EntryPoint {
    public static func main(_ arguments: [String] = Array(CommandLine.arguments.dropFirst())) async -> Never {
        let status = await run(arguments, streams: Streams(terminal: .current(CommandEnvironment.variables)))
        exit(status)
    }

    static func run(_ arguments: [String], streams: Streams) async -> Int32 {
        let json = arguments.prefix { $0 != "--" }.contains("--json")
        do {
            var command = try RootCommand.parseAsRoot(arguments)
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
            return ExitStatus.succeeded.rawValue
        } catch {
            return report(error, json: json, streams)
        }
    }

    private static func report(_ error: any Error, json: Bool, _ streams: Streams) -> Int32 {
        if let code = error as? ExitCode { return code.rawValue }
        do {
            guard let failure = failure(error) else {
                // Help and version are asked for: they are the result.
                try streams.print(RootCommand.fullMessage(for: error))
                return ExitStatus.succeeded.rawValue
            }
            guard failure.exit != .brokenPipe else { return failure.exit.rawValue }
            if json {
                let document = try Wire.encode(FailureDocument(error: failure.envelope), pretty: true)
                try streams.write(document + [UInt8(ascii: "\n")], to: STDOUT_FILENO)
            } else {
                try streams.note(lines(failure, streams.terminal.errorStyle))
            }
            return failure.exit.rawValue
        } catch {
            // There is nobody left to tell.
            return ExitStatus.brokenPipe.rawValue
        }
    }

    /// Nil for what is no failure: help and version.
    static func failure(_ error: any Error) -> CommandFailure? {
        switch error {
        case let error as CommandFailure: return error
        case let error as ClientError: return CommandFailure(error)
        case is CancellationError: return CommandFailure(.interrupted, "cli.interrupted", "Interrupted.")
        default:
            let code = RootCommand.exitCode(for: error)
            guard code != .success else { return nil }
            guard code == .validationFailure else {
                return CommandFailure(
                    .refused, "cli.internal", "Something went wrong here: \(error).",
                    hint: "This is a fault of Postlude.")
            }
            return CommandFailure(
                .usage, "cli.usage", RootCommand.message(for: error),
                hint: "`postlude help` and `postlude help <command>` say more.")
        }
    }

    static func lines(_ failure: CommandFailure, _ style: Style) -> [String] {
        // One finding says what the message says, and where.
        let details = failure.details.filter { $0.severity == .error }
        var lines = ["\(style.red("error")): \(failure.message.visible) [\(failure.code)]"]
        lines += details.map { DiagnosticText.line($0) }
        if let hint = failure.hint, details.isEmpty { lines.append("hint: \(hint.visible)") }
        return lines
    }
}
