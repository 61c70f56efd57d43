import Glibc
import PostludeLinux
import PostludePlan

/// Appends records to the attempt's journal: written before the warden waits for anything, so that whoever watches sees
/// them, and synced within two milliseconds, so that what follows closely shares the sync.
///
/// `accepted` alone needs no sync of its own: what it says matters only together with what follows.
struct JournalWriter {
    private static let delayNanoseconds: UInt64 = 2_000_000

    private let file: Int32
    private var sequence: UInt64 = 0
    private var pending: [UInt8] = []
    private var syncDue: UInt64?

    init(file: Int32) { self.file = file }

    mutating func append(_ body: JournalRecord.Body, durable: Bool = true) {
        let record = JournalRecord(
            sequence: sequence, wallMicroseconds: Clocks.wallMicroseconds(), bootNanoseconds: Clocks.bootNanoseconds(),
            body: body)
        sequence += 1
        pending += record.encoded()
        if durable, syncDue == nil { syncDue = Clocks.monotonicNanoseconds() + Self.delayNanoseconds }
    }

    /// Writes what is pending; cheap when nothing is.
    mutating func flush() throws(LinuxError) {
        guard !pending.isEmpty else { return }
        try writeAll(pending, to: file)
        pending.removeAll(keepingCapacity: true)
    }

    /// Makes what was written durable, not before it is due: the agent writes the same down at this very moment, and of
    /// two syncs at once each waits for the other.
    mutating func syncWhenDue() throws(LinuxError) {
        while true {
            let wait = try millisecondsUntilSync()
            guard wait > 0 else { return }
            _ = poll(nil, 0, wait)
        }
    }

    private mutating func sync() throws(LinuxError) {
        guard syncDue != nil else { return }
        syncDue = nil
        guard fdatasync(file) == 0 else { throw LinuxError(last: "fdatasync", "journal") }
    }

    /// Syncs when it is time to, and says how long the caller may wait until it is: -1 for ever.
    mutating func millisecondsUntilSync() throws(LinuxError) -> Int32 {
        guard let due = syncDue else { return -1 }
        let now = Clocks.monotonicNanoseconds()
        if now < due { return Int32((due - now + 999_999) / 1_000_000) }
        try sync()
        return -1
    }
}
