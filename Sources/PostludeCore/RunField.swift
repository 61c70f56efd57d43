/// What of a run a query asks about, or a list of runs is sorted by; in Polyaxon's words.
public enum RunField: Hashable, Sendable {
    case uuid, name, project, status, kind, queue, tags, pipeline, createdAt, startedAt, finishedAt, duration
    /// A number among the outputs.
    case metric(String)
    case output(String)
    case input(String)

    /// What can be said about its values.
    enum Nature: Hashable, Sendable {
        /// One of these words.
        case word(Set<String>)
        case text, number, time
        /// A number, a text or a flag, whatever is there.
        case any
    }

    private static let plain: [String: RunField] = [
        "uuid": .uuid, "name": .name, "project": .project, "project.name": .project, "status": .status, "kind": .kind,
        "queue": .queue, "tags": .tags, "pipeline": .pipeline, "pipeline.uuid": .pipeline, "created_at": .createdAt,
        "started_at": .startedAt, "finished_at": .finishedAt, "duration": .duration,
    ]

    /// Fields that Polyaxon has besides these, each with what to do instead.
    static let unsupported: [String: String] = [
        "id": "Write uuid.", "user": "A join finds the submitter's own runs.",
        "user.username": "A join finds the submitter's own runs.", "user.id": "A join finds the submitter's own runs.",
        "owner": "A join finds the submitter's own runs.", "owner.name": "A join finds the submitter's own runs.",
        "project.id": "Write project.name.", "project.uuid": "Write project.name.",
        "pipeline.name": "Write pipeline with the uuid.", "pipeline.id": "Write pipeline with the uuid.",
        "updated_at": "Write created_at, started_at or finished_at.",
        "schedule_at": "Write created_at, started_at or finished_at.", "description": "Write name or tags.",
        "readme": "Write name or tags.", "original": "Write uuid.", "original.uuid": "Write uuid.",
        "upstream": "Write uuid.", "upstream.uuid": "Write uuid.", "cloning_kind": "Leave it out.",
        "meta_kind": "Write kind.", "runtime": "Write kind.", "meta_info": "Write inputs.NAME or tags.",
        "wait_time": "Write duration.", "live_state": "Every run is alive.", "is_managed": "Every run is managed.",
        "managed_by": "Every run is managed.", "pending": "Write status.", "commit": "Write an input or a tag.",
        "in_artifact_kind": "Write an output or a tag.", "out_artifact_kind": "Write an output or a tag.",
        "artifacts": "Write an output or a tag.", "cpu": "Write queue or tags.", "memory": "Write queue or tags.",
        "gpu": "Write queue or tags.", "cost": "Write queue or tags.", "agent": "Write queue.",
    ]

    /// Names of fields; those behind a name of the writer's own are left out.
    static let names = plain.keys.sorted() + ["metrics.NAME", "outputs.NAME", "inputs.NAME"]

    /// nil for a name that is none.
    init?(_ name: String) {
        if let field = Self.plain[name] {
            self = field
            return
        }
        guard let dot = name.firstIndex(of: "."), name.index(after: dot) < name.endIndex else { return nil }
        let rest = String(name[name.index(after: dot)...])
        switch name[..<dot] {
        case "metrics": self = .metric(rest)
        case "outputs": self = .output(rest)
        case "inputs", "params": self = .input(rest)
        default: return nil
        }
    }

    private static let statuses = Set(RunStatus.allCases.map(\.rawValue))
    private static let kinds: Set<String> = ["job", "service", "matrix", "dag", "schedule"]

    var nature: Nature {
        switch self {
        case .uuid, .name, .project, .queue, .tags, .pipeline: .text
        case .status: .word(Self.statuses)
        case .kind: .word(Self.kinds)
        case .createdAt, .startedAt, .finishedAt: .time
        case .duration, .metric: .number
        case .output, .input: .any
        }
    }

    /// Whether `%` stands for any text at an end of the value.
    var hasPatterns: Bool { self == .name || self == .project }
}

/// What is known of a run that a search comes by.
public struct FoundRun: Hashable, Sendable {
    public var id: RunID
    public var name: String
    public var project: String
    public var owner: String
    public var status: RunStatus
    public var kind: String
    public var queue: String
    public var tags: [String]
    public var parent: RunID?
    public var inputs: [String: Value]
    public var outputs: [String: Value]
    public var createdAt: Timestamp
    public var startedAt: Timestamp?
    public var finishedAt: Timestamp?
    /// The run whose artifacts are its own: another one's for a run whose outputs were known.
    public var artifacts: RunID

    public init(
        id: RunID, name: String, project: String, owner: String, status: RunStatus, kind: String, queue: String,
        tags: [String] = [], parent: RunID? = nil, inputs: [String: Value] = [:], outputs: [String: Value] = [:],
        createdAt: Timestamp, startedAt: Timestamp? = nil, finishedAt: Timestamp? = nil, artifacts: RunID? = nil
    ) {
        self.id = id
        self.name = name
        self.project = project
        self.owner = owner
        self.status = status
        self.kind = kind
        self.queue = queue
        self.tags = tags
        self.parent = parent
        self.inputs = inputs
        self.outputs = outputs
        self.createdAt = createdAt
        self.startedAt = startedAt
        self.finishedAt = finishedAt
        self.artifacts = artifacts ?? id
    }

    /// Times are microseconds, tags a list; null for what is not known (P9).
    func value(of field: RunField) -> Value {
        switch field {
        case .uuid: .string(id.description)
        case .name: .string(name)
        case .project: .string(project)
        case .status: .string(status.rawValue)
        case .kind: .string(kind)
        case .queue: .string(queue)
        case .tags: .list(tags.map(Value.string))
        case .pipeline: parent.map { .string($0.description) } ?? .null
        case .createdAt: .int(createdAt.microseconds)
        case .startedAt: startedAt.map { .int($0.microseconds) } ?? .null
        case .finishedAt: finishedAt.map { .int($0.microseconds) } ?? .null
        case .duration: duration.map(Value.double) ?? .null
        case .metric(let name): outputs[name].flatMap { $0.isNumber ? $0 : nil } ?? .null
        case .output(let name): outputs[name] ?? .null
        case .input(let name): inputs[name] ?? .null
        }
    }

    var duration: Double? { startedAt.flatMap { start in finishedAt.map { $0.seconds(since: start) } } }
}
