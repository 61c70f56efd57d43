import PostludeDevices
import Synchronization

/// Who had which device at the last look at all processes, so that a grant right after a look needs none of its own: after
/// the release by the run before, or while a submission is written down.
///
/// A look that is too old is not used. Whoever took a device after the look is not excused at the next release, which
/// errs on the safe side.
final class HolderLooks: Sendable {
    /// Enough for the way from a release or a submission to the grant, too little for much to happen in.
    static let lifetime = Duration.milliseconds(250)

    fileprivate struct State {
        var known: [String: (baseline: HolderBaseline, taken: ContinuousClock.Instant)] = [:]
        var pending: Set<String> = []
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())

    /// Whether the caller is to look at these devices, and to call `end` in any case; false when there is a look already,
    /// or one under way.
    func begin(_ devices: Set<String>, at now: ContinuousClock.Instant) -> Bool {
        state.withLock { state in
            let isKnown = devices.allSatisfy { state.isKnown($0, at: now) }
            guard !devices.isEmpty, !isKnown, state.pending.isEmpty else { return false }
            state.pending = devices
            return true
        }
    }

    /// Ends the look that was begun, with what it found.
    func end(_ found: [String: HolderBaseline], at now: ContinuousClock.Instant) {
        let waiting = state.withLock { state in
            defer { (state.pending, state.waiting) = ([], []) }
            for (device, baseline) in found { state.known[device] = (baseline, now) }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    /// Keeps what was seen of a device that has just been verified free.
    func keep(_ baseline: HolderBaseline, of device: String, at now: ContinuousClock.Instant) {
        state.withLock { $0.known[device] = (baseline, now) }
    }

    /// What is known of all these devices, once; waits for a look that is under way. Nil when it is not enough.
    func take(
        _ devices: Set<String>, at now: () -> ContinuousClock.Instant = { .now }
    ) async -> [String: HolderBaseline]? {
        await withCheckedContinuation { continuation in
            let isOver = state.withLock { state in
                guard !state.pending.isDisjoint(with: devices) else { return true }
                state.waiting.append(continuation)
                return false
            }
            if isOver { continuation.resume() }
        }
        return state.withLock { state in
            let now = now()
            let isKnown = devices.allSatisfy { state.isKnown($0, at: now) }
            var found: [String: HolderBaseline] = [:]
            for device in devices { found[device] = state.known.removeValue(forKey: device)?.baseline }
            return isKnown ? found : nil
        }
    }
}

extension HolderLooks.State {
    fileprivate func isKnown(_ device: String, at now: ContinuousClock.Instant) -> Bool {
        guard let look = known[device] else { return false }
        return now - look.taken <= HolderLooks.lifetime
    }
}
