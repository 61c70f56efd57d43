import Foundation
import PostludeAPI
import PostludeCore
import PostludeFailpoints
import Synchronization

/// The user of a round: submits, stops, holds and lets go, and asks again whatever an agent died over.
final class Feeder: Sendable {
    struct State {
        var random: Seeded
        var number = 0
        /// Submissions that are not answered yet.
        var asked: [(load: Load, number: Int)] = []
        /// The runs that the agent has said it has.
        var acknowledged: [RunID: String] = [:]
        /// What is submitted beside the usual, once.
        var wanted: [Load] = []
        var feeds = true
        /// Whether maintenance windows come and go.
        var drains = false
        /// Whether windows begin at once and end by themselves, a second later.
        var shortDrains = false
        var rechecks = false
        /// Whether every run that waits is held back for a moment.
        var holds = false
        /// Ticks in which the agent answered all that was asked.
        var ticks = 0
        /// Answers that no agent may give.
        var complaints: [String] = []
    }

    /// Runs that are alive at a time, hooks not counted.
    private static let alive = 10

    let stage: Stage
    let state: Mutex<State>

    init(_ stage: Stage, seed: UInt64) {
        self.stage = stage
        state = Mutex(State(random: Seeded(seed)))
    }

    /// Works until the task is cancelled; agents may come and go.
    func run() async {
        while !Task.isCancelled {
            do {
                try await tick()
                state.withLock { $0.ticks += 1 }
                try await Task.sleep(for: .milliseconds(15))
            } catch let error as ClientError where error.isOfDeath {
                do { try await Task.sleep(for: .milliseconds(5)) } catch { return }
            } catch is CancellationError {
                return
            } catch {
                state.withLock { $0.complaints.append("the agent answered: \(error)") }
            }
        }
    }

    private func tick() async throws {
        let client = stage.client
        let active = try await client.runs(
            RunFilter(statuses: RunFilter.activeStatuses, includesHooks: false), limit: 200)
        for run in active { try await attend(to: run, client) }
        let mine = active.filter { $0.parent == nil }.count
        for _ in mine..<max(mine, Self.alive) {
            guard let next = next() else { break }
            try await submit(next, client)
        }
        let (drains, short, rechecks) = state.withLock { ($0.drains, $0.shortDrains, $0.rechecks) }
        if drains { try await drain(client, short: short) }
        if rechecks { _ = try await client.recheckDevices() }
    }

    private func attend(to run: RunSummary, _ client: AgentClient) async throws {
        let (chance, holds) = state.withLock { (Double.random(in: 0..<1, using: &$0.random), $0.holds) }
        // Whatever the one before us held back and could not let go.
        if run.heldBackBy != nil {
            return try await unlessOver { _ = try await client.release(run.id.description) }
        }
        switch Load(ofRun: run.name) {
        case .stop:
            // Mostly when it runs; also at any other time.
            guard run.status == .running ? chance < 0.5 : chance < 0.05 else { return }
            try await unlessOver { _ = try await client.stop(run.id.description) }
        case .approval:
            guard run.status == .compiled else { return }
            try await unlessOver { _ = try await client.approve(run.id.description) }
        case .device, .retry:
            guard run.status == .queued, chance < (holds ? 1 : 0.05) else { return }
            try await unlessOver { _ = try await client.hold(run.id.description) }
            try await unlessOver { _ = try await client.release(run.id.description) }
        default: break
        }
    }

    /// What is asked of a run that has gone on meanwhile is refused, which is right.
    private func unlessOver(_ body: () async throws -> Void) async throws {
        do {
            try await body()
        } catch let error as ClientError {
            guard case .refused(let status) = error.kind, status == 409 else { throw error }
        }
    }

    private func next() -> (load: Load, number: Int)? {
        state.withLock { state in
            if let first = state.asked.first { return first }
            guard state.feeds || !state.wanted.isEmpty else { return nil }
            state.number += 1
            let load = state.wanted.isEmpty ? Load.draw(&state.random) : state.wanted.removeFirst()
            state.asked.append((load, state.number))
            return state.asked.first
        }
    }

    /// Until it is answered it is asked again, under the same key.
    private func submit(_ next: (load: Load, number: Int), _ client: AgentClient) async throws {
        let submission = next.load.submission(next.number, in: stage.work)
        let detail = try await client.submit(submission)
        state.withLock { state in
            state.acknowledged[detail.summary.id] = submission.name ?? ""
            state.asked.removeAll { $0.number == next.number }
        }
    }

    private func drain(_ client: AgentClient, short: Bool) async throws {
        let now = Timestamp.now
        let day: Int64 = 86_400_000_000
        let from = short ? now.microseconds : now.microseconds + day
        let until = short ? now.microseconds + 1_500_000 : now.microseconds + 2 * day
        if try await client.maintenance().isEmpty {
            _ = try await client.drain(
                from: Timestamp(microseconds: from), until: Timestamp(microseconds: until), reason: "crash test")
        } else if !short {
            _ = try await client.endMaintenance(nil)
        }
    }

    /// No new runs; those that are there are attended to.
    func stopFeeding() {
        state.withLock { state in
            (state.feeds, state.drains, state.wanted) = (false, false, [])
        }
    }
}

extension ClientError {
    /// Whether it says that the agent died, or is not there yet.
    var isOfDeath: Bool {
        switch kind {
        case .notRunning, .unreachable, .lost, .unintelligible: true
        case .refused: false
        }
    }
}

extension Timestamp {
    static var now: Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000)
    }
}
