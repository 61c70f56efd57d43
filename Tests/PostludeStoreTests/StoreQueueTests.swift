import GRDB
import Glibc
import PostludeCore
import Testing

@testable import PostludeStore

@Suite struct StoreQueueTests {
    private let directory: TemporaryDirectory
    private let store: Store

    init() throws {
        directory = try TemporaryDirectory()
        store = try Store(directory: directory.path)
    }

    private static let bob = UserIdentity(name: "bob", uid: 1001, gid: 1001, home: "/home/bob")

    private func register(_ rules: SchedulingRules = SchedulingRules(), at seconds: Int64 = 0) async throws {
        var node = Sample.node
        node.rules = rules
        _ = try await store.register(node, at: Sample.time(seconds))
    }

    @discardableResult
    private func submit(
        _ user: UserIdentity = Sample.user, queue: String = "default", devices: Int = 1, at seconds: Int64 = 0,
        change: (inout NewRun) -> Void = { _ in }
    ) async throws -> RunID {
        var new = Sample.run(devices: devices, user: user)
        new.queue = queue
        change(&new)
        return try await store.submit(new, then: .compiled, at: Sample.time(seconds)).result
    }

    private func status(_ id: RunID) async throws -> RunSummary { try #require(try await store.summary(id)) }

    /// Which of these has the device; frees it at that time, so that the next has its turn.
    private func next(_ ids: [RunID], freedAt seconds: Int64) async throws -> RunID? {
        for id in ids where try await status(id).status == .scheduled {
            try await store.play(id)
            _ = try await store.free(id, seconds: seconds)
            return id
        }
        return nil
    }

    private func order(_ ids: [RunID], each seconds: Int64 = 10) async throws -> [Int] {
        var order: [Int] = []
        while order.count < ids.count {
            let found = try #require(try await next(ids, freedAt: Int64(order.count + 1) * seconds))
            order.append(try #require(ids.firstIndex(of: found)))
        }
        return order
    }

    @Test func `queues come by priority whatever was submitted first`() async throws {
        try await register(SchedulingRules(queues: [.init(name: "urgent", priority: 5)]))
        let first = try await submit()
        let ids = [first, try await submit(), try await submit(queue: "urgent"), try await submit(queue: "urgent")]
        #expect(try await order(ids) == [0, 2, 3, 1])
    }

    @Test func `who has used the device yields it to who has not, across restarts of the agent`() async throws {
        try await register()
        let mine = [try await submit(), try await submit(), try await submit()]
        // A second of use is little, an hour is much: bob comes later and is served first.
        _ = try await next(mine, freedAt: 3600)
        let bobs = [
            try await submit(Self.bob, at: 3601), try await submit(Self.bob, at: 3602),
        ]
        try store.close()
        let again = try Store(directory: directory.path)
        _ = try await again.register(Sample.node, at: Sample.time(3603))
        #expect(try await again.summary(mine[1])?.status == .scheduled)
        try await again.play(mine[1])
        _ = try await again.free(mine[1], seconds: 3610)
        #expect(try await again.summary(bobs[0])?.status == .scheduled)
        try await again.play(bobs[0])
        _ = try await again.free(bobs[0], seconds: 3620)
        #expect(try await again.summary(bobs[1])?.status == .scheduled)
        #expect(try await again.summary(mine[2])?.status == .queued)
    }

    @Test func `a bound on running runs and one on devices are kept`() async throws {
        try await register(SchedulingRules(perUser: .init(running: 1)))
        let first = try await submit(devices: 0)
        let second = try await submit(devices: 0)
        let bobs = try await submit(Self.bob, devices: 0)
        #expect(try await status(first).status == .scheduled)
        #expect(try await status(bobs).status == .scheduled)
        let waiting = try await status(second)
        #expect(waiting.status == .queued && waiting.message == "each user may have 1 running, and has 1")
        #expect(try await store.waitReport(of: second, visible: nil, at: Sample.time(3))?.earliestStart == nil)
        try await store.play(first)
        _ = try await store.handBack(
            AttemptID(run: first, number: 1), [], Store.Leavings(), at: Sample.time(9))
        #expect(try await status(second).status == .scheduled)
    }

    @Test func `more than may wait is refused, and what runs does not wait`() async throws {
        try await register()
        func limited(_ limit: NewRun.WaitingLimit) -> (inout NewRun) -> Void { { $0.waitingLimits = [limit] } }
        let mine = NewRun.WaitingLimit(1, queue: "default", uid: Sample.user.uid)
        try await submit(change: limited(mine))
        try await submit(change: limited(mine))
        await #expect(throws: StoreError.self) { try await submit(change: limited(mine)) }
        try await submit(Self.bob, change: limited(.init(1, queue: "default", uid: Self.bob.uid)))
        let error = await #expect(throws: StoreError.self) {
            try await submit(change: limited(.init(2, queue: "default")))
        }
        #expect(error?.code == StoreError.queueFullCode && error?.message.contains("2 runs") == true)
        // Nothing of what was refused is there.
        #expect(try await store.summaries(uid: nil, limit: 10).count == 3)
        try await submit(queue: "other", change: limited(.init(1, queue: "other")))
    }

    @Test func `what is held back lets others pass, and comes in its turn when it is let go`() async throws {
        try await register()
        let first = try await submit()
        let held = try await submit { $0.heldBackBy = "ada" }
        let last = try await submit()
        #expect(try await status(held).heldBackBy == "ada")
        #expect(try await status(held).message.contains("held back by ada"))
        #expect(try await store.hold(first, by: "ada", at: Sample.time(1)).result == .notWaiting)
        #expect(try await store.hold(held, by: "bob", at: Sample.time(1)).result == .unchanged)
        _ = try await next([first], freedAt: 10)
        #expect(try await status(last).status == .scheduled)
        #expect(try await status(held).status == .queued)
        #expect(try await store.release(held, at: Sample.time(11)).result == .done)
        #expect(try await store.release(held, at: Sample.time(11)).result == .unchanged)
        _ = try await next([last], freedAt: 20)
        #expect(try await status(held).status == .scheduled)
    }

    @Test func `a run that is held while it waits gives up what it kept aside`() async throws {
        try await register()
        let first = try await submit()
        let second = try await submit()
        let third = try await submit()
        #expect(try await store.hold(second, by: "root", at: Sample.time(1)).result == .done)
        _ = try await next([first], freedAt: 10)
        #expect(try await status(third).status == .scheduled)
        // A held run is stopped as any other.
        _ = try await store.apply(.stopRequested(by: "ada"), to: second, at: Sample.time(12))
        #expect(try await status(second).status == .stopped)
    }

    @Test func `a drained node places nothing until the window is over`() async throws {
        try await register()
        let window = try await store.drain(
            MaintenanceWindow(from: Sample.time(0), until: Sample.time(100), reason: "disks", by: "root"),
            at: Sample.time(0)
        ).result
        let run = try await submit(at: 1)
        #expect(try await status(run).message == "the node is drained: disks")
        #expect(
            try await store.waitReport(of: run, visible: nil, at: Sample.time(2))?.earliestStart == Sample.time(100))
        #expect(try await store.maintenance(at: Sample.time(99)) == [window])
        #expect(try await store.maintenance(at: Sample.time(100)).isEmpty)
        _ = try await store.place(at: Sample.time(99))
        #expect(try await status(run).status == .queued)
        _ = try await store.place(at: Sample.time(100))
        #expect(try await status(run).status == .scheduled)
    }

