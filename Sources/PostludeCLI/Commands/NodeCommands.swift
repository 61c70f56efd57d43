import ArgumentParser
import PostludeAPI
import PostludeCore

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Show what this host can enforce, and what it cannot.")

    @OptionGroup var agent: AgentOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let checks = try await agent.session().client.doctor()
        guard !output.json else { return try output.print(DoctorReport(checks: checks)) }
        try output.streams.print(RunTable.lines(checks, style: output.streams.terminal.outputStyle))
    }
}

struct DevicesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "devices", abstract: "List the devices that runs can lease, and who has them.")

    @Flag(help: "Look at quarantined devices at once, and hand back those that are free (administrators).")
    var recheck = false

    @OptionGroup var agent: AgentOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let client = try agent.session().client
        let devices = recheck ? try await client.recheckDevices() : try await client.devices()
        guard !output.json else { return try output.print(DeviceList(devices: devices)) }
        let streams = output.streams
        try streams.print(RunTable.lines(devices, now: CommandEnvironment.now, style: streams.terminal.outputStyle))
        if devices.isEmpty, streams.terminal.error {
            try streams.note("No device was found; declare some under `devices` in the configuration.")
        }
    }
}

struct ImagesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "images", abstract: "List the OCI images that the agent has unpacked.")

    @Flag(help: "Remove images that no run uses and none has wanted for 10 minutes (administrators).")
    var prune = false

    @OptionGroup var agent: AgentOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let client = try agent.session().client
        let images = prune ? try await client.pruneImages() : try await client.images()
        guard !output.json else { return try output.print(ImageList(images: images)) }
        try output.streams.print(
            RunTable.lines(images, now: CommandEnvironment.now, style: output.streams.terminal.outputStyle))
    }
}

struct VersionCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "version", abstract: "Print this program's version, and the agent's when one runs.")

    @OptionGroup var agent: AgentOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        // Asking for a version is no reason to start an agent.
        var info: AgentInfo?
        do {
            info = try await AgentSession.connect(try agent.settings(), startsAgent: false).client.info()
        } catch let failure as CommandFailure where failure.exit == .unreachable {
            info = nil
        }
        guard !output.json else { return try output.print(VersionDocument(version: Version.current, agent: info)) }
        try output.streams.print("postlude \(Version.current)")
        if let info {
            try output.streams.print("agent    \(info.version) (pid \(info.pid), state in \(info.stateDirectory))")
        }
    }
}

struct VersionDocument: Encodable {
    var version: String
    var agent: AgentInfo?
}
