import Glibc
import Logging
import ServiceLifecycle

/// SIGTERM and SIGINT, which a thread waits for in the kernel: libdispatch's signal sources would bring its queues, and
/// with them a wake-up each second.
struct TerminationSignals: Sendable {
    private static let numbers = [SIGTERM, SIGINT]
    private let received: AsyncStream<Int32>
    private let sink: AsyncStream<Int32>.Continuation

    /// Blocks them for this thread and those that it starts; to be made before there are others.
    init() {
        (received, sink) = AsyncStream.makeStream(of: Int32.self, bufferingPolicy: .bufferingNewest(1))
        var signals = Self.set
        pthread_sigmask(SIG_BLOCK, &signals, nil)
    }

    private static var set: sigset_t {
        var signals = sigset_t()
        sigemptyset(&signals)
        for number in numbers { sigaddset(&signals, number) }
        return signals
    }

    /// Passes them on as long as the process lives.
    func forward() -> Never {
        var signals = Self.set
        while true {
            let number = sigwaitinfo(&signals, nil)
            if number > 0 { sink.yield(number) }
        }
    }

    /// Ends at the first of them.
    func service(_ logger: Logger) -> some Service { Waiting(received: received, logger: logger) }

    private struct Waiting: Service {
        let received: AsyncStream<Int32>
        let logger: Logger

        func run() async throws {
            await cancelWhenGracefulShutdown {
                for await number in received {
                    logger.notice("agent asked to end", metadata: ["signal": "\(number)"])
                    return
                }
            }
        }
    }
}
