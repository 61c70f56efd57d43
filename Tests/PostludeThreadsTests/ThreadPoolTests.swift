import Glibc
import PostludeThreads
import Synchronization
import Testing

@Suite struct ThreadPoolTests {
    @Test func `tasks that prefer the pool and their children run on its threads`() async throws {
        let pool = try ThreadPool(name: "pool-test", maximum: 4)
        let names = await withTaskExecutorPreference(pool) {
            await withTaskGroup(of: String.self) { group in
                for _ in 0..<20 {
                    group.addTask {
                        await Task.yield()
                        return threadName()
                    }
                }
                return await group.reduce(into: Set<String>()) { $0.insert($1) }
            }
        }
        #expect(names == ["pool-test"])
    }

    @Test func `no more threads than allowed run at a time, and all the work is done`() async throws {
        let pool = try ThreadPool(name: "bounded", maximum: 3)
        let gauge = Gauge()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<30 {
                group.addTask {
                    await withCheckedContinuation { continuation in
                        pool.run {
                            gauge.during { usleep(2000) }
                            continuation.resume()
                        }
                    }
                }
            }
        }
        #expect(gauge.most == 3)
    }

    @Test func `work is begun in the order it came`() async throws {
        let pool = try ThreadPool(name: "ordered", maximum: 1)
        let order = Order()
        await withCheckedContinuation { continuation in
            for number in 0..<200 { pool.run { order.append(number) } }
            pool.run { continuation.resume() }
        }
        #expect(order.numbers == Array(0..<200))
    }

    @Test func `what blocks elsewhere gives its value or its error`() async throws {
        struct Refused: Error {}
        #expect(try await offload { 7 } == 7)
        await #expect(throws: Refused.self) { try await offload { throw Refused() } }
    }
}

@Suite struct PauseTests {
    @Test func `a pause lasts as long as asked, also beside longer and shorter ones`() async throws {
        let clock = ContinuousClock()
        try await withThrowingTaskGroup(of: (Int, Duration).self) { group in
            for milliseconds in [120, 30, 1, 60, 0] {
                group.addTask {
                    (milliseconds, try await clock.measure { try await pause(for: .milliseconds(milliseconds)) })
                }
            }
            for try await (asked, lasted) in group {
                #expect(lasted >= .milliseconds(asked))
                // Lost, it would last for ever; late, it may be on a busy machine.
                #expect(lasted < .seconds(60))
            }
        }
    }

    @Test func `a cancelled pause ends at once`() async throws {
        let lasted = await ContinuousClock().measure {
            await withTaskGroup(of: Void.self) { group in
                group.addTask {
                    await #expect(throws: CancellationError.self) { try await pause(for: .seconds(600)) }
                }
                group.cancelAll()
            }
        }
        #expect(lasted < .seconds(60))
    }

    @Test func `a pause in a cancelled task does not begin`() async throws {
        let task = Task {
            while !Task.isCancelled { await Task.yield() }
            try await pause(for: .seconds(600))
        }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
    }
}

/// How many are inside at a time.
private final class Gauge: Sendable {
    private let state = Mutex((now: 0, most: 0))

    var most: Int { state.withLock { $0.most } }

    func during(_ body: () -> Void) {
        state.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1)) }
        body()
        state.withLock { $0.now -= 1 }
    }
}

private final class Order: Sendable {
    private let state = Mutex<[Int]>([])

    var numbers: [Int] { state.withLock { $0 } }

    func append(_ number: Int) { state.withLock { $0.append(number) } }
}

private func threadName() -> String {
    let file = open("/proc/thread-self/comm", O_RDONLY | O_CLOEXEC)
    defer { close(file) }
    var name = [UInt8](repeating: 0, count: 16)
    let count = read(file, &name, name.count)
    return String(decoding: name.prefix(max(0, count - 1)), as: UTF8.self)
}
