/// Every world that can be reached, the nearest first, so that the first bad one has the shortest story.
struct Exploration {
    struct Failure: Error, CustomStringConvertible {
        var what: String
        var steps: [Step]

        var description: String {
            let lines = steps.enumerated().map { "  \($0.offset + 1). \($0.element)" }
            return ([what] + lines).joined(separator: "\n")
        }
    }

    private(set) var stateCount = 0
    private(set) var stepCount = 0
    /// Worlds in which nothing more happens by itself.
    private(set) var endCount = 0
    private(set) var failure: Failure?
    /// What happened at all.
    private(set) var seen: Set<Step.What> = []

    private let model: Model
    private var known: [[UInt8]: Int32] = [:]
    /// By state: the one it was first reached from, and by which of its steps.
    private var origins: [(state: Int32, step: UInt16)] = []
    private var arrows: [(from: Int32, to: Int32)] = []

    /// Goes on until every world is known or a promise is broken.
    init(of model: Model) {
        self.model = model
        var frontier: [(state: Int32, world: World)] = []
        add(model.initial, from: (-1, 0), to: &frontier)
        while failure == nil, !frontier.isEmpty {
            var next: [(state: Int32, world: World)] = []
            for (state, world) in frontier where failure == nil { expand(state, world, &next) }
            frontier = next
        }
        stateCount = origins.count
        stepCount = arrows.count
        if failure == nil, let state = stateOnCycle() {
            failure = Failure(what: "something goes on for ever and comes to nothing", steps: story(of: state))
        }
    }

    private mutating func expand(
        _ state: Int32, _ world: World, _ frontier: inout [(state: Int32, world: World)]
    ) {
        var isEnd = true
        for (ordinal, successor) in model.successors(of: world).enumerated() {
            switch successor.step.what {
            case .agentKilled, .wardenKilled: break
            case _: isEnd = false
            }
            seen.insert(successor.step.what)
            let to = add(successor.world, from: (state, UInt16(ordinal)), to: &frontier)
            arrows.append((state, to))
            if failure != nil { return }
        }
        guard isEnd else { return }
        endCount += 1
        if let complaint = model.complaint(about: world) { failure = Failure(what: complaint, steps: story(of: state)) }
    }

    /// The number of a world, which is looked at when it is new.
    @discardableResult
    private mutating func add(
        _ world: World, from origin: (state: Int32, step: UInt16), to frontier: inout [(state: Int32, world: World)]
    ) -> Int32 {
        let key = WorldKey(world, model.core).bytes
        if let found = known[key], world.broken == nil { return found }
        let state = Int32(origins.count)
        known[key] = state
        origins.append(origin)
        if let violation = model.violation(in: world) {
            failure = Failure(what: violation, steps: story(of: state))
        }
        frontier.append((state, world))
        return state
    }

    /// The steps that lead to a state, taken once more from the beginning.
    private func story(of state: Int32) -> [Step] {
        var ordinals: [Int] = []
        var current = state
        while origins[Int(current)].state >= 0 {
            ordinals.append(Int(origins[Int(current)].step))
            current = origins[Int(current)].state
        }
        var world = model.initial
        var steps: [Step] = []
        for ordinal in ordinals.reversed() {
            let successor = model.successors(of: world)[ordinal]
            steps.append(successor.step)
            world = successor.world
        }
        return steps
    }

    /// A state that can be reached from itself. Without one, every life ends in a world in which nothing more happens.
    private func stateOnCycle() -> Int32? {
        var incoming = [Int32](repeating: 0, count: origins.count)
        var first = [Int32](repeating: 0, count: origins.count + 1)
        for arrow in arrows {
            incoming[Int(arrow.to)] += 1
            first[Int(arrow.from) + 1] += 1
        }
        for index in 1..<first.count { first[index] += first[index - 1] }
        var targets = [Int32](repeating: 0, count: arrows.count)
        var filled = first
        for arrow in arrows {
            targets[Int(filled[Int(arrow.from)])] = arrow.to
            filled[Int(arrow.from)] += 1
        }
        var open = incoming.indices.filter { incoming[$0] == 0 }.map { Int32($0) }
        while let state = open.popLast() {
            for target in targets[Int(first[Int(state)])..<Int(first[Int(state) + 1])] {
                incoming[Int(target)] -= 1
                if incoming[Int(target)] == 0 { open.append(target) }
            }
        }
        return incoming.firstIndex { $0 > 0 }.map { Int32($0) }
    }
}
