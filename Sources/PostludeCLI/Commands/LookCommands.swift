import ArgumentParser
import Glibc
import NIOCore
import PostludeAPI
import PostludeCore
import PostludeReports

struct PSCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "ps", abstract: "List runs, newest first.")

    @Flag(name: .shortAndLong, help: "Those that ended too.")
    var all = false

    @Option(help: ArgumentHelp("Only this user's runs (a name or a uid).", valueName: "user"))
    var user: String?

    @Option(help: "Only this project's runs.")
    var project: String?

    @Option(help: "Only this queue's runs.")
    var queue: String?

    @Option(
        help: ArgumentHelp("Only these statuses: running,queued; active for what is not over, done for what is."))
    var status: String?

    @Option(help: ArgumentHelp("Only runs that were submitted before this one: the page after it.", valueName: "run"))
    var before: String?

    @Option(help: ArgumentHelp("At most so many.", valueName: "count"))
    var limit: Int?

    @OptionGroup var agent: AgentOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        _ = try filter()
        if let limit, !(1...10_000).contains(limit) { throw ValidationError("--limit takes a number from 1 to 10000.") }
    }

    private func filter() throws -> RunFilter {
        var filter = RunFilter(user: user, project: project, queue: queue)
        filter.statuses = all ? nil : RunFilter.activeStatuses
        guard let status else { return filter }
        switch RunFilter.statuses(status) {
        case .success(let statuses): filter.statuses = statuses
        case .failure(let error):
            let words = ["active", "done"] + RunStatus.allCases.map(\.rawValue)
            throw ValidationError(
                "'\(error.word)' is no status. "
                    + (Suggestion.hint(for: error.word, among: words) ?? "Such as --status running,queued."))
        }
        return filter
    }

    func run() async throws {
        let client = try agent.session().client
        var filter = try filter()
        if let before { filter.before = try await client.run(before).summary.id }
        let list = try await client.list(filter, limit: limit)
        guard !output.json else { return try output.print(list) }
        let runs = list.runs
        let streams = output.streams
        try streams.print(RunTable.lines(runs, now: CommandEnvironment.now, style: streams.terminal.outputStyle))
        if let next = list.next, streams.terminal.error { try streams.note("There are more: --before \(next.short)") }
        if runs.isEmpty, !all, status == nil, streams.terminal.error {
            try streams.note("Nothing runs; -a lists what has ended.")
        }
    }
}

struct InspectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "Show everything about a run: conditions, steps, receipts, hooks, usage.")

    @Argument(help: "The run's id, or its first digits.")
    var run: String

    @OptionGroup var agent: AgentOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let detail = try await agent.session().client.run(run)
        guard !output.json else { return try output.print(detail) }
        try output.streams.print(InspectText(style: output.streams.terminal.outputStyle).lines(detail))
    }
}

struct LogsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logs", abstract: "Print what a step of a run has written.",
        discussion: "The step's standard output goes to standard output, its standard error to standard error.")

    @Argument(help: "The run's id, or its first digits.")
    var run: String

    @Flag(name: .shortAndLong, help: "Go on until the step ends.")
    var follow = false

    @Option(help: ArgumentHelp("The step, such as init-0 or sidecar-watch.", valueName: "name"))
    var step = "main"

    @Option(help: ArgumentHelp("Only stdout or stderr.", valueName: "stream"))
    var stream: LogStream?

    @Option(help: ArgumentHelp("The attempt, counted from 1 (default: the last).", valueName: "number"))
    var attempt: Int?

    @OptionGroup var agent: AgentOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        if let attempt, attempt < 1 { throw ValidationError("--attempt counts from 1.") }
    }

    func run() async throws {
        let client = try agent.session().client
        let chosen = stream.map { [$0] } ?? LogStream.allCases
        let writer = LogWriter(streams: output.streams, json: output.json)
        // Together when following, one after the other when not: so the order of two finished streams is always the same.
        guard follow else {
            var document = LogDocument(run: run, step: step)
            for stream in chosen {
                var bytes: [UInt8] = []
                try await client.logs(of: run, step: step, stream: stream, attempt: attempt) { buffer in
                    guard output.json else { return try await writer.write(buffer.readableBytesView, stream) }
                    bytes += buffer.readableBytesView
                }
                try await writer.end(stream)
                document.set(String(decoding: bytes, as: UTF8.self), stream)
            }
            return output.json ? try output.print(document) : ()
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for stream in chosen {
                group.addTask {
                    try await client.logs(of: run, step: step, stream: stream, follow: true, attempt: attempt) {
                        buffer in
                        try await writer.write(buffer.readableBytesView, stream)
                    }
                    try await writer.end(stream)
                }
            }
            try await group.waitForAll()
        }
    }
}

extension LogStream: ExpressibleByArgument {}

/// What `logs --json` prints: a stream that was not asked for is left out.
struct LogDocument: Encodable {
    var run: String
    var step: String
    var stdout: String?
    var stderr: String?

    init(run: String, step: String) {
        self.run = run
        self.step = step
    }

    mutating func set(_ text: String, _ stream: LogStream) {
        switch stream {
        case .stdout: stdout = text
        case .stderr: stderr = text
        }
    }
}

/// Writes a step's two streams to the process's own two.
private actor LogWriter {
    private let streams: Streams
    private let json: Bool
    private var texts: [LogStream: OutputText] = [:]
    private var halves: [LogStream: [UInt8]] = [:]

    init(streams: Streams, json: Bool) {
        self.streams = streams
        self.json = json
    }

    func write(_ bytes: ByteBufferView, _ stream: LogStream) throws {
        guard !json else {
            let (text, rest) = WholeCharacters.split((halves[stream] ?? []) + bytes)
            halves[stream] = rest
            return try text.isEmpty ? () : line(text, stream)
        }
        guard isTerminal(stream) else { return try streams.write(Array(bytes), to: descriptor(stream)) }
        var text = texts[stream] ?? OutputText(keepsColour: streams.terminal.allowsColour)
        let lines = text.feed(bytes)
        texts[stream] = text
        try show(lines, stream)
    }

    func end(_ stream: LogStream) throws {
        if let rest = halves.removeValue(forKey: stream), !rest.isEmpty {
            try line(String(decoding: rest, as: UTF8.self), stream)
        }
        guard var text = texts.removeValue(forKey: stream) else { return }
        try show(text.finish(), stream)
    }

    private func show(_ lines: [String], _ stream: LogStream) throws {
        try streams.write(lines.map { $0 + "\n" }.joined(), to: descriptor(stream))
    }

    private func line(_ text: String, _ stream: LogStream) throws {
        try streams.write(
            try Wire.encode(["stream": stream.rawValue, "text": text]) + [UInt8(ascii: "\n")], to: STDOUT_FILENO)
    }

    private func isTerminal(_ stream: LogStream) -> Bool {
        switch stream {
        case .stdout: streams.terminal.output
        case .stderr: streams.terminal.error
        }
    }

    private func descriptor(_ stream: LogStream) -> Int32 {
        switch stream {
        case .stdout: STDOUT_FILENO
        case .stderr: STDERR_FILENO
        }
    }
}
