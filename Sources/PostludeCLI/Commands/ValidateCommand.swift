import ArgumentParser
import Glibc
import PostludeAPI
import PostludeCore
import PostludeReports
import PostludeSpec

struct ValidateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "validate",
        abstract: "Check operation and preset files without an agent, and show everything that is wrong.",
        discussion: "The exit status is 0 when all files are valid and 1 when one is not.")

    @Argument(help: "The files, or - for standard input.")
    var files: [String]

    @Option(
        name: [.customShort("P"), .customLong("param")], parsing: .singleValue,
        help: ArgumentHelp("A param's value, as for run.", valueName: "name=value"))
    var params: [String] = []

    @Option(help: "The project that the site's defaults are looked up for.")
    var project: String?

    @Flag(help: "Print each operation after everything was merged, with the place of each value.")
    var resolved = false

    @Option(help: ArgumentHelp("The configuration file, for its hub, profiles and presets.", valueName: "file"))
    var config: String?

    @OptionGroup var output: OutputOptions

    func validate() throws {
        if files.filter({ $0 == "-" }).count > 1 { throw ValidationError("Standard input can be named once.") }
    }

    func run() async throws {
        let settings = try AgentOptions.parse(config.map { ["--config", $0] } ?? []).settings()
        let sources = try SpecCatalog(settings.own).sources(for: settings.own, project: project)
        var documents: [ValidationDocument] = []
        for file in files {
            let submission = try SubmissionFile(path: file).submission(params: params, project: project)
            let validation = OperationReader.validate(submission, from: sources)
            documents.append(ValidationDocument(file, validation, withResolved: resolved))
            if !output.json { try show(validation, of: file) }
        }
        let isValid = documents.allSatisfy(\.valid)
        if output.json { try output.print(ValidationReport(valid: isValid, files: documents)) }
        if !isValid { throw ExitCode(ExitStatus.failed.rawValue) }
    }

    private func show(_ validation: Validation, of file: String) throws {
        let streams = output.streams
        let diagnostics = validation.diagnostics
        if !diagnostics.isEmpty {
            try streams.note(DiagnosticText.render(diagnostics, sources: validation.sources))
        }
        if !validation.ignored.isEmpty {
            try streams.note("\(file): without effect here: \(validation.ignored.joined(separator: ", "))")
        }
        if !validation.joined.isEmpty {
            let names = validation.joined.map(\.visible).joined(separator: ", ")
            try streams.note("\(file): joins are searched for when it runs: \(names)")
        }
        let count = DiagnosticCount.words(diagnostics)
        guard validation.isValid else { return try streams.note("\(file): \(count)") }
        let word = validation.isPreset ? "valid preset" : "valid"
        let line = "\(file): \(word)" + (count.isEmpty ? "" : " (\(count))")
        // What is printed with --resolved is one YAML stream.
        guard resolved else { return try streams.print(line) }
        try streams.note(line)
        if let text = validation.resolved { try streams.print("---\n" + text.dropLast()) }
    }
}

/// What `validate --json` prints.
struct ValidationReport: Encodable {
    var valid: Bool
    var files: [ValidationDocument]
}

struct ValidationDocument: Encodable {
    var file: String
    var valid: Bool
    var isPreset: Bool
    var diagnostics: [LocatedDiagnostic]
    /// Settings without effect on a single node.
    var ignored: [String]
    /// Params that come from joins, which are searched for when the operation runs.
    var joined: [String]
    /// YAML, when it was asked for and there is one.
    var resolved: String?

    init(_ file: String, _ validation: Validation, withResolved: Bool) {
        self.file = file
        valid = validation.isValid
        isPreset = validation.isPreset
        let lines = DiagnosticText.sourceLines(of: validation.diagnostics, sources: validation.sources)
        diagnostics = zip(validation.diagnostics, lines).map(LocatedDiagnostic.init)
        ignored = validation.ignored
        joined = validation.joined
        resolved = withResolved ? validation.resolved : nil
    }
}

/// A finding with the line it is about.
struct LocatedDiagnostic: Encodable {
    var severity: Diagnostic.Severity
    var code: String
    var message: String
    var hint: String?
    var place: SourcePlace?
    var source: String?

    init(_ diagnostic: Diagnostic, source: String?) {
        severity = diagnostic.severity
        code = diagnostic.code
        message = diagnostic.message
        hint = diagnostic.hint
        place = diagnostic.place
        self.source = source
    }
}

struct SchemaCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "schema", abstract: "Print the JSON Schema of the format, for editors and other tools.")

    func run() async throws {
        let streams = Streams(terminal: .current(CommandEnvironment.variables))
        try streams.write(
            try Wire.encode(JSONSchema.document, pretty: true) + [UInt8(ascii: "\n")], to: STDOUT_FILENO)
    }
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
    var presets: PresetCatalog

    init(_ configuration: AgentConfiguration) throws(CommandFailure) {
        guard let directory = configuration.profilesDirectory ?? Installation.current()?.profiles else {
            throw CommandFailure(
                .refused, "cli.no-profiles", "The directory `profiles` of the installation is missing.",
                hint: "Install Postlude again, or set `profilesDirectory` in the configuration.")
        }
        do {
            hub = try Hub(directory: configuration.hubDirectory ?? "\(directory)/hub")
            profiles = try ProfileCatalog.load(directory: "\(directory)/sandbox")
            presets = try configuration.presetsDirectory.map(PresetCatalog.init(directory:)) ?? .empty
        } catch {
            throw CommandFailure(.refused, error.code, error.message, hint: error.hint, details: error.diagnostics)
        }
    }

    /// With the defaults that the site has for the user who asks.
    func sources(for configuration: AgentConfiguration, project: String?) -> SpecSources {
        SpecSources(
            hub: hub, profiles: Set(profiles.keys), presets: presets,
            site: SiteSelection(configuration.defaults, project: project, subject: .current()))
    }
}

extension SitePolicy.Subject {
    /// Who runs this process.
    static func current() -> SitePolicy.Subject {
        let uid = geteuid()
        var ids = [gid_t](repeating: 0, count: Int(max(0, getgroups(0, nil))))
        let count = getgroups(Int32(ids.count), &ids)
        ids = Array(ids.prefix(Int(max(0, count)))) + [getegid()]
        let groups = ids.compactMap { id in getgrgid(id).map { String(cString: $0.pointee.gr_name) } }
        let name = getpwuid(uid).map { String(cString: $0.pointee.pw_name) } ?? String(uid)
        return SitePolicy.Subject(name: name, uid: uid, groups: Set(groups))
    }
}
