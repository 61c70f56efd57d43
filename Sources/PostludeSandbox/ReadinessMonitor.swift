import Foundation
import Glibc
import PostludeLinux
import Synchronization

/// One thread that waits for descriptors (pidfds, cgroup.events, inotify) on behalf of everybody. It sleeps until the
/// kernel has something to say or a deadline is there: no polling.
final class ReadinessMonitor: Sendable {
    enum Outcome: Hashable, Sendable {
        case ready
        case timedOut
        case cancelled
    }

    private let shared: Shared

    /// - Throws: when the process is out of descriptors.
    init() throws(LinuxError) {
        let shared = try Shared()
        self.shared = shared
        // The thread holds what it shares, not the monitor: when the monitor goes, it stops.
        let thread = Thread { shared.run() }
        thread.name = "readiness"
        thread.stackSize = 512 << 10
        thread.start()
    }

    deinit { shared.stop() }

    /// Waits until the descriptor is ready, the deadline has passed or the task is cancelled, and closes it.
    func wait(
        for descriptor: consuming OwnedDescriptor, _ interest: Epoll.Interest,
        until deadline: ContinuousClock.Instant? = nil
    ) async -> Outcome {
        let raw = descriptor.release()
        let token = shared.reserve()
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                shared.register(token, raw, interest, deadline) { continuation.resume(returning: $0) }
            }
        } onCancel: {
            shared.finish(token, .cancelled)
        }
    }

    /// The process's own, started when first needed.
    static func common() throws(LinuxError) -> ReadinessMonitor {
        let made = commonMonitor.withLock { common -> Result<ReadinessMonitor, LinuxError> in
            if let common { return .success(common) }
            do throws(LinuxError) {
                let monitor = try ReadinessMonitor()
                common = monitor
                return .success(monitor)
            } catch {
                return .failure(error)
            }
        }
        return try made.get()
    }

    private static let commonMonitor = Mutex<ReadinessMonitor?>(nil)

    /// Returns after this long, or when the task is cancelled; needs no descriptor.
    func pause(for duration: Duration) async {
        let token = shared.reserve()
        _ = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                shared.register(token, nil, .readable, .now + duration) { continuation.resume(returning: $0) }
            }
        } onCancel: {
            shared.finish(token, .cancelled)
        }
    }

    /// Calls back on the monitor's thread, once, when the descriptor is ready, and closes it. `body` must be short.
    func notify(
        when descriptor: consuming OwnedDescriptor, _ interest: Epoll.Interest, _ body: @escaping @Sendable () -> Void
    ) {
        let raw = descriptor.release()
        shared.register(shared.reserve(), raw, interest, nil) { if $0 == .ready { body() } }
    }
}

private final class Shared: Sendable {
    private struct Wait {
        /// nil for one that waits for its deadline alone.
        var descriptor: Int32?
        var deadline: ContinuousClock.Instant?
        var finish: @Sendable (ReadinessMonitor.Outcome) -> Void
    }

    private enum Entry {
        /// The token is given out, the wait not there yet.
        case reserved
        /// Cancelled before it was there.
        case abandoned
        case waiting(Wait)
    }

    private struct State {
        var next: UInt64 = 1
        var entries: [UInt64: Entry] = [:]
        var isStopped = false
        /// When the thread will wake by itself; nil for never.
        var wakesAt: ContinuousClock.Instant?
    }

    private static let wakeToken: UInt64 = 0
    private let epoll: Epoll
    private let wake: EventCounter
    private let state = Mutex(State())

    init() throws(LinuxError) {
        epoll = try Epoll()
        wake = try EventCounter()
        try epoll.add(wake.descriptor.rawValue, .readable, token: Self.wakeToken)
    }

    func reserve() -> UInt64 {
        state.withLock { state in
            defer { state.next += 1 }
            state.entries[state.next] = .reserved
            return state.next
        }
    }

    func register(
        _ token: UInt64, _ descriptor: Int32?, _ interest: Epoll.Interest, _ deadline: ContinuousClock.Instant?,
        _ finish: @escaping @Sendable (ReadinessMonitor.Outcome) -> Void
    ) {
        let (refused, mustWake) = state.withLock { state -> (ReadinessMonitor.Outcome?, Bool) in
            guard case .reserved? = state.entries[token], !state.isStopped else {
                state.entries[token] = nil
                return (.cancelled, false)
            }
            state.entries[token] = .waiting(Wait(descriptor: descriptor, deadline: deadline, finish: finish))
            do {
                if let descriptor { try epoll.add(descriptor, interest.union(.oneShot), token: token) }
            } catch {
                // Out of watches or memory: the caller looks for itself, as after any spurious wake-up.
                state.entries[token] = nil
                return (.ready, false)
            }
            guard let deadline, state.wakesAt.map({ deadline < $0 }) ?? true else { return (nil, false) }
            return (nil, true)
        }
        if let refused {
            if let descriptor { close(descriptor) }
            finish(refused)
        } else if mustWake {
            wake.signal()
        }
    }

    func finish(_ token: UInt64, _ outcome: ReadinessMonitor.Outcome) {
        let wait = state.withLock { state -> Wait? in
            switch state.entries[token] {
            case .waiting(let wait)?:
                state.entries[token] = nil
                return wait
            case .reserved?:
                state.entries[token] = .abandoned
                return nil
            case .abandoned?, nil: return nil
            }
        }
        guard let wait else { return }
        end(wait, outcome)
    }

    func stop() {
        let waits = state.withLock { state -> [Wait] in
            state.isStopped = true
            let waits = state.entries.values.compactMap { entry -> Wait? in
                if case .waiting(let wait) = entry { wait } else { nil }
            }
            state.entries.removeAll()
            return waits
        }
        for wait in waits { end(wait, .cancelled) }
        wake.signal()
    }

    private func end(_ wait: Wait, _ outcome: ReadinessMonitor.Outcome) {
        if let descriptor = wait.descriptor {
            do {
                // Closing is not enough: another descriptor of the same open file would keep the registration alive.
                try epoll.remove(descriptor)
            } catch {
                // It was not registered any more; nothing to undo.
            }
            close(descriptor)
        }
        wait.finish(outcome)
    }

    func run() {
        while let (timeout, overdue) = next() {
            for token in overdue { finish(token, .timedOut) }
            guard overdue.isEmpty else { continue }
            do {
                for event in try epoll.wait(milliseconds: timeout) {
                    if event.token == Self.wakeToken {
                        wake.drain()
                    } else {
                        finish(event.token, .ready)
                    }
                }
            } catch {
                // Only a programming error makes epoll_wait fail (EBADF, EINVAL): stop rather than spin.
                stop()
            }
        }
    }

    /// How long to sleep, and whose deadline has passed; nil when it is time to stop.
    private func next() -> (timeout: Int32, overdue: [UInt64])? {
        state.withLock { state in
            guard !state.isStopped else { return nil }
            let now = ContinuousClock.now
            var overdue: [UInt64] = []
            var first: ContinuousClock.Instant?
            for (token, entry) in state.entries {
                guard case .waiting(let wait) = entry, let deadline = wait.deadline else { continue }
                if deadline <= now { overdue.append(token) } else { first = min(first ?? deadline, deadline) }
            }
            state.wakesAt = first
            guard let first else { return (-1, overdue) }
            let left = now.duration(to: first).components
            // Rounded up: waking early would mean going to sleep again for less than a millisecond.
            let milliseconds = left.seconds * 1000 + left.attoseconds / 1_000_000_000_000_000 + 1
            return (Int32(clamping: milliseconds), overdue)
        }
    }
}
