/// Decides whose artifacts are to be measured, and whose run ends for what it has written. It reads nothing itself: who
/// uses it says what the file system has, measures what is due and asks again when the pause is over.
///
/// A run may take what is left of its limit only by taking it from the file system. So nobody's files are looked at while
/// the file system has lost less than that since the last time; but what one run frees may hide what another takes, and
/// therefore nobody is trusted for ever.
public struct DiskWatch: Sendable {
    public struct Settings: Hashable, Sendable {
        public var reserve: DiskReserve
        /// Seconds between two looks, at least and at most.
        public var pauses: ClosedRange<Double>
        /// Seconds after which artifacts are measured again, though nothing says that they have grown.
        public var trustSeconds: Double

        public init(
            reserve: DiskReserve = DiskReserve(), pauses: ClosedRange<Double> = 1...10, trustSeconds: Double = 60
        ) {
            self.reserve = reserve
            self.pauses = pauses
            self.trustSeconds = trustSeconds
        }
    }

    /// An attempt that runs, and what its run's artifacts may take in bytes; nil for no limit.
    public struct Subject: Hashable, Sendable {
        public var attempt: AttemptID
        public var limit: Int64?

        public init(_ attempt: AttemptID, limit: Int64?) {
            self.attempt = attempt
            self.limit = limit
        }
    }

    /// What a file system is taken to swallow, in bytes a second, until it is seen to swallow more.
    private static let assumedRate = 512.0 * 1024 * 1024

    private struct Known {
        var use: DiskUse
        /// What the file system had then, in bytes.
        var available: Int64
        var seconds: Double
        /// What the run took when there was last room enough: what came since is its part in the shortage.
        var base: DiskUse
    }

    /// The last run that ended for want of space. Its artifacts stay, so that ending it frees little.
    private struct Ended {
        var attempt: AttemptID
        /// What there was after it had ended; nil until then.
        var space: DiskSpace?
    }

    private let settings: Settings
    private var known: [AttemptID: Known] = [:]
    private var ended: Ended?
    private var last: (available: Int64, seconds: Double)?
    private var rate = DiskWatch.assumedRate

    public init(_ settings: Settings) { self.settings = settings }

    // MARK: looking

    /// Whose artifacts have to be measured now. `seconds` is the time of a clock that never jumps.
    public mutating func due(_ subjects: [Subject], in space: DiskSpace, at seconds: Double) -> [AttemptID] {
        let running = Set(subjects.map(\.attempt))
        known = known.filter { running.contains($0.key) }
        if let last, seconds > last.seconds {
            let lost = Double(last.available - space.availableBytes) / (seconds - last.seconds)
            rate = max(Self.assumedRate, 2 * lost)
        }
        last = (space.availableBytes, seconds)
        follow(running, in: space)
        let everybody = mayEnd(somebodyIn: space)
        return subjects.filter { subject in
            guard let known = known[subject.attempt] else { return true }
            if everybody || seconds - known.seconds >= settings.trustSeconds { return true }
            guard let limit = subject.limit else { return false }
            return known.available - space.availableBytes >= limit - known.use.bytes
        }.map(\.attempt)
    }

    /// Takes what was measured, and says who is to end, and why.
    public mutating func evictions(
        among subjects: [Subject], measured: [AttemptID: DiskUse], in space: DiskSpace, at seconds: Double
    ) -> [(attempt: AttemptID, eviction: Eviction)] {
        for (attempt, use) in measured { note(use, of: attempt, in: space, at: seconds) }
        let above = subjects.compactMap { subject -> (AttemptID, Eviction)? in
            guard let limit = subject.limit, let use = measured[subject.attempt] else { return nil }
            if use.bytes > limit {
                return (
                    subject.attempt,
                    Eviction(
                        .diskLimit,
                        "The run's artifacts take \(use.bytes) bytes on disk, more than their limit of \(limit).")
                )
            }
            guard use.isTooDeep else { return nil }
            return (
                subject.attempt,
                Eviction(
                    .diskLimit,
                    "The run's artifacts have directories too deep in each other to be measured; their limit is \(limit) bytes."
                )
            )
        }
        // Whoever is above a limit ends first: that may be all that is needed.
        guard above.isEmpty, mayEnd(somebodyIn: space), let shortage = settings.reserve.shortage(in: space),
            let offender = offender(among: subjects, shortage)
        else { return above }
        ended = Ended(attempt: offender.attempt)
        return [offender]
    }

