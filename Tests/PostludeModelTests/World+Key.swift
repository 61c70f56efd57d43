import PostludeCore

/// What makes two worlds the same: all that has a part in what can happen next, and no more. Numbers of wardens and of
/// rows of the outbox are replaced by their order, and of what is over for good only that remains.
struct WorldKey {
    private(set) var bytes: [UInt8] = []
    private let world: World
    private let core: Core
    private var wardens: [Int: UInt8] = [:]
    private var sequences: [Int: UInt8] = [:]

    init(_ world: World, _ core: Core) {
        self.world = world
        self.core = core
        bytes.reserveCapacity(160)
        let overs = world.runs.indices.map { run in world.runs[run].attempts.indices.map { isOver($0, of: run) } }
        numberWardens(overs)
        let lanes = world.agent?.lanes ?? []
        let all = world.outbox + lanes.flatMap(\.queue) + (world.agent?.cleanUps ?? [])
        for sequence in Set(all.map(\.sequence)).sorted() { sequences[sequence] = UInt8(sequences.count) }
        addBudget()
        for run in world.runs.indices { add(run: run, overs[run]) }
        bytes.append(255)
        for owed in world.outbox { add(owed) }
        bytes.append(255)
        for index in wardens.keys.sorted() { add(warden: world.wardens[index]) }
        if let agent = world.agent { add(agent) }
    }

    /// Whether nothing follows from the attempt any more.
    private func isOver(_ index: Int, of run: Int) -> Bool {
        let row = world.runs[run]
        guard core.isFinished(row.state) || index < row.attempts.count - 1 else { return false }
        let attempt = Attempt(run: run, number: index + 1)
        if world.outbox.contains(where: { $0.attempt == attempt }) { return false }
        if world.wardens.contains(where: { $0.attempt == attempt && !$0.isGone }) { return false }
        guard let agent = world.agent else { return true }
        return !agent.cleanUps.contains { $0.attempt == attempt } && !agent.watchers.contains { $0.attempt == attempt }
            && !agent.lanes[run].queue.contains { $0.attempt == attempt }
    }

    private mutating func numberWardens(_ overs: [[Bool]]) {
        var kept = Set(world.wardens.indices.filter { !world.wardens[$0].isGone })
        for (run, row) in world.runs.enumerated() {
            for (index, attempt) in row.attempts.enumerated() where !overs[run][index] {
                if let warden = attempt.warden { kept.insert(warden) }
            }
        }
        if let agent = world.agent {
            kept.formUnion(agent.watchers.map(\.warden))
            kept.formUnion(agent.lanes.compactMap(\.position.warden))
        }
        for index in kept.sorted() { wardens[index] = UInt8(wardens.count) }
    }

    private mutating func addBudget() {
        let budget = world.budget
        for count in [
            budget.agentDeaths, budget.wardenDeaths, budget.stops, budget.deadlines,
            budget.failedLooks, budget.unreadableJournals,
        ] { add(count) }
        switch world.device.state {
        case .idle: bytes.append(0)
        case .allocated: bytes.append(1)
        case .releasing: bytes.append(2)
        case .quarantined: bytes.append(3)
        }
        add(world.device.holder)
    }

    private mutating func add(run: Int, _ overs: [Bool]) {
        let row = world.runs[run]
        add(row.upstream ?? 254)
        switch row.hookOutcome {
        case nil: bytes.append(0)
        case .fired: bytes.append(1)
        case .triggerMismatch: bytes.append(2)
        case .conditionFalse: bytes.append(3)
        case .error: bytes.append(4)
        }
        // How a run ended matters to its hooks alone.
        let isDecided = row.hookOutcome != nil || !world.outbox.contains { $0.run == run }
        if core.isFinished(row.state), isDecided {
            bytes.append(255)
        } else {
            add(row.state & 0xff)
            add(row.state >> 8)
        }
        for (index, attempt) in row.attempts.enumerated() {
            guard !overs[index] else {
                bytes.append(254)
                continue
            }
            add(warden: attempt.warden)
            add(attempt.starts)
            add((attempt.hasAccepted ? 1 : 0) + (attempt.isGivenUp ? 2 : 0))
            add(attempt.journalNext)
            for record in attempt.journal { add(record) }
            bytes.append(253)
        }
        bytes.append(252)
    }

