import PostludeCore

/// A model of how runs, wardens and the agent work together, small enough to walk through every order in which their
/// steps can happen and every moment at which one of them can be killed.
///
/// What decides is the code itself: `Run.decide`, `Scheduler.place`, `DeviceLedger.step` and `HookResolution.resolve`.
/// Around them stands what is not pure:
///
/// - the store, whose transactions are one step each (`ModelTransaction` for `Store` and `Transaction`);
/// - the agent (`Model+Launch`, `Model+HandBack`, `Model+Watch`, `Model+Recovery` for the engine's files of these names):
///   lanes of owed effects, watchers, clean-ups, recovery. All that it remembers is gone when it is killed, which may be
///   between any two steps;
/// - wardens (`Model+Warden` for `PostludeWarden`): held, told to start, journal, main, its end. One may be killed between
///   any two steps; what it leaves lives on until the kernel has ended it;
/// - one device, held by the processes of a main that leased it for as long as one of them is there.
///
/// A step that changes nothing but the memory of whoever takes it, and that no step of another can make impossible, is one
/// with the step after it: to be killed in between comes to the same as to be killed before.
///
/// Not modelled: init steps and sidecars (they only lengthen what a warden does between its first record and main's),
/// wardens without a plan (they leave with their agent), pipelines, schedules, evictions, reboots, programs outside runs
/// that have the device, a store that cannot be read or written, time limits other than the deadline of the
/// hand-back, and cgroups as such: a slot is a warden and the processes that it started.
struct Model {
    /// What is submitted, and how often something may go wrong.
    struct Setting: Sendable {
        var name: String
        /// In the order of submission.
        var programs: [Program]
        var agentDeaths: Int
        var wardenDeaths: Int
        /// Stops that somebody asks for; each of any run that is not over.
        var stops: Int
        /// Hand-backs whose deadline passes before all is free.
        var deadlines: Int
        /// Looks for who has the device that fail when an attempt has ended.
        var failedLooks: Int
        /// Journals that cannot be read when a watcher looks for a dead warden's last word.
        var unreadableJournals: Int

        init(
            _ name: String, _ programs: [Program], agentDeaths: Int = 0, wardenDeaths: Int = 0, stops: Int = 0,
            deadlines: Int = 0, failedLooks: Int = 0, unreadableJournals: Int = 0
        ) {
            self.name = name
            self.programs = programs
            self.agentDeaths = agentDeaths
            self.wardenDeaths = wardenDeaths
            self.stops = stops
            self.deadlines = deadlines
            self.failedLooks = failedLooks
            self.unreadableJournals = unreadableJournals
        }
    }

    struct Program: Sendable {
        var needsDevice = true
        /// What main may end with.
        var exits: [Int32] = [0]
        var maxRetries = 0
        var hook: Hook.Trigger?
    }

    /// A fault put into the model, to see that it is found.
    enum Fault: String, CaseIterable, Sendable {
        /// A warden takes the end of its agent for the word to start.
        case startsWithoutWord
        /// A warden starts main's program before it has written its first record.
        case startsBeforeRecord
        /// The end of a warden counts for the attempt, whichever warden the attempt has by now.
        case endOfFormerWarden
        /// A hand-back neither waits for main's processes nor looks who has the device.
        case freesUnseen
        /// Hooks are decided when main's end is known.
        case hooksBeforeHandBack
        /// An effect is taken off the outbox when its performing begins.
        case forgetsBeforeDone
        /// A launch is taken off the outbox whatever the attempt's warden is.
        case completesUnbound
        /// A watcher that sees its warden dead does not look into the journal again.
        case concludesUnread
        /// That a warden took the plan is not stored when the run was asked to stop before.
        case acceptedUnlessStopping
        /// A journal that could not be read counts as one that says nothing.
        case unreadIsUnwritten
        /// A restarted agent does not watch the attempts that it finds.
        case adoptsNothing
        /// A stop of an attempt that has no warden is taken for done.
        case stopsNobody
        /// Recovery takes up attempts, but not what is owed.
        case takesNothingOwed
    }

    /// The program of every hook run.
    static let hookProgram = Program(needsDevice: false)
    static let device = "gpu0"

    let setting: Setting
    let fault: Fault?
    let core: Core

    init(_ setting: Setting, fault: Fault? = nil) {
        self.setting = setting
        self.fault = fault
        core = Core()
    }

    func program(of run: Int) -> Program {
        run < setting.programs.count ? setting.programs[run] : Self.hookProgram
    }

    /// All submitted, in order, to an agent that has nothing to take up.
    var initial: World {
        var world = World(
            agent: Agent(),
            budget: World.Budget(
                agentDeaths: setting.agentDeaths, wardenDeaths: setting.wardenDeaths, stops: setting.stops,
                deadlines: setting.deadlines, failedLooks: setting.failedLooks,
                unreadableJournals: setting.unreadableJournals))
        for program in setting.programs {
            var transaction = ModelTransaction(world, self)
            transaction.insert(program, upstream: nil)
            world = transaction.commit()
        }
        return world
    }

    /// Everything that can happen next, in an order that is always the same.
    func successors(of world: World) -> [(step: Step, world: World)] {
        var found: [(step: Step, world: World)] = []
        if let agent = world.agent {
            if agent.isRecovering {
                found.append(takeUp(world))
            } else {
                for run in agent.lanes.indices { perform(lane: run, world, &found) }
                for owed in agent.cleanUps { cleanUp(owed, world, &found) }
                for watcher in agent.watchers.indices { watch(watcher, world, &found) }
                for leftover in agent.leftovers where !world.wardens[leftover].isGone {
                    found.append(removeLeftover(leftover, world))
                }
                recheck(world, &found)
            }
            if world.budget.stops > 0 {
                for run in world.runs.indices where !core.isFinished(world.runs[run].state) {
                    found.append(askToStop(run, world))
                }
            }
            if world.budget.agentDeaths > 0 { found.append(killAgent(world)) }
        } else {
            found.append(start(world))
        }
        for warden in world.wardens.indices { proceed(warden, world, &found) }
        return found
    }

    /// SIGKILL to the agent: its memory is gone, and its ends of the channels to wardens are closed.
    private func killAgent(_ world: World) -> (Step, World) {
        var next = world
        next.budget.agentDeaths -= 1
        next.agent = nil
        for index in next.wardens.indices where next.wardens[index].channel == .open {
            next.wardens[index].channel = .closed
        }
        return (Step(.agentKilled), next)
    }

    /// `Engine.stop`: one event, whatever else the agent does.
    private func askToStop(_ run: Int, _ world: World) -> (Step, World) {
        var next = world
        next.budget.stops -= 1
        var transaction = ModelTransaction(next, self)
        transaction.apply(.stopRequested(by: "ada"), to: run)
        return (Step(.stopAsked, run), transaction.commit())
    }
}
