import Dispatch
import Glibc
import Synchronization

/// Ctrl-C as events, for a command that has something better to do than to die.
enum Interrupts {
    /// Kept for the life of the process: the command that wants it is the process's only one.
    private static let source = Mutex<(any DispatchSourceSignal)?>(nil)

    private static let received = Atomic<Int>(0)

    /// How many SIGINTs came since the first call of `stream()`.
    static var count: Int { received.load(ordering: .relaxed) }

    /// Ticks for each SIGINT from now on; without a reader the signal is ignored.
    static func stream() -> AsyncStream<Void> {
        signal(SIGINT, SIG_IGN)
        return AsyncStream(bufferingPolicy: .bufferingNewest(2)) { continuation in
            source.withLock { kept in
                let source = DispatchSource.makeSignalSource(signal: SIGINT, queue: .global())
                source.setEventHandler {
                    received.add(1, ordering: .relaxed)
                    continuation.yield()
                }
                source.activate()
                kept = source
            }
        }
    }
}