    private mutating func add(_ record: Record) {
        switch record {
        case .accepted: bytes.append(1)
        case .mainStarted: bytes.append(2)
        case .ended(let code):
            bytes.append(3)
            add(code)
        }
    }

    private mutating func add(_ owed: Owed) {
        bytes.append(sequences[owed.sequence] ?? 254)
        add(owed.run)
        add(owed.effect.attempt)
        switch owed.effect.kind {
        case .launch: bytes.append(0)
        case .requestStop: bytes.append(1)
        case .evict: bytes.append(2)
        case .handBack: bytes.append(3)
        case .resolveHooks: bytes.append(4)
        case .advance: bytes.append(5)
        case .cleanUp: bytes.append(6)
        }
    }

    private mutating func add(warden: Warden) {
        add(warden.attempt)
        guard !warden.isGone else { return bytes.append(255) }
        switch warden.main {
        case .none: bytes.append(0)
        case .parked: bytes.append(1)
        case .running: bytes.append(2)
        }
        add((warden.hasDevice ? 1 : 0) + (warden.isAlive ? 2 : 0) + (warden.isAskedToStop ? 4 : 0))
        guard warden.isAlive else { return }
        switch warden.channel {
        case .open: bytes.append(0)
        case .started: bytes.append(1)
        case .closed: bytes.append(2)
        }
        switch warden.stage {
        case .held: bytes.append(1)
        case .accepted: bytes.append(3)
        case .announced: bytes.append(4)
        case .running: bytes.append(5)
        case .ended(let code):
            bytes.append(6)
            add(code)
        }
    }

    private mutating func add(_ agent: Agent) {
        bytes.append(agent.isRecovering ? 1 : 0)
        for lane in agent.lanes {
            for owed in lane.queue { add(owed) }
            add(lane.position)
        }
        bytes.append(255)
        for owed in agent.cleanUps { add(owed) }
        bytes.append(255)
        for watcher in agent.watchers {
            add(watcher.attempt)
            add(warden: watcher.warden)
            add(watcher.next)
            add(
                (watcher.isConcluding ? watcher.isUnread ? 5 : 1 : 0)
                    + (agent.inherited.contains(watcher.warden) ? 2 : 0))
        }
        bytes.append(255)
        for leftover in agent.leftovers where !world.wardens[leftover].isGone { add(warden: leftover) }
    }

    private mutating func add(_ position: Lane.Position) {
        let number: UInt8 =
            switch position {
            case .begin: 0
            case .adopted: 1
            case .sent: 2
            case .bound: 3
            case .startSent: 4
            case .lettingGo(_, let isRefused): isRefused ? 5 : 6
            case .stopSent: 7
            case .emptying: 8
            }
        bytes.append(number)
        if let warden = position.warden { add(warden: warden) }
    }

    private mutating func add(_ number: Int) { bytes.append(UInt8(truncatingIfNeeded: number)) }

    private mutating func add(_ code: Int32?) { bytes.append(code.map { UInt8(truncatingIfNeeded: $0) } ?? 254) }

    private mutating func add(warden index: Int?) { bytes.append(index.flatMap { wardens[$0] } ?? 254) }

    private mutating func add(_ attempt: Attempt?) {
        add(attempt?.run ?? 254)
        add(attempt?.number ?? 254)
    }
}

extension Lane.Position {
    /// The warden that it is about.
    var warden: Int? {
        switch self {
        case .adopted(let warden), .sent(let warden), .bound(let warden), .startSent(let warden),
            .lettingGo(let warden, _):
            warden
        case .begin, .stopSent, .emptying: nil
        }
    }
}
