import PostludeCore
import Testing

@testable import PostludeStore

/// P4: a launch is owed until the attempt has a warden that took its plan.
@Suite struct StoreLaunchTests {
    private func launching(_ directory: TemporaryDirectory) async throws -> (Store, AttemptID, OwedEffect) {
        let store = try Store(directory: directory.path)
        _ = try await store.register(Sample.node, at: Sample.time(0))
        let new = Sample.run()
        let owed = try #require(try await store.submit(new, then: .compiled, at: Sample.time(0)).owed.first)
        return (store, AttemptID(run: new.id, number: 1), owed)
    }

    @Test func `a launch done with a warden that was found dead meanwhile leaves the launch owed`() async throws {
        let directory = try TemporaryDirectory()
        let (store, attempt, old) = try await launching(directory)
        // The agent dies after this, and the next one finds the binding, a dead warden and the launch still owed.
        #expect(try await store.bind(attempt, warden: "dead", steps: [], baselines: [:]) == .bound)
        let applied = try await store.wardenEnded("dead", of: attempt, at: Sample.time(1))
        let renewed = try #require(applied.owed.first)
        #expect(renewed.effect == old.effect)
        #expect(renewed.sequence > old.sequence)
        #expect(try await store.completeLaunch(old, boundTo: "dead") == false)
        try await store.complete(old)
        #expect(try await store.owedEffects() == [renewed])
        #expect(try await store.bind(attempt, warden: "next", steps: [], baselines: [:]) == .bound)
        #expect(try await store.completeLaunch(renewed, boundTo: "next"))
        #expect(try await store.owedEffects().isEmpty)
    }

    /// What its journal said may not have been on disk yet, so nobody knows whether main ran.
    @Test func `a launch that a reboot cut off is not done again`() async throws {
        let directory = try TemporaryDirectory()
        let (store, attempt, _) = try await launching(directory)
        _ = try await store.bind(attempt, warden: "dead", steps: [], baselines: [:])
        let applied = try await store.wardenEnded("dead", of: attempt, with: .node, at: Sample.time(1))
        #expect(!applied.owed.contains { $0.effect.kind == .launch })
        let run = try #require(try await store.run(attempt.run))
        guard case .processing(_, let ending) = run.state, case .finish(let outcome) = ending.next else {
            Issue.record("\(run.state)")
            return
        }
        #expect(outcome.status == .failed && outcome.reason == "NodeReboot")
    }

    /// P1: who may have started programs is not forgotten, so that the hand-back looks after them.
    @Test func `that a warden took the plan counts also when the run was asked to stop before`() async throws {
        let directory = try TemporaryDirectory()
        let (store, attempt, launch) = try await launching(directory)
        _ = try await store.bind(attempt, warden: "w", steps: [("main", .main)], baselines: [:])
        #expect(try await store.completeLaunch(launch, boundTo: "w"))
        _ = try await store.apply(.stopRequested(by: "ada"), to: attempt.run, at: Sample.time(1))
        _ = try await store.record([(0, .accepted(at: Sample.time(1)))], of: attempt, at: Sample.time(2))
        _ = try await store.wardenEnded("w", of: attempt, at: Sample.time(3))
        #expect(try await store.attempt(attempt)?.warden == "w")
        let run = try #require(try await store.run(attempt.run))
        guard case .processing(_, let ending) = run.state, case .finish(let outcome) = ending.next else {
            Issue.record("\(run.state)")
            return
        }
        #expect(outcome.status == .stopped && outcome.reason == "WardenLost")
    }

    @Test func `a launch whose journal nobody could read is not done again, and its warden is looked after`()
        async throws
    {
        let directory = try TemporaryDirectory()
        let (store, attempt, launch) = try await launching(directory)
        _ = try await store.bind(attempt, warden: "w", steps: [], baselines: [:])
        #expect(try await store.completeLaunch(launch, boundTo: "w"))
        let applied = try await store.wardenEnded("w", of: attempt, journalRead: false, at: Sample.time(1))
        #expect(applied.owed.map(\.effect.kind) == [.handBack])
        #expect(try await store.attempt(attempt)?.warden == "w")
        let run = try #require(try await store.run(attempt.run))
        guard case .processing(_, let ending) = run.state, case .finish(let outcome) = ending.next else {
            Issue.record("\(run.state)")
            return
        }
        #expect(outcome.status == .failed && outcome.reason == "WardenLost")
    }

    @Test func `the end of a former warden is not taken for the end of the present one`() async throws {
        let directory = try TemporaryDirectory()
        let (store, attempt, _) = try await launching(directory)
        _ = try await store.bind(attempt, warden: "dead", steps: [], baselines: [:])
        _ = try await store.wardenEnded("dead", of: attempt, at: Sample.time(1))
        _ = try await store.bind(attempt, warden: "next", steps: [], baselines: [:])
        let again = try await store.wardenEnded("dead", of: attempt, at: Sample.time(2))
        #expect(again.result == .ignore(.staleAttempt))
        #expect(again.owed.isEmpty)
        #expect(try await store.attempt(attempt)?.warden == "next")
    }

    @Test func `a launch or a stop that nobody owes is owed again, once`() async throws {
        let directory = try TemporaryDirectory()
        let (store, attempt, launch) = try await launching(directory)
        #expect(try await store.oweWhatIsMissing(at: Sample.time(1)).owed.isEmpty)
        try await store.complete(launch)
        #expect(try await store.oweWhatIsMissing(at: Sample.time(1)).owed.map(\.effect) == [launch.effect])
        #expect(try await store.oweWhatIsMissing(at: Sample.time(1)).owed.isEmpty)
        let stop = try await store.apply(.stopRequested(by: "ada"), to: attempt.run, at: Sample.time(2))
        for owed in try await store.owedEffects() { try await store.complete(owed) }
        #expect(try await store.oweWhatIsMissing(at: Sample.time(3)).owed.map(\.effect) == stop.owed.map(\.effect))
    }

    @Test func `an attempt with a warden misses nothing`() async throws {
        let directory = try TemporaryDirectory()
        let (store, attempt, launch) = try await launching(directory)
        _ = try await store.bind(attempt, warden: "w", steps: [], baselines: [:])
        #expect(try await store.completeLaunch(launch, boundTo: "w"))
        #expect(try await store.oweWhatIsMissing(at: Sample.time(1)).owed.isEmpty)
    }
}