    @Test func `a window ends when it is told to`() async throws {
        try await register()
        let window = MaintenanceWindow(from: Sample.time(0), by: "root")
        _ = try await store.drain(window, at: Sample.time(0))
        let run = try await submit(at: 1)
        #expect(try await store.endMaintenance(99, at: Sample.time(2)).result.isEmpty)
        #expect(try await status(run).status == .queued)
        #expect(try await store.endMaintenance(nil, at: Sample.time(3)).result.map(\.id) == [1])
        #expect(try await status(run).status == .scheduled)
    }

    @Test func `a waiting run's place is counted, and others are not named`() async throws {
        try await register()
        let first = try await submit {
            $0.operation.component.termination.timeoutSeconds = 60
            $0.operation.component.termination.graceSeconds = 5
        }
        let ids = [try await submit(at: 1), try await submit(Self.bob, at: 2), try await submit(at: 3)]
        #expect(try await store.waitReport(of: first, visible: nil, at: Sample.time(4)) == nil)
        // Ada has had the device for some seconds, bob never: his run has the better claim.
        let places = try await ids.asyncMap { id in
            try await store.waitReport(of: id, visible: nil, at: Sample.time(4))?.place
        }
        #expect(places == [2, 1, 3])
        let bobs = try #require(try await store.waitReport(of: ids[1], visible: Self.bob.uid, at: Sample.time(4)))
        #expect(bobs.waiting == 3 && bobs.needs.devices == ["example.com/fuse": 1])
        #expect(bobs.holders.map(\.devices) == [["fuse"]] && bobs.holders.map(\.run) == [nil])
        #expect(bobs.holders.first?.user == nil)
        // It was placed at 0 and may run for 60 seconds, with 5 to end.
        #expect(bobs.earliestStart == Sample.time(65))
        let mine = try await store.waitReport(of: ids[0], visible: Sample.user.uid, at: Sample.time(4))
        #expect(mine?.holders.map(\.run) == [first])
        _ = try await store.hold(ids[2], by: "ada", at: Sample.time(5))
        let held = try await store.waitReport(of: ids[2], visible: nil, at: Sample.time(5))
        #expect(held?.place == nil && held?.heldBackBy == "ada" && held?.waiting == 2)
    }

