import PostludeCore

/// The code's own decisions, with the states of runs by number: a number is copied and compared much faster, and each
/// decision is made once.
final class Core {
    struct Decided {
        var state: Int
        var effects: [Run.Effect]
        var moves: [DeviceLedger.Move]
    }

    enum Decision {
        case accepted(Decided)
        case ignored
        case refused(String)
    }

    private struct Question: Hashable {
        var state: Int
        var event: Run.Event
    }

    private struct Waiting: Hashable {
        var runs: [Attempt]
        var devices: [Bool]
        var holding: Int
        var isIdle: Bool
    }

    private(set) var states: [Run.State] = []
    private var numbers: [Run.State: Int] = [:]
    private var decisions: [Question: Decision] = [:]
    private var placements: [Waiting: [(run: Int, event: Run.Event)]] = [:]
    private var hooks: [RunStatus: [Hook.Trigger: HookRecord.Outcome]] = [:]
    private let ids: [RunID]

    init() {
        var generator = SplitMix(state: 1)
        ids = (0..<16).map { _ in RunID.random(using: &generator) }
    }

    func number(of state: Run.State) -> Int {
        if let known = numbers[state] { return known }
        numbers[state] = states.count
        states.append(state)
        return states.count - 1
    }

    func isFinished(_ state: Int) -> Bool { states[state].status.isFinal }

    func decide(_ state: Int, _ event: Run.Event) -> Decision {
        let question = Question(state: state, event: event)
        if let known = decisions[question] { return known }
        let decision: Decision =
            switch Run.decide(states[state], event, at: .zero) {
            case .accept(let transition):
                .accepted(
                    Decided(
                        state: number(of: transition.state), effects: transition.effects, moves: transition.devices))
            case .ignore: .ignored
            case .refuse(let refused): .refused("\(refused)")
            }
        decisions[question] = decision
        return decision
    }

    /// The scheduler's verdicts about runs that wait, in the order of submission, as the events they are.
    ///
    /// - Parameters:
    ///   - hooks: which of the runs are hook runs.
    ///   - holding: how many other runs hold part of the node; there is room for many more.
    func place(
        _ waiting: [(attempt: Attempt, needsDevice: Bool, isHook: Bool)], holding: Int, isIdle: Bool
    ) -> [(run: Int, event: Run.Event)] {
        let key = Waiting(
            runs: waiting.map(\.attempt), devices: waiting.map(\.needsDevice), holding: holding, isIdle: isIdle)
        if let known = placements[key] { return known }
        let candidates = waiting.map { run in
            Scheduler.Candidate(
                lane: Scheduler.Lane(
                    queue: "default", isHook: run.isHook,
                    needs: Scheduler.Needs(devices: run.needsDevice ? ["gpu": 1] : [:], memoryBytes: 1, milliCPU: 1)),
                run: ids[run.attempt.run], number: Int64(run.attempt.run), attempt: run.attempt.number)
        }
        let capacity = Scheduler.Capacity(
            memoryBytes: 100, milliCPU: 100, freeMemoryBytes: Int64(100 - holding), freeMilliCPU: Int64(100 - holding),
            devices: ["gpu": 1], idle: isIdle ? ["gpu": [Model.device]] : [:])
        var round = Scheduler.Round(capacity, at: .zero)
        var heads: [Scheduler.Candidate] = []
        for candidate in candidates where !heads.contains(where: { $0.lane == candidate.lane }) {
            heads.append(candidate)
        }
        var events: [(run: Int, event: Run.Event)] = []
        Scheduler.place(heads, in: &round) { head in
            candidates.first { $0.lane == head.lane && $0.number > head.number }
        } decided: { candidate, verdict in
            let event: Run.Event =
                switch verdict {
                case .placed(let lease): .placed(attempt: candidate.attempt, lease: lease)
                case .delayed(let delay): .waiting(reason: delay.words, canEver: delay.canEver)
                case .limited(let words): .waiting(reason: words, canEver: true)
                }
            events.append((Int(candidate.number), event))
        }
        placements[key] = events
        return events
    }

    /// The device after a move; nil when the ledger forbids it.
    func step(_ device: World.DeviceRow, _ move: DeviceLedger.Move, of run: Int) -> World.DeviceRow? {
        let open = DeviceLedger.Interval(
            device: Model.device, state: device.state,
            holder: device.holder.map { AttemptID(run: ids[$0.run], number: $0.number) }, began: .zero)
        do throws(DeviceLedger.Violation) {
            let opened = try DeviceLedger.step(open, move, of: ids[run], at: .zero).opened
            return World.DeviceRow(
                state: opened.state,
                holder: opened.holder.flatMap { holder in
                    ids.firstIndex(of: holder.run).map { Attempt(run: $0, number: holder.number) }
                })
        } catch {
            return nil
        }
    }

    /// What becomes of a hook with this trigger when its main has ended like this.
    func outcome(of trigger: Hook.Trigger, after status: RunStatus) -> HookRecord.Outcome? {
        if let known = hooks[status]?[trigger] { return known }
        let main = HookResolution.MainContext(
            id: ids[0], name: "main", project: "model", owner: "ada", status: status,
            condition: RunCondition(status: status, reason: "Model", at: .zero))
        let hook = Hook(
            name: "hook", origin: "inline",
            component: Component(job: JobSpec(container: ContainerSpec(command: ["/bin/true"]))), trigger: trigger)
        let outcome = HookResolution.resolve([hook], main: main).first?.outcome
        hooks[status, default: [:]][trigger] = outcome
        return outcome
    }
}

extension Timestamp {
    static let zero = Timestamp(microseconds: 0)
}

/// The same numbers each time.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
