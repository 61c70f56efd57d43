import Glibc
import PostludeLinux
import PostludePlan

/// What a step's pid 1 (or a launcher) says to the warden: one packet of 24 bytes. Both are the same executable.
struct StepMessage {
    enum Kind: UInt8 {
        /// The mounts are final; set-up goes on.
        case mounted = 1
        /// All is set up, with the Landlock rules `index` of ABI `value`; waits for one byte before the program starts.
        case ready = 2
        /// Set-up failed at `stage`, `index` for the reason `value` (errno); the sender ends.
        case failed = 3
        /// The program ended with code `value`.
        case exited = 4
        /// The program was ended by signal `value`; `index` is 1 when it dumped core.
        case signalled = 5
        /// A launcher cloned a step: pid `value`, pidfd `index`.
        case launched = 6
        /// The template of the root is made; waits for the plan.
        case parked = 7
    }

    var kind: Kind
    var stage: SetupStage = .plan
    var index: UInt32 = 0
    var value: Int32 = 0
    var maxRSSBytes: UInt64 = 0

    static let size = 24

    init(_ kind: Kind, stage: SetupStage = .plan, index: UInt32 = 0, value: Int32 = 0, maxRSSBytes: UInt64 = 0) {
        self.kind = kind
        self.stage = stage
        self.index = index
        self.value = value
        self.maxRSSBytes = maxRSSBytes
    }

    /// Whether it was taken. The reader is the warden; when it is gone, so are we.
    @discardableResult
    func send(to socket: Int32) -> Bool {
        var raw: (UInt8, UInt8, UInt16, UInt32, Int32, UInt32, UInt64) = (
            kind.rawValue, stage.rawValue, 0, index, value, 0, maxRSSBytes
        )
        return withUnsafeBytes(of: &raw) { write(socket, $0.baseAddress, Self.size) } == Self.size
    }

    /// nil when the other side closed or sent something else.
    static func receive(from socket: Int32) -> StepMessage? {
        var raw: (UInt8, UInt8, UInt16, UInt32, Int32, UInt32, UInt64) = (0, 0, 0, 0, 0, 0, 0)
        var count = -1
        repeat {
            count = withUnsafeMutableBytes(of: &raw) { read(socket, $0.baseAddress, size) }
        } while count < 0 && errno == EINTR
        guard count == size, let kind = Kind(rawValue: raw.0), let stage = SetupStage(rawValue: raw.1) else {
            return nil
        }
        return StepMessage(kind, stage: stage, index: raw.3, value: raw.4, maxRSSBytes: raw.6)
    }
}

/// A stage of set-up that failed.
struct SetupFailure: Error {
    var stage: SetupStage
    var index: Int = 0
    var errno: Int32

    var exit: JournalRecord.StepExit {
        .setupFailed(stage: stage, index: UInt16(clamping: index), errno: errno)
    }
}

/// Runs `body` as this stage: its error becomes the stage's.
@inline(__always)
func stage<Result: ~Copyable>(
    _ stage: SetupStage, index: Int = 0, _ body: () throws(LinuxError) -> Result
) throws(SetupFailure) -> Result {
    do { return try body() } catch { throw SetupFailure(stage: stage, index: index, errno: error.errno) }
}
