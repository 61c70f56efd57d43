/// A run in a list.
public struct RunSummary: Hashable, Sendable, Codable, Identifiable {
    public var id: RunID
    public var name: String
    public var project: String
    public var user: String
    public var uid: UInt32
    public var status: RunStatus
    /// The last condition's reason and message.
    public var reason: String
    public var message: String
    /// For a hook run: its main, and which hook of it.
    public var upstream: RunID?
    public var hookName: String?
    /// For a child: its parent, and what it is called there (the point's number, the operation's name, the slot's time).
    public var parent: RunID?
    public var childName: String?
    /// `job`, `service`, `matrix`, `dag` or `schedule`; nil from an agent that knew jobs only.
    public var kind: String?
    public var attempt: Int
    public var devices: [String]
    public var createdAt: Timestamp
    public var queuedAt: Timestamp?
    /// First of scheduled, starting, running, processing, as in Polyaxon.
    public var startedAt: Timestamp?
    public var finishedAt: Timestamp?
    /// The queue that it waits or waited in.
    public var queue: String?
    /// Who keeps it from being started; nil for nobody.
    public var heldBackBy: String?

    public init(
        id: RunID, name: String, project: String, user: String, uid: UInt32, status: RunStatus, reason: String = "",
        message: String = "", upstream: RunID? = nil, hookName: String? = nil, parent: RunID? = nil,
        childName: String? = nil, kind: String? = nil, attempt: Int = 0, devices: [String] = [], createdAt: Timestamp,
        queuedAt: Timestamp? = nil, startedAt: Timestamp? = nil, finishedAt: Timestamp? = nil
    ) {
        self.id = id
        self.name = name
        self.project = project
        self.user = user
        self.uid = uid
        self.status = status
        self.reason = reason
        self.message = message
        self.upstream = upstream
        self.hookName = hookName
        self.parent = parent
        self.childName = childName
        self.kind = kind
        self.attempt = attempt
        self.devices = devices
        self.createdAt = createdAt
        self.queuedAt = queuedAt
        self.startedAt = startedAt
        self.finishedAt = finishedAt
    }
}

/// A run with everything `inspect` shows.
public struct RunDetail: Hashable, Sendable, Codable {
    public var summary: RunSummary
    public var conditions: [RunCondition]
    public var inputs: [String: Value]
    public var outputs: [String: Value]
    public var attempts: [AttemptRecord]
    public var hooks: [HookRecord]
    public var notes: [Diagnostic]
    /// Where the run's artifacts lie on the host.
    public var artifacts: String
    /// For a parent: its children in order, at most `childrenShown` of them; nil for a run that has none.
    public var children: [RunSummary]?
    /// For a parent: how many children have which status.
    public var childCounts: [String: Int]?
    /// What each of its joins found; nil for a run that has none.
    public var joins: [JoinRecord]?

    /// Children that are listed one by one.
    public static let childrenShown = 1_000

    public init(
        summary: RunSummary, conditions: [RunCondition], inputs: [String: Value], outputs: [String: Value],
        attempts: [AttemptRecord], hooks: [HookRecord], notes: [Diagnostic], artifacts: String,
        children: [RunSummary]? = nil, childCounts: [String: Int]? = nil, joins: [JoinRecord]? = nil
    ) {
        self.summary = summary
        self.conditions = conditions
        self.inputs = inputs
        self.outputs = outputs
        self.attempts = attempts
        self.hooks = hooks
        self.notes = notes
        self.artifacts = artifacts
        self.children = children
        self.childCounts = childCounts
        self.joins = joins
    }
}

public struct AttemptRecord: Hashable, Sendable, Codable {
    public var number: Int
    public var steps: [StepRecord]
    public var leases: [LeaseRecord]
    /// What the run's artifacts took on disk when the attempt was over; nil until then, or when nobody could tell.
    public var artifactsBytes: Int64?

    public init(number: Int, steps: [StepRecord], leases: [LeaseRecord], artifactsBytes: Int64? = nil) {
        self.number = number
        self.steps = steps
        self.leases = leases
        self.artifactsBytes = artifactsBytes
    }
}

public struct StepRecord: Hashable, Sendable, Codable {
    public var name: String
    public var role: StepRole
    public var startedAt: Timestamp?
    public var finishedAt: Timestamp?
    public var exit: ProcessExit?
    public var usage: StepUsage?
    public var receipt: Receipt?