    @Test func `the pass goes along the index, one step for each lane`() async throws {
        try await register()
        for _ in 0..<3 { try await submit() }
        let plan = try await store.pool.read { db in
            try Row.fetchAll(
                db,
                sql: """
                    EXPLAIN QUERY PLAN SELECT number FROM runs INDEXED BY runs_waiting
                    WHERE phase = 'queued' AND held_back_by IS NULL
                    AND (queue, is_hook, uid, needs, timeout_seconds) > ('a', 0, 1, '', 0)
                    ORDER BY queue, is_hook, uid, needs, timeout_seconds, number LIMIT 1
                    """
            ).map { $0["detail"] as String }
        }
        #expect(plan.count == 1 && plan[0].contains("SEARCH") && plan[0].contains("runs_waiting"))
    }
}

extension Sequence {
    fileprivate func asyncMap<Value>(_ body: (Element) async throws -> Value) async rethrows -> [Value] {
        var values: [Value] = []
        for element in self { values.append(try await body(element)) }
        return values
    }
}

@Suite struct StoreListTests {
    private let directory: TemporaryDirectory
    private let store: Store

    init() throws {
        directory = try TemporaryDirectory()
        store = try Store(directory: directory.path)
    }

    private func submit(_ change: (inout NewRun) -> Void = { _ in }) async throws -> RunID {
        var new = Sample.run()
        change(&new)
        return try await store.submit(new, then: .compiled, at: Sample.time(0)).result
    }

    private func list(_ filter: RunFilter, limit: Int = 100, uid: UInt32? = nil) async throws -> [RunID] {
        try await store.summaries(uid: uid, filter, limit: limit).map(\.id)
    }

    @Test func `a list is narrowed by each of its filters, and by all together`() async throws {
        let bob = UserIdentity(name: "bob", uid: 1001, gid: 1001, home: "/home/bob")
        let plain = try await submit()
        let night = try await submit { ($0.queue, $0.project) = ("night", "cells") }
        let bobs = try await submit { $0.user = bob }
        let over = try await submit()
        _ = try await store.apply(.stopRequested(by: "ada"), to: over, at: Sample.time(1))
        #expect(try await list(RunFilter()) == [over, bobs, night, plain])
        #expect(try await list(RunFilter(user: "bob")) == [bobs])
        #expect(try await list(RunFilter(user: "1000")) == [over, night, plain])
        #expect(try await list(RunFilter(queue: "night")) == [night])
        #expect(try await list(RunFilter(project: "cells")) == [night])
        #expect(try await list(RunFilter(statuses: RunFilter.activeStatuses)) == [bobs, night, plain])
        #expect(try await list(RunFilter(statuses: [.stopped, .failed])) == [over])
        #expect(try await list(RunFilter(statuses: [.queued, .stopped]), uid: 1000) == [over, night, plain])
        #expect(try await list(RunFilter(statuses: [])).isEmpty)
        #expect(try await list(RunFilter(user: "ada", project: "default", statuses: [.queued])) == [plain])
        #expect(try await list(RunFilter(user: "bob"), uid: 1000).isEmpty)
    }

    @Test func `pages follow each other without gap or overlap while runs are added`() async throws {
        var ids: [RunID] = []
        for _ in 0..<7 { ids.append(try await submit()) }
        var seen: [RunID] = []
        var filter = RunFilter()
        while true {
            let page = try await list(filter, limit: 3)
            guard let last = page.last else { break }
            seen += page
            filter.before = last
            _ = try await submit()
        }
        #expect(seen == ids.reversed())
    }

    @Test func `a copy is whole, is one file, and is written while others write`() async throws {
        let before = try await submit()
        let copy = "\(directory.path)/copy.sqlite"
        async let writes: Void = { for _ in 0..<50 { _ = try await submit() } }()
        try await store.backUp(to: copy)
        try await writes
        let queue = try DatabaseQueue(path: copy)
        let (ids, check) = try await queue.read { db in
            (
                try String.fetchAll(db, sql: "SELECT id FROM runs"),
                try String.fetchOne(db, sql: "PRAGMA integrity_check")
            )
        }
        #expect(check == "ok" && ids.contains(before.description))
        #expect(access(copy + "-wal", F_OK) != 0)
        let error = await #expect(throws: StoreError.self) { try await store.backUp(to: copy) }
        #expect(error?.code == "store.backup-failed" && access(copy, F_OK) == 0)
        let nowhere = await #expect(throws: StoreError.self) { try await store.backUp(to: "/nonexistent/copy") }
        #expect(nowhere?.code == "store.backup-failed")
    }
}
