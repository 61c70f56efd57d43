import PostludeCore

/// One write of the store: `Store.transact` with `Transaction`. What it comes to owe is taken by the agent at the end, as
/// all of the engine's callers do.
struct ModelTransaction {
    private(set) var world: World
    private let model: Model
    private var owed: [Owed] = []
    private var needsPass = false

    init(_ world: World, _ model: Model) {
        self.world = world
        self.model = model
    }

    /// Places whoever may start now, and lets the agent take what is owed.
    mutating func commit() -> World {
        if needsPass { place() }
        world.agent?.take(owed)
        return world
    }

    /// `Transaction.insert`.
    mutating func insert(_ program: Model.Program, upstream: Int?) {
        let created = Run.State.created(Run.Terms(maxRetries: program.maxRetries))
        world.runs.append(RunRow(state: model.core.number(of: created), upstream: upstream))
        world.agent?.lanes.append(Lane())
        apply(.compiled, to: world.runs.count - 1)
    }

    /// `Transaction.apply` and `store`. Returns the effects that the run came to owe; nil when nothing changed.
    @discardableResult
    mutating func apply(_ event: Run.Event, to run: Int) -> [Run.Effect]? {
        let before = world.runs[run].state
        switch model.core.decide(before, event) {
        case .ignored: return nil
        case .refused(let why):
            world.broken = "a contradiction: \(why)"
            return nil
        case .accepted(let decided):
            if model.core.isFinished(before) { world.broken = "P3: a final status changes" }
            world.runs[run].state = decided.state
            note(event, of: run)
            for move in decided.moves { apply(move, of: run) }
            for effect in decided.effects { owe(effect, of: run) }
            let state = model.core.states[decided.state]
            switch state.phase {
            case .queued:
                if case .waiting = event { break }
                needsPass = true
            case .finished: needsPass = true
            case .processing:
                if model.fault == .hooksBeforeHandBack, case .processing(_, let ending) = state,
                    case .finish(let outcome) = ending.next
                {
                    decideHook(of: run, after: outcome.status)
                }
            case .created, .held, .pipeline, .launching, .starting, .running, .stopping: break
            }
            return decided.effects
        }
    }

    private mutating func note(_ event: Run.Event, of run: Int) {
        switch event {
        case .placed: world.runs[run].attempts.append(AttemptRow())
        case .neverAccepted(let attempt, _): world.runs[run].attempts[attempt - 1].warden = nil
        case .compiled, .conditionFalse, .compilationFailed, .upstreamFailed, .upstreamSkipped, .cacheHit, .approved,
            .childrenEnded, .waiting, .accepted, .mainStarted, .launchFailed, .launchDelayed, .ended, .wardenLost,
            .stopRequested, .evicted, .handedBack:
            break
        }
    }

    private mutating func apply(_ move: DeviceLedger.Move, of run: Int) {
        guard let device = model.core.step(world.device, move, of: run) else {
            world.broken = "P2: the ledger forbids \(move) of run \(run)"
            return
        }
        world.device = device
        switch move {
        case .free, .clear: needsPass = true
        case .lease, .beginRelease, .quarantine: break
        }
    }

    mutating func clearDevice(of run: Int) { apply(.clear(device: Model.device), of: run) }

    /// What is owed already is owed anew, under another number.
    mutating func owe(_ effect: Run.Effect, of run: Int) {
        world.outbox.removeAll { $0.run == run && $0.effect == effect }
        world.sequence += 1
        let row = Owed(sequence: world.sequence, run: run, effect: effect)
        world.outbox.append(row)
        owed.append(row)
    }

    mutating func complete(_ done: Owed) { world.outbox.removeAll { $0.sequence == done.sequence } }

    /// Takes an effect off the outbox whoever came to owe it since.
    mutating func forget(_ done: Owed) { world.outbox.removeAll { $0.run == done.run && $0.effect == done.effect } }

    /// Takes back what this very transaction came to owe.
    private mutating func fulfil(_ effect: Run.Effect, of run: Int) {
        for done in owed where done.run == run && done.effect == effect { complete(done) }
        owed.removeAll { $0.run == run && $0.effect == effect }
    }

    mutating func requestPass() { needsPass = true }

    /// `Transaction.place`.
    private mutating func place() {
        needsPass = false
        var waiting: [(attempt: Attempt, needsDevice: Bool, isHook: Bool)] = []
        var holding = 0
        for (run, row) in world.runs.enumerated() {
            let state = model.core.states[row.state]
            if case .queued(let queued) = state {
                waiting.append(
                    (
                        Attempt(run: run, number: queued.attempt), model.program(of: run).needsDevice,
                        row.upstream != nil
                    ))
            }
            if state.active != nil { holding += 1 }
        }
        guard !waiting.isEmpty else { return }
        for (run, event) in model.core.place(waiting, holding: holding, isIdle: world.device.state == .idle) {
            apply(event, to: run)
        }
        needsPass = false
    }

    // MARK: attempts

