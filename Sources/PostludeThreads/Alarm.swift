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
    let left = ContinuousClock.now.duration(to: deadline).components
    try await alarm.sleep(until: alarm.now + left.seconds * 1_000_000_000 + left.attoseconds / 1_000_000_000)
}

/// Sleeps until the wall clock shows this time (seconds since 1970 UTC), also when somebody sets it forward meanwhile;
/// ends early with `CancellationError` when the task is cancelled.
public func pause(untilWallClock seconds: Int64) async throws {
    guard let alarm = Alarm.wall else {
        // Without a timer of its own it may be late after a change of the clock, never early.
        while case let left = seconds - Int64(time(nil)), left > 0 { try await pause(for: .seconds(min(left, 3_600))) }
        return
    }
    try await alarm.sleep(until: min(max(seconds, 0), 9_000_000_000) * 1_000_000_000)
}

/// One thread that sleeps until the earliest deadline, or for ever when there is none.
private final class Alarm: Sendable {
    private struct Sleeper {
        /// Nanoseconds on the alarm's clock.
        var deadline: Int64
        var continuation: CheckedContinuation<Bool, Never>
    }

    private struct State {
        var next: UInt64 = 0
        var sleepers: [UInt64: Sleeper] = [:]
        /// Cancelled before they lay down.
        var cancelled: Set<UInt64> = []
        var wakesAt: Int64?
    }

    /// The clock of ContinuousClock, which goes on while the machine is suspended. Nil when the process had no means.
    static let common = make(CLOCK_BOOTTIME, named: "alarm")
    /// The clock that people set. A timer on it follows every change.
    static let wall = make(CLOCK_REALTIME, named: "wall alarm")

    private static func make(_ clock: clockid_t, named name: String) -> Alarm? {
        do { return try Alarm(clock, named: name) } catch { return nil }
    }

    private let clock: clockid_t
    private let timer: Int32
    private let state = Mutex(State())

    /// Nanoseconds.
    var now: Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    private init(_ clock: clockid_t, named name: String) throws(ThreadError) {
        self.clock = clock
        timer = timerfd_create(clock, Int32(TFD_CLOEXEC))
        guard timer >= 0 else { throw ThreadError(call: "timerfd_create", errno: errno) }
        do throws(ThreadError) {
            try startThread(named: name) { [self] in ring() }
        } catch {
            _ = close(timer)
            throw error
        }
    }

    func sleep(until deadline: Int64) async throws {
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
                let now = now
                let due = state.sleepers.filter { $0.value.deadline <= now }
                for id in due.keys { state.sleepers[id] = nil }
                state.wakesAt = nil
                if let first = state.sleepers.values.map(\.deadline).min() { set(first, &state) }
                return due
            }
            for sleeper in due.values { sleeper.continuation.resume(returning: true) }
        }
    }

    private func set(_ deadline: Int64, _ state: inout State) {
        state.wakesAt = deadline
        var time = itimerspec()
        // A timer set to 0 would never ring.
        time.it_value.tv_sec = time_t(max(0, deadline) / 1_000_000_000)
        time.it_value.tv_nsec = max(Int(max(0, deadline) % 1_000_000_000), time.it_value.tv_sec == 0 ? 1 : 0)
        timerfd_settime(timer, Int32(TFD_TIMER_ABSTIME), &time, nil)
    }
}
