import GRDB
import GRDBSQLite
import PostludeCore
import Synchronization
import Testing

@testable import PostludeStore

/// What calls cost the database, in steps of SQLite's virtual machine: a count that no machine's speed changes.
@Suite struct StoreScaleTests {
    private let directory: TemporaryDirectory
    private let store: Store

    init() throws {
        directory = try TemporaryDirectory()
        store = try Store(directory: directory.path)
    }

    private static let bob = UserIdentity(name: "bob", uid: 1001, gid: 1001, home: "/home/bob")
    private static let eve = UserIdentity(name: "eve", uid: 1002, gid: 1002, home: "/home/eve")

    @discardableResult
    private func submit(_ user: UserIdentity = Sample.user, count: Int = 1) async throws -> RunID {
        var last = RunID.random()
        for _ in 0..<count {
            let new = Sample.run(devices: 1, user: user)
            last = try await store.submit(new, then: .compiled, at: Sample.time(1)).result
        }
        return last
    }

    private final class Steps: Sendable { let count = Atomic<Int>(0) }

    /// How many steps the writes of the body take.
    private func steps(_ body: () async throws -> Void) async throws -> Int {
        let steps = Steps()
        let context = Unmanaged.passUnretained(steps)
        try await store.write(.event) { db in
            sqlite3_progress_handler(
                db.sqliteConnection, 1,
                { context in
                    guard let context else { return 0 }
                    Unmanaged<Steps>.fromOpaque(context).takeUnretainedValue().count.add(1, ordering: .relaxed)
                    return 0
                }, context.toOpaque())
        }
        let result = await Result { try await body() }
        try await store.write(.event) { db in sqlite3_progress_handler(db.sqliteConnection, 0, nil, nil) }
        try result.get()
        return withExtendedLifetime(steps) { steps.count.load(ordering: .relaxed) }
    }

    /// Somebody else waits too, so that there is another lane behind the long one, and one in front of it.
    @Test func `submitting, stopping and placing cost no more with a long queue`() async throws {
        _ = try await store.register(Sample.node, at: Sample.time(0))
        var holder = try await submit(Self.bob)
        var costs: [Int] = []
        for length in [20, 400] {
            try await submit(Self.bob)
            try await submit(Self.eve)
            try await submit(count: length)
            let before = holder
            costs.append(
                try await steps {
                    let run = try await submit()
                    _ = try await store.apply(.stopRequested(by: "ada"), to: run, at: Sample.time(2))
                    try await store.play(before)
                    _ = try await store.free(before, seconds: 3)
                })
            let placed = try await store.summaries(uid: nil, RunFilter(statuses: [.scheduled]), limit: 2)
            holder = try #require(placed.first).id
            #expect(placed.count == 1 && holder != before)
        }
        // A tree one level deeper is some steps; a walk through 400 entries would be thousands.
        #expect(costs[0] > 500 && costs[1] < costs[0] + costs[0] / 4, "\(costs)")
    }

    @Test func `what is over costs nothing later`() async throws {
        _ = try await store.register(Sample.node, at: Sample.time(0))
        var costs: [Int] = []
        for length in [5, 200] {
            for _ in 0..<length {
                let run = try await submit()
                try await store.play(run)
                _ = try await store.free(run, seconds: 2)
            }
            costs.append(try await steps { try await submit(count: 1) })
            for run in try await store.summaries(uid: nil, RunFilter(statuses: [.scheduled]), limit: 2) {
                try await store.play(run.id)
                _ = try await store.free(run.id, seconds: 3)
            }
        }
        #expect(costs[0] > 100 && costs[1] < costs[0] + costs[0] / 4, "\(costs)")
    }
}

extension Result where Failure == any Error {
    fileprivate init(_ body: () async throws -> Success) async {
        do { self = .success(try await body()) } catch { self = .failure(error) }
    }
}
