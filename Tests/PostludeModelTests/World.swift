import PostludeCore

/// One state of everything: what is on disk, which processes are there, and what the agent remembers.
struct World {
    var runs: [RunRow] = []
    var outbox: [Owed] = []
    var sequence = 0
    var device = DeviceRow()
    var wardens: [Warden] = []
    /// Nil while no agent runs.
    var agent: Agent?
    var budget: Budget
    /// A promise that was broken on the way here.
    var broken: String?

    struct Budget: Hashable {
        var agentDeaths: Int
        var wardenDeaths: Int
        var stops: Int
        var deadlines: Int
        var failedLooks: Int
        var unreadableJournals: Int
    }

    /// The open interval of the device's ledger.
    struct DeviceRow: Hashable {
        var state = DeviceLedger.State.idle
        var holder: Attempt?
    }
}

/// By the run's position.
struct Attempt: Hashable {
    var run: Int
    var number: Int
}

/// A row of `runs` with its attempts and its hook.
struct RunRow {
    /// See `Core`.
    var state: Int
    var upstream: Int?
    var attempts: [AttemptRow] = []
    /// Nil without a hook, or before it is decided.
    var hookOutcome: HookRecord.Outcome?
}

/// A row of `attempts` with the attempt's directory.
struct AttemptRow {
    /// Which of `World.wardens` it has.
    var warden: Int?
    var hasAccepted = false
    var journalNext = 0
    /// The file. All wardens of an attempt write to the same.
    var journal: [Record] = []
    /// How often its main was started: what the store does not know.
    var starts = 0
    /// Whether its hand-back went on although not all was free.
    var isGivenUp = false
}

/// What a warden writes down, as far as it matters to the agent.
enum Record: Hashable {
    case accepted, mainStarted
    /// With nil for a stop that was asked for.
    case ended(Int32?)
}

/// A row of the outbox.
struct Owed: Hashable {
    var sequence: Int
    var run: Int
    var effect: Run.Effect

    var attempt: Attempt { Attempt(run: run, number: effect.attempt) }
}

/// A warden and the processes in its slot.
struct Warden {
    enum Stage: Hashable {
        /// It has a plan, and main's first process waits for the end of the hold.
        case held
        /// That it took the plan is in the journal.
        case accepted
        /// That main starts is in the journal.
        case announced
        case running
        /// Main's last process is gone.
        case ended(Int32?)
    }

    /// The control channel as the warden sees it.
    enum Channel: Hashable {
        case open, started, closed
    }

    enum Main: Hashable {
        case none
        /// Its first process, which has run nothing of the plan.
        case parked
        /// Processes of its program, which have the device if it was granted.
        case running
    }

    var attempt: Attempt
    var hasDevice: Bool
    var stage = Stage.held
    var channel = Channel.open
    var main = Main.none
    var isAlive = true
    /// SIGTERM.
    var isAskedToStop = false

    var isGone: Bool { !isAlive && main == .none }
}

/// What an agent remembers.
struct Agent {
    var isRecovering = false
    /// By run.
    var lanes: [Lane] = []
    var cleanUps: [Owed] = []
    var watchers: [Watcher] = []
    /// Wardens that a former agent made.
    var inherited: [Int] = []
    /// Wardens whose slots nobody claimed at the start.
    var leftovers: [Int] = []

    mutating func take(_ effects: [Owed]) {
        for owed in effects {
            if owed.effect.kind == .cleanUp {
                if !cleanUps.contains(owed) { cleanUps.append(owed) }
            } else if !lanes[owed.run].queue.contains(owed) {
                lanes[owed.run].queue.append(owed)
            }
        }
    }

    mutating func watch(_ attempt: Attempt, _ warden: Int) {
        guard !watchers.contains(where: { $0.warden == warden }) else { return }
        watchers.append(Watcher(attempt: attempt, warden: warden))
    }

    mutating func stopWatching(_ watcher: Int) {
        let warden = watchers.remove(at: watcher).warden
        inherited.removeAll { $0 == warden }
    }
}

/// Effects of one run, of which the first is being performed.
struct Lane {
    var queue: [Owed] = []
    var position = Position.begin

    /// How far the first effect is, with what was learnt on the way.
    enum Position: Hashable {
        case begin
        /// The launch is done with a warden that the attempt has already, and that is to be watched.
        case adopted(Int)
        /// The plan is sent, and nobody has the device.
        case sent(Int)
        case bound(Int)
        case startSent(Int)
        /// Waits for the warden's end; then the launch begins anew or is refused.
        case lettingGo(Int, isRefused: Bool)
        /// SIGTERM was sent.
        case stopSent
        /// The steps are killed.
        case emptying
    }

    mutating func finish() {
        queue.removeFirst()
        position = .begin
    }
}

/// Follows one warden's journal and its end.
struct Watcher {
    var attempt: Attempt
    var warden: Int
    var next = 0
    /// The warden is dead and has left no last word.
    var isConcluding = false
    /// Nobody could read its last word.
    var isUnread = false
}

/// What happened from one state to the next.
struct Step: CustomStringConvertible {
    enum What: String, CaseIterable {
        case agentStarts = "a new agent starts"
        case agentKilled = "the agent is killed"
        case takenUp = "recovery takes what is owed, and watches the attempts that it finds"
        case leftoverKilled = "a slot that nobody claims is killed"
        case stopAsked = "somebody asks to stop"
        case completed = "an effect that came to nothing is taken off the outbox"
        case refused = "the launch is refused"
        case reservedDied = "the reserved warden dies, and the launch is refused"
        case sent = "a warden is reserved, and the held plan sent"
        case bound = "the warden is bound in the store"
        case unbound = "the store refuses the warden"
        case startSent = "the word to start is sent, and the warden watched"
        case launchDone = "the launch is taken off the outbox"
        case launchAgain = "the launch begins anew"
        case watched = "the warden that was found is watched"
        case stopSent = "SIGTERM is sent"
        case stepsKilled = "the hand-back kills what is left"
        case deadlinePassed = "the hand-back's deadline passes"
        case handedBack = "the hand-back finds all free, which is stored"
        case hooksDecided = "the hooks are decided"
        case cleanedUp = "the attempt is cleaned up"
        case cleared = "the quarantined device is found free"
        case reportsStored = "the watcher stores what the journal says"
        case endStored = "the watcher finds all free, and stores the end with the hand-back"
        case lastReportsStored = "the watcher sees the warden dead, and stores what the journal says"
        case deathSeen = "the watcher sees the warden dead, and no news"
        case journalUnreadable = "the watcher sees the warden dead, and cannot read the journal"
        case deathStored = "the warden's end is stored"
        case wardenKilled = "the warden is killed"
        case wardenLeaves = "the warden leaves"
        case acceptedWritten = "the warden writes that it took the plan"
        case startWritten = "the warden writes that main starts"
        case mainStarted = "main's program starts"
        case mainEnded = "main's program ends"
        case mainStopped = "main is stopped"
        case endWritten = "the warden writes how main ended, and leaves"
        case leftEnded = "the kernel ends what the warden left"
    }

    var what: What
    var run: Int?
    var warden: Int?

    init(_ what: What, _ run: Int? = nil, warden: Int? = nil) {
        self.what = what
        self.run = run
        self.warden = warden
    }

    var description: String {
        (run.map { "run \($0): " } ?? "") + what.rawValue + (warden.map { " (warden \($0))" } ?? "")
    }
}
