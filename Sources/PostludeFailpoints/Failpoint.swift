/// A named place in the agent at which a test can have it die, exactly as `kill -9` would end it.
///
/// Off, which it is unless `POSTLUDE_FAILPOINT` was set when the agent started, a place costs one relaxed load.
public enum Failpoint: Hashable, Sendable {
    /// All of the commit is written, and nothing of it is committed.
    case before(Commit)
    /// It is on disk, and nobody knows yet.
    case after(Commit)
    case at(Place)

    /// Around the effects, in the order of a run's life. Each is named after what has just been done, or `…-due` where
    /// nothing of it has been.
    public enum Place: String, CaseIterable, Sendable {
        // MARK: wardens

        /// The slot's cgroups are made; there is no process yet.
        case slotMade = "slot-made"
        /// The warden's process is there, and was told nothing.
        case wardenSpawned = "warden-spawned"
        /// It is prepared and waits in the pool or for its plan.
        case wardenReady = "warden-ready"
        /// A warden that is not wanted was let go; its slot is still there.
        case wardenDismissed = "warden-dismissed"

        // MARK: launch

        /// The launch is to be done.
        case launchDue = "launch-due"
        /// The attempt's directories are made.
        case directoriesMade = "directories-made"
        /// A warden is the attempt's, and nothing says so.
        case wardenReserved = "warden-reserved"
        /// The warden has the plan, and sets the steps up; no program may start.
        case planSent = "plan-sent"
        /// Who had the leased devices before is known, and not yet written down.
        case baselineTaken = "baseline-taken"
        /// The warden is bound; its programs were not let go.
        case startDue = "start-due"
        /// The programs were let go; the launch is still owed.
        case started

        // MARK: while it runs

        /// The journal's reports are read, and not stored.
        case journalRead = "journal-read"
        case stopDue = "stop-due"
        /// The warden was asked to stop; that is still owed.
        case stopSent = "stop-sent"
        case evictDue = "evict-due"
        /// The steps were killed for what they took of the disk; that is still owed.
        case evicted

        // MARK: hand-back

        case handBackDue = "hand-back-due"
        /// The device filters deny all.
        case devicesRevoked = "devices-revoked"
        /// What was left in the steps' cgroups was killed, and may still be there.
        case stepsKilled = "steps-killed"
        /// The devices were looked at; the verdict is not stored.
        case devicesVerified = "devices-verified"
        /// The outputs and the artifacts' size are read, and not stored.
        case outputsRead = "outputs-read"
        /// What becomes of the hooks is decided, in the transaction that ends their main or by the owed effect.
        case hooksDecided = "hooks-decided"
        case hooksDue = "hooks-due"
        case advanceDue = "advance-due"

        // MARK: afterwards

        case cleanUpDue = "clean-up-due"
        /// The attempt's cgroups are removed; that is still owed.
        case cgroupsRemoved = "cgroups-removed"
        /// The artifacts are measured; their size is not stored.
        case artifactsMeasured = "artifacts-measured"

        // MARK: start of the agent

        /// The database is open, and nothing was taken up.
        case recoveryDue = "recovery-due"
        /// What is owed is known again, and no attempt is watched.
        case effectsTaken = "effects-taken"
        /// Attempts of a former agent are watched again.
        case attemptsAdopted = "attempts-adopted"
        /// One slot that nobody claims is removed.
        case leftoverRemoved = "leftover-removed"
    }

    /// Every place, in the order of `Commit` and `Place`.
    public static let all: [Failpoint] =
        Commit.allCases.flatMap { [.before($0), .after($0)] } + Place.allCases.map { .at($0) }

    /// `before:bind`, `after:bind`, `launch-due`.
    public var name: String {
        switch self {
        case .before(let commit): "before:\(commit.rawValue)"
        case .after(let commit): "after:\(commit.rawValue)"
        case .at(let place): place.rawValue
        }
    }

    public init?(name: String) {
        guard let found = Failpoint.all.first(where: { $0.name == name }) else { return nil }
        self = found
    }

    /// Ends the process here, if this is the place and the time it was told to end at.
    @inline(__always) public static func reach(_ point: @autoclosure () -> Failpoint) {
        if Armed.isOn.load(ordering: .relaxed) { Armed.reach(point()) }
    }

    /// `reach(.at(place))`.
    @inline(__always) public static func reach(_ place: Place) { reach(.at(place)) }
}