    public init(
        name: String, role: StepRole, startedAt: Timestamp? = nil, finishedAt: Timestamp? = nil,
        exit: ProcessExit? = nil, usage: StepUsage? = nil, receipt: Receipt? = nil
    ) {
        self.name = name
        self.role = role
        self.startedAt = startedAt
        self.finishedAt = finishedAt
        self.exit = exit
        self.usage = usage
        self.receipt = receipt
    }
}

/// A device's time with one attempt.
public struct LeaseRecord: Hashable, Sendable, Codable {
    public var device: String
    public var leasedAt: Timestamp
    /// When main had ended and the hand-back began.
    public var releasingAt: Timestamp?
    /// When the device was verified free.
    public var releasedAt: Timestamp?
    public var quarantinedAt: Timestamp?
    public var evidence: [DeviceHolder]

    public init(
        device: String, leasedAt: Timestamp, releasingAt: Timestamp? = nil, releasedAt: Timestamp? = nil,
        quarantinedAt: Timestamp? = nil, evidence: [DeviceHolder] = []
    ) {
        self.device = device
        self.leasedAt = leasedAt
        self.releasingAt = releasingAt
        self.releasedAt = releasedAt
        self.quarantinedAt = quarantinedAt
        self.evidence = evidence
    }
}

/// What became of one hook of a finished run. Stored once and never changed.
public struct HookRecord: Hashable, Sendable, Codable {
    public enum Outcome: String, Sendable, Codable {
        case fired
        case triggerMismatch = "trigger_mismatch"
        case conditionFalse = "condition_false"
        case error
    }

    public var index: Int
    public var name: String
    public var origin: String
    public var trigger: Hook.Trigger
    /// nil until main has ended.
    public var outcome: Outcome?
    /// Why: the condition with its operands, or the error and its place.
    public var detail: String
    /// The hook run, when it fired, and its status now.
    public var run: RunID?
    public var status: RunStatus?
    /// How it came to the outcome; nil until then, and in records of older agents.
    public var explanation: HookExplanation?
    /// Runs of this hook that were asked for after its outcome was stored, oldest first; nil when there are none.
    public var reruns: [Rerun]?

    public struct Rerun: Hashable, Sendable, Codable {
        public var run: RunID
        public var status: RunStatus
        public var at: Timestamp

        public init(run: RunID, status: RunStatus, at: Timestamp) {
            self.run = run
            self.status = status
            self.at = at
        }
    }

    public init(
        index: Int, name: String, origin: String, trigger: Hook.Trigger, outcome: Outcome? = nil, detail: String = "",
        run: RunID? = nil, status: RunStatus? = nil, explanation: HookExplanation? = nil, reruns: [Rerun]? = nil
    ) {
        self.index = index
        self.name = name
        self.origin = origin
        self.trigger = trigger
        self.outcome = outcome
        self.detail = detail
        self.run = run
        self.status = status
        self.explanation = explanation
        self.reruns = reruns
    }
}

/// A device and who has it.
public struct DeviceStatus: Hashable, Sendable, Codable {
    public enum State: String, Sendable, Codable { case idle, leased, releasing, quarantined }

    public var device: Device
    public var state: State
    public var run: RunID?
    public var since: Timestamp?
    public var evidence: [DeviceHolder]

    public init(
        device: Device, state: State, run: RunID? = nil, since: Timestamp? = nil, evidence: [DeviceHolder] = []
    ) {
        self.device = device
        self.state = state
        self.run = run
        self.since = since
        self.evidence = evidence
    }
}

/// An image that the agent has unpacked.
public struct ImageRecord: Hashable, Sendable, Codable {
    /// Of the image's manifest.
    public var digest: String
    /// When a step last wanted it.
    public var usedAt: Timestamp
    /// Whether a run that has not ended has it.
    public var isInUse: Bool
    /// What it takes on disk; nil when nobody could tell.
    public var bytes: Int64?

    public init(digest: String, usedAt: Timestamp, isInUse: Bool, bytes: Int64?) {
        self.digest = digest
        self.usedAt = usedAt
        self.isInUse = isInUse
        self.bytes = bytes
    }
}

/// One row of accounting: a step of an attempt, with what it used and what it waited.
public struct UsageRecord: Hashable, Sendable, Codable {
    public var run: RunID
    public var runName: String
    public var project: String
    public var user: String
    public var upstream: RunID?
    public var hookName: String?
    public var attempt: Int
    public var step: String
    public var role: StepRole
    public var status: RunStatus
    public var exit: ProcessExit?
    /// From queued to the attempt's lease.
    public var queueSeconds: Double?
    public var usage: StepUsage?
    /// Device seconds of the attempt, told on main's row only: leased until main ended, and from there until verified free.
    public var deviceSeconds: Double?
    public var releasingSeconds: Double?
    /// What the run's artifacts took on disk when the attempt was over, told on main's row only.
    public var artifactsBytes: Int64?
    public var devices: [String]
    public var startedAt: Timestamp?
    public var finishedAt: Timestamp?

