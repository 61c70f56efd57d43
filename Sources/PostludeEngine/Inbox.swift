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
    case refillPool
    case recheckQuarantined
    case removeLeftovers([String])
}

/// What waits to be done, and what is being done already.
final class Inbox: Sendable {
    private struct Lanes {
        var waiting: [RunID: [OwedEffect]] = [:]
        var known: Set<Int64> = []
        var watched: Set<WardenIdentity> = []
        /// Devices of ended attempts that were taken back and found free before the hand-back asked.
        var freed: [AttemptID: Set<String>] = [:]
        var isRefilling = false
        var isRechecking = false
    }

    let work: AsyncStream<Work>
    private let continuation: AsyncStream<Work>.Continuation
    private let lanes = Mutex(Lanes())

    init() { (work, continuation) = AsyncStream.makeStream(of: Work.self) }

    /// Takes effects that are owed; one that is here already is not taken twice.
    func take(_ effects: [OwedEffect]) {
        for owed in effects {
            switch owed.effect.kind {
            case .launch, .requestStop, .handBack, .resolveHooks:
                let starts = lanes.withLock { lanes in
                    guard lanes.known.insert(owed.sequence).inserted else { return false }
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

    /// Devices of an attempt whose steps are gone, filters revoked, found free.
    func keepFreed(_ devices: Set<String>, of attempt: AttemptID) { lanes.withLock { $0.freed[attempt] = devices } }

    /// What was kept of the attempt, once.
    func takeFreed(_ attempt: AttemptID) -> Set<String>? { lanes.withLock { $0.freed.removeValue(forKey: attempt) } }

    /// Watches the attempt unless its warden is watched already.
    func watch(_ attempt: AttemptID, _ warden: WardenIdentity) {
        if lanes.withLock({ $0.watched.insert(warden).inserted }) { continuation.yield(.watch(attempt, warden)) }
    }

    func stopWatching(_ warden: WardenIdentity) { lanes.withLock { _ = $0.watched.remove(warden) } }

    func refillPool() { if flag(\.isRefilling) { continuation.yield(.refillPool) } }
    func refilled() { lanes.withLock { $0.isRefilling = false } }

    func recheckQuarantined() { if flag(\.isRechecking) { continuation.yield(.recheckQuarantined) } }
    func rechecked() { lanes.withLock { $0.isRechecking = false } }

    func removeLeftovers(_ slots: [String]) { if !slots.isEmpty { continuation.yield(.removeLeftovers(slots)) } }

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
