import Foundation
import PostludeCore
import PostludeThreads
import Testing

@testable import PostludeStore

@Suite struct StoreTransitionTests {
    private func open(_ directory: TemporaryDirectory, node: Store.Node = Sample.node) async throws -> Store {
        let store = try Store(directory: directory.path)
        _ = try await store.register(node, at: Sample.time(0))
        return store
    }

    @Test func `submitting on an idle node stores the run, its lease and the launch in one transaction`() async throws {
        let directory = try TemporaryDirectory()
        let store = try await open(directory)
        let before = store.transactionCount
        let new = Sample.run(devices: 1)
        let applied = try await store.submit(new, then: .compiled, at: Sample.time(0))
        #expect(store.transactionCount == before + 1)
        #expect(applied.owed.map(\.effect) == [Run.Effect(.launch, attempt: 1)])
        let detail = try #require(try await store.detail(new.id))
        #expect(detail.conditions.map(\.status) == [.created, .compiled, .queued, .scheduled])
        #expect(detail.summary.status == .scheduled)
        #expect(detail.summary.devices == ["fuse"])
        let events = try await store.events(of: new.id, after: 0, uid: nil)
        #expect(events.map(\.subject) == ["created", "compiled", "queued", "scheduled", "fuse"])
        #expect(events.map(\.sequence) == events.map(\.sequence).sorted())
    }

    @Test func `a write that fails leaves nothing behind, not even beside others in its batch`() async throws {
        struct Refusal: Error {}
        let directory = try TemporaryDirectory()
        let store = try await open(directory)
        let news = (0..<50).map { _ in Sample.run() }
        await withTaskGroup(of: Void.self) { group in
            for (index, new) in news.enumerated() {
                group.addTask {
                    do {
                        _ = try await store.transact(.event, at: Sample.time(0)) { transaction in
                            try transaction.insert(new, then: .compiled)
                            if index % 2 == 0 { throw Refusal() }
                        }
                        #expect(index % 2 == 1)
                    } catch {
                        #expect(error is Refusal)
                    }
                }
            }
        }
        for (index, new) in news.enumerated() {
            let exists = try await store.run(new.id) != nil
            #expect(exists == (index % 2 == 1))
        }
        let owed = try await store.owedEffects()
        #expect(owed.count == 25)
    }

