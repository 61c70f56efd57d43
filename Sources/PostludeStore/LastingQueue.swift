import GRDB
import Synchronization

/// Opens databases beside the agent's own. What is opened here is closed by whoever asked for it, and never let go: with a
/// queue that goes, libdispatch runs a job in a global queue (to end the queue's keys), and once one of these has run a
/// job, it wakes up each second for as long as the process lives.
enum LastingQueue {
    private static let all = Mutex<[DatabaseQueue]>([])

    static func open(_ path: String) throws -> DatabaseQueue {
        let queue = try DatabaseQueue(path: path)
        all.withLock { $0.append(queue) }
        return queue
    }
}