    /// The attempt was not ended after all, so the next look is free to choose again.
    public mutating func wentOn(_ attempt: AttemptID) { if ended?.attempt == attempt { ended = nil } }

    /// Seconds until the next look: no more than what is left could be used up in, as far as one can tell. `walked` are
    /// the seconds that measuring took, which should stay a small part of the time.
    public func pause(after subjects: [Subject], in space: DiskSpace, walked: Double) -> Double {
        var room = Double(max(0, space.availableBytes - settings.reserve.bytes(of: space)))
        for subject in subjects {
            guard let known = known[subject.attempt] else {
                room = 0
                continue
            }
            let lost = max(0, known.available - space.availableBytes)
            if let limit = subject.limit { room = min(room, Double(max(0, limit - known.use.bytes - lost))) }
        }
        let pause = min(max(room / rate, settings.pauses.lowerBound), settings.pauses.upperBound)
        return max(pause, min(10 * walked, settings.trustSeconds))
    }

    // MARK: parts

    private mutating func note(_ use: DiskUse, of attempt: AttemptID, in space: DiskSpace, at seconds: Double) {
        var use = use
        let before = known[attempt]
        if let before, !use.isComplete {
            use.bytes = max(use.bytes, before.use.bytes)
            use.files = max(use.files, before.use.files)
        }
        known[attempt] = Known(
            use: use, available: space.availableBytes, seconds: seconds,
            base: isRoomy(space) ? use : before?.base ?? DiskUse())
    }

    /// Twice the reserve: what is taken from here on leads to a shortage.
    private func isRoomy(_ space: DiskSpace) -> Bool {
        let reserve = settings.reserve
        return space.availableBytes >= 2 * reserve.bytes(of: space)
            && space.availableFiles >= 2 * reserve.files(of: space)
    }

    /// Keeps in mind what there was at best since the last run ended for want of space.
    private mutating func follow(_ running: Set<AttemptID>, in space: DiskSpace) {
        guard var last = ended, !running.contains(last.attempt) else { return }
        guard settings.reserve.shortage(in: space) != nil else {
            ended = nil
            return
        }
        let before = last.space ?? space
        last.space = DiskSpace(
            availableBytes: max(before.availableBytes, space.availableBytes), totalBytes: space.totalBytes,
            availableFiles: max(before.availableFiles, space.availableFiles), totalFiles: space.totalFiles)
        ended = last
    }

    /// Whether there is a shortage that ending a run may help against. One at a time: ending a run stops its growth, and
    /// only if what is left goes on shrinking there is another to be found.
    private func mayEnd(somebodyIn space: DiskSpace) -> Bool {
        let reserve = settings.reserve
        guard reserve.shortage(in: space) != nil else { return false }
        guard let last = ended else { return true }
        guard let before = last.space else { return false }
        return space.availableBytes < before.availableBytes - max(1, reserve.bytes(of: space) / 16)
            || space.availableFiles < before.availableFiles - max(1, reserve.files(of: space) / 16)
    }

    /// The run that grew most since there was room enough. If no run's growth can be seen, somebody else fills the disk,
    /// or a run does with files that have no name any more: then none ends before half of the reserve is gone.
    private func offender(
        among subjects: [Subject], _ shortage: DiskReserve.Shortage
    ) -> (attempt: AttemptID, eviction: Eviction)? {
        func part(_ use: DiskUse) -> Int64 {
            switch shortage {
            case .bytes: use.bytes
            case .files: use.files
            }
        }
        let candidates = subjects.compactMap { subject in
            known[subject.attempt].map { (subject.attempt, growth: part($0.use) - part($0.base), whole: part($0.use)) }
        }
        guard let most = candidates.max(by: { ($0.growth, $0.whole) < ($1.growth, $1.whole) }) else { return nil }
        let (left, reserve, unit) =
            switch shortage {
            case .bytes(let left, let reserve): (left, reserve, "bytes")
            case .files(let left, let reserve): (left, reserve, "files")
            }
        guard most.growth > 0 && most.growth >= reserve / 64 || left < reserve / 2 else { return nil }
        let message =
            "The disk of the agent's state has \(shortage.words); the run's artifacts are \(most.whole) \(unit), "
            + "\(max(0, most.growth)) of them new, more than any other run's."
        return (most.0, Eviction(.diskPressure, message))
    }
}
