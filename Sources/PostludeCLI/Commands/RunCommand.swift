import ArgumentParser
import Glibc
import PostludeAPI
import PostludeCore

struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Submit an operation and follow it and its hooks to the end.",
        discussion: """
            Main's standard output goes to standard output; events, the other steps' output and the summary go to \
            standard error. Ctrl-C stops the run; a second Ctrl-C leaves it as it is and ends the command. The exit \
            status is the run's; its hooks do not change it.
            """)

    @OptionGroup var submission: SubmissionOptions
    @OptionGroup var agent: AgentOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let submission = try submission.submission()
        let session = try agent.session()
        let created = try await session.client.submit(submission)
        let screen = FollowScreen(created.summary, streams: output.streams, json: output.json)
        try await screen.begin(created)
        let status = try await Self.follow(created.summary.id, on: screen, session)
        throw ExitCode(status.rawValue)
    }

    private static func follow(
        _ id: RunID, on screen: FollowScreen, _ session: AgentSession
    ) async throws -> ExitStatus {
        let interrupts = Interrupts.stream()
        return try await withThrowingTaskGroup(of: Outcome.self) { group in
            group.addTask { try await interrupted(interrupts, id, screen, session.client) }
            group.addTask {
                try await RunFollower(screen: screen, link: AgentLink(session)).follow(id)
                return .finished
            }
            while let outcome = try await group.next() {
                switch outcome {
                case .interrupted:
                    group.addTask { try await interruptedAgain(interrupts, id, screen) }
                case .detached: return leave(&group, .interrupted)
                case .finished:
                    let detail = try await session.client.run(id.description)
                    var hooks: [RunDetail] = []
                    var wanted = detail.hooks.compactMap(\.run)
                    while !wanted.isEmpty {
                        let hook = try await session.client.run(wanted.removeFirst().description)
                        wanted += hook.hooks.compactMap(\.run)
                        hooks.append(hook)
                    }
                    try await screen.finish(detail, hooks: hooks)
                    // The end may be seen before the answer to the request to stop, or have come before it.
                    let wasStopped = Interrupts.count > 0 && detail.summary.status == .stopped
                    return leave(&group, wasStopped ? .interrupted : ExitStatus(detail.summary.status))
                }
            }
            return .succeeded
        }
    }

    private enum Outcome { case finished, interrupted, detached }

    private static func leave(_ group: inout ThrowingTaskGroup<Outcome, any Error>, _ status: ExitStatus) -> ExitStatus
    {
        group.cancelAll()
        return status
    }

    private static func interrupted(
        _ interrupts: AsyncStream<Void>, _ id: RunID, _ screen: FollowScreen, _ client: AgentClient
    ) async throws -> Outcome {
        for await _ in interrupts {
            try await screen.note("stopping \(id.short); Ctrl-C again leaves it to end by itself")
            do {
                _ = try await client.stop(id.description)
            } catch let error as ClientError where error.kind == .refused(status: 409) {
                // It ended in the meantime; what follows tells how.
            }
            return .interrupted
        }
        return .finished
    }

    private static func interruptedAgain(
        _ interrupts: AsyncStream<Void>, _ id: RunID, _ screen: FollowScreen
    ) async throws -> Outcome {
        for await _ in interrupts {
            try await screen.note("detached; `postlude logs -f \(id.short)` follows it again")
            return .detached
        }
        return .finished
    }
}

struct SubmitCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "submit", abstract: "Submit an operation, print the run's id, and leave it to run.")

    @OptionGroup var submission: SubmissionOptions
    @OptionGroup var agent: AgentOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let submission = try submission.submission()
        let created = try await agent.session().client.submit(submission)
        guard !output.json else { return try output.print(created) }
        for note in created.notes {
            try output.streams.note((note.place.map { "\($0): " } ?? "") + "\(note.severity.rawValue): \(note.message)")
        }
        try output.streams.print(created.summary.id.description)
    }
}
