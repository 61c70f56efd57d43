import ArgumentParser
import PostludeAPI

struct BackupCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup", abstract: "Write a copy of the agent's database, while it works.",
        discussion: """
            The copy is one SQLite file in `backups` of the state directory. To go back to it, stop the agent, run \
            `postluded --repair --from FILE`, and start the agent again. Logs and artifacts are not in it. For \
            administrators.
            """)

    @OptionGroup var agent: AgentOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let path = try await agent.session().client.backUp()
        guard !output.json else { return try output.print(BackupAnswer(path: path)) }
        try output.streams.print(path)
    }
}
