import Foundation
import GRDB
import Glibc
import PostludeCore
import Testing

@testable import PostludeStore

@Suite struct SalvageTests {
    private static let devices = ["fuse", "loop", "null"].map { id in
        Device(id: id, deviceClass: "example.com/fuse", nodes: [DeviceNode(path: "/dev/\(id)", major: 10, minor: 229)])
    }
    private static let node = Store.Node(memoryBytes: 1 << 34, milliCPU: 16_000, devices: devices)

    /// What a state directory had before it was damaged.
    private struct Filled {
        let directory: TemporaryDirectory
        var path: String { "\(directory.path)/store/postlude.sqlite" }
        var finished: [RunID] = []
        var running: [RunID] = []
        var waiting: [RunID] = []
        var all: [RunID] { finished + running + waiting }

        /// Many runs that are over, two that run with a device each, and some that wait.
        init(runs: Int = 60) async throws {
            directory = try TemporaryDirectory()
            let store = try Store(directory: directory.path)
            _ = try await store.register(SalvageTests.node, at: Sample.time(0))
            for _ in 0..<runs {
                let new = Sample.run(hooks: 1)
                _ = try await store.submit(new, then: .compiled, at: Sample.time(0))
                try await store.play(new.id)
                _ = try await store.handBack(
                    AttemptID(run: new.id, number: 1), [], Store.Leavings(), at: Sample.time(6)
                ) { _ in [Store.HookDecision(index: 0, outcome: .conditionFalse, detail: "no")] }
                finished.append(new.id)
            }
            for owed in try await store.owedEffects() { try await store.complete(owed) }
            for _ in 0..<2 {
                let new = Sample.run(devices: 1)
                _ = try await store.submit(new, then: .compiled, at: Sample.time(10))
                let attempt = AttemptID(run: new.id, number: 1)
                _ = try await store.bind(attempt, warden: "w\(new.id)", steps: [("main", .main)], baselines: [:])
                _ = try await store.record(Array(Sample.steps(.code(0)).prefix(2)), of: attempt, at: Sample.time(11))
                running.append(new.id)
            }
            for _ in 0..<3 {
                let new = Sample.run(devices: 2)
                _ = try await store.submit(new, then: .compiled, at: Sample.time(12))
                waiting.append(new.id)
            }
            try store.close()
            // All in one file, so that its damage is not healed from the log.
            let queue = try DatabaseQueue(path: "\(directory.path)/store/postlude.sqlite")
            try await queue.writeWithoutTransaction { db in try db.execute(sql: "PRAGMA journal_mode = DELETE") }
            try queue.close()
            // As `RunPaths` does for each attempt.
            for run in finished + running {
                let attempts = "\(directory.path)/runs/\(run)/attempts/1"
                try FileManager.default.createDirectory(atPath: attempts, withIntermediateDirectories: true)
            }
        }

        func pages() throws -> Int { try Data(contentsOf: URL(filePath: path)).count / 4096 }

        func overwrite(page: Int, count: Int = 1, with byte: UInt8 = 0xa5) throws {
            let file = try FileHandle(forUpdating: URL(filePath: path))
            try file.seek(toOffset: UInt64(page * 4096))
            try file.write(contentsOf: Data(repeating: byte, count: count * 4096))
            try file.close()
        }
    }

    private static func code(of directory: TemporaryDirectory) -> String? {
        do {
            try Store(directory: directory.path).close()
            return nil
        } catch {
            return (error as? StoreError)?.code ?? "\(error)"
        }
    }

