import ArgumentParser
import PostludeAPI
import PostludeCore

struct ExplainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain", abstract: "Show why a run waits, and why each of its hooks ran or did not.",
        discussion: """
            For each hook: the trigger and what it was compared with, the condition with the value of all that it \
            reads, the params as resolved, and the outcome, or what was wrong and where.
            """)

    @Argument(help: "The run's id, or its first digits.")
    var run: String

    @OptionGroup var agent: AgentOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let client = try agent.session().client
        let detail = try await client.run(run)
        var explanation = RunExplanation(detail)
        if explanation.waits != nil, explanation.reason != "ApprovalPending" {
            explanation.waits?.line = try await client.wait(of: detail.summary.id.description)
            explanation.waits?.devices = try await client.devices().filter { $0.state != .idle }
        }
        guard !output.json else { return try output.print(explanation) }
        try output.streams.print(ExplainText(style: output.streams.terminal.outputStyle).lines(explanation))
    }
}

/// What `explain` says about a run; also its JSON.
struct RunExplanation: Encodable {
    /// Why a run is not started, and who has the devices.
    struct Waits: Encodable {
        var reason: String
        /// Where it stands, and who has what it needs; nil when it has been started meanwhile.
        var line: WaitReport?
        var devices: [DeviceStatus] = []
    }

    /// How far a parent is: its children by status, and those that made it fail or keep it from ending.
    struct Children: Encodable {
        var counts: [String: Int]
        var notable: [RunSummary]
    }

    var run: RunID
    var name: String
    var status: RunStatus
    var reason: String
    var message: String
    var exit: ProcessExit?
    var attempts: Int
    /// nil for a run that does not wait.
    var waits: Waits?
    /// nil for a run without children.
    var children: Children?
    /// nil for a run without joins.
    var joins: [JoinRecord]?
    var hooks: [HookRecord]

    init(_ detail: RunDetail) {
        run = detail.summary.id
        name = detail.summary.name
        status = detail.summary.status
        reason = detail.summary.reason
        message = detail.summary.message
        exit = detail.attempts.last?.steps.first { $0.role == .main }?.exit
        attempts = detail.attempts.count
        hooks = detail.hooks
        joins = detail.joins
        if status == .queued || status == .unschedulable {
            waits = Waits(reason: message.isEmpty ? "It is next." : message)
        } else if reason == "ApprovalPending" {
            waits = Waits(reason: "It is held until `postlude approve \(run.short)`.")
        }
        children = detail.children.map { children in
            let isOver = status.isFinal
            return Children(
                counts: detail.childCounts ?? [:],
                notable: children.filter { isOver ? $0.status != .succeeded : !$0.status.isFinal })
        }
    }
}
