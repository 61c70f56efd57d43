import GRDB
import PostludeCore

/// A run that is to be stored.
public struct NewRun: Sendable {
    public var id: RunID
    public var name: String
    public var project: String
    public var user: UserIdentity
    public var operation: Operation
    public var inputs: [String: Value]
    public var notes: [Diagnostic]
    public var workingDirectory: String?
    /// Where the run's artifacts will lie on the host.
    public var artifacts: String
    public var upstream: Upstream?
    /// For a child: its parent, and which child of it.
    public var parent: Parent?
    /// What the outputs of a run with the same key may stand for; nil when they never may.
    public var cacheKey: String?
    public var needs: Scheduler.Needs
    public var key: Key?
    /// The queue it waits in.
    public var queue: String
    /// How many runs may wait, when its user or queue is bounded.
    public var waitingLimits: [WaitingLimit] = []
    /// The user who holds it back from the start; nil when it may start as soon as there is room.
    public var heldBackBy: String?

    /// A bound on runs that wait.
    public struct WaitingLimit: Hashable, Sendable {
        public var most: Int
        /// nil for all queues.
        public var queue: String?
        /// nil for all users.
        public var uid: UInt32?

        public init(_ most: Int, queue: String? = nil, uid: UInt32? = nil) {
            self.most = most
            self.queue = queue
            self.uid = uid
        }
    }

    /// For a child run: its parent, and what it is there.
    public struct Parent: Hashable, Sendable {
        public var run: RunID
        /// The point of a matrix, the node of a graph, or the slot of a schedule: unique among the parent's children.
        public var key: Int64
        /// What people call it: the point's number, the node's name, the slot's time.
        public var name: String

        public init(run: RunID, key: Int64, name: String) {
            self.run = run
            self.key = key
            self.name = name
        }
    }

    /// For a hook run: its main, and which hook of it.
    public struct Upstream: Hashable, Sendable {
        public var run: RunID
        public var index: Int
        public var name: String
        /// Whether it was asked for after main's hooks had been decided: main's record of the hook stays as it is.
        public var isRerun: Bool

        public init(run: RunID, index: Int, name: String, isRerun: Bool = false) {
            self.run = run
            self.index = index
            self.name = name
            self.isRerun = isRerun
        }
    }

    /// An idempotency key, and what tells one submission from another.
    public struct Key: Hashable, Sendable {
        public var key: String
        public var digest: String

        public init(key: String, digest: String) {
            self.key = key
            self.digest = digest
        }
    }

    public init(
        id: RunID, name: String, project: String, user: UserIdentity, operation: Operation, inputs: [String: Value],
        notes: [Diagnostic] = [], workingDirectory: String? = nil, artifacts: String, upstream: Upstream? = nil,
        parent: Parent? = nil, needs: Scheduler.Needs = Scheduler.Needs(), key: Key? = nil,
        queue: String = SchedulingRules.defaultQueue
    ) {
        self.queue = queue
        self.id = id
        self.name = name
        self.project = project
        self.user = user
        self.operation = operation
        self.inputs = inputs
        self.notes = notes
        self.workingDirectory = workingDirectory
        self.artifacts = artifacts
        self.upstream = upstream
        self.parent = parent
        self.needs = needs
        self.key = key
    }
}

/// A run as it is stored, with what its effects need.
public struct StoredRun: Sendable {
    public var id: RunID
    public var name: String
    public var project: String
    public var user: UserIdentity
    public var operation: Operation
    public var inputs: [String: Value]
    public var outputs: [String: Value]
    public var workingDirectory: String?
    public var artifacts: String
    public var upstream: NewRun.Upstream?
    public var parent: NewRun.Parent?
    /// The run whose outputs and artifacts stand for this one's.
    public var cachedFrom: RunID?
    public var needs: Scheduler.Needs
    public var queue: String
    /// Who holds it back; nil for nobody.
    public var heldBackBy: String?
    public var state: Run.State
    public var condition: RunCondition?
    public var createdAt: Timestamp
    public var queuedAt: Timestamp?
    public var startedAt: Timestamp?
    public var finishedAt: Timestamp?

    init(_ row: Row, condition: RunCondition?, _ operations: OperationCache) throws {
        id = try row.runID("id")
        name = row["name"]
        project = row["project"]
        user = try row.json("identity")
        operation = try operations.operation(of: id, row)
        inputs = try row.json("inputs")
        outputs = try row.json("outputs")
        workingDirectory = row["working_directory"]
        artifacts = row["artifacts"]
        let (index, rerun) = (row["hook_index"] as Int?, row["rerun_index"] as Int?)
        if let main = try row.optionalRunID("upstream"), let position = index ?? rerun {
            upstream = NewRun.Upstream(
                run: main, index: position, name: row["hook_name"] ?? "", isRerun: index == nil)
        }
        if let run = try row.optionalRunID("parent"), let key = row["child_key"] as Int64? {
            parent = NewRun.Parent(run: run, key: key, name: row["child_name"] ?? "")
        }
        cachedFrom = try row.optionalRunID("cached_from")
        needs = try row.json("needs")
        queue = row["queue"]
        heldBackBy = row["held_back_by"]
        state = try row.json("state")
        self.condition = condition
        createdAt = row.requiredTime("created_at")
        queuedAt = row.time("queued_at")
        startedAt = row.time("started_at")
        finishedAt = row.time("finished_at")
    }
}

/// An effect that a committed transition owes; it stays owed until it is completed.
public struct OwedEffect: Hashable, Sendable {
    public var sequence: Int64
    public var run: RunID
    public var effect: Run.Effect

    public init(sequence: Int64, run: RunID, effect: Run.Effect) {
        self.sequence = sequence
        self.run = run
        self.effect = effect
    }
}

/// What a write decided and what it owes now, to this run and to others.
public struct Applied<Result: Sendable>: Sendable {
    public var result: Result
    public var owed: [OwedEffect]
}
