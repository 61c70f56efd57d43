import ArgumentParser
import PostludeAPI
import PostludeCore
import PostludeReports

struct HoldCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hold", abstract: "Keep runs that wait from being started.",
        discussion: "`postlude release` lets them go; `postlude submit --hold` holds a run back from the beginning.")

    @Argument(help: "The runs' ids, or their first digits.")
    var runs: [String]

    @OptionGroup var agent: AgentOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let client = try agent.session().client
        try await output.change(runs, note: " (held back)", client.hold)
    }
}

struct ReleaseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "release", abstract: "Let runs go that were held back.")

    @Argument(help: "The runs' ids, or their first digits.")
    var runs: [String]

    @OptionGroup var agent: AgentOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let client = try agent.session().client
        try await output.change(runs, client.release)
    }
}

extension OutputOptions {
    /// Asks the agent to change each of the runs, and shows them as they are then.
    func change(_ runs: [String], note: String = "", _ change: (String) async throws -> RunDetail) async throws {
        var changed: [RunSummary] = []
        for run in runs { changed.append(try await change(run).summary) }
        guard !json else { return try print(RunList(runs: changed)) }
        try streams.print(changed.map { "\($0.id.short) \($0.status.rawValue)\(note)" })
    }
}

struct DrainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain", abstract: "Start nothing but hook runs, so that the node can be worked on.",
        discussion: """
            What runs goes on to its end. With --from, only what its own time limit (termination.timeout) ends before \
            that is started until then. For administrators; --list is for everybody.
            """)

    @Option(help: ArgumentHelp("Begin then and not now, such as 2026-12-01T20:00:00Z or +2h.", valueName: "time"))
    var from: String?

    @Option(help: ArgumentHelp("End by itself then, such as 2026-12-02T06:00:00Z or +8h.", valueName: "time"))
    var until: String?

    @Option(help: "What waiting runs are told.")
    var reason = ""

    @Flag(help: "End the windows that are not over, or the one that --id names.")
    var end = false

    @Option(help: "The window's number.")
    var id: Int64?

    @Flag(help: "List the windows that are not over.")
    var list = false

    @OptionGroup var agent: AgentOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        if end, list || from != nil || until != nil || !reason.isEmpty {
            throw ValidationError("--end goes with --id alone.")
        }
        if list, from != nil || until != nil || !reason.isEmpty { throw ValidationError("--list goes alone.") }
        if id != nil, !end { throw ValidationError("--id goes with --end.") }
        _ = try (from.map(Self.time), until.map(Self.time))
    }

    func run() async throws {
        let client = try agent.session().client
        let windows =
            if list {
                try await client.maintenance()
            } else if end {
                try await client.endMaintenance(id)
            } else {
                try await client.drain(from: from.map(Self.time), until: until.map(Self.time), reason: reason)
            }
        guard !output.json else { return try output.print(MaintenanceList(windows: windows)) }
        let verb = end ? "ended " : ""
        try output.streams.print(
            windows.map { window in
                let until = window.until.map { " until \(Units.timestamp($0))" } ?? ""
                let reason = window.reason.isEmpty ? "" : ": \(window.reason.visible)"
                return
                    "\(verb)\(window.id) from \(Units.timestamp(window.from))\(until) by \(window.by.visible)\(reason)"
            })
    }

    /// A point in time as `report --since` takes it, or from now on: `+90m`, `+2h`, `+3d`.
    static func time(_ text: String) throws -> Timestamp {
        let now = CommandEnvironment.now
        if text.hasPrefix("+"), let ago = SinceText.parse(String(text.dropFirst()), now: now), ago <= now {
            return Timestamp(microseconds: 2 * now.microseconds - ago.microseconds)
        }
        guard !text.hasPrefix("+"), let time = SinceText.parse(text, now: now), time > now else {
            throw ValidationError(
                "'\(text)' is no time to come: write 2026-12-01T20:00:00Z, or +2h for two hours from now.")
        }
        return time
    }
}