    /// `Store.bind`; nil when it is done.
    mutating func bind(_ attempt: Attempt, warden: Int) -> Lane.Position? {
        let state = model.core.states[world.runs[attempt.run].state]
        guard case .launching(let active) = state, active.attempt == attempt.number else {
            return .lettingGo(warden, isRefused: true)
        }
        guard world[attempt].warden == nil else { return .lettingGo(warden, isRefused: false) }
        world[attempt].warden = warden
        world[attempt].journalNext = 0
        return nil
    }

    /// `Store.completeLaunch`.
    mutating func completeLaunch(_ done: Owed, boundTo warden: Int) -> Bool {
        if model.fault == .completesUnbound {
            forget(done)
            return true
        }
        guard world[done.attempt].warden == warden else { return false }
        complete(done)
        return true
    }

    /// `Store.wardenEnded`.
    mutating func wardenEnded(_ warden: Int, of attempt: Attempt, agentEnded: Bool, journalRead: Bool) {
        guard world[attempt].warden == warden || model.fault == .endOfFormerWarden else { return }
        apply(
            world[attempt].hasAccepted || !journalRead && model.fault != .unreadIsUnwritten
                ? .wardenLost(attempt: attempt.number)
                : .neverAccepted(attempt: attempt.number, agentEnded: agentEnded),
            to: attempt.run)
    }

    /// `Store.oweWhatIsMissing`; an agent that wrote all it owed finds nothing.
    mutating func oweWhatIsMissing() {
        for (run, row) in world.runs.enumerated() {
            let state = model.core.states[row.state]
            let kind: Run.Effect.Kind
            switch state.phase {
            case .launching: kind = .launch
            case .stopping: kind = .requestStop
            case .created, .held, .queued, .pipeline, .starting, .running, .processing, .finished: continue
            }
            guard let active = state.active else { continue }
            let effect = Run.Effect(kind, attempt: active.attempt)
            guard row.attempts[active.attempt - 1].warden == nil,
                !world.outbox.contains(where: { $0.run == run && $0.effect == effect })
            else { continue }
            world.broken = "P4: run \(run) waits for \(kind.rawValue), which nobody owes"
            owe(effect, of: run)
        }
    }

    /// `Store.record` of what a watcher has read up to `count`, with what it found free.
    mutating func record(_ watcher: Watcher, upTo count: Int, isFree: Bool) {
        let attempt = watcher.attempt
        let first = max(watcher.next, world[attempt].journalNext)
        guard first < count else { return }
        var hasEnded = false
        for report in world[attempt].journal[first..<count] {
            switch report {
            case .accepted:
                let isTaken = apply(.accepted(attempt: attempt.number), to: attempt.run) != nil
                if isTaken || model.fault != .acceptedUnlessStopping { world[attempt].hasAccepted = true }
            case .mainStarted: apply(.mainStarted(attempt: attempt.number), to: attempt.run)
            case .ended(let code):
                hasEnded = true
                apply(.ended(attempt: attempt.number, Run.End(code)), to: attempt.run)
            }
        }
        world[attempt].journalNext = count
        guard hasEnded, isFree, case .processing(let active, _) = model.core.states[world.runs[attempt.run].state],
            active.attempt == attempt.number
        else { return }
        if handBack(attempt, isFree: true) { fulfil(Run.Effect(.handBack, attempt: attempt.number), of: attempt.run) }
    }

    // MARK: hand-back and hooks

    /// `Transaction.handBack`: whether it was taken.
    @discardableResult
    mutating func handBack(_ attempt: Attempt, isFree: Bool) -> Bool {
        let state = model.core.states[world.runs[attempt.run].state]
        let devices = state.active?.lease.devices ?? []
        let verdicts = devices.map { Run.DeviceVerdict($0, isFree ? .free : .held([])) }
        let event = Run.Event.handedBack(attempt: attempt.number, Run.HandBack(verdicts))
        guard let effects = apply(event, to: attempt.run) else { return false }
        let hooks = Run.Effect(.resolveHooks, attempt: attempt.number)
        if effects.contains(hooks) {
            decideHook(of: attempt.run, after: model.core.states[world.runs[attempt.run].state].status)
            fulfil(hooks, of: attempt.run)
        }
        return true
    }

    /// `Transaction.take`: a hook that has an outcome keeps it.
    mutating func decideHook(of run: Int, after status: RunStatus) {
        guard let trigger = model.program(of: run).hook,
            world.runs[run].hookOutcome == nil,
            let outcome = model.core.outcome(of: trigger, after: status)
        else { return }
        world.runs[run].hookOutcome = outcome
        if outcome == .fired { insert(Model.hookProgram, upstream: run) }
    }
}

extension World {
    subscript(attempt: Attempt) -> AttemptRow {
        get { runs[attempt.run].attempts[attempt.number - 1] }
        set { runs[attempt.run].attempts[attempt.number - 1] = newValue }
    }
}

extension Run.End {
    /// As the warden says it; nil for a stop.
    init(_ code: Int32?) {
        if let code {
            self.init(exit: .code(code), reason: .mainExited)
        } else {
            self.init(exit: .signal(15, coreDumped: false), reason: .stopRequested)
        }
    }
}
