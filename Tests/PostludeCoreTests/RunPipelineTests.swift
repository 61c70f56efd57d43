import Foundation
import Testing

@testable import PostludeCore

@Suite struct RunPipelineTests {
    @Test func `a parent ends by how its children did`() {
        #expect(Run.outcome(of: [:]).status == .succeeded)
        #expect(Run.outcome(of: [.succeeded: 3, .skipped: 1]).status == .succeeded)
        #expect(Run.outcome(of: [.succeeded: 3, .failed: 1]).status == .failed)
        #expect(Run.outcome(of: [.succeeded: 3, .upstreamFailed: 1]).status == .failed)
        #expect(Run.outcome(of: [.stopped: 2]).status == .stopped)
        #expect(Run.outcome(of: [.stopped: 2, .skipped: 1]).status == .succeeded)
        #expect(Run.outcome(of: [.succeeded: 3, .failed: 1]).message == "Of 4 runs: 1 failed, 3 succeeded.")
    }

    @Test func `a matrix makes its children in order, as many as there is room for, in batches`() {
        var children: [RunStatus: Int] = [:]
        var step = Pipeline.next(count: 250, concurrency: 130, children: children)
        #expect(step == Pipeline.MatrixStep(create: 0..<100, hasMore: true, outcome: nil))
        children = [.queued: 100]
        step = Pipeline.next(count: 250, concurrency: 130, children: children)
        #expect(step == Pipeline.MatrixStep(create: 100..<130, hasMore: false, outcome: nil))
        children = [.queued: 100, .running: 30]
        #expect(Pipeline.next(count: 250, concurrency: 130, children: children).create.isEmpty)
        children = [.queued: 4, .succeeded: 244, .failed: 2]
        step = Pipeline.next(count: 250, concurrency: 130, children: children)
        #expect(step == Pipeline.MatrixStep(create: 250..<250, hasMore: false, outcome: nil))
        children = [.succeeded: 248, .failed: 2]
        #expect(Pipeline.next(count: 250, concurrency: 130, children: children).outcome?.status == .failed)
    }

    @Test func `never more children than the concurrency are alive, whatever the order of their ends`() {
        var generator = SplitMix64(seed: 7)
        for _ in 0..<50 {
            let (count, concurrency) = (
                Int.random(in: 1...60, using: &generator), Int.random(in: 1...9, using: &generator)
            )
            var (alive, ended, ends) = (0, 0, 0)
            while ends < 1_000 {
                ends += 1
                let step = Pipeline.next(
                    count: count, concurrency: concurrency, children: [.running: alive, .succeeded: ended])
                #expect(step.create.lowerBound == alive + ended)
                alive += step.create.count
                #expect(alive <= concurrency)
                if step.outcome != nil { break }
                let ending = Int.random(in: 1...max(1, alive), using: &generator)
                alive -= ending
                ended += ending
            }
            #expect(ended == count)
        }
    }

    @Test func `a service whose time is up is stopped, a job fails`() {
        let end = Run.End(exit: .signal(15, coreDumped: false), reason: .timeout)
        func ended(_ kind: Run.Terms.Kind) -> Run.Outcome? {
            let active = Run.Active(
                attempt: 1, terms: Run.Terms(maxRetries: 3, kind: kind), lease: Run.Lease(memoryBytes: 1))
            guard case .accept(let transition) = Run.decide(.running(active), .ended(attempt: 1, end), at: .zero),
                case .processing(_, let ending) = transition.state, case .finish(let outcome) = ending.next
            else { return nil }
            return outcome
        }
        #expect(ended(.service)?.status == .stopped)
        #expect(ended(.service)?.reason == "ServiceTimeout")
        #expect(ended(.job)?.status == .failed)
    }

    @Test func `terms of before there were parents are those of a job`() throws {
        let terms = try JSONDecoder().decode(Run.Terms.self, from: Data(#"{"maxRetries":2}"#.utf8))
        #expect(terms == Run.Terms(maxRetries: 2))
    }

    @Test func `what a parent's hooks are told of its children is data`() {
        let child = Pipeline.Child(
            id: RunSamples.other, name: "0", status: .failed, inputs: ["x": .int(1)],
            outputs: ["y": .string("{{ 7*7 }}")])
        let summary = Pipeline.summary(of: [.failed: 1], first: [child])
        guard case .dict(let values) = summary, case .list(let runs)? = values["runs"] else {
            Issue.record("no summary")
            return
        }
        #expect(values["total"] == .int(1))
        #expect(values["failed"] == .int(1))
        #expect(values["succeeded"] == .int(0))
        #expect(runs.count == 1)
    }
}
