import ArgumentParser
import PostludeAPI
import PostludeCore
import PostludeSpec

struct ValidateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "validate",
        abstract: "Check an operation file without an agent, and show everything that is wrong.",
        discussion: "The exit status is 0 when the file is valid and 1 when it is not.")

    @Argument(help: "The operation file, or - for standard input.")
    var file: String

    @Option(
        name: [.customShort("P"), .customLong("param")], parsing: .singleValue,
        help: ArgumentHelp("A param's value, as for run.", valueName: "name=value"))
    var params: [String] = []

    @Option(help: ArgumentHelp("The configuration file, for its hub and profiles.", valueName: "file"))
    var config: String?

    @OptionGroup var output: OutputOptions

    func run() async throws {
        let submission = try SubmissionFile(path: file).submission(params: params)
        let settings = try AgentOptions.parse(config.map { ["--config", $0] } ?? []).settings()
        let catalog = try SpecCatalog(settings.own)
        let (operation, diagnostics) = OperationReader.read(
            submission, hub: catalog.hub, profiles: Set(catalog.profiles.keys))
        let isValid = operation != nil
        if output.json {
            try output.print(ValidationDocument(file: file, valid: isValid, diagnostics: diagnostics))
        } else {
            var sources = submission.references
            sources[file] = submission.text
            let streams = output.streams
            if !diagnostics.isEmpty { try streams.note(DiagnosticText.render(diagnostics, sources: sources)) }
            let count = DiagnosticCount.words(diagnostics)
            if isValid {
                try streams.print("\(file): valid" + (count.isEmpty ? "" : " (\(count))"))
            } else {
                try streams.note("\(file): \(count)")
            }
        }
        if !isValid { throw ExitCode(ExitStatus.failed.rawValue) }
    }
}

struct ValidationDocument: Encodable {
    var file: String
    var valid: Bool
    var diagnostics: [Diagnostic]
}

enum DiagnosticCount {
    /// `2 errors, 1 note`.
    static func words(_ diagnostics: [Diagnostic]) -> String {
        func words(_ severity: Diagnostic.Severity, _ word: String) -> String? {
            let count = diagnostics.filter { $0.severity == severity }.count
            return count == 0 ? nil : "\(count) \(word)\(count == 1 ? "" : "s")"
        }
        return [words(.error, "error"), words(.warning, "warning"), words(.note, "note")]
            .compactMap { $0 }.joined(separator: ", ")
    }
}

/// The hub and the profiles that the agent would use, read here.
struct SpecCatalog {
    var hub: Hub
    var profiles: [String: SandboxProfile]

    init(_ configuration: AgentConfiguration) throws(CommandFailure) {
        guard let directory = configuration.profilesDirectory ?? Installation.current()?.profiles else {
            throw CommandFailure(
                .refused, "cli.no-profiles", "The directory `profiles` of the installation is missing.",
                hint: "Install Postlude again, or set `profilesDirectory` in the configuration.")
        }
        do {
            hub = try Hub(directory: configuration.hubDirectory ?? "\(directory)/hub")
            profiles = try ProfileCatalog.load(directory: "\(directory)/sandbox")
        } catch {
            throw CommandFailure(.refused, error.code, error.message, hint: error.hint, details: error.diagnostics)
        }
    }
}
