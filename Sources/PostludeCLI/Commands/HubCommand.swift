import ArgumentParser
import PostludeAPI
import PostludeCore
import PostludeSpec

struct HubCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hub", abstract: "List the components that a hubRef can name, or show what one of them takes.")

    @Argument(help: "A component, as name or name:version.")
    var name: String?

    @Option(help: ArgumentHelp("The configuration file, for its hub.", valueName: "file"))
    var config: String?

    @OptionGroup var output: OutputOptions

    func run() async throws {
        let settings = try AgentOptions.parse(config.map { ["--config", $0] } ?? []).settings()
        let hub = try SpecCatalog(settings.own).hub
        let streams = output.streams
        if let name {
            let component: HubComponent
            do {
                component = try hub.describe(name)
            } catch {
                throw CommandFailure(.usage, error.code, error.message, hint: error.hint, details: error.diagnostics)
            }
            if output.json { return try output.print(component) }
            return try streams.print(HubText.lines(component, reference: name))
        }
        let (components, problems) = hub.components()
        if output.json {
            try output.print(HubDocument(components: components, problems: problems))
        } else {
            try streams.print(HubText.lines(components))
            if !problems.isEmpty { try streams.note(DiagnosticText.render(problems, sources: [:])) }
        }
        if !problems.isEmpty { throw ExitCode(ExitStatus.failed.rawValue) }
    }
}

struct HubDocument: Encodable {
    var components: [HubComponent]
    var problems: [Diagnostic]
}
