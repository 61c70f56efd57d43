import ArgumentParser
import PostludeAPI
import PostludeCore

struct StopCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stop", abstract: "Ask runs to stop.",
        discussion: "Their steps get SIGTERM, and SIGKILL after the grace period that the operation gives them.")

    @Argument(help: "The runs' ids, or their first digits.")
    var runs: [String]

    @Flag(help: "Wait until they and their hooks have ended.")
    var wait = false

    @OptionGroup var agent: AgentOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let client = try agent.session().client
        var stopped: [RunSummary] = []
        for run in runs { stopped.append(try await client.stop(run).summary) }
        if wait {
            for index in stopped.indices {
                try await client.events(of: stopped[index].id.description) { _ in }
                stopped[index] = try await client.run(stopped[index].id.description).summary
            }
        }
        guard !output.json else { return try output.print(RunList(runs: stopped)) }
        try output.streams.print(stopped.map { "\($0.id.short) \($0.status.rawValue)" })
    }
}
