extension Run {
    /// Something that happened; facts about an attempt name it, so that late ones are known as such.
    public enum Event: Hashable, Sendable, Codable {
        /// Inputs and conditions are evaluated, and the run may go to the queue.
        case compiled
        /// The operation's condition is false.
        case conditionFalse(detail: String)
        /// A run that this one depends on ended so that this one cannot start.
        case upstreamFailed(detail: String)
        /// A run that this one depends on was skipped, and this one asks to be skipped then.
        case upstreamSkipped(detail: String)
        /// An earlier run had the same component and inputs; its outputs are this run's.
        case cacheHit(RunID)
        case approved(by: String)
        /// Every child of the parent is over.
        case childrenEnded(Outcome)
        /// The run can never start: its operation cannot be turned into steps.
        case compilationFailed(code: String, message: String)
        /// The scheduler has no room; the reason is for people. `canEver` is false when the node lost what it needs.
        case waiting(reason: String, canEver: Bool)
        case placed(attempt: Int, lease: Lease)
        /// The warden took the plan.
        case accepted(attempt: Int)
        /// Main's program is about to run.
        case mainStarted(attempt: Int)
        /// The warden is gone and never took the plan: nothing ran. `agentEnded` is true when an agent that has ended since
        /// had made it: then it left because of that.
        case neverAccepted(attempt: Int, agentEnded: Bool = false)
        /// The attempt could not be launched: nothing ran. The code is the module's (`sandbox.cgroup-unavailable`).
        case launchFailed(attempt: Int, code: String, message: String)
        /// The attempt cannot be launched now, for want of something that others will give back; it is tried again. The reason
        /// is for people.
        case launchDelayed(attempt: Int, reason: String)
        /// Every step is over, and the step cgroups are empty.
        case ended(attempt: Int, End)
        /// The warden died without saying how the steps ended.
        case wardenLost(attempt: Int, Loss = .warden)
        case stopRequested(by: String)
        /// The attempt takes more than it may, and is ended without a grace period.
        case evicted(attempt: Int, Eviction)
        /// Every device of the lease was looked at, and what main wrote was read.
        case handedBack(attempt: Int, HandBack)
    }

    /// How an attempt ended, as its warden says.
    public struct End: Hashable, Sendable, Codable {
        public var exit: ProcessExit
        public var reason: AttemptReport.AttemptEndReason
        /// Whether the kernel killed something of the deciding step for want of memory.
        public var oomKilled: Bool
        /// How often the deciding step was refused another process or thread by the limit of them.
        public var forksRefused: Int64
        /// Bytes of the deciding step's output that were not kept.
        public var logBytesDropped: Int64
        /// What the program said of its failure; data, for people.
        public var message: String?

        public init(
            exit: ProcessExit, reason: AttemptReport.AttemptEndReason, oomKilled: Bool = false, forksRefused: Int64 = 0,
            logBytesDropped: Int64 = 0, message: String? = nil
        ) {
            self.exit = exit
            self.reason = reason
            self.oomKilled = oomKilled
            self.forksRefused = forksRefused
            self.logBytesDropped = logBytesDropped
            self.message = message
        }
    }

    /// What a warden that left no word was lost with.
    public enum Loss: String, Hashable, Sendable, Codable {
        case warden
        /// The node was started anew since: nothing of the attempt can be alive.
        case node
    }

    /// What was found when an attempt was over.
    public struct HandBack: Hashable, Sendable, Codable {
        /// One for each device of the lease.
        public var verdicts: [DeviceVerdict]
        /// What is wrong with the outputs, if anything is.
        public var outputs: OutputProblem?

        public init(_ verdicts: [DeviceVerdict], outputs: OutputProblem? = nil) {
            self.verdicts = verdicts
            self.outputs = outputs
        }
    }

    /// Why outputs are not what the component declares. It changes no status: Polyaxon checks outputs nowhere, so a run
    /// that it would call succeeded is succeeded.
    public struct OutputProblem: Hashable, Sendable, Codable {
        /// `OutputsMissing`, `OutputsInvalid` or `OutputsUnusable`.
        public var reason: String
        /// Names each output, what it is declared as, and what was found.
        public var message: String

        public init(reason: String, message: String) {
            self.reason = reason
            self.message = message
        }
    }

    /// What was found when a leased device was to be released.
    public struct DeviceVerdict: Hashable, Sendable, Codable {
        public var device: String
        public var verdict: ReleaseVerdict

        public init(_ device: String, _ verdict: ReleaseVerdict) {
            self.device = device
            self.verdict = verdict
        }
    }

    /// Something owed to the world after a transition. With its run it is the key under which it is stored, and it may
    /// be done twice.
    public struct Effect: Hashable, Sendable, Codable {
        public enum Kind: String, Sendable, Codable, CaseIterable {
            /// Give a warden the plan.
            case launch
            /// Ask the warden to stop the steps.
            case requestStop = "request-stop"
            /// Kill the steps at once.
            case evict
            /// Empty the sandbox, verify the devices, read the outputs.
            case handBack = "hand-back"
            /// Decide about each hook and start those that fire.
            case resolveHooks = "resolve-hooks"
            /// Make the children that are due, stop those of a parent that is stopped, end a parent whose children are over.
            case advance
            /// Remove what is left of the sandbox.
            case cleanUp = "clean-up"
        }

        /// 0 when the run never had an attempt.
        public var attempt: Int
        public var kind: Kind

        public init(_ kind: Kind, attempt: Int) {
            self.kind = kind
            self.attempt = attempt
        }
    }

    /// What `decide` answers.
    public enum Decision: Hashable, Sendable {
        case accept(Transition)
        /// The event is late, repeated or beside the point; nothing changes.
        case ignore(Ignored)
        /// The event contradicts what is known: a fault of ours.
        case refuse(Refused)
    }

    /// All that one event changes; stored in one transaction.
    public struct Transition: Hashable, Sendable {
        public var state: State
        public var conditions: [RunCondition]
        public var effects: [Effect]
        public var devices: [DeviceLedger.Move]

        public init(
            _ state: State, conditions: [RunCondition] = [], effects: [Effect] = [], devices: [DeviceLedger.Move] = []
        ) {
            self.state = state
            self.conditions = conditions
            self.effects = effects
            self.devices = devices
        }
    }

    public enum Ignored: String, Hashable, Sendable {
        case alreadyFinished, alreadyEnded, alreadyStopping, alreadyStarted, alreadyWaiting, staleAttempt, notApplicable
    }

    public enum Refused: Hashable, Sendable {
        /// A hand-back that says nothing about a leased device: the lease stays.
        case verdictMissing(device: String)
    }
}

extension Run.OutputProblem {
    /// What the findings about a run's outputs come to; nil when there are none.
    public init?(_ findings: [Diagnostic]) {
        guard !findings.isEmpty else { return nil }
        let isMissing = findings.allSatisfy { $0.code == Inputs.missingOutput }
        self.init(
            reason: isMissing ? "OutputsMissing" : "OutputsInvalid",
            message: findings.map(\.message).joined(separator: " "))
    }
}
