extension Scheduler {
    /// Runs that wait alike. Of a lane only the first run is looked at: while it has to wait, so have those behind it.
    public struct Lane: Hashable, Sendable {
        public var queue: String
        public var isHook: Bool
        public var uid: UInt32
        public var user: String
        public var needs: Needs
        /// Seconds that an attempt may take; nil for as long as it likes.
        public var timeoutSeconds: Double?

        public init(
            queue: String, isHook: Bool = false, uid: UInt32 = 0, user: String = "", needs: Needs,
            timeoutSeconds: Double? = nil
        ) {
            self.queue = queue
            self.isHook = isHook
            self.uid = uid
            self.user = user
            self.needs = needs
            self.timeoutSeconds = timeoutSeconds
        }
    }

    /// The first run of a lane.
    public struct Candidate: Hashable, Sendable {
        public var lane: Lane
        public var run: RunID
        /// In the order of submission.
        public var number: Int64
        public var attempt: Int

        public init(lane: Lane, run: RunID, number: Int64, attempt: Int = 1) {
            self.lane = lane
            self.run = run
            self.number = number
            self.attempt = attempt
        }
    }

    /// A run that holds part of the node.
    public struct Holding: Hashable, Sendable {
        public var queue: String
        public var isHook: Bool
        public var uid: UInt32
        public var devices: Int

        public init(queue: String, isHook: Bool, uid: UInt32, devices: Int) {
            self.queue = queue
            self.isHook = isHook
            self.uid = uid
            self.devices = devices
        }
    }

    public enum Verdict: Hashable, Sendable {
        case placed(Run.Lease)
        /// It waits for what others hold; what is free of it is kept aside.
        case delayed(Delay)
        /// A limit of its user or queue, or a maintenance window, keeps it from starting: nothing is kept aside for it.
        case limited(String)
    }

    /// One walk along the lanes, in the order in which they have a claim.
    public struct Round {
        private let rules: SchedulingRules
        private let windows: [MaintenanceWindow]
        private let now: Timestamp
        private let capacity: Capacity
        private var pass: Pass
        private var usage: [UInt32: Double]
        private var tallies: [Tally: Count] = [:]

        private enum Tally: Hashable {
            case queue(String)
            case user(UInt32)
            case userInQueue(UInt32, String)
        }

        private struct Count {
            var running = 0
            var devices = 0
        }

        /// A placement of this round, so that users take turns within it: about as if it had run for a second.
        private static let turnSeconds: Double = 1

        /// - Parameter usage: what each user used lately, in decayed seconds of the whole node (`FairShare`).
        public init(
            _ capacity: Capacity, rules: SchedulingRules = SchedulingRules(), windows: [MaintenanceWindow] = [],
            holdings: [Holding] = [], usage: [UInt32: Double] = [:], at now: Timestamp
        ) {
            self.rules = rules
            self.windows = windows
            self.now = now
            self.capacity = capacity
            self.usage = usage
            pass = Pass(capacity)
            for holding in holdings {
                count(holding.queue, holding.uid, isHook: holding.isHook, devices: holding.devices)
            }
        }

        public var isExhausted: Bool { pass.isExhausted }

        /// Whether the first has the better claim.
        public func precedes(_ a: Candidate, _ b: Candidate) -> Bool {
            let (first, second) = (rules.queue(a.lane.queue).priority, rules.queue(b.lane.queue).priority)
            if first != second { return first > second }
            if a.lane.isHook != b.lane.isHook { return a.lane.isHook }
            if a.lane.uid != b.lane.uid {
                let (mine, theirs) = (weighted(a.lane), weighted(b.lane))
                if mine != theirs { return mine < theirs }
            }
            return a.number < b.number
        }

        public mutating func offer(_ candidate: Candidate) -> Verdict {
            let lane = candidate.lane
            if let window = window(inTheWayOf: lane) {
                return .limited(window.words(at: now))
            }
            if let limit = limit(on: lane) { return .limited(limit) }
            switch pass.offer(run: candidate.run, lane.needs) {
            case .placed(let lease):
                count(lane.queue, lane.uid, isHook: lane.isHook, devices: lease.devices.count)
                usage[lane.uid, default: 0] += FairShare.dominant(lane.needs, of: capacity) * Self.turnSeconds
                return .placed(lease)
            case .delayed(let delay): return .delayed(delay)
            }
        }

        private func weighted(_ lane: Lane) -> Double {
            usage[lane.uid, default: 0] / max(rules.weights[lane.user] ?? 1, .leastNonzeroMagnitude)
        }

        private mutating func count(_ queue: String, _ uid: UInt32, isHook: Bool, devices: Int) {
            for tally in [Tally.queue(queue), .user(uid), .userInQueue(uid, queue)] {
                if !isHook { tallies[tally, default: Count()].running += 1 }
                tallies[tally, default: Count()].devices += devices
            }
        }

        /// The maintenance window that keeps the lane from starting; nil for none, as for hook runs.
        public func window(inTheWayOf lane: Lane) -> MaintenanceWindow? {
            lane.isHook ? nil : windows.first { $0.isInTheWay(of: lane.timeoutSeconds, at: now) }
        }

        /// The limit that the lane's first run would pass; nil for none.
        public func limit(on lane: Lane) -> String? {
            let queue = rules.queue(lane.queue)
            let bounds: [(SchedulingRules.Limits, Tally, String)] = [
                (queue.limits, .queue(lane.queue), "the queue '\(queue.name)'"),
                (queue.perUser, .userInQueue(lane.uid, lane.queue), "each user in the queue '\(queue.name)'"),
                (rules.perUser, .user(lane.uid), "each user"),
            ]
            let devices = lane.needs.devices.values.reduce(0, +)
            for (limits, tally, whose) in bounds {
                let now = tallies[tally] ?? Count()
                if !lane.isHook, let most = limits.running, now.running >= most {
                    return "\(whose) may have \(most) running, and has \(now.running)"
                }
                if devices > 0, let most = limits.devices, now.devices + devices > most {
                    return
                        "\(whose) may have \(most) devices, has \(now.devices), and this needs \(devices) more"
                }
            }
            return nil
        }
    }

    /// Offers the node to the first run of each lane until nobody is left who could start.
    ///
    /// - Parameters:
    ///   - next: the run that stands behind this one in its lane.
    ///   - decided: told of each verdict, in order.
    public static func place(
        _ heads: [Candidate], in round: inout Round, next: (Candidate) throws -> Candidate?,
        decided: (Candidate, Verdict) throws -> Void
    ) rethrows {
        var heads = heads
        while !round.isExhausted, !heads.isEmpty {
            let best = heads.indices.min { round.precedes(heads[$0], heads[$1]) } ?? 0
            let candidate = heads[best]
            let verdict = round.offer(candidate)
            try decided(candidate, verdict)
            switch verdict {
            case .placed:
                if let following = try next(candidate) { heads[best] = following } else { heads.remove(at: best) }
            case .delayed, .limited: heads.remove(at: best)
            }
        }
    }
}
