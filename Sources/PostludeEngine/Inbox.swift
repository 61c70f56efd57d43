import PostludeCore
import PostludeSandbox
import PostludeStore
import Synchronization

/// Work for the engine's task group. Every piece is backed by a row of the store, or can be asked for again, so that
/// losing the inbox loses nothing; its length is bounded by the runs that are alive.
enum Work: Sendable {
    /// Effects of one run, one after the other.
    case lane(RunID)
    /// An effect that nobody waits for.
    case background(OwedEffect)
    case watch(AttemptID, WardenIdentity)
    case watchDisk
    case refillPool
    case recheckQuarantined
    case removeLeftovers([String])
    case prepareImage(ImageMap.Layout, ImageReference)
    /// Look who may start when that time has come.
    case place(at: Timestamp)
    case followSchedules
}

/// What waits to be done, and what is being done already.
final class Inbox: Sendable {
    private struct Lanes {
        var waiting: [RunID: [OwedEffect]] = [:]
        var known: Set<Int64> = []
        var watched: [WardenIdentity: AttemptID] = [:]
        /// Wardens that a former agent made, as long as they are watched.
        var inherited: Set<WardenIdentity> = []
        /// Why attempts were killed, as long as the disk was too full to write that down.
        var evictions: [AttemptID: Eviction] = [:]
        var isRefilling = false
        var isRechecking = false
        var isWatchingDisk = false
        /// Ends when no attempt is watched any more.
        var lastWatched: AsyncStream<Never>.Continuation?
        /// When schedules are due next, in seconds since 1970.
        var wakes: [RunID: Int64] = [:]
        var isFollowing = false
        var sleeper: AsyncStream<Void>.Continuation?

        /// Steps of a parent that wait behind the one being taken: a later one does all that they would.
        mutating func forgetAdvances(of run: RunID) {
            guard let lane = waiting[run], lane.count > 1 else { return }
            for owed in lane.dropFirst() where owed.effect.kind == .advance { known.remove(owed.sequence) }
            waiting[run] = [lane[0]] + lane.dropFirst().filter { $0.effect.kind != .advance }
        }
    }

    let work: AsyncStream<Work>
    private let continuation: AsyncStream<Work>.Continuation
    private let lanes = Mutex(Lanes())

    init() { (work, continuation) = AsyncStream.makeStream(of: Work.self) }

    /// Takes effects that are owed; one that is here already is not taken twice.
    func take(_ effects: [OwedEffect]) {
        for owed in effects {
            switch owed.effect.kind {
            case .launch, .requestStop, .evict, .handBack, .resolveHooks, .advance:
                let starts = lanes.withLock { lanes in
                    guard lanes.known.insert(owed.sequence).inserted else { return false }
                    if owed.effect.kind == .advance { lanes.forgetAdvances(of: owed.run) }
                    lanes.waiting[owed.run, default: []].append(owed)
                    return lanes.waiting[owed.run]?.count == 1
                }
                if starts { continuation.yield(.lane(owed.run)) }
            case .cleanUp:
                if lanes.withLock({ $0.known.insert(owed.sequence).inserted }) { continuation.yield(.background(owed)) }
            }
        }
    }

    /// The effect that is first in the run's lane.
    func first(of run: RunID) -> OwedEffect? { lanes.withLock { $0.waiting[run]?.first } }

    /// The effect is done and forgotten; returns the next of its lane. A lane that is over begins anew with the next
    /// effect that is taken, so both are one step.
    @discardableResult
    func done(_ owed: OwedEffect) -> OwedEffect? {
        lanes.withLock { lanes in
            lanes.known.remove(owed.sequence)
            guard var lane = lanes.waiting[owed.run] else { return nil }
            lane.removeAll { $0.sequence == owed.sequence }
            lanes.waiting[owed.run] = lane.isEmpty ? nil : lane
            return lane.first
        }
    }

    /// Notes that a former agent made the warden; to be called before it is watched.
    func inherit(_ warden: WardenIdentity) { lanes.withLock { _ = $0.inherited.insert(warden) } }

    func isInherited(_ warden: WardenIdentity) -> Bool { lanes.withLock { $0.inherited.contains(warden) } }

    /// Watches the attempt unless its warden is watched already.
    func watch(_ attempt: AttemptID, _ warden: WardenIdentity) {
        let isNew = lanes.withLock { lanes in
            guard lanes.watched[warden] == nil else { return false }
            lanes.watched[warden] = attempt
            return true
        }
        guard isNew else { return }
        continuation.yield(.watch(attempt, warden))
        if flag(\.isWatchingDisk) { continuation.yield(.watchDisk) }
    }

