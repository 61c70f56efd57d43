/// Who has a device when. Each device is in exactly one state at any time, so that its seconds add up (P8).
public enum DeviceLedger {
    public enum State: String, Hashable, Sendable, Codable, CaseIterable {
        case idle, allocated, releasing, quarantined
    }

    /// A change of hands.
    public enum Move: Hashable, Sendable {
        case lease(device: String, attempt: Int)
        /// Main has ended; the hand-back begins.
        case beginRelease(device: String, attempt: Int)
        /// Verified free.
        case free(device: String, attempt: Int)
        case quarantine(device: String, attempt: Int, evidence: [DeviceHolder])
        /// A quarantined device was found free, or an operator says so.
        case clear(device: String)

        public var device: String {
            switch self {
            case .lease(let device, _), .beginRelease(let device, _), .free(let device, _),
                .quarantine(let device, _, _), .clear(let device):
                device
            }
        }
    }

    /// A stretch of time a device spent in one state; open while `ended` is nil.
    public struct Interval: Hashable, Sendable {
        public var device: String
        public var state: State
        /// Whose it is; nil when idle.
        public var holder: AttemptID?
        public var began: Timestamp
        public var ended: Timestamp?

        public init(
            device: String, state: State, holder: AttemptID? = nil, began: Timestamp, ended: Timestamp? = nil
        ) {
            self.device = device
            self.state = state
            self.holder = holder
            self.began = began
            self.ended = ended
        }

        /// Seconds of this interval within [from, until).
        public func seconds(from: Timestamp, until: Timestamp) -> Double {
            let first = max(began, from)
            let last = min(ended ?? until, until)
            return last > first ? last.seconds(since: first) : 0
        }
    }

    /// A move that the device's state forbids: a device leased twice, or freed by somebody who does not have it (P2).
    public struct Violation: Error, Hashable, Sendable {
        public var device: String
        public var state: State
        public var holder: AttemptID?
        public var move: Move
    }

    /// Closes the open interval and opens the next.
    ///
    /// A wall clock that was set back must not make time run twice: the change then happens where the interval began.
    /// Throws `Violation` when the move is not allowed from the open interval's state and holder.
    public static func step(
        _ open: Interval, _ move: Move, of run: RunID, at time: Timestamp
    ) throws(Violation) -> (closed: Interval, opened: Interval) {
        let violation = Violation(device: open.device, state: open.state, holder: open.holder, move: move)
        let next: (state: State, holder: AttemptID?)
        switch move {
        case .lease(_, let attempt):
            guard open.state == .idle else { throw violation }
            next = (.allocated, AttemptID(run: run, number: attempt))
        case .beginRelease(_, let attempt):
            guard open.state == .allocated, open.holder == AttemptID(run: run, number: attempt) else { throw violation }
            next = (.releasing, open.holder)
        case .free(_, let attempt):
            guard open.state == .releasing, open.holder == AttemptID(run: run, number: attempt) else { throw violation }
            next = (.idle, nil)
        case .quarantine(_, let attempt, _):
            guard open.state == .releasing, open.holder == AttemptID(run: run, number: attempt) else { throw violation }
            next = (.quarantined, open.holder)
        case .clear:
            guard open.state == .quarantined else { throw violation }
            next = (.idle, nil)
        }
        guard move.device == open.device, open.ended == nil else { throw violation }
        let moment = max(time, open.began)
        var closed = open
        closed.ended = moment
        return (
            closed, Interval(device: open.device, state: next.state, holder: next.holder, began: moment)
        )
    }

    /// Seconds per state within [from, until).
    public static func totals(_ intervals: [Interval], from: Timestamp, until: Timestamp) -> [State: Double] {
        var totals = Dictionary(uniqueKeysWithValues: State.allCases.map { ($0, 0.0) })
        for interval in intervals {
            totals[interval.state, default: 0] += interval.seconds(from: from, until: until)
        }
        return totals
    }
}
