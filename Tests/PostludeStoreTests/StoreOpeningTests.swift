import Foundation
import GRDB
import Glibc
import PostludeCore
import Testing

@testable import PostludeStore

@Suite struct StoreOpeningTests {
    private func code(_ body: () throws -> Void) -> String? {
        do {
            try body()
            return nil
        } catch {
            return (error as? StoreError)?.code ?? "\(error)"
        }
    }

    @Test func `a second agent is refused and told who has the directory`() throws {
        let directory = try TemporaryDirectory()
        let first = try Store(directory: directory.path)
        do {
            _ = try Store(directory: directory.path)
            Issue.record("two agents have one directory")
        } catch let error as StoreError {
            #expect(error.code == "store.already-in-use")
            #expect(error.message.contains("pid \(getpid())"))
        }
        _ = first
    }

    /// As of an agent that was killed while it spawned a process: the process has the claim until it has called exec.
    @Test func `the claim of an agent that is dead is waited for`() throws {
        let directory = try TemporaryDirectory()
        let dead = try Self.spawn("/bin/true")
        var status: Int32 = 0
        #expect(waitpid(dead, &status, 0) == dead)
        let lock = open("\(directory.path)/lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        #expect(flock(lock, LOCK_EX | LOCK_NB) == 0)
        let text = "\(dead)\n"
        #expect(pwrite(lock, text, text.utf8.count, 0) == text.utf8.count)
        let heir = try Self.spawn("/bin/sleep", "0.3", giving: lock)
        close(lock)
        let store = try Store(directory: directory.path)
        #expect(waitpid(heir, &status, 0) == heir && status == 0)
        try store.close()
    }

    private static func spawn(_ words: String..., giving descriptor: Int32? = nil) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if let descriptor { posix_spawn_file_actions_adddup2(&actions, descriptor, 9) }
        var arguments = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var pid: pid_t = 0
        try #require(posix_spawn(&pid, words[0], &actions, nil, &arguments, environ) == 0)
        return pid
    }

    @Test func `what was stored is there after the store was dropped and opened again`() async throws {
        let directory = try TemporaryDirectory()
        let new = Sample.run(hooks: 1, devices: 1)
        do {
            let store = try Store(directory: directory.path)
            _ = try await store.register(Sample.node, at: Sample.time(0))
            let applied = try await store.submit(new, then: .compiled, at: Sample.time(0))
            #expect(applied.owed.map(\.effect) == [Run.Effect(.launch, attempt: 1)])
        }
        let store = try Store(directory: directory.path)
        let run = try #require(try await store.run(new.id))
        #expect(run.state.phase == .launching)
        #expect(run.operation == new.operation)
        #expect(try await store.owedEffects().map(\.effect) == [Run.Effect(.launch, attempt: 1)])
        #expect(try await store.deviceStatuses().map(\.state) == [.leased])
    }

    @Test func `the state of a newer agent is refused`() throws {
        let directory = try TemporaryDirectory()
        _ = try Store(directory: directory.path)
        let queue = try DatabaseQueue(path: "\(directory.path)/store/postlude.sqlite")
        try queue.write { db in
            try db.execute(sql: "INSERT INTO grdb_migrations VALUES ('2 from the future')")
        }
        try queue.close()
        #expect(code { _ = try Store(directory: directory.path) } == "store.newer-schema")
    }

    @Test func `a file that is no database is refused, and so is a damaged one`() throws {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/store/postlude.sqlite"
        try FileManager.default.createDirectory(atPath: "\(directory.path)/store", withIntermediateDirectories: true)
        try Data(repeating: 7, count: 8192).write(to: URL(filePath: path))
        #expect(code { _ = try Store(directory: directory.path) } == "store.corrupt")
    }

    @Test func `a state directory that cannot be made is refused`() throws {
        let directory = try TemporaryDirectory()
        let file = "\(directory.path)/file"
        try Data().write(to: URL(filePath: file))
        #expect(code { _ = try Store(directory: "\(file)/state") } == "store.unusable")
    }

    @Test func `a commit is synced, and nobody else may read the database`() async throws {
        let directory = try TemporaryDirectory()
        let store = try Store(directory: directory.path)
        let level = try await store.write(.event) { db in try Int.fetchOne(db, sql: "PRAGMA synchronous") }
        #expect(level == 2)
        let mode = try await store.write(.event) { db in try String.fetchOne(db, sql: "PRAGMA journal_mode") }
        #expect(mode == "wal")
        var status = stat()
        #expect(stat("\(directory.path)/store", &status) == 0)
        #expect(status.st_mode & 0o777 == 0o700)
    }

    @Test(.enabled(if: geteuid() == 0, "mounting needs root"))
    func `a full disk is told as such, nothing is half done, and work goes on when there is room`() async throws {
        let disk = try SmallDisk(kibibytes: 2048)
        let store = try Store(directory: "\(disk.path)/state")
        _ = try await store.register(Sample.node, at: Sample.time(0))
        try disk.fill()
        var failures = 0
        var stored: [RunID] = []
        for _ in 0..<200 {
            let new = Sample.run()
            do {
                _ = try await store.submit(new, then: .compiled, at: Sample.time(1))
                stored.append(new.id)
            } catch let error as StoreError {
                #expect(error.code == StoreError.diskFullCode)
                #expect(error.isTemporary)
                failures += 1
                #expect(try await store.run(new.id) == nil)
            }
        }
        #expect(failures > 0)
        disk.free()
        let last = Sample.run()
        _ = try await store.submit(last, then: .compiled, at: Sample.time(2))
        let count = try await store.summaries(uid: nil, limit: 1000).count
        #expect(count == stored.count + 1)
        #expect(try await store.detail(last.id)?.conditions.count == 4)
    }

    @Test(.enabled(if: geteuid() == 0, "mounting needs root"))
    func `a store cannot be made on a full disk`() throws {
        let disk = try SmallDisk(kibibytes: 64)
        try disk.fill()
        #expect(code { _ = try Store(directory: "\(disk.path)/state") } == StoreError.diskFullCode)
    }
}