    func stopWatching(_ warden: WardenIdentity) {
        let ended = lanes.withLock { lanes in
            lanes.watched[warden] = nil
            lanes.inherited.remove(warden)
            return lanes.watched.isEmpty ? lanes.lastWatched : nil
        }
        ended?.finish()
    }

    /// The attempts that are watched.
    var watchedAttempts: [AttemptID] { lanes.withLock { Array($0.watched.values) } }

    func warden(of attempt: AttemptID) -> WardenIdentity? {
        lanes.withLock { lanes in lanes.watched.first { $0.value == attempt }?.key }
    }

    /// Keeps why an attempt was killed, for whoever writes down its end.
    func keep(_ eviction: Eviction, of attempt: AttemptID) { lanes.withLock { $0.evictions[attempt] = eviction } }

    func eviction(of attempt: AttemptID) -> Eviction? { lanes.withLock { $0.evictions[attempt] } }

    func forgetEviction(of attempt: AttemptID) { lanes.withLock { $0.evictions[attempt] = nil } }

    /// Returns when no attempt is watched, or the task is cancelled.
    func awaitLastWatched() async {
        let (stream, continuation) = AsyncStream<Never>.makeStream()
        let isOver = lanes.withLock { lanes in
            lanes.lastWatched = continuation
            return lanes.watched.isEmpty
        }
        if isOver { continuation.finish() }
        for await _ in stream {}
    }

    var isWatchingDisk: Bool { lanes.withLock { $0.isWatchingDisk } }

    /// Whether the disk is to be watched still; if not, the next attempt that is watched asks for it again.
    func goesOnWatchingDisk() -> Bool {
        lanes.withLock { lanes in
            lanes.isWatchingDisk = !lanes.watched.isEmpty
            return lanes.isWatchingDisk
        }
    }

    func refillPool() { if flag(\.isRefilling) { continuation.yield(.refillPool) } }
    func refilled() { lanes.withLock { $0.isRefilling = false } }

    func recheckQuarantined() { if flag(\.isRechecking) { continuation.yield(.recheckQuarantined) } }
    func rechecked() { lanes.withLock { $0.isRechecking = false } }

    /// Wakes a schedule's parent at this time; the last word counts.
    func wake(_ run: RunID, at time: Int64) {
        let starts = lanes.withLock { lanes in
            lanes.wakes[run] = time
            lanes.sleeper?.yield()
            defer { lanes.isFollowing = true }
            return !lanes.isFollowing
        }
        if starts { continuation.yield(.followSchedules) }
    }

    /// The schedule that is due first; nil when there is none, and then nobody follows them any more.
    func nextWake() -> (run: RunID, time: Int64)? {
        lanes.withLock { lanes in
            guard let first = lanes.wakes.min(by: { $0.value < $1.value }) else {
                lanes.isFollowing = false
                return nil
            }
            return (first.key, first.value)
        }
    }

    /// Whether the schedule's time has come; it is taken off the list then.
    func takeWake(_ run: RunID, due now: Int64) -> Bool {
        lanes.withLock { lanes in
            guard let time = lanes.wakes[run], time <= now else { return false }
            lanes.wakes[run] = nil
            return true
        }
    }

    /// A tick when the times change, at once when `time` is not the first of them any more.
    func wakeChanges(sleepingUntil time: Int64) -> AsyncStream<Void> {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        lanes.withLock { lanes in
            lanes.sleeper = continuation
            if lanes.wakes.values.min() != time { continuation.yield() }
        }
        return stream
    }

    func removeLeftovers(_ slots: [String]) { if !slots.isEmpty { continuation.yield(.removeLeftovers(slots)) } }

    func prepare(_ layout: ImageMap.Layout, _ image: ImageReference) {
        continuation.yield(.prepareImage(layout, image))
    }

    func place(at time: Timestamp) { continuation.yield(.place(at: time)) }

    /// Whether a run waits for an effect.
    var isBusy: Bool { lanes.withLock { !$0.waiting.isEmpty } }

    var isEmpty: Bool { lanes.withLock { $0.known.isEmpty && $0.watched.isEmpty } }

    private func flag(_ path: any WritableKeyPath<Lanes, Bool> & Sendable) -> Bool {
        lanes.withLock { lanes in
            guard !lanes[keyPath: path] else { return false }
            lanes[keyPath: path] = true
            return true
        }
    }
}