    /// What must hold of each rebuilt database, whatever was lost.
    private static func expectUsable(_ filled: Filled, _ report: Salvage.Report) async throws {
        try StoreMigrationTests.expectSound(filled.path)
        let store = try Store(directory: filled.directory.path)
        #expect(store.isRebuilt)
        let kept = try await store.summaries(uid: nil, limit: 10_000)
        #expect(kept.count == report.keptRuns)
        #expect(Set(kept.map(\.id)).isSubset(of: Set(filled.all)))
        #expect(Set(kept.map(\.id)).isDisjoint(with: report.lostRuns))
        #expect(Set(filled.all).subtracting(kept.map(\.id)).isSubset(of: Set(report.lostRuns + filled.waiting)))
        for run in kept {
            let detail = try #require(try await store.detail(run.id))
            _ = try await store.events(of: run.id, after: 0, uid: nil)
            if filled.running.contains(run.id) {
                // P2: who runs has its device still.
                #expect(detail.summary.status == .running)
                #expect(detail.summary.devices.count == 1)
                #expect(try await store.attempt(AttemptID(run: run.id, number: 1))?.leases.count == 1)
            }
        }
        _ = try await store.register(node, at: Sample.time(100))
        let holders = try await store.deviceStatuses().compactMap(\.run)
        for id in Set(filled.running).intersection(kept.map(\.id)) { #expect(holders.count { $0 == id } == 1) }
        for id in Set(filled.running).intersection(kept.map(\.id)) {
            let attempt = AttemptID(run: id, number: 1)
            _ = try await store.rebind(attempt, warden: "again", at: Sample.time(101))
            _ = try await store.record(Sample.steps(.code(0)), of: attempt, at: Sample.time(102))
            let lease = try #require(try await store.attempt(attempt)?.leases.first?.device)
            _ = try await store.handBack(
                attempt, [Run.DeviceVerdict(lease, .free)], Store.Leavings(), at: Sample.time(103))
            let detail = try #require(try await store.detail(id))
            #expect(detail.summary.status == .succeeded)
            #expect(detail.attempts.first?.steps.map(\.exit) == [.code(0)])
        }
        for device in devices {
            let ledger = try await store.intervals(of: device.id)
            #expect(ledger.filter { $0.ended == nil }.count == 1)
        }
        let new = Sample.run()
        _ = try await store.submit(new, then: .compiled, at: Sample.time(104))
        #expect(try await store.summary(new.id) != nil)
        try store.close()
        try StoreMigrationTests.expectSound(filled.path)
    }

    /// Each page but the first in turn would take minutes; these are from all over the file.
    @Test(arguments: 0..<12)
    func `a page that was overwritten costs what was on it, and no more`(part: Int) async throws {
        let filled = try await Filled()
        let pages = try filled.pages()
        try filled.overwrite(page: 1 + (pages - 2) * part / 11)
        // Pages that nothing uses are no damage; then the agent starts, and a repair loses nothing.
        let code = Self.code(of: filled.directory)
        #expect(code == "store.corrupt" || code == nil)
        let report = try Salvage.rebuild(filled.directory.path, at: Sample.time(90))
        #expect(report.unreadable == nil)
        if code == nil { #expect(report.keptRuns == filled.all.count) }
        // A page has the rows of a few runs; where it leads to others, these are found without it.
        #expect(report.keptRuns > filled.all.count / 2)
        #expect(access("\(report.damaged)/postlude.sqlite", R_OK) == 0)
        try await Self.expectUsable(filled, report)
    }

    /// The schema is known without the file.
    @Test(arguments: [100, 4096, 8192])
    func `without its first bytes or pages a database gives its rows all the same`(bytes: Int) async throws {
        let filled = try await Filled()
        let file = try FileHandle(forUpdating: URL(filePath: filled.path))
        try file.write(contentsOf: Data(repeating: 0xa5, count: bytes))
        try file.close()
        #expect(Self.code(of: filled.directory) == "store.corrupt")
        let report = try Salvage.rebuild(filled.directory.path, at: Sample.time(90))
        #expect(report.unreadable == nil)
        #expect(report.keptRuns > filled.all.count * 9 / 10)
        try await Self.expectUsable(filled, report)
    }

    @Test func `several damaged stretches are no different`() async throws {
        let filled = try await Filled()
        let pages = try filled.pages()
        for part in [2, 5, 8] { try filled.overwrite(page: pages * part / 10, count: 4, with: 0) }
        #expect(Self.code(of: filled.directory) == "store.corrupt")
        let report = try Salvage.rebuild(filled.directory.path, at: Sample.time(90))
        try await Self.expectUsable(filled, report)
    }

    @Test(arguments: [3, 5, 7, 9])
    func `of a file that was cut short the first part is saved`(tenths: Int) async throws {
        let filled = try await Filled()
        #expect(truncate(filled.path, off_t(try filled.pages() * tenths / 10 * 4096)) == 0)
        #expect(Self.code(of: filled.directory) == "store.corrupt")
        let report = try Salvage.rebuild(filled.directory.path, at: Sample.time(90))
        try await Self.expectUsable(filled, report)
    }

    @Test(arguments: ["", "This is no database.", String(repeating: "x", count: 9000)])
    func `of what is no database nothing is saved, and that is said`(contents: String) async throws {
        let filled = try await Filled(runs: 3)
        try Data(contents.utf8).write(to: URL(filePath: filled.path))
        #expect(Self.code(of: filled.directory) == "store.corrupt")
        let report = try Salvage.rebuild(filled.directory.path, at: Sample.time(90))
        #expect(report.unreadable != nil)
        #expect(report.keptRuns == 0)
        #expect(Set(report.lostRuns) == Set(filled.finished + filled.running))
        #expect(try String(contentsOfFile: "\(report.damaged)/postlude.sqlite", encoding: .utf8) == contents)
        try await Self.expectUsable(filled, report)
    }

    /// A log that is damaged ends where it is: SQLite takes what is before that.
    @Test func `a damaged log leaves what was before it`() async throws {
        let filled = try await Filled(runs: 20)
        let live = try Store(directory: filled.directory.path)
        var late: [RunID] = []
        for second in 20..<40 {
            let new = Sample.run()
            _ = try await live.submit(new, then: .compiled, at: Sample.time(Int64(second)))
            late.append(new.id)
        }
        // An agent that is killed here leaves these files.
        let killed = try TemporaryDirectory()
        try FileManager.default.createDirectory(atPath: "\(killed.path)/store", withIntermediateDirectories: true)
        for suffix in ["", "-wal"] {
            try FileManager.default.copyItem(
                atPath: filled.path + suffix, toPath: "\(killed.path)/store/postlude.sqlite\(suffix)")
        }
        try live.close()
        let log = URL(filePath: "\(killed.path)/store/postlude.sqlite-wal")
        let size = try Data(contentsOf: log).count
        let file = try FileHandle(forUpdating: log)
        try file.seek(toOffset: UInt64(size / 2))
        try file.write(contentsOf: Data(repeating: 0xa5, count: 4096))
        try file.close()
        let report = try Salvage.rebuild(killed.path, at: Sample.time(90))
        #expect(report.unreadable == nil)
        #expect(report.tables.allSatisfy { $0.gaps == 0 && $0.dropped == 0 })
        #expect(access("\(report.damaged)/postlude.sqlite-wal", R_OK) == 0)
        let store = try Store(directory: killed.path)
        let kept = Set(try await store.summaries(uid: nil, limit: 1000).map(\.id))
        #expect(kept.isSuperset(of: filled.all))
        #expect(late.contains { kept.contains($0) } && late.contains { !kept.contains($0) })
        try store.close()
    }

    @Test func `a database that is sound loses nothing, and neither does one of an older schema`() async throws {
        let filled = try await Filled(runs: 20)
        let report = try Salvage.rebuild(filled.directory.path, at: Sample.time(90))
        #expect(report.keptRuns == filled.all.count)
        #expect(report.tables.allSatisfy { $0.gaps == 0 && $0.dropped == 0 })
        #expect(report.mended.isEmpty)
        #expect(report.lostRuns.isEmpty)
        try await Self.expectUsable(filled, report)
        for fixture in StoreMigrationTests.fixtures {
            let directory = try TemporaryDirectory()
            _ = try StoreMigrationTests.restore(fixture, in: directory)
            let before = try Store(directory: directory.path)
            let runs = try await before.summaries(uid: nil, limit: 100)
            try before.close()
            let other = try TemporaryDirectory()
            _ = try StoreMigrationTests.restore(fixture, in: other)
            #expect(try Salvage.rebuild(other.path, at: Sample.time(90)).tables.allSatisfy { $0.dropped == 0 })
            let after = try Store(directory: other.path)
            #expect(try await after.summaries(uid: nil, limit: 100) == runs)
            try after.close()
        }
    }

    /// Its profile and its context come from its main.
    @Test func `a hook run that waits and whose main is lost is not started`() async throws {
        let filled = try await Filled(runs: 3)
        let store = try Store(directory: filled.directory.path)
        _ = try await store.register(Self.node, at: Sample.time(20))
        let main = Sample.run(hooks: 1)
        _ = try await store.submit(main, then: .conditionFalse(detail: "no"), at: Sample.time(20))
        var hook = Sample.run(devices: 2)
        hook.upstream = NewRun.Upstream(run: main.id, index: 0, name: "notify")
        _ = try await store.resolveHooks(
            of: main.id, [Store.HookDecision(index: 0, outcome: .fired, detail: "done", run: hook)],
            at: Sample.time(21))
        #expect(try await store.summary(hook.id)?.status == .queued)
        try store.close()
        let queue = try DatabaseQueue(path: filled.path)
        try await queue.write { db in
            // What no application writes, and a damaged page shows.
            try db.execute(sql: "UPDATE runs SET state = 'x' WHERE id = ?", arguments: [main.id.description])
        }
        try queue.close()
        let report = try Salvage.rebuild(filled.directory.path, at: Sample.time(90))
        #expect(report.lostRuns == [main.id])
        let after = try Store(directory: filled.directory.path)
        #expect(try await after.summary(hook.id)?.status == .stopped)
        #expect(try await after.summary(main.id) == nil)
        try after.close()
    }

    @Test func `a backup takes the damaged one's place`() async throws {
        let filled = try await Filled(runs: 3)
        let store = try Store(directory: filled.directory.path)
        let backup = "\(filled.directory.path)/backup.sqlite"
        try await store.backUp(to: backup)
        try store.close()
        try Data("gone".utf8).write(to: URL(filePath: filled.path))
        let report = try Salvage.rebuild(filled.directory.path, from: backup, at: Sample.time(90))
        #expect(report.keptRuns == filled.all.count)
        #expect(try String(contentsOfFile: "\(report.damaged)/postlude.sqlite", encoding: .utf8) == "gone")
        try await Self.expectUsable(filled, report)
    }

    @Test func `a repair that fails changes nothing`() async throws {
        let filled = try await Filled(runs: 3)
        let before = try Data(contentsOf: URL(filePath: filled.path))
        func code(_ body: () throws -> Void) -> String? {
            do {
                try body()
                return nil
            } catch {
                return (error as? StoreError)?.code ?? "\(error)"
            }
        }
        let path = filled.directory.path
        #expect(
            code { _ = try Salvage.rebuild(path, from: "\(path)/nothing", at: Sample.time(90)) }
                == "store.nothing-to-repair")
        let store = try Store(directory: path)
        #expect(code { _ = try Salvage.rebuild(path, at: Sample.time(90)) } == "store.already-in-use")
        try store.close()
        let queue = try DatabaseQueue(path: filled.path)
        try await queue.write { db in try db.execute(sql: "INSERT INTO grdb_migrations VALUES ('from the future')") }
        try queue.close()
        #expect(code { _ = try Salvage.rebuild(path, at: Sample.time(90)) } == "store.newer-schema")
        let left = try FileManager.default.contentsOfDirectory(atPath: "\(path)/store")
        #expect(Set(left).isSubset(of: ["postlude.sqlite", "postlude.sqlite-wal", "postlude.sqlite-shm", "ballast"]))
        #expect(!before.isEmpty)
    }

    @Test func `a database that takes long is looked at for so long and no longer`() async throws {
        let filled = try await Filled(runs: 3)
        try Store(directory: filled.directory.path).close()
        // In no time nothing is found, and nothing that comes after is interrupted.
        let hurried = try Store(directory: filled.directory.path, Schema.migrator, checkedFor: .zero)
        let calm = try await hurried.summaries(uid: nil, limit: 10)
        #expect(calm.count == filled.all.count)
        try hurried.close()
        let store = try Store(directory: filled.directory.path, Schema.migrator, checkedFor: .seconds(600))
        #expect(store.isChecked)
        try store.close()
    }
}
