import GRDB
import PostludeCore
import PostludeFailpoints

extension Store {
    /// A child that is to be made, with the first event of its life.
    public struct NewChild: Sendable {
        public var run: NewRun
        public var event: Run.Event

        public init(_ run: NewRun, then event: Run.Event) {
            self.run = run
            self.event = event
        }
    }

    /// What a parent needs to know of one child.
    public struct ChildRecord: Sendable {
        public var id: RunID
        public var key: Int64
        public var name: String
        public var status: RunStatus
        public var inputs: [String: Value]
        public var outputs: [String: Value]
        public var createdAt: Timestamp
        /// The run whose artifacts stand for the child's.
        public var cachedFrom: RunID?

        /// As the parent's hooks are told of it.
        public var child: Pipeline.Child {
            Pipeline.Child(id: id, name: name, status: status, inputs: inputs, outputs: outputs)
        }

        static func fetch(_ db: Database, of parent: RunID, limit: Int) throws -> [ChildRecord] {
            try db.rows(
                """
                SELECT id, child_key, child_name, status, inputs, outputs, created_at, cached_from FROM runs
                WHERE parent = ? ORDER BY child_key LIMIT ?
                """, [parent.description, limit]
            ).map { row in
                ChildRecord(
                    id: try row.runID("id"), key: row["child_key"], name: row["child_name"] ?? "",
                    status: try row.word("status"), inputs: try row.json("inputs"), outputs: try row.json("outputs"),
                    createdAt: row.requiredTime("created_at"), cachedFrom: try row.optionalRunID("cached_from"))
            }
        }
    }

    /// How many children a parent has, by status, and the largest key among them.
    public struct ChildCounts: Sendable, Hashable {
        public var byStatus: [RunStatus: Int]
        public var lastKey: Int64?

        /// By the status's word.
        var words: [String: Int] {
            Dictionary(byStatus.map { ($0.key.rawValue, $0.value) }, uniquingKeysWith: { first, _ in first })
        }
        public var made: Int { byStatus.values.reduce(0, +) }
        public var alive: Int { byStatus.reduce(0) { $0 + ($1.key.isFinal ? 0 : $1.value) } }
    }

    public func childCounts(of parent: RunID) async throws -> ChildCounts {
        try await read { db in try ChildCounts.fetch(db, parent) }
    }

    /// In the order of their keys; at most `limit`.
    public func children(of parent: RunID, limit: Int) async throws -> [ChildRecord] {
        try await read { db in try ChildRecord.fetch(db, of: parent, limit: limit) }
    }

    /// What a parent does next, all of it in one transaction.
    public struct Advance: Sendable {
        /// Children to make. One whose key has a run already is passed over, so that doing this twice makes none twice.
        public var create: [NewChild]
        /// How the parent ends, when all of its children have.
        public var outcome: Run.Outcome?
        /// Whether there is more to do at once.
        public var hasMore: Bool

        public init(create: [NewChild] = [], outcome: Run.Outcome? = nil, hasMore: Bool = false) {
            self.create = create
            self.outcome = outcome
            self.hasMore = hasMore
        }
    }

    /// Takes a parent one step further. One that was asked to stop makes no child any more, stops those that are alive, and
    /// ends when none is. A parent that is over stays as it is.
    public func advance(
        _ parent: RunID, _ advance: Advance, at time: Timestamp, completing owed: OwedEffect? = nil
    ) async throws -> Applied<Run.Decision?> {
        try await transact(.advance, at: time, completing: owed) { transaction in
            try transaction.advance(parent, advance)
        }
    }

    /// Owes a parent's next step, because its time has come.
    public func oweAdvance(of parent: RunID, at time: Timestamp) async throws -> Applied<Void> {
        try await transact(.advanceOwed, at: time) { transaction in
            let row = try transaction.db.row("SELECT phase FROM runs WHERE id = ?", [parent.description])
            guard row?["phase"] as String? == Run.Phase.pipeline.rawValue else { return }
            try transaction.owe(Run.Effect(.advance, attempt: 0), of: parent)
        }
    }

    /// Parents that follow a schedule and are not over: their next step depends on the clock.
    public func liveSchedules() async throws -> [RunID] {
        try await read { db in
            try db.rows(
                "SELECT id FROM runs WHERE phase <> 'finished' AND phase = 'pipeline' AND kind = 'schedule' ORDER BY number"
            ).map { try $0.runID("id") }
        }
    }
}

extension Store.ChildCounts {
    static func fetch(_ db: Database, _ parent: RunID) throws -> Store.ChildCounts {
        var counts = Store.ChildCounts(byStatus: [:])
        for row in try db.rows(
            "SELECT status, COUNT(*) AS number FROM runs WHERE parent = ? GROUP BY status", [parent.description])
        {
            counts.byStatus[try row.word("status")] = row["number"]
        }
        counts.lastKey =
            try db.row("SELECT MAX(child_key) AS last FROM runs WHERE parent = ?", [parent.description])?["last"]
        return counts
    }
}

extension Transaction {
    mutating func advance(_ parent: RunID, _ advance: Store.Advance) throws -> Run.Decision? {
        guard let row = try db.row("SELECT state FROM runs WHERE id = ?", [parent.description]),
            case .pipeline(let pipeline) = try row.json("state", as: Run.State.self)
        else { return nil }
        if let stop = pipeline.stop {
            let alive = try db.rows(
                "SELECT id FROM runs WHERE parent = ? AND phase <> 'finished' ORDER BY number", [parent.description])
            for row in alive { _ = try apply(.stopRequested(by: stop.by ?? "the agent"), to: try row.runID("id")) }
            let counts = try Store.ChildCounts.fetch(db, parent)
            guard counts.alive == 0 else { return nil }
            // What the last children to end owed is done with this.
            let decision = try apply(.childrenEnded(Run.outcome(of: counts.byStatus)), to: parent)
            try fulfil(Run.Effect(.advance, attempt: 0), of: parent)
            return decision
        }
        for child in advance.create {
            guard let key = child.run.parent?.key else { continue }
            let known = try db.row(
                "SELECT 1 FROM runs WHERE parent = ? AND child_key = ?", [parent.description, key])
            guard known == nil else { continue }
            try emit(.child, of: parent, child.run.parent?.name ?? "", "created", child.run.id.description)
            try insert(child.run, then: child.event)
        }
        if let outcome = advance.outcome, try Store.ChildCounts.fetch(db, parent).alive == 0 {
            return try apply(.childrenEnded(outcome), to: parent)
        }
        if advance.hasMore { try owe(Run.Effect(.advance, attempt: 0), of: parent) }
        return nil
    }

    /// A child that is over may let its parent go on.
    mutating func tellParent(of run: RunID) throws {
        let row = try db.row(
            """
            SELECT parent.id, runs.child_name, runs.status FROM runs JOIN runs AS parent ON parent.id = runs.parent
            WHERE runs.id = ? AND parent.phase = 'pipeline'
            """, [run.description])
        guard let row else { return }
        let parent = try row.runID("id")
        try emit(.child, of: parent, row["child_name"] ?? "", row["status"], run.description)
        try owe(Run.Effect(.advance, attempt: 0), of: parent)
    }
}
