import PostludeCore

/// What a round decides about runs that are given in the order of submission; lanes are made of what waits alike.
struct Outcome {
    struct Placement: Equatable {
        var run: RunID
        var lease: Run.Lease
    }

    var placements: [Placement] = []
    var delays: [Scheduler.Delay] = []
    var limits: [String] = []
    var verdicts = 0

    init(of waiting: [Scheduler.Candidate], in round: Scheduler.Round) {
        var round = round
        var lanes: [Scheduler.Lane: [Scheduler.Candidate]] = [:]
        for candidate in waiting { lanes[candidate.lane, default: []].append(candidate) }
        let heads = lanes.values.compactMap(\.first)
        Scheduler.place(heads, in: &round) { candidate in
            lanes[candidate.lane]?.first { $0.number > candidate.number }
        } decided: { candidate, verdict in
            verdicts += 1
            switch verdict {
            case .placed(let lease): placements.append(Placement(run: candidate.run, lease: lease))
            case .delayed(let delay): delays.append(delay)
            case .limited(let words): limits.append(words)
            }
        }
    }
}
