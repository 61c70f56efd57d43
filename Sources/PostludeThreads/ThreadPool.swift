import CLinux
import Glibc
import Synchronization

/// Threads that run tasks and blocking calls, and sleep in the kernel when there is nothing to do.
///
/// Swift's own executor on Linux is libdispatch's, which wakes up once a second for ever after its first job, to look
/// for threads that block. A process whose tasks prefer this executor (`withTaskExecutorPreference`, or
/// `Task(executorPreference:)` at the root) does not wake up at all. What ends up on the other executor all the same
/// runs just as well there.
///
/// A job may block for the milliseconds that a commit or a look at /proc takes: there are more threads than cores, each
/// started when it is first needed. What blocks for longer goes to `blocking`.
public final class ThreadPool: TaskExecutor, Sendable {
    private enum Work: Sendable {
        case job(UnownedJob)
        case call(@Sendable () -> Void)
    }

    private struct State {
        var queue = Fifo<Work>()
        /// Threads that wait in the kernel and that nobody has woken yet.
        var idle = 0
        var threads = 0
    }

    private let name: String
    private let maximum: Int
    private let state = Mutex(State())
    private let wake: Wake

    /// Threads are named `name`, and there are at most `maximum` of them. One is started now.
    ///
    /// - Throws: when the process is out of descriptors or threads.
    public init(name: String, maximum: Int) throws {
        self.name = name
        self.maximum = max(1, maximum)
        wake = try Wake()
        state.withLock { $0.threads = 1 }
        try start()
    }

    /// For calls that may block for as long as they like. Nil when the process had no means to make it.
    public static let blocking: ThreadPool? = {
        do {
            return try ThreadPool(name: "blocking", maximum: 16)
        } catch {
            // Callers then run what blocks where they are: slower, and right.
            return nil
        }
    }()

    public func enqueue(_ job: consuming ExecutorJob) { add(.job(UnownedJob(job))) }

    /// Calls `body` on one of the threads.
    public func run(_ body: @escaping @Sendable () -> Void) { add(.call(body)) }

    private enum Need { case nothing, wake, thread }

    private func add(_ work: Work) {
        let need = state.withLock { state -> Need in
            state.queue.append(work)
            if state.idle > 0 {
                state.idle -= 1
                return .wake
            }
            guard state.threads < maximum else { return .nothing }
            state.threads += 1
            return .thread
        }
        switch need {
        case .nothing: break
        case .wake: wake.signal()
        case .thread:
            do {
                try start()
            } catch {
                // The threads that are there take it when they come to it; the first one always is.
                state.withLock { $0.threads -= 1 }
            }
        }
    }

    private func start() throws { try startThread(named: name) { [self] in work() } }

    private func work() {
        let executor = asUnownedTaskExecutor()
        while true {
            let next = state.withLock { state -> Work? in
                if let work = state.queue.popFirst() { return work }
                state.idle += 1
                return nil
            }
            switch next {
            case .job(let job)?: job.runSynchronously(on: executor)
            case .call(let body)?: body()
            case nil: wake.wait()
            }
        }
    }
}

/// Runs what blocks on a thread of its own, so that the threads of tasks stay free.
public func offload<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    guard let pool = ThreadPool.blocking else { return try body() }
    return try await withCheckedThrowingContinuation { continuation in
        pool.run { continuation.resume(with: Result(catching: body)) }
    }
}

/// First in, first out, without moving what stays.
private struct Fifo<Element> {
    private var incoming: [Element] = []
    private var outgoing: [Element] = []

    mutating func append(_ element: Element) { incoming.append(element) }

    mutating func popFirst() -> Element? {
        if outgoing.isEmpty {
            swap(&incoming, &outgoing)
            outgoing.reverse()
        }
        return outgoing.popLast()
    }
}

/// A semaphore that is a descriptor, so that it needs no fixed place in memory.
private final class Wake: Sendable {
    private let descriptor: Int32

    init() throws(ThreadError) {
        descriptor = eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_SEMAPHORE))
        guard descriptor >= 0 else { throw ThreadError(call: "eventfd", errno: errno) }
    }

    deinit { _ = close(descriptor) }

    /// Lets one waiter go, now or when it comes.
    func signal() {
        var one: UInt64 = 1
        while write(descriptor, &one, MemoryLayout<UInt64>.size) < 0, errno == EINTR {}
    }

    func wait() {
        var count: UInt64 = 0
        while read(descriptor, &count, MemoryLayout<UInt64>.size) < 0, errno == EINTR {}
    }
}
