import ArgumentParser
import PostludeAPI
import PostludeCore
import PostludeReports

struct ReportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "report", abstract: "Account for runs: time, CPU, memory, devices and waiting, step by step.",
        discussion: "What is not known is - in the table, empty in CSV and absent in JSON; it is never 0.")

    enum Format: String, ExpressibleByArgument, CaseIterable { case table, json, csv }

    @Argument(help: "Only these runs and their hooks: ids, or their first digits.")
    var runs: [String] = []

    @Option(help: "How to print it.")
    var format: Format?

    @Option(
        help: ArgumentHelp(
            "Only runs that ended since: 90m, 12h, 7d, 2026-03-01 or 2026-03-01T12:00:00Z.", valueName: "time"))
    var since: String?

    @OptionGroup var agent: AgentOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        if output.json, let format, format != .json {
            throw ValidationError("--json and --format \(format.rawValue) do not go together.")
        }
        if let since, SinceText.parse(since, now: CommandEnvironment.now) == nil {
            throw ValidationError("--since takes 90m, 12h, 7d, 2026-03-01 or 2026-03-01T12:00:00Z, not '\(since)'.")
        }
    }

    func run() async throws {
        let client = try agent.session().client
        var records = try await client.usage(since: since.flatMap { SinceText.parse($0, now: CommandEnvironment.now) })
        if !runs.isEmpty {
            var chosen: Set<RunID> = []
            for run in runs { chosen.insert(try await client.run(run).summary.id) }
            records.removeAll { !chosen.contains($0.run) && !($0.upstream.map(chosen.contains) ?? false) }
        }
        switch output.json ? .json : format ?? .table {
        case .json: try output.print(UsageList(records: records))
        case .csv: try output.streams.write(UsageReport.csv(records), to: 1)
        case .table:
            let style = output.streams.terminal.outputStyle
            try output.streams.print(UsageReport.table(records).enumerated().map { $0 == 0 ? style.bold($1) : $1 })
        }
    }
}

/// A point in the past, as people say it.
enum SinceText {
    private static let units: [Character: Int64] = ["s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800]

    static func parse(_ text: String, now: Timestamp) -> Timestamp? {
        if let last = text.last, let unit = units[last] {
            guard let count = Int64(text.dropLast()), count >= 0, count <= 1_000_000_000 / unit else { return nil }
            return Timestamp(microseconds: now.microseconds - count * unit * 1_000_000)
        }
        let parts = text.split(separator: "T", omittingEmptySubsequences: false)
        guard parts.count <= 2, let day = parts.first.flatMap(day) else { return nil }
        guard parts.count == 2 else { return Timestamp(microseconds: day) }
        return time(parts[1]).map { Timestamp(microseconds: day + $0) }
    }

    /// `2026-03-01` as microseconds since 1970, UTC.
    private static func day(_ text: Substring) -> Int64? {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0].count == 4, parts[1].count == 2, parts[2].count == 2,
            let year = Int64(parts[0]), let month = Int64(parts[1]), let day = Int64(parts[2]),
            (1970...9999).contains(year), (1...12).contains(month), (1...31).contains(day)
        else { return nil }
        // Days from civil, over 400-year eras that start in March.
        let shiftedYear = month <= 2 ? year - 1 : year
        let era = shiftedYear / 400
        let yearOfEra = shiftedYear - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let days = era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
        return days * 86_400_000_000
    }

    /// `12:00` or `12:00:00`, with or without a `Z`, as microseconds of the day.
    private static func time(_ text: Substring) -> Int64? {
        let parts = (text.hasSuffix("Z") ? text.dropLast() : text).split(
            separator: ":", omittingEmptySubsequences: false)
        guard (2...3).contains(parts.count), parts.allSatisfy({ $0.count == 2 }), let hour = Int64(parts[0]),
            let minute = Int64(parts[1]), let second = parts.count == 3 ? Int64(parts[2]) : 0,
            (0...23).contains(hour), (0...59).contains(minute), (0...59).contains(second)
        else { return nil }
        return (hour * 3600 + minute * 60 + second) * 1_000_000
    }
}
