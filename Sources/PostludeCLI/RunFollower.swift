import Glibc
import NIOCore
import PostludeAPI
import PostludeCore

/// Follows a run and its hook runs until all are final: what happens, and what they print, in the order of events.
struct RunFollower: Sendable {
    let screen: FollowScreen
    let link: AgentLink

    /// Returns when nothing will happen any more.
    func follow(_ run: RunID) async throws {
        let logs = OpenLogs()
        var last: Int64 = 0
        try await withThrowingTaskGroup(of: Void.self) { group in
            while true {
                do {
                    try await link.client.events(of: run.description, after: last) { event in
                        last = event.sequence
                        let step = FollowedStep(run: event.run, name: event.subject)
                        if event.kind == .step, event.what == "started" {
                            for stream in LogStream.allCases {
                                await logs.opened(step)
                                group.addTask { try await output(of: step, stream, logs) }
                            }
                        }
                        // What a step printed belongs before the word that it has ended.
                        if event.kind == .step, event.what == "exited" { await logs.finished(step) }
                        try await screen.show(event)
                    }
                    break
                } catch let error as ClientError where error.isAgentGone {
                    try await link.restore(after: error)
                }
            }
            try await group.waitForAll()
        }
    }

    private func output(of step: FollowedStep, _ stream: LogStream, _ logs: OpenLogs) async throws {
        var offset: Int64 = 0
        while true {
            do {
                try await link.client.logs(
                    of: step.run.description, step: step.name, stream: stream, follow: true, offset: offset
                ) { buffer in
                    offset += Int64(buffer.readableBytes)
                    try await screen.show(buffer.readableBytesView, of: step, stream)
                }
                break
            } catch let error as ClientError where error.isAgentGone {
                try await link.restore(after: error)
            } catch let error as ClientError {
                try await screen.warn("The output of step '\(step.name)' cannot be shown: \(error.message)")
                break
            }
        }
        try await screen.end(of: step, stream)
        await logs.closed(step)
    }
}

extension ClientError {
    /// The agent that answered before has ended, during a request or between two.
    fileprivate var isAgentGone: Bool { kind == .lost || kind == .notRunning }
}

/// A step of a run, as events and logs name it.
struct FollowedStep: Hashable, Sendable {
    var run: RunID
    var name: String
}

/// Counts the output streams that are still being read, so that a step's end is told after its last line.
private actor OpenLogs {
    private var open: [FollowedStep: Int] = [:]
    private var waiting: [FollowedStep: [CheckedContinuation<Void, Never>]] = [:]

    func opened(_ step: FollowedStep) { open[step, default: 0] += 1 }

    func closed(_ step: FollowedStep) {
        open[step, default: 0] -= 1
        guard open[step, default: 0] <= 0 else { return }
        open[step] = nil
        waiting.removeValue(forKey: step)?.forEach { $0.resume() }
    }

    func finished(_ step: FollowedStep) async {
        guard open[step] != nil else { return }
        await withCheckedContinuation { waiting[step, default: []].append($0) }
    }
}

/// The connection to the agent, found again after the agent was restarted.
actor AgentLink {
    nonisolated let session: AgentSession

    init(_ session: AgentSession) { self.session = session }

    nonisolated var client: AgentClient { session.client }

    /// Returns when an agent answers at the same socket again; one of the user's own is started if need be.
    func restore(after error: ClientError) async throws {
        var pause = Duration.milliseconds(100)
        for _ in 0..<8 {
            do {
                let found = try session.reconnected()
                guard found.client.socketPath == session.client.socketPath else { throw error }
                return
            } catch let failure as CommandFailure where failure.exit == .unreachable {
                // The system's agent comes back when its service manager restarts it, which tells nobody.
                try await Task.sleep(for: pause)
                pause = min(pause * 2, .seconds(5))
            }
        }
        throw error
    }
}
