import Foundation
import GRDB
import PostludeCore
import Testing

@testable import PostludeStore

/// Each fixture is the dump of a database as one schema left it. The first was written by the last agent that had only
/// the first migration, the fifth by one that had all five; those between were never released by themselves, and are the
/// first with the migration applied and its columns used.
@Suite struct StoreMigrationTests {
    static let fixtures = [
        "1-first-light", "2-hooks-are-explained-and-run-again", "3-artifacts-are-measured",
        "4-queues-and-fair-shares", "5-parents-and-children",
    ]

    /// Makes a state directory with the fixture's database in it.
    static func restore(_ fixture: String, in directory: TemporaryDirectory) throws -> String {
        let source = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Fixtures/\(fixture).sql")
        let store = "\(directory.path)/store"
        try FileManager.default.createDirectory(atPath: store, withIntermediateDirectories: true)
        let path = "\(store)/postlude.sqlite"
        let queue = try DatabaseQueue(path: path)
        let sql = try String(contentsOf: source, encoding: .utf8)
        try queue.writeWithoutTransaction { db in
            try db.execute(sql: sql)
            // As an agent that was killed leaves it: with a log.
            try db.execute(sql: "PRAGMA journal_mode = WAL")
        }
        try queue.close()
        return path
    }

    /// Tables and indices as they were written, without what only spaces differ in.
    static func schema(_ db: Database) throws -> [String: String] {
        let rows = try Row.fetchAll(
            db, sql: "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'")
        return Dictionary(
            uniqueKeysWithValues: rows.map { row in
                let words = (row["sql"] as String).split(whereSeparator: \.isWhitespace).joined(separator: " ")
                return (row["name"], words)
            })
    }

    static func expectSound(_ path: String) throws {
        let queue = try DatabaseQueue(path: path)
        let findings = try queue.read { db in try String.fetchAll(db, sql: "PRAGMA integrity_check") }
        #expect(findings == ["ok"])
        let strays = try queue.read { db in try Row.fetchAll(db, sql: "PRAGMA foreign_key_check") }
        #expect(strays.isEmpty)
        try queue.close()
    }

    private static func id(_ number: Int) throws -> RunID {
        let digits = String(number)
        return try #require(RunID(String(repeating: "0", count: 32 - digits.count) + digits))
    }

    private static func active(devices: [String] = []) -> Run.Active {
        Run.Active(
            attempt: 1, terms: Run.Terms(), lease: Run.Lease(devices: devices, memoryBytes: 1 << 20, milliCPU: 100))
    }

    /// The states that every fixture has.
    private static let states: [Int: Run.State] = [
        1: .finished(Run.Outcome(.succeeded, reason: "Completed", exit: .code(0))),
        2: .running(active()),
        3: .finished(
            Run.Outcome(
                .failed, reason: "MainFailed", message: "Main ended with signal 9.",
                exit: .signal(9, coreDumped: false))),
        4: .running(active(devices: ["loop"])),
        5: .launching(active(devices: ["null"])),
        7: .stopping(active(), Run.Stop(by: "ada")),
        8: .processing(
            active(), Run.Ending(.finish(Run.Outcome(.succeeded, reason: "Completed", exit: .code(0))))),
        9: .finished(Run.Outcome(.skipped, reason: "ConditionFalse", message: "no")),
    ]

    /// A schema that was released never changes: whoever changes it adds a migration, and here what it makes.
    @Test func `each migration makes the schema that it made when it was released`() throws {
        let migrations = Schema.migrator.migrations
        #expect(migrations.count == Self.fixtures.count, "A new migration needs the dump of a database that it made.")
        for (migration, fixture) in zip(migrations, Self.fixtures) {
            let directory = try TemporaryDirectory()
            let released = try DatabaseQueue(path: try Self.restore(fixture, in: directory))
            let made = try DatabaseQueue()
            try Schema.migrator.migrate(made, upTo: migration)
            #expect(try made.read(Self.schema) == released.read(Self.schema), "\(migration)")
        }
    }

