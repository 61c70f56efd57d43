import ArgumentParser
import PostludeAPI
import PostludeCore

struct RerunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rerun", abstract: "Run one hook of a finished run again, and print the new hook run's id.",
        discussion: """
            The hook gets the same main, with its outputs, logs and artifacts. Neither its trigger nor its condition is \
            asked. The run itself stays as it is, and so does the record of what became of the hook when it ended.
            """)

    @Argument(help: "The run's id, or its first digits.")
    var run: String

    @Option(help: ArgumentHelp("The hook, by name or by number from 0.", valueName: "name"))
    var hook: String

    @OptionGroup var agent: AgentOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let created = try await agent.session().client.rerun(run, hook: hook)
        guard !output.json else { return try output.print(created) }
        try output.streams.print(created.summary.id.description)
    }
}
