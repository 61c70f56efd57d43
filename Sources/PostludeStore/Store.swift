import GRDB
import Glibc
import PostludeCore
import PostludeFailpoints
import Synchronization

/// Everything the agent must not forget: one SQLite database in a state directory that one agent holds at a time.
///
/// A write returns after it is on disk (WAL, synchronous FULL); writes that come together share a transaction.
public final class Store: Sendable {
    /// What the node has for attempts; the scheduling pass that ends each write works with it.
    public struct Node: Hashable, Sendable {
        public var memoryBytes: Int64
        public var milliCPU: Int64
        public var devices: [Device]
        /// How it is shared.
        public var rules: SchedulingRules

        public init(
            memoryBytes: Int64, milliCPU: Int64, devices: [Device] = [], rules: SchedulingRules = SchedulingRules()
        ) {
            self.rules = rules
            self.memoryBytes = memoryBytes
            self.milliCPU = milliCPU
            self.devices = devices
        }
    }

    public let directory: String
    /// Whether all of the database was looked at when it was opened; false for a large one on a slow disk.
    public let isChecked: Bool
    let pool: DatabasePool
    let commits: CommitQueue
    let node = Mutex<Node?>(nil)
    let operations = OperationCache()
    let clock = WriteClock()
    private let ballast: Ballast
    private let lock: Mutex<StateLock?>
    private let followers = Followers()

    /// Opens (or makes) the state directory's database.
    ///
    /// Throws `StoreError`: `store.already-in-use` when another agent has the directory, `store.newer-schema`,
    /// `store.corrupt`, `store.disk-full`, `store.unusable`.
    public convenience init(directory: String) throws { try self.init(directory: directory, Schema.migrator) }

    init(directory: String, _ migrator: DatabaseMigrator, checkedFor patience: Duration = StartCheck.patience) throws {
        self.directory = directory
        try Store.makeDirectory(directory, mode: 0o755)
        // Other users may look up their own artifacts below the directory, but never read the database.
        try Store.makeDirectory("\(directory)/store", mode: 0o700)
        lock = Mutex(try StateLock(directory: directory))
        ballast = Ballast(path: "\(directory)/store/ballast")
        do {
            var configuration = Configuration()
            configuration.label = "postlude.store"
            configuration.maximumReaderCount = 4
            configuration.foreignKeysEnabled = true
            configuration.busyMode = .timeout(5)
            // What a failed write takes back is remembered in memory: as a file, it is made anew in each transaction.
            configuration.prepareDatabase { db in try db.execute(sql: "PRAGMA temp_store = MEMORY") }
            try StartCheck.refuseEmptied(directory)
            try Store.upgrade(directory, migrator)
            pool = try DatabasePool(path: Store.databasePath(directory), configuration: configuration)
            // GRDB takes NORMAL for a pool; what a caller was told is stored must survive a power cut.
            try pool.writeWithoutTransaction { db in try db.execute(sql: "PRAGMA synchronous = FULL") }
            if try pool.read(migrator.hasBeenSuperseded) { throw StoreError.newerSchema(directory) }
            isChecked = try StartCheck.run(pool, directory, for: patience)
            try migrator.migrate(pool)
        } catch let error as DatabaseError
            where error.resultCode == .SQLITE_NOTADB || error.resultCode == .SQLITE_CORRUPT
        {
            throw StoreError.corrupt(directory, error.message ?? "it is not a database")
        } catch {
            throw StoreError.from(error)
        }
        commits = CommitQueue(pool)
        ballast.fill()
    }

    /// Makes some room on a full disk for what must be written down; false when there is none left to make.
    public func dropBallast() -> Bool { ballast.drop() }

    /// Keeps that room again, where the disk has plenty.
    public func fillBallast() { ballast.fill() }

    /// A tick after each commit that added events; a slow reader misses ticks, never events.
    public func changes() -> AsyncStream<Void> {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        tell(continuation)
        return stream
    }

    /// Gives the ticks of `changes()` to a stream that may have others too, until that one ends.
    public func tell(_ continuation: AsyncStream<Void>.Continuation) { followers.add(continuation) }

    /// Closes the database and gives the directory up for another agent; nothing may be asked of the store any more.
    public func close() throws {
        do { try pool.close() } catch { throw StoreError.from(error) }
        lock.withLock { $0 = nil }
    }

    /// How many transactions were written since the start.
    public var transactionCount: Int { commits.transactionCount }

    /// How many writes wait for the transaction that is being written.
    var waitingWrites: Int { commits.waitingCount }

    /// Writes, and tells the followers. `commit` says what for.
    func write<Value: Sendable>(
        _ commit: Commit, _ body: @escaping @Sendable (Database) throws -> Value
    ) async throws -> Value {
        let value = try await commits.write(commit, body)
        followers.tick()
        return value
    }

    func read<Value: Sendable>(_ body: @escaping @Sendable (Database) throws -> Value) async throws -> Value {
        do {
            return try readNow(body)
        } catch {
            throw StoreError.from(error)
        }
    }

    /// On the caller's thread: a look at a few rows is over sooner than another thread has woken up.
    private func readNow<Value>(_ body: (Database) throws -> Value) throws -> Value { try pool.read(body) }

    private static func makeDirectory(_ path: String, mode: mode_t) throws(StoreError) {
        var prefix = path.hasPrefix("/") ? "/" : ""
        for part in path.split(separator: "/") {
            prefix += (prefix.isEmpty || prefix.hasSuffix("/") ? "" : "/") + part
            if mkdir(prefix, prefix == path ? mode : 0o755) != 0, errno != EEXIST {
                if errno == ENOSPC {
                    throw StoreError(
                        StoreError.diskFullCode, "The disk is full: '\(prefix)' cannot be made.",
                        hint: "Free some space.", isTemporary: true)
                }
                throw .unusable(path, String(cString: strerror(errno)))
            }
        }
    }
}

/// The time of each write, none before that of an earlier one: who asks for a write takes the time, and waits then, while
/// others write. A clock that was set back, by more than anybody waits, is taken as it is.
final class WriteClock: Sendable {
    private static let longestWait: Int64 = 60_000_000
    private let latest = Mutex(Int64.min)

    /// For a write that is being made now, and was asked for at `asked`.
    func time(of asked: Timestamp) -> Timestamp {
        latest.withLock { latest in
            let isLate = asked.microseconds < latest && latest &- asked.microseconds <= Self.longestWait
            if !isLate { latest = asked.microseconds }
            return Timestamp(microseconds: latest)
        }
    }
}

/// Those who wait for news.
final class Followers: Sendable {
    private struct Readers {
        var next = 0
        var continuations: [Int: AsyncStream<Void>.Continuation] = [:]
    }

    private let readers = Mutex(Readers())

    func add(_ continuation: AsyncStream<Void>.Continuation) {
        let id = readers.withLock { readers in
            readers.next += 1
            readers.continuations[readers.next] = continuation
            return readers.next
        }
        continuation.onTermination = { [weak self] _ in
            self?.readers.withLock { _ = $0.continuations.removeValue(forKey: id) }
        }
    }

    func tick() {
        let continuations = readers.withLock { Array($0.continuations.values) }
        for continuation in continuations { continuation.yield() }
    }
}