    @Test(arguments: fixtures)
    func `a database of each schema is opened, sound, and has the schema of a new one`(fixture: String) throws {
        let directory = try TemporaryDirectory()
        let path = try Self.restore(fixture, in: directory)
        try Store(directory: directory.path).close()
        try Self.expectSound(path)
        let fresh = try TemporaryDirectory()
        try Store(directory: fresh.path).close()
        let new = try DatabaseQueue(path: "\(fresh.path)/store/postlude.sqlite")
        let migrated = try DatabaseQueue(path: path)
        #expect(try migrated.read(Self.schema) == new.read(Self.schema))
        let names = "SELECT identifier FROM grdb_migrations ORDER BY 1"
        #expect(
            try migrated.read { try String.fetchAll($0, sql: names) }
                == new.read { try String.fetchAll($0, sql: names) })
    }

    @Test(arguments: fixtures)
    func `runs of each schema are read back as they were`(fixture: String) async throws {
        let directory = try TemporaryDirectory()
        _ = try Self.restore(fixture, in: directory)
        let store = try Store(directory: directory.path)
        for (number, state) in Self.states {
            let run = try #require(try await store.run(try Self.id(number)))
            #expect(run.state == state, "run \(number)")
            #expect(run.inputs == ["rate": .double(0.5)])
            #expect(run.user.name == (number == 4 ? "bob" : "ada"))
            let detail = try #require(try await store.detail(run.id))
            #expect(detail.summary.status == state.status)
            #expect(detail.conditions.last?.status == state.status)
        }
        let trained = try #require(try await store.detail(try Self.id(1)))
        #expect(trained.outputs == ["loss": .double(0.25)])
        #expect(trained.attempts.map { $0.steps.map(\.exit) } == [[.code(3)], [.code(0)]])
        #expect(trained.attempts.last?.steps.first?.usage?.wallSeconds == 2)
        #expect(trained.attempts.last?.steps.first?.receipt?.profile == "main")
        let hooks = try await store.hooks(of: try Self.id(1))
        #expect(hooks.map(\.outcome) == [.fired, .triggerMismatch])
        #expect(hooks.first?.run == (try Self.id(2)))
        #expect(try await store.run(try Self.id(2))?.upstream?.run == (try Self.id(1)))
        let quarantined = try #require(try await store.quarantined().first)
        #expect(quarantined.device.id == "fuse")
        #expect(quarantined.attempt.run == (try Self.id(3)))
        guard case .queued(let waiting) = try await store.run(try Self.id(6))?.state else {
            Issue.record("run 6 waits no more")
            return
        }
        #expect(waiting.terms == Run.Terms())
        if fixture.hasPrefix("5") {
            #expect(try await store.run(try Self.id(10))?.state == .held(Run.Terms(needsApproval: true)))
            #expect(try await store.run(try Self.id(11))?.heldBackBy == "ada")
            #expect(try await store.children(of: try Self.id(12), limit: 9).map(\.status) == [.running, .succeeded])
            #expect(try await store.liveSchedules() == [try Self.id(15)])
            #expect(try await store.maintenance(at: Sample.time(0)).map(\.reason) == ["new disks"])
        }
    }

    /// What an agent does with it: take it up, end what runs, start what waits.
    @Test(arguments: fixtures)
    func `work goes on in a database of each schema`(fixture: String) async throws {
        let directory = try TemporaryDirectory()
        let path = try Self.restore(fixture, in: directory)
        let store = try Store(directory: directory.path)
        let devices = ["fuse", "loop", "null"].map { id in
            Device(
                id: id, deviceClass: "example.com/fuse", nodes: [DeviceNode(path: "/dev/\(id)", major: 10, minor: 229)])
        }
        let node = Store.Node(memoryBytes: 1 << 34, milliCPU: 16_000, devices: devices)
        _ = try await store.register(node, at: Sample.time(100))
        #expect(try await store.oweWhatIsMissing(at: Sample.time(100)).owed.isEmpty)
        #expect(
            Set(try await store.owedEffects().map(\.effect.kind)).isSuperset(of: [.launch, .requestStop, .handBack]))
        let running = AttemptID(run: try Self.id(4), number: 1)
        #expect(try await store.liveAttempts().map(\.id).contains(running))
        _ = try await store.record(Sample.steps(.code(0)), of: running, at: Sample.time(110))
        _ = try await store.handBack(
            running, [Run.DeviceVerdict("loop", .free)], Store.Leavings(), at: Sample.time(111))
        #expect(try await store.summary(running.run)?.status == .succeeded)
        for window in try await store.maintenance(at: Sample.time(112)) {
            _ = try await store.endMaintenance(window.id, at: Sample.time(112))
        }
        if try await store.run(try Self.id(6))?.heldBackBy != nil {
            _ = try await store.release(try Self.id(6), at: Sample.time(112))
        }
        // The device that came free is for the run that has waited for it.
        #expect(try await store.summary(try Self.id(6))?.status == .scheduled)
        _ = try await store.clear("fuse", of: try Self.id(3), at: Sample.time(113))
        let new = Sample.run(devices: 1)
        _ = try await store.submit(new, then: .compiled, at: Sample.time(114))
        #expect(try await store.summary(new.id)?.status == .scheduled)
        #expect(
            try await store.usage(uid: nil, since: nil).contains { $0.run == running.run && $0.deviceSeconds != nil })
        try store.close()
        try Self.expectSound(path)
    }

    // MARK: failures

    struct Failure: Error {}

    /// The second of two new migrations fails: nothing of the first may stay either.
    @Test func `a migration that fails half-way leaves the old database as it was`() throws {
        let directory = try TemporaryDirectory()
        let path = try Self.restore(Self.fixtures[0], in: directory)
        func contents() throws -> [String] {
            try DatabaseQueue(path: path).read { db in
                try Self.schema(db).map { "\($0)=\($1)" }.sorted()
                    + Row.fetchAll(db, sql: "SELECT * FROM runs").map(\.description)
                    + String.fetchAll(db, sql: "SELECT identifier FROM grdb_migrations")
            }
        }
        let before = try contents()
        var failing = DatabaseMigrator()
        failing.registerMigration("1 first light") { _ in throw Failure() }
        failing.registerMigration("a good one") { db in
            try db.execute(sql: "ALTER TABLE runs ADD COLUMN good TEXT; UPDATE runs SET status = 'failed'")
        }
        failing.registerMigration("a bad one") { db in
            try db.execute(sql: "DROP TABLE steps; DELETE FROM attempts")
            throw Failure()
        }
        #expect(throws: Failure.self) { try Store(directory: directory.path, failing) }
        #expect(try contents() == before)
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(directory.path)/store") == ["postlude.sqlite"])
        // The agent that can goes on with it, and leaves the old one beside it.
        try Store(directory: directory.path).close()
        let kept = try DatabaseQueue(path: "\(directory.path)/store/before-hooks-are-explained-and-run-again.sqlite")
        #expect(
            try kept.read { try String.fetchAll($0, sql: "SELECT identifier FROM grdb_migrations") } == [
                "1 first light"
            ])
    }

    @Test(.enabled(if: geteuid() == 0, "mounting needs root"))
    func `a disk that is full leaves the old database as it was, and the migration is made when there is room`() throws
    {
        let disk = try SmallDisk(kibibytes: 2048)
        let directory = try TemporaryDirectory()
        let source = try Self.restore(Self.fixtures[0], in: directory)
        try FileManager.default.createDirectory(atPath: "\(disk.path)/store", withIntermediateDirectories: true)
        let path = "\(disk.path)/store/postlude.sqlite"
        try FileManager.default.copyItem(atPath: source, toPath: path)
        let before = try Data(contentsOf: URL(filePath: path))
        // The claim's file and the shared memory of the log have their place already.
        try Data("0\n".utf8).write(to: URL(filePath: "\(disk.path)/lock"))
        try disk.fill(leaving: 16)
        do {
            _ = try Store(directory: disk.path)
            Issue.record("the database was migrated on a full disk")
        } catch let error as StoreError {
            #expect(error.code == StoreError.diskFullCode)
        }
        #expect(try Data(contentsOf: URL(filePath: path)) == before)
        disk.free()
        let store = try Store(directory: disk.path)
        try store.close()
        try Self.expectSound(path)
    }
}
