/// The life of a run: its states, what can happen to it, and what is owed to the world then. All of it is values;
/// `Run.decide` is the only place that makes a new state.
public enum Run {
    /// Where a run is, with all that is known there. The wire word is `status`.
    public enum State: Hashable, Sendable, Codable {
        /// Stored, not yet compiled: nothing was asked of the node.
        case created(Terms)
        /// Compiled, and held until somebody approves it.
        case held(Terms)
        /// In the queue, for its first attempt or for the next one.
        case queued(Waiting)
        /// The parent of other runs: it has no steps and no lease of its own, and ends when its children have.
        case pipeline(Pipeline)
        /// Has its lease; a warden is being given the plan.
        case launching(Active)
        /// The warden took the plan; init steps run.
        case starting(Active)
        /// Main's program runs.
        case running(Active)
        /// A stop was asked for; the steps have their grace period.
        case stopping(Active, Stop)
        /// The steps are over; the devices are owed back.
        case processing(Active, Ending)
        case finished(Outcome)
    }

    /// What of the operation the lifecycle needs to know.
    public struct Terms: Hashable, Sendable, Codable {
        public enum Kind: String, Sendable, Codable, CaseIterable {
            case job
            /// Runs until it is stopped; that its time is up is a normal stop.
            case service
            /// A matrix or a graph: ends with its children.
            case pipeline
            /// Makes children when they are due.
            case schedule
        }

        /// Attempts that may follow a failed first one.
        public var maxRetries: Int
        public var kind: Kind
        /// Whether the run is held until it is approved.
        public var needsApproval: Bool

        public init(maxRetries: Int = 0, kind: Kind = .job, needsApproval: Bool = false) {
            self.maxRetries = maxRetries
            self.kind = kind
            self.needsApproval = needsApproval
        }

        /// Rows of before there was more than jobs have the number only.
        public init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            maxRetries = try container.decode(Int.self, forKey: .maxRetries)
            kind = try container.decodeIfPresent(Kind.self, forKey: .kind) ?? .job
            needsApproval = try container.decodeIfPresent(Bool.self, forKey: .needsApproval) ?? false
        }
    }

    /// A parent whose children are not all over.
    public struct Pipeline: Hashable, Sendable, Codable {
        public var terms: Terms
        /// Set once a stop was asked for: no child is made any more, and those alive are stopped.
        public var stop: Stop?

        public init(terms: Terms, stop: Stop? = nil) {
            self.terms = terms
            self.stop = stop
        }
    }

    public struct Waiting: Hashable, Sendable, Codable {
        /// The attempt that will be made; from 1.
        public var attempt: Int
        public var terms: Terms
        /// Why the scheduler left it waiting, the last time it looked; empty until then.
        public var reason: String
        /// Whether the node could hold the run when empty.
        public var canEver: Bool

        public init(attempt: Int, terms: Terms, reason: String = "", canEver: Bool = true) {
            self.attempt = attempt
            self.terms = terms
            self.reason = reason
            self.canEver = canEver
        }
    }

    /// An attempt that holds a lease.
    public struct Active: Hashable, Sendable, Codable {
        public var attempt: Int
        public var terms: Terms
        public var lease: Lease
        /// How many wardens this attempt was given, those aside that left with their agent; more than one only when a
        /// warden died before it took the plan.
        public var launches: Int
        /// How many agents ended before the warden that they had given it took the plan.
        public var cutOffs: Int

        public init(attempt: Int, terms: Terms, lease: Lease, launches: Int = 1, cutOffs: Int = 0) {
            self.attempt = attempt
            self.terms = terms
            self.lease = lease
            self.launches = launches
            self.cutOffs = cutOffs
        }

        public init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            attempt = try container.decode(Int.self, forKey: .attempt)
            terms = try container.decode(Terms.self, forKey: .terms)
            lease = try container.decode(Lease.self, forKey: .lease)
            launches = try container.decode(Int.self, forKey: .launches)
            // Absent from what earlier agents wrote.
            cutOffs = try container.decodeIfPresent(Int.self, forKey: .cutOffs) ?? 0
        }
    }

    /// What an attempt holds until its release is verified.
    public struct Lease: Hashable, Sendable, Codable {
        /// Device ids.
        public var devices: [String]
        public var memoryBytes: Int64
        public var milliCPU: Int64

        public init(devices: [String] = [], memoryBytes: Int64 = 0, milliCPU: Int64 = 0) {
            self.devices = devices
            self.memoryBytes = memoryBytes
            self.milliCPU = milliCPU
        }
    }

    /// Why an attempt is being stopped: somebody asked for it, the agent ends it, or first one and then the other.
    public struct Stop: Hashable, Sendable, Codable {
        /// Who asked; nil when nobody did.
        public var by: String?
        public var eviction: Eviction?

        public init(by: String) { self.by = by }

        public init(for eviction: Eviction) { self.eviction = eviction }
    }

    /// What follows once an attempt's devices are handed back.
    public struct Ending: Hashable, Sendable, Codable {
        public enum Next: Hashable, Sendable, Codable {
            case finish(Outcome)
            /// The attempt failed like this, and another is allowed.
            case retry(after: Outcome)
        }

        public var next: Next
        /// Whether a stop was asked for: the wire status stays `stopping` then, from which only final ones follow.
        public var isStopping: Bool

        public init(_ next: Next, isStopping: Bool = false) {
            self.next = next
            self.isStopping = isStopping
        }
    }

    /// How a run ended, for good.
    public struct Outcome: Hashable, Sendable, Codable {
        /// A final status.
        public var status: RunStatus
        /// CamelCase, stable.
        public var reason: String
        public var message: String
        /// Main's exit (or the failed init step's); nil when no step was ever to run.
        public var exit: ProcessExit?

        public init(_ status: RunStatus, reason: String, message: String = "", exit: ProcessExit? = nil) {
            self.status = status
            self.reason = reason
            self.message = message
            self.exit = exit
        }
    }
}

extension Run.State {
    /// The status as the outside sees it.
    public var status: RunStatus {
        switch self {
        case .created: .created
        case .held: .compiled
        case .pipeline(let pipeline):
            pipeline.stop != nil ? .stopping : pipeline.terms.kind == .schedule ? .onSchedule : .running
        case .queued(let waiting): waiting.canEver ? .queued : .unschedulable
        case .launching: .scheduled
        case .starting: .starting
        case .running: .running
        case .stopping: .stopping
        case .processing(_, let ending): ending.isStopping ? .stopping : .processing
        case .finished(let outcome): outcome.status
        }
    }

    /// A short stable word for the case, which the store indexes.
    public var phase: Run.Phase {
        switch self {
        case .created: .created
        case .held: .held
        case .pipeline: .pipeline
        case .queued: .queued
        case .launching: .launching
        case .starting: .starting
        case .running: .running
        case .stopping: .stopping
        case .processing: .processing
        case .finished: .finished
        }
    }

    /// The attempt that holds a lease, if any does.
    public var active: Run.Active? {
        switch self {
        case .launching(let active), .starting(let active), .running(let active), .stopping(let active, _),
            .processing(let active, _):
            active
        case .created, .held, .queued, .pipeline, .finished: nil
        }
    }
}

extension Run {
    /// The cases of `State` without their data.
    public enum Phase: String, Sendable, Codable, CaseIterable {
        case created, held, queued, pipeline, launching, starting, running, stopping, processing, finished
    }
}

/// One of a step's two output streams.
public enum LogStream: String, Sendable, Codable, CaseIterable {
    case stdout, stderr
}
