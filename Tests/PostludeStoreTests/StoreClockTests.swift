import GRDB
import PostludeCore
import Testing

@testable import PostludeStore

/// The wall clock is for people: what happens when somebody sets it while runs are alive.
@Suite struct StoreClockTests {
    /// Seconds of the wall clock at submit, at the reports and at the hand-back, of one run after the other.
    private static let jumps: [[Int64]] = [
        [0, 5, 6, 10, 15, 16],
        [7200, 3605, 3606, 3610, 3615, 3616],
        [7200, 7205, 3600, 3610, 3615, 0],
        [0, 86_400, 5, 6, 86_401, 7],
        [100, 90, 80, 70, 60, 50],
    ]

    @Test(arguments: jumps)
    func `order, hand-over and device seconds hold wherever the clock is set`(times: [Int64]) async throws {
        let directory = try TemporaryDirectory()
        let store = try Store(directory: directory.path)
        _ = try await store.register(Sample.node, at: Sample.time(times[0]))
        var ids: [RunID] = []
        for part in [times[0..<3], times[3..<6]] {
            let part = Array(part)
            let new = Sample.run(hooks: 1, devices: 1)
            ids.append(new.id)
            _ = try await store.submit(new, then: .compiled, at: Sample.time(part[0]))
            let attempt = AttemptID(run: new.id, number: 1)
            #expect(try await store.bind(attempt, warden: "w", steps: [("main", .main)], baselines: [:]) == .bound)
            _ = try await store.record(Sample.steps(.code(0)), of: attempt, at: Sample.time(part[1]))
            _ = try await store.handBack(
                attempt, [Run.DeviceVerdict("fuse", .free)], Store.Leavings(), at: Sample.time(part[2])
            ) { _ in [Store.HookDecision(index: 0, outcome: .conditionFalse, detail: "no")] }
        }
        for id in ids {
            let detail = try #require(try await store.detail(id))
            #expect(detail.summary.status == .succeeded)
            #expect(
                detail.conditions.map(\.status) == [
                    .created, .compiled, .queued, .scheduled, .starting, .running, .processing, .succeeded,
                ])
            let events = try await store.events(of: id, after: 0, uid: nil)
            #expect(events.map(\.sequence) == events.map(\.sequence).sorted())
            #expect(events.last { $0.kind == .status }?.subject == "succeeded")
            #expect(detail.hooks.map(\.outcome) == [.conditionFalse])
        }
        #expect(try await store.summaries(uid: nil, limit: 10).map(\.id) == ids.reversed())
        // P8: no gap, and nothing counted twice.
        let ledger = try await store.intervals(of: "fuse")
        #expect(ledger.map(\.state) == [.idle, .allocated, .releasing, .idle, .allocated, .releasing, .idle])
        for (earlier, later) in zip(ledger, ledger.dropFirst()) { #expect(earlier.ended == later.began) }
        let (first, last) = (try #require(ledger.first).began, try #require(ledger.last).began)
        let totals = DeviceLedger.totals(ledger, from: first, until: last)
        #expect(totals.values.allSatisfy { $0 >= 0 })
        #expect(abs(totals.values.reduce(0, +) - last.seconds(since: first)) < 1e-6)
        // P9, and a step's own time, which its warden measured.
        for record in try await store.usage(uid: nil, since: nil) {
            #expect(record.queueSeconds ?? 0 >= 0)
            #expect(record.deviceSeconds ?? 0 >= 0)
            #expect(record.releasingSeconds ?? 0 >= 0)
            #expect(record.usage?.wallSeconds == 2)
        }
        let shares = try await store.read { db in
            try Double.fetchAll(db, sql: "SELECT seconds FROM used_shares")
        }
        #expect(shares.allSatisfy { $0 >= 0 && $0.isFinite })
    }

    @Test func `a wait that the clock was set back in is not known`() async throws {
        let directory = try TemporaryDirectory()
        let store = try Store(directory: directory.path)
        let new = Sample.run()
        _ = try await store.submit(new, then: .compiled, at: Sample.time(7200))
        _ = try await store.register(Sample.node, at: Sample.time(3600))
        try await store.play(new.id)
        let record = try #require(try await store.usage(uid: nil, since: nil).first)
        #expect(record.queueSeconds == nil)
    }
}
