import Glibc
import PostludeLinux
import PostludePlan

/// Appends records to the attempt's journal: written before the warden waits for anything, synced right after.
///
/// Records of one moment go out in one write. `accepted` alone needs no sync of its own: what it says matters only
/// together with what follows.
struct JournalWriter {
    private let file: Int32
    private var sequence: UInt64 = 0
    private var pending: [UInt8] = []
    private var needsSync = false

    init(file: Int32) { self.file = file }

    mutating func append(_ body: JournalRecord.Body, durable: Bool = true) {
        let record = JournalRecord(
            sequence: sequence, wallMicroseconds: Clocks.wallMicroseconds(), bootNanoseconds: Clocks.bootNanoseconds(),
            body: body)
        sequence += 1
        pending += record.encoded()
        if durable { needsSync = true }
    }

    /// Writes and syncs what is pending; cheap when nothing is.
    mutating func flush() throws(LinuxError) {
        if !pending.isEmpty {
            try writeAll(pending, to: file)
            pending.removeAll(keepingCapacity: true)
        }
        if needsSync {
            needsSync = false
            guard fdatasync(file) == 0 else { throw LinuxError(last: "fdatasync", "journal") }
        }
    }
}
