/// When an operation runs again and again. A slot is a point in time, in whole seconds since 1970 UTC, at which one run
/// is due; it is the key under which the run is stored, so that no slot ever gets two.
public struct Schedule: Hashable, Sendable, Codable {
    public enum Rule: Hashable, Sendable, Codable {
        case cron(CronExpression)
        /// From `startAt`, or from when the schedule was submitted, every so many seconds.
        case interval(seconds: Int64)
        /// Once, at `startAt`.
        case once
    }

    public var rule: Rule
    /// No slot is before it.
    public var startAt: Int64?
    /// No slot is after it.
    public var endAt: Int64?
    public var maxRuns: Int?
    /// Whether a run waits until the one before it has ended.
    public var dependsOnPast: Bool
    /// The name of the zone that cron's fields are read in, such as `Europe/Berlin`; nil for UTC.
    public var timeZone: String?
    public var place: SourcePlace?

    public init(
        _ rule: Rule, startAt: Int64? = nil, endAt: Int64? = nil, maxRuns: Int? = nil, dependsOnPast: Bool = false,
        timeZone: String? = nil, place: SourcePlace? = nil
    ) {
        self.rule = rule
        self.startAt = startAt
        self.endAt = endAt
        self.maxRuns = maxRuns
        self.dependsOnPast = dependsOnPast
        self.timeZone = timeZone
        self.place = place
    }

    /// What a schedule does now.
    public enum Step: Hashable, Sendable {
        /// Make the run of this slot.
        case run(slot: Int64)
        /// Nothing is due before this time.
        case wait(until: Int64)
        /// A run is due, and waits for the one before it.
        case waitForPast
        /// No slot is left; the parent ends with its children.
        case over
    }
}

extension Schedule {
    /// Decides from the clock and from what was made. Of slots that were missed while nobody looked, the last one runs
    /// and the others never do; a clock that is set back repeats none.
    ///
    /// - Parameters:
    ///   - submitted: when the schedule was, in seconds; it has no slot before that but one of `once`.
    ///   - last: the last slot that has a run.
    ///   - made: how many runs there are; `alive` of them have not ended.
    ///   - offset: seconds east of UTC at a time, in the schedule's zone.
    public func step(
        submitted: Int64, last: Int64?, made: Int, alive: Int, now: Int64, offset: (Int64) -> Int64
    ) -> Step {
        if let maxRuns, made >= maxRuns { return .over }
        guard var slot = slot(after: last ?? Int64.min, submitted: submitted, offset: offset) else { return .over }
        guard slot <= now else { return .wait(until: slot) }
        if dependsOnPast, alive > 0 { return .waitForPast }
        slot = latest(from: slot, until: min(now, endAt ?? now), submitted: submitted, offset: offset)
        return .run(slot: slot)
    }

    /// The first slot later than `time`; nil when there is none.
    public func slot(after time: Int64, submitted: Int64, offset: (Int64) -> Int64) -> Int64? {
        let first = max(startAt ?? submitted, rule == .once ? Int64.min : submitted)
        let slot: Int64?
        switch rule {
        case .once: slot = startAt.flatMap { $0 > time ? $0 : nil }
        case .interval(let seconds):
            let origin = startAt ?? submitted
            // The first multiple that is neither before `first` nor at or before `time`.
            let earliest = max(first, time == Int64.max ? time : time < first ? first : time + 1)
            let steps = max(0, (earliest - origin + seconds - 1).flooredDivision(seconds))
            slot = origin + steps * seconds
        case .cron(let cron): slot = cron.next(after: max(time, first - 1), offset: offset)
        }
        guard let slot, slot <= endAt ?? slot else { return nil }
        return slot
    }

    /// The last slot from `slot` to `end`.
    private func latest(from slot: Int64, until end: Int64, submitted: Int64, offset: (Int64) -> Int64) -> Int64 {
        switch rule {
        case .once: return slot
        case .interval(let seconds): return slot + (end - slot).flooredDivision(seconds) * seconds
        case .cron:
            // Back from the end in doubling windows, for the first one that has a slot has few.
            var window: Int64 = 60
            while end - window > slot {
                var found = self.slot(after: end - window, submitted: submitted, offset: offset)
                var last: Int64?
                while let next = found, next <= end {
                    last = next
                    found = self.slot(after: next, submitted: submitted, offset: offset)
                }
                if let last { return last }
                window *= 2
            }
            var last = slot
            while let next = self.slot(after: last, submitted: submitted, offset: offset), next <= end { last = next }
            return last
        }
    }
}

extension Int64 {
    func flooredDivision(_ divisor: Int64) -> Int64 {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? quotient - 1 : quotient
    }

    func flooredRemainder(_ divisor: Int64) -> Int64 { self - flooredDivision(divisor) * divisor }
}
