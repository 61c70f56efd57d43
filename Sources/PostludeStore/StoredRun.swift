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
    public var needs: Scheduler.Needs
    public var key: Key?

    /// For a hook run: its main, and which hook of it.
    public struct Upstream: Hashable, Sendable {
        public var run: RunID
        public var index: Int
        public var name: String

        public init(run: RunID, index: Int, name: String) {
            self.run = run
            self.index = index
            self.name = name
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
        needs: Scheduler.Needs = Scheduler.Needs(), key: Key? = nil
    ) {
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
    public var needs: Scheduler.Needs
    public var state: Run.State
    public var condition: RunCondition?
    public var createdAt: Timestamp
    public var queuedAt: Timestamp?
    public var startedAt: Timestamp?
    public var finishedAt: Timestamp?

    init(_ row: Row, condition: RunCondition?) throws {
        id = try row.runID("id")
        name = row["name"]
        project = row["project"]
        user = try row.json("identity")
        operation = try row.json("operation")
        inputs = try row.json("inputs")
        outputs = try row.json("outputs")
        workingDirectory = row["working_directory"]
        artifacts = row["artifacts"]
        if let main = try row.optionalRunID("upstream"), let index = row["hook_index"] as Int? {
            upstream = NewRun.Upstream(run: main, index: index, name: row["hook_name"] ?? "")
        }
        needs = try row.json("needs")
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
