import CLinux
import Glibc
import Synchronization

/// Sleeps for this long; ends early with `CancellationError` when the task is cancelled.
///
/// As `Task.sleep`, which would start libdispatch's timers and with them its wake-up once a second.
public func pause(for duration: Duration) async throws { try await pause(until: .now + duration) }

/// Sleeps until then; ends early with `CancellationError` when the task is cancelled.
public func pause(until deadline: ContinuousClock.Instant) async throws {
    guard let alarm = Alarm.common else { return try await Task.sleep(until: deadline, clock: .continuous) }
    try await alarm.sleep(until: deadline)
}

/// One thread that sleeps until the earliest deadline, or for ever when there is none.
private final class Alarm: Sendable {
    private struct Sleeper {
        var deadline: ContinuousClock.Instant
        var continuation: CheckedContinuation<Bool, Never>
    }

    private struct State {
        var next: UInt64 = 0
        var sleepers: [UInt64: Sleeper] = [:]
        /// Cancelled before they lay down.
        var cancelled: Set<UInt64> = []
        var wakesAt: ContinuousClock.Instant?
    }

    /// Nil when the process had no means to make it.
    static let common: Alarm? = {
        do { return try Alarm() } catch { return nil }
    }()

    private let timer: Int32
    private let state = Mutex(State())

    private init() throws(ThreadError) {
        // The clock of ContinuousClock, which goes on while the machine is suspended.
        timer = timerfd_create(CLOCK_BOOTTIME, Int32(TFD_CLOEXEC))
        guard timer >= 0 else { throw ThreadError(call: "timerfd_create", errno: errno) }
        do throws(ThreadError) {
            try startThread(named: "alarm") { [self] in ring() }
        } catch {
            _ = close(timer)
            throw error
        }
    }

    func sleep(until deadline: ContinuousClock.Instant) async throws {
        let id = state.withLock { state in
            state.next += 1
            return state.next
        }
        let slept = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isCancelled = state.withLock { state in
                    if state.cancelled.remove(id) != nil { return true }
                    state.sleepers[id] = Sleeper(deadline: deadline, continuation: continuation)
                    if state.wakesAt.map({ deadline < $0 }) ?? true { set(deadline, &state) }
                    return false
                }
                if isCancelled { continuation.resume(returning: false) }
            }
        } onCancel: {
            let sleeper = state.withLock { state in
                let sleeper = state.sleepers.removeValue(forKey: id)
                // It has not lain down yet, or has got up already.
                if sleeper == nil { state.cancelled.insert(id) }
                return sleeper
            }
            sleeper?.continuation.resume(returning: false)
        }
        state.withLock { _ = $0.cancelled.remove(id) }
        if !slept { throw CancellationError() }
    }

    private func ring() {
        while true {
            var count: UInt64 = 0
            while read(timer, &count, MemoryLayout<UInt64>.size) < 0, errno == EINTR {}
            let due = state.withLock { state in
                let now = ContinuousClock.now
                let due = state.sleepers.filter { $0.value.deadline <= now }
                for id in due.keys { state.sleepers[id] = nil }
                state.wakesAt = nil
                if let first = state.sleepers.values.map(\.deadline).min() { set(first, &state) }
                return due
            }
            for sleeper in due.values { sleeper.continuation.resume(returning: true) }
        }
    }

    private func set(_ deadline: ContinuousClock.Instant, _ state: inout State) {
        state.wakesAt = deadline
        let left = max(ContinuousClock.now.duration(to: deadline), .nanoseconds(1)).components
        var time = itimerspec()
        // A timer set to 0 would never ring.
        time.it_value.tv_sec = time_t(clamping: left.seconds)
        time.it_value.tv_nsec = max(Int(left.attoseconds / 1_000_000_000), left.seconds == 0 ? 1 : 0)
        timerfd_settime(timer, 0, &time, nil)
    }
}
