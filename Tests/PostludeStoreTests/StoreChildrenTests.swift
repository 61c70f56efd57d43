import PostludeCore
import Testing

@testable import PostludeStore

@Suite struct StoreChildrenTests {
    private func parent(kind: Run.Terms.Kind = .pipeline) -> NewRun {
        var new = Sample.run()
        if kind == .schedule {
            new.operation.schedule = Schedule(.interval(seconds: 60))
        } else {
            new.operation.matrix = Matrix(.mapping([[:], [:], [:]]))
        }
        return new
    }

    private func child(of parent: RunID, _ key: Int64) -> Store.NewChild {
        var new = Sample.run()
        new.parent = NewRun.Parent(run: parent, key: key, name: "n\(key)")
        return Store.NewChild(new, then: .compiled)
    }

    private func store(_ directory: TemporaryDirectory) async throws -> Store {
        let store = try Store(directory: directory.path)
        _ = try await store.register(Sample.node, at: Sample.time(0))
        return store
    }

    @Test func `a parent owes its step with its first transaction, and a child that ends owes the next`() async throws {
        let directory = try TemporaryDirectory()
        let store = try await store(directory)
        let new = parent()
        let applied = try await store.submit(new, then: .compiled, at: Sample.time(1))
        let owed = try #require(applied.owed.first { $0.effect.kind == .advance })
        #expect(applied.owed.count == 1)
        let made = child(of: new.id, 0)
        let stepped = try await store.advance(
            new.id, Store.Advance(create: [made]), at: Sample.time(2), completing: owed)
        #expect(stepped.owed.map(\.effect.kind) == [.launch])
        #expect(try await store.childCounts(of: new.id) == Store.ChildCounts(byStatus: [.scheduled: 1], lastKey: 0))
        try await store.play(made.run.id)
        let ended = try await store.free(made.run.id)
        #expect(ended.owed.contains { $0.run == new.id && $0.effect == Run.Effect(.advance, attempt: 0) })
    }

    @Test func `a key never gets two runs, however often the step is taken`() async throws {
        let directory = try TemporaryDirectory()
        let store = try await store(directory)
        let new = parent()
        _ = try await store.submit(new, then: .compiled, at: Sample.time(1))
        for _ in 0..<3 {
            _ = try await store.advance(
                new.id, Store.Advance(create: [child(of: new.id, 0), child(of: new.id, 1)]), at: Sample.time(2))
        }
        #expect(try await store.children(of: new.id, limit: 10).map(\.key) == [0, 1])
        // The next agent after a kill finds the same.
        try store.close()
        let again = try Store(directory: directory.path)
        _ = try await again.advance(
            new.id, Store.Advance(create: [child(of: new.id, 1), child(of: new.id, 2)]), at: Sample.time(3))
        #expect(try await again.children(of: new.id, limit: 10).map(\.key) == [0, 1, 2])
    }

    @Test func `a parent that is stopped makes no child, stops those alive, and ends`() async throws {
        let directory = try TemporaryDirectory()
        let store = try Store(directory: directory.path)
        let new = parent()
        _ = try await store.submit(new, then: .compiled, at: Sample.time(1))
        _ = try await store.advance(
            new.id, Store.Advance(create: [child(of: new.id, 0), child(of: new.id, 1)]), at: Sample.time(2))
        _ = try await store.apply(.stopRequested(by: "ada"), to: new.id, at: Sample.time(3))
        let applied = try await store.advance(
            new.id, Store.Advance(create: [child(of: new.id, 2)]), at: Sample.time(4))
        guard case .accept(let transition)? = applied.result else {
            Issue.record("\(applied)")
            return
        }
        #expect(transition.state.status == .stopped)
        #expect(try await store.childCounts(of: new.id) == Store.ChildCounts(byStatus: [.stopped: 2], lastKey: 1))
        #expect(!applied.owed.contains { $0.effect.kind == .advance })
        #expect(try await store.owedEffects().allSatisfy { $0.effect.kind == .resolveHooks || $0.run == new.id })
    }

    @Test func `an outcome that comes before the last child has ended waits`() async throws {
        let directory = try TemporaryDirectory()
        let store = try await store(directory)
        let new = parent()
        _ = try await store.submit(new, then: .compiled, at: Sample.time(1))
        let outcome = Run.Outcome(.succeeded, reason: "ChildrenEnded")
        let applied = try await store.advance(
            new.id, Store.Advance(create: [child(of: new.id, 0)], outcome: outcome), at: Sample.time(2))
        #expect(applied.result == nil)
        #expect(try await store.run(new.id)?.state.phase == .pipeline)
    }

