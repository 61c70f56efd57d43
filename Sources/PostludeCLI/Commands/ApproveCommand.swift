import ArgumentParser
import PostludeAPI
import PostludeCore

struct ApproveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "approve", abstract: "Let runs go on that wait for approval.",
        discussion: "An operation with `isApproved: false` is held after it was checked; stop ends it instead.")

    @Argument(help: "The runs' ids, or their first digits.")
    var runs: [String]

    @OptionGroup var agent: AgentOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let client = try agent.session().client
        try await output.change(runs, client.approve)
    }
}