    @Test func `a thousand writes at once share transactions and all take effect`() async throws {
        let directory = try TemporaryDirectory()
        let node = Store.Node(memoryBytes: 1 << 20, milliCPU: 100)
        let store = try await open(directory, node: node)
        let news = (0..<1000).map { _ in Sample.run() }
        let before = store.transactionCount
        try await withThrowingTaskGroup(of: Void.self) { group in
            // Holds the line until all the others stand in it: how many would otherwise meet is up to the machine.
            group.addTask(executorPreference: ThreadPool.blocking) {
                try await store.write(.event) { _ in while store.waitingWrites < news.count { usleep(100) } }
            }
            while store.transactionCount == before { await Task.yield() }
            for new in news {
                group.addTask { _ = try await store.submit(new, then: .compiled, at: Sample.time(0)) }
            }
            try await group.waitForAll()
        }
        // The one that held the line, and as few as a thousand fit into.
        #expect(store.transactionCount - before == 1 + (news.count + 127) / 128)
        let summaries = try await store.summaries(uid: nil, limit: 2000)
        #expect(summaries.count == 1000)
        #expect(summaries.filter { $0.status == .scheduled }.count == 1)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for new in news {
                group.addTask { _ = try await store.apply(.stopRequested(by: "ada"), to: new.id, at: Sample.time(1)) }
            }
            try await group.waitForAll()
        }
        let after = try await store.summaries(uid: nil, limit: 2000)
        #expect(after.filter { $0.status == .stopped }.count == 999)
        #expect(after.filter { $0.status == .stopping }.count == 1)
    }

    @Test func `two runs that want one device get it one after the other, and its seconds add up`() async throws {
        let directory = try TemporaryDirectory()
        let store = try await open(directory)
        let first = Sample.run(devices: 1)
        let second = Sample.run(devices: 1)
        _ = try await store.submit(first, then: .compiled, at: Sample.time(0))
        let waiting = try await store.submit(second, then: .compiled, at: Sample.time(0))
        #expect(waiting.owed.isEmpty)
        #expect(try await store.summary(second.id)?.message == "waits for 1 example.com/fuse (0 there)")
        try await store.play(first.id)
        #expect(try await store.deviceStatuses().map(\.state) == [.releasing])
        #expect(try await store.summary(second.id)?.status == .queued)
        let applied = try await store.free(first.id)
        #expect(
            applied.owed.map { "\($0.run == first.id) \($0.effect.kind.rawValue)" } == [
                "true resolve-hooks", "true clean-up", "false launch",
            ])
        #expect(try await store.summary(second.id)?.devices == ["fuse"])
        let intervals = try await store.intervals(of: "fuse")
        #expect(intervals.map(\.state) == [.idle, .allocated, .releasing, .idle, .allocated])
        let totals = DeviceLedger.totals(intervals, from: Sample.time(0), until: Sample.time(100))
        #expect(totals.values.reduce(0, +) == 100)
        #expect(totals[.releasing] == 1)
    }

    @Test func `a quarantined device is given to nobody until it is cleared`() async throws {
        let directory = try TemporaryDirectory()
        let store = try await open(directory)
        let first = Sample.run(devices: 1)
        let second = Sample.run(devices: 1)
        _ = try await store.submit(first, then: .compiled, at: Sample.time(0))
        _ = try await store.submit(second, then: .compiled, at: Sample.time(0))
        try await store.play(first.id)
        let holder = DeviceHolder(pid: 9, command: "stuck", uid: 1000, how: .mapping, node: "/dev/fuse")
        _ = try await store.handBack(
            AttemptID(run: first.id, number: 1), [Run.DeviceVerdict("fuse", .held([holder]))], Store.Leavings(),
            at: Sample.time(6))
        #expect(try await store.summary(first.id)?.status == .succeeded)
        #expect(try await store.summary(second.id)?.status == .queued)
        let status = try #require(try await store.deviceStatuses().first)
        #expect(status.state == .quarantined)
        #expect(status.evidence == [holder])
        #expect(try await store.quarantined().map(\.device.id) == ["fuse"])
        let cleared = try await store.clear("fuse", of: first.id, at: Sample.time(9))
        #expect(cleared.owed.map(\.effect.kind) == [.launch])
        #expect(try await store.summary(second.id)?.devices == ["fuse"])
        let lease = try #require(try await store.detail(first.id)?.attempts.first?.leases.first)
        #expect(lease.quarantinedAt == Sample.time(6))
        #expect(lease.releasedAt == Sample.time(9))
    }

    @Test func `hooks resolved twice start each run once`() async throws {
        let directory = try TemporaryDirectory()
        let store = try await open(directory)
        let main = Sample.run(hooks: 2)
        _ = try await store.submit(main, then: .conditionFalse(detail: "no"), at: Sample.time(0))
        let owed = try #require(try await store.owedEffects().first)
        #expect(owed.effect.kind == .resolveHooks)
        func decisions() -> [Store.HookDecision] {
            var run = Sample.run()
            run.upstream = NewRun.Upstream(run: main.id, index: 0, name: "notify")
            return [
                Store.HookDecision(index: 0, outcome: .fired, detail: "done", run: run),
                Store.HookDecision(index: 1, outcome: .error, detail: "no such name"),
            ]
        }
        let first = try await store.resolveHooks(of: main.id, decisions(), at: Sample.time(1), completing: owed)
        let second = try await store.resolveHooks(of: main.id, decisions(), at: Sample.time(2), completing: owed)
        #expect(first.owed.map(\.effect.kind) == [.launch])
        #expect(second.owed.isEmpty)
        let hooks = try await store.hooks(of: main.id)
        #expect(hooks.map(\.outcome) == [.fired, .error])
        #expect(hooks.first?.run == first.owed.first?.run)
        #expect(hooks.first?.status == .scheduled)
        #expect(try await store.summaries(uid: nil, limit: 10).count == 2)
        #expect(try await store.summaries(uid: nil, RunFilter(includesHooks: false), limit: 10).count == 1)
    }

    @Test func `hooks start with the end of their main, and stay owed when deciding about them fails`() async throws {
        struct Failure: Error {}
        let directory = try TemporaryDirectory()
        let store = try await open(directory)
        for fails in [false, true] {
            let main = Sample.run(hooks: 1)
            _ = try await store.submit(main, then: .compiled, at: Sample.time(0))
            try await store.play(main.id)
            let applied = try await store.handBack(
                AttemptID(run: main.id, number: 1), [], Store.Leavings(outputs: ["loss": .int(2)]), at: Sample.time(6)
            ) { record in
                if fails { throw Failure() }
                // As it is stored, with its end and what it left.
                #expect(record.run.state.status == .succeeded)
                #expect(record.run.outputs == ["loss": .int(2)])
                #expect(record.run.finishedAt == Sample.time(6))
                var hook = Sample.run()
                hook.upstream = NewRun.Upstream(run: main.id, index: 0, name: "notify")
                return [Store.HookDecision(index: 0, outcome: .fired, detail: "done", run: hook)]
            }
            #expect(applied.result.hooks.map(\.outcome) == (fails ? [] : [.fired]))
            #expect(applied.owed.map(\.effect.kind) == (fails ? [.resolveHooks, .cleanUp] : [.cleanUp, .launch]))
            #expect(try await store.hooks(of: main.id).map(\.outcome) == (fails ? [nil] : [.fired]))
        }
        let owed = try await store.owedEffects().map(\.effect.kind)
        #expect(owed.filter { $0 == .resolveHooks }.count == 1)
    }

    @Test func `an end that is stored with its devices free is handed back at once, and else is owed`() async throws {
        let directory = try TemporaryDirectory()
        let store = try await open(directory)
        for devices: Set<String> in [["fuse"], ["other"]] {
            let main = Sample.run(devices: 1)
            _ = try await store.submit(main, then: .compiled, at: Sample.time(0))
            let attempt = AttemptID(run: main.id, number: 1)
            _ = try await store.bind(attempt, warden: "w", steps: [("main", .main)], baselines: [:])
            let freed = Store.Freed(devices: devices, at: Sample.time(7), deciding: { _ in [] }) { ending in
                #expect(ending.next == .finish(Run.Outcome(.succeeded, reason: "Completed", exit: .code(0))))
                return Store.Leavings()
            }
            let applied = try await store.record(
                Sample.steps(.code(0)), of: attempt, at: Sample.time(5), freed: freed)
            let isFree = devices == ["fuse"]
            #expect(applied.result.handedBack != nil || !isFree)
            #expect(applied.owed.map(\.effect.kind) == (isFree ? [.cleanUp] : [.handBack]))
            #expect(try await store.summary(main.id)?.status == (isFree ? .succeeded : .processing))
            guard isFree else { continue }
            // The way from the end to free is time, and it is accounted for.
            let lease = try #require(try await store.detail(main.id)?.attempts.first?.leases.first)
            #expect(lease.releasingAt == Sample.time(5))
            #expect(lease.releasedAt == Sample.time(7))
            let again = try await store.record(
                Sample.steps(.code(0)), of: attempt, at: Sample.time(8), freed: freed)
            #expect(again.owed.isEmpty)
            #expect(again.result.handedBack == nil)
        }
    }

    @Test func `reports are taken once, however often the journal is read`() async throws {
        let directory = try TemporaryDirectory()
        let store = try await open(directory)
        let new = Sample.run(devices: 1)
        _ = try await store.submit(new, then: .compiled, at: Sample.time(0))
        try await store.play(new.id, .code(3))
        let before = try await store.events(of: new.id, after: 0, uid: nil)
        try await store.play(new.id, .code(3))
        #expect(try await store.events(of: new.id, after: 0, uid: nil) == before)
        let step = try #require(try await store.detail(new.id)?.attempts.first?.steps.first)
        #expect(step.exit == .code(3))
        #expect(step.startedAt == Sample.time(2))
        #expect(step.usage?.wallSeconds == 2)
        _ = try await store.free(new.id)
        let usage = try #require(try await store.usage(uid: nil, since: nil).first)
        #expect(usage.deviceSeconds == 5)
        #expect(usage.releasingSeconds == 1)
        #expect(usage.queueSeconds == 0)
        #expect(usage.status == .failed)
    }

    @Test func `what was killed for want of memory is told as such`() async throws {
        let directory = try TemporaryDirectory()
        let store = try await open(directory)
        let new = Sample.run()
        _ = try await store.submit(new, then: .compiled, at: Sample.time(0))
        let attempt = AttemptID(run: new.id, number: 1)
        _ = try await store.bind(attempt, warden: "w", steps: [("main", .main)], baselines: [:])
        _ = try await store.record(
            Sample.steps(.signal(9, coreDumped: false), oomKills: 1), of: attempt, at: Sample.time(5))
        _ = try await store.free(new.id)
        #expect(try await store.summary(new.id)?.reason == "OOMKilled")
    }

    @Test func `a retry gets its own attempt and lease`() async throws {
        let directory = try TemporaryDirectory()
        let store = try await open(directory)
        let new = Sample.run(devices: 1, retries: 1)
        _ = try await store.submit(new, then: .compiled, at: Sample.time(0))
        try await store.play(new.id, .code(1))
        let applied = try await store.free(new.id)
        #expect(
            applied.owed.map(\.effect) == [
                Run.Effect(.cleanUp, attempt: 1), Run.Effect(.launch, attempt: 2),
            ])
        try await store.play(new.id, .code(0), attempt: 2)
        _ = try await store.free(new.id, attempt: 2, seconds: 8)
        let detail = try #require(try await store.detail(new.id))
        #expect(detail.summary.status == .succeeded)
        #expect(detail.attempts.map(\.number) == [1, 2])
        #expect(detail.attempts.allSatisfy { $0.leases.first?.releasedAt != nil })
        #expect(
            detail.conditions.map(\.status) == [
                .created, .compiled, .queued, .scheduled, .starting, .running, .processing, .retrying, .queued,
                .scheduled,
                .starting, .running, .processing, .succeeded,
            ])
    }

    @Test func `a stop that comes before the warden is written down refuses the launch`() async throws {
        let directory = try TemporaryDirectory()
        let store = try await open(directory)
        let new = Sample.run()
        _ = try await store.submit(new, then: .compiled, at: Sample.time(0))
        _ = try await store.apply(.stopRequested(by: "ada"), to: new.id, at: Sample.time(1))
        let attempt = AttemptID(run: new.id, number: 1)
        #expect(try await store.bind(attempt, warden: "w", steps: [], baselines: [:]) == .refused)
    }

    @Test func `an attempt keeps the first warden it was given`() async throws {
        let directory = try TemporaryDirectory()
        let store = try await open(directory)
        let new = Sample.run()
        _ = try await store.submit(new, then: .compiled, at: Sample.time(0))
        let attempt = AttemptID(run: new.id, number: 1)
        #expect(try await store.bind(attempt, warden: "one", steps: [], baselines: [:]) == .bound)
        #expect(try await store.bind(attempt, warden: "two", steps: [], baselines: [:]) == .taken)
        #expect(try await store.attempt(attempt)?.warden == "one")
        #expect(try await store.claimedWardens() == ["one"])
    }

    @Test func `the same key gives the same run, and another submission under it is refused`() async throws {
        let directory = try TemporaryDirectory()
        let store = try await open(directory)
        let key = NewRun.Key(key: "k", digest: "a")
        let first = try await store.submit(Sample.run(key: key), then: .compiled, at: Sample.time(0))
        let again = try await store.submit(Sample.run(key: key), then: .compiled, at: Sample.time(1))
        #expect(first.result == again.result)
        #expect(again.owed.isEmpty)
        await #expect(throws: StoreError.self) {
            try await store.submit(
                Sample.run(key: NewRun.Key(key: "k", digest: "b")), then: .compiled, at: Sample.time(2))
        }
        let other = UserIdentity(name: "bob", uid: 1001, gid: 1001, home: "/home/bob")
        let others = try await store.submit(Sample.run(user: other, key: key), then: .compiled, at: Sample.time(3))
        #expect(others.result != first.result)
        #expect(try await store.summaries(uid: 1001, limit: 10).count == 1)
        #expect(try await store.ids(beginningWith: first.result.short, uid: 1001).isEmpty)
        #expect(try await store.ids(beginningWith: first.result.short, uid: 1000) == [first.result])
    }

    @Test func `a device that was taken out of the configuration is not given out, and comes back`() async throws {
        let directory = try TemporaryDirectory()
        let store = try await open(directory)
        let new = Sample.run(devices: 1)
        _ = try await store.register(Store.Node(memoryBytes: 1 << 34, milliCPU: 16_000), at: Sample.time(1))
        _ = try await store.submit(new, then: .compiled, at: Sample.time(2))
        #expect(try await store.summary(new.id)?.status == .unschedulable)
        let applied = try await store.register(Sample.node, at: Sample.time(3))
        #expect(applied.owed.map(\.effect.kind) == [.launch])
        #expect(try await store.summary(new.id)?.status == .scheduled)
    }
}