    @Test func `a child that cannot start is over at once and tells its parent`() async throws {
        let directory = try TemporaryDirectory()
        let store = try Store(directory: directory.path)
        let new = parent()
        _ = try await store.submit(new, then: .compiled, at: Sample.time(1))
        var failing = child(of: new.id, 0)
        failing.event = .upstreamFailed(detail: "'a' failed")
        let applied = try await store.advance(new.id, Store.Advance(create: [failing]), at: Sample.time(2))
        #expect(Set(applied.owed.map(\.effect.kind)) == [.resolveHooks, .advance])
        let events = try await store.events(of: new.id, after: 0, uid: nil).filter { $0.kind == .child }
        #expect(events.map(\.what) == ["created", "upstream_failed"])
    }

    @Test func `only schedules that are alive are followed, and a parent that is over owes nothing`() async throws {
        let directory = try TemporaryDirectory()
        let store = try Store(directory: directory.path)
        let (matrix, schedule, over) = (parent(), parent(kind: .schedule), parent(kind: .schedule))
        for new in [matrix, schedule, over] { _ = try await store.submit(new, then: .compiled, at: Sample.time(1)) }
        _ = try await store.apply(.stopRequested(by: "ada"), to: over.id, at: Sample.time(2))
        _ = try await store.advance(over.id, Store.Advance(), at: Sample.time(2))
        #expect(try await store.liveSchedules() == [schedule.id])
        #expect(try await store.oweAdvance(of: schedule.id, at: Sample.time(3)).owed.count == 1)
        #expect(try await store.oweAdvance(of: over.id, at: Sample.time(3)).owed.isEmpty)
    }

    @Test func `the detail of a parent lists its children and counts them`() async throws {
        let directory = try TemporaryDirectory()
        let store = try await store(directory)
        let new = parent()
        _ = try await store.submit(new, then: .compiled, at: Sample.time(1))
        _ = try await store.advance(
            new.id, Store.Advance(create: [child(of: new.id, 1), child(of: new.id, 0)]), at: Sample.time(2))
        let detail = try #require(try await store.detail(new.id))
        #expect(detail.children?.map(\.childName) == ["n0", "n1"])
        #expect(detail.childCounts == ["scheduled": 2])
        #expect(detail.summary.kind == "matrix")
        let first = try #require(detail.children?.first)
        #expect(first.parent == new.id)
        #expect(try await store.detail(first.id)?.children == nil)
    }

    @Test func `the outputs of a run stand for those of the next of its key, as long as they are young enough`()
        async throws
    {
        let directory = try TemporaryDirectory()
        let store = try await store(directory)
        func run(_ key: String?, ttl: Double? = nil) -> NewRun {
            var new = Sample.run()
            new.cacheKey = key
            new.operation.cache = CachePolicy(ttlSeconds: ttl)
            return new
        }
        /// The run whose outputs it got; nil when it is to run itself.
        func submitted(_ new: NewRun, at seconds: Int64) async throws -> RunID? {
            _ = try await store.submit(new, then: .compiled, at: Sample.time(seconds))
            let stored = try #require(try await store.run(new.id))
            #expect((stored.state.status == .succeeded) == (stored.cachedFrom != nil))
            return stored.cachedFrom
        }
        let first = run("a")
        #expect(try await submitted(first, at: 1) == nil)
        // One that has not ended has nothing to give.
        #expect(try await submitted(run("a"), at: 2) == nil)
        try await store.play(first.id)
        _ = try await store.free(first.id, seconds: 6)
        let hit = run("a")
        #expect(try await submitted(hit, at: 7) == first.id)
        let stored = try #require(try await store.run(hit.id))
        #expect(stored.condition?.reason == "CacheHit" && stored.artifacts == first.artifacts)
        #expect(try await store.run(first.id)?.outputs == stored.outputs)
        #expect(try await submitted(run("b"), at: 8) == nil)
        #expect(try await submitted(run(nil), at: 8) == nil)
        #expect(try await submitted(run("a", ttl: 60), at: 66) == first.id)
        #expect(try await submitted(run("a", ttl: 60), at: 67) == nil)
        var held = run("a")
        held.operation.isApproved = false
        #expect(try await submitted(held, at: 9) == nil)
    }
}