    public init(
        run: RunID, runName: String, project: String, user: String, upstream: RunID? = nil, hookName: String? = nil,
        attempt: Int, step: String, role: StepRole, status: RunStatus, exit: ProcessExit? = nil,
        queueSeconds: Double? = nil, usage: StepUsage? = nil, deviceSeconds: Double? = nil,
        releasingSeconds: Double? = nil, artifactsBytes: Int64? = nil, devices: [String] = [],
        startedAt: Timestamp? = nil, finishedAt: Timestamp? = nil
    ) {
        self.run = run
        self.runName = runName
        self.project = project
        self.user = user
        self.upstream = upstream
        self.hookName = hookName
        self.attempt = attempt
        self.step = step
        self.role = role
        self.status = status
        self.exit = exit
        self.queueSeconds = queueSeconds
        self.usage = usage
        self.deviceSeconds = deviceSeconds
        self.releasingSeconds = releasingSeconds
        self.artifactsBytes = artifactsBytes
        self.devices = devices
        self.startedAt = startedAt
        self.finishedAt = finishedAt
    }
}

/// What a user hands in: the operation file, and the files it refers to, as the submitter could read them.
public struct Submission: Hashable, Sendable, Codable {
    /// The file's path as the user typed it, for diagnostics.
    public var path: String
    public var text: String
    /// Files named by `pathRef`, by the path as written, read by the client with the submitter's rights.
    public var references: [String: String]
    /// The submitter's working directory (absolute): the default `workingDir`, visible read-only inside.
    public var workingDirectory: String
    public var name: String?
    public var project: String?
    /// Params from the command line; they win over the file's.
    public var params: [String: Value]
    /// A repeated submit with the same key returns the same run.
    public var idempotencyKey: String?
    /// Whether the operation's hooks are left out; nil for false.
    public var withoutHooks: Bool?
    /// The queue, in place of the one that the file names.
    public var queue: String?
    /// Whether the run is held back until `postlude release`; nil for false.
    public var hold: Bool?

    public init(
        path: String, text: String, references: [String: String] = [:], workingDirectory: String, name: String? = nil,
        project: String? = nil, params: [String: Value] = [:], idempotencyKey: String? = nil,
        withoutHooks: Bool? = nil, queue: String? = nil, hold: Bool? = nil
    ) {
        self.queue = queue
        self.hold = hold
        self.path = path
        self.text = text
        self.references = references
        self.workingDirectory = workingDirectory
        self.name = name
        self.project = project
        self.params = params
        self.idempotencyKey = idempotencyKey
        self.withoutHooks = withoutHooks
    }
}

/// One line of `doctor`: a mechanism, whether this host can enforce it, and what follows if not.
public struct HostCheck: Hashable, Sendable, Codable {
    public enum Verdict: String, Sendable, Codable { case ok, missing, degraded }

    public var name: String
    public var verdict: Verdict
    /// What was found (versions, paths).
    public var detail: String
    /// What is not possible, and what to do.
    public var hint: String?

    public init(_ name: String, _ verdict: Verdict, _ detail: String, hint: String? = nil) {
        self.name = name
        self.verdict = verdict
        self.detail = detail
        self.hint = hint
    }
}

/// One change that followers are told of, by sequence number.
public struct RunEvent: Hashable, Sendable, Codable {
    public enum Kind: String, Sendable, Codable {
        case status, step, device, hook
        /// Of a parent: a child was made (`created`) or has ended (its status); the detail is the child's id.
        case child
    }

    public var sequence: Int64
    public var run: RunID
    public var kind: Kind
    /// The status word, the step's name, the device's id or the hook's name.
    public var subject: String
    /// What happened to it: `started`, `exited`, `released`, `fired`, a reason.
    public var what: String
    public var detail: String
    public var at: Timestamp

    public init(
        sequence: Int64, run: RunID, kind: Kind, subject: String, what: String, detail: String = "", at: Timestamp
    ) {
        self.sequence = sequence
        self.run = run
        self.kind = kind
        self.subject = subject
        self.what = what
        self.detail = detail
        self.at = at
    }
}
