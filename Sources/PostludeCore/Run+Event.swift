extension Run {
    /// Something that happened; facts about an attempt name it, so that late ones are known as such.
    public enum Event: Hashable, Sendable, Codable {
        /// Inputs and conditions are evaluated, and the run may go to the queue.
        case compiled
        /// The operation's condition is false.
        case conditionFalse(detail: String)
        /// The run can never start: its operation cannot be turned into steps.
        case compilationFailed(code: String, message: String)
        /// The scheduler has no room; the reason is for people. `canEver` is false when the node lost what it needs.
        case waiting(reason: String, canEver: Bool)
        case placed(attempt: Int, lease: Lease)
        /// The warden took the plan.
        case accepted(attempt: Int)
        /// Main's program is about to run.
        case mainStarted(attempt: Int)
        /// The warden is gone and never took the plan: nothing ran.
        case neverAccepted(attempt: Int)
        /// The attempt could not be launched: nothing ran. The code is the module's (`sandbox.cgroup-unavailable`).
        case launchFailed(attempt: Int, code: String, message: String)
        /// Every step is over, and the step cgroups are empty.
        case ended(attempt: Int, End)
        /// The warden died without saying how the steps ended.
        case wardenLost(attempt: Int)
        case stopRequested(by: String)
        /// Every device of the lease was looked at.
        case handedBack(attempt: Int, [DeviceVerdict])
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

        public init(
            exit: ProcessExit, reason: AttemptReport.AttemptEndReason, oomKilled: Bool = false, forksRefused: Int64 = 0,
            logBytesDropped: Int64 = 0
        ) {
            self.exit = exit
            self.reason = reason
            self.oomKilled = oomKilled
            self.forksRefused = forksRefused
            self.logBytesDropped = logBytesDropped
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
            /// Empty the sandbox, verify the devices, read the outputs.
            case handBack = "hand-back"
            /// Decide about each hook and start those that fire.
            case resolveHooks = "resolve-hooks"
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
