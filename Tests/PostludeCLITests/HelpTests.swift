import ArgumentParser
import Testing

@testable import PostludeCLI

@Suite struct HelpTests {
    @Test func `the help of every command is as reviewed`() throws {
        try Snapshot.check(
            "help",
            RootCommand.helpMessage(columns: 100).split(separator: "\n", omittingEmptySubsequences: false).map(
                String.init))
        for command in RootCommand.configuration.subcommands {
            let name = command.configuration.commandName ?? ""
            let text = RootCommand.helpMessage(for: command, columns: 100)
            try Snapshot.check(
                "help-\(name)", text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init))
        }
    }

    @Test func `every exit status is documented`() {
        let help = RootCommand.helpMessage()
        for status in [ExitStatus.succeeded, .failed, .usage, .refused, .unreachable, .stopped, .interrupted] {
            #expect(help.contains("\n    \(status.rawValue)") || help.contains("  \(status.rawValue) "), "\(status)")
        }
    }
}
