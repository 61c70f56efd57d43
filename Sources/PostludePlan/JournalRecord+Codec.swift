/// See `JournalRecord` for the header. Payloads only ever grow at their end: a reader passes over what it does not
/// know.
extension JournalRecord {
    private enum Kind {
        static let accepted: UInt16 = 1, stepStarted: UInt16 = 2, stepExited: UInt16 = 3, stopping: UInt16 = 4,
            ended: UInt16 = 5
    }

    /// The length of everything before `sequence`'s header fields: u32 length and u32 checksum.
    private static let prefix = 8
    /// Type, zero, sequence and two clocks.
    private static let fixed = 28
    /// No record is larger; a length above it is corruption.
    static let maximumLength = 1 << 22

    public func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 2048)
        writer.integer(UInt32(0))
        writer.integer(UInt32(0))
        writer.integer(kind)
        writer.integer(UInt16(0))
        writer.integer(sequence)
        writer.integer(wallMicroseconds)
        writer.integer(bootNanoseconds)
        encodeBody(to: &writer)
        writer.patch(UInt32(clamping: writer.bytes.count - Self.prefix), at: 0)
        writer.patch(CRC32C.checksum(writer.bytes[Self.prefix...]), at: 4)
        return writer.bytes
    }

    /// The whole records from `offset` on, and the offset after the last of them. Stops at the first record that is cut
    /// short or damaged; passes over types it does not know.
    public static func decode(_ bytes: [UInt8], from offset: Int = 0) -> (records: [JournalRecord], end: Int) {
        var records: [JournalRecord] = []
        var position = min(max(0, offset), bytes.count)
        while true {
            var header = ByteReader(bytes[position...])
            do {
                let length = Int(try header.integer(UInt32.self))
                let checksum: UInt32 = try header.integer()
                guard length >= fixed, length <= maximumLength, length <= header.remaining else { break }
                let content = bytes[(position + prefix)..<(position + prefix + length)]
                guard CRC32C.checksum(content) == checksum else { break }
                if let record = try JournalRecord(content: content) { records.append(record) }
                position += prefix + length
            } catch {
                break
            }
        }
        return (records, position)
    }

    private var kind: UInt16 {
        switch body {
        case .accepted: Kind.accepted
        case .stepStarted: Kind.stepStarted
        case .stepExited: Kind.stepExited
        case .stopping: Kind.stopping
        case .ended: Kind.ended
        }
    }

    private func encodeBody(to writer: inout ByteWriter) {
        switch body {
        case .accepted(let attempt, let pid):
            writer.text(attempt)
            writer.integer(pid)
        case .stepStarted(let step, let name, let pid, let receipt):
            writer.integer(step)
            writer.text(name)
            writer.integer(pid)
            receipt.encode(to: &writer)
        case .stepExited(let step, let name, let exit, let usage):
            writer.integer(step)
            writer.text(name)
            exit.encode(to: &writer)
            usage.encode(to: &writer)
        case .stopping(let reason):
            writer.integer(reason.rawValue)
        case .ended(let reason, let step, let exit):
            writer.integer(reason.rawValue)
            writer.optional(step) { $0.integer($1) }
            exit.encode(to: &writer)
        }
    }

    /// nil for a type that is not known here.
    private init?(content: ArraySlice<UInt8>) throws(PlanError) {
        var reader = ByteReader(content)
        let kind: UInt16 = try reader.integer()
        _ = try reader.integer(UInt16.self)
        let sequence: UInt64 = try reader.integer()
        let wall: Int64 = try reader.integer()
        let boot: UInt64 = try reader.integer()
        let body: Body
        switch kind {
        case Kind.accepted:
            body = .accepted(attempt: try reader.text(), wardenPID: try reader.integer())
        case Kind.stepStarted:
            body = .stepStarted(
                step: try reader.integer(), name: try reader.text(), pid: try reader.integer(),
                receipt: try StepReceipt(from: &reader))
        case Kind.stepExited:
            body = .stepExited(
                step: try reader.integer(), name: try reader.text(), exit: try StepExit(from: &reader),
                usage: try StepCounters(from: &reader))
        case Kind.stopping:
            body = .stopping(try reader.value(StopReason.self))
        case Kind.ended:
            body = .ended(
                try reader.value(EndReason.self),
                step: try reader.optional("flag") { (reader) throws(PlanError) in try reader.integer() },
                exit: try StepExit(from: &reader))
        case _:
            return nil
        }
        self.init(sequence: sequence, wallMicroseconds: wall, bootNanoseconds: boot, body: body)
    }
}

extension JournalRecord.StepExit {
    func encode(to writer: inout ByteWriter) {
        switch self {
        case .code(let code):
            writer.integer(UInt8(0))
            writer.integer(code)
        case .signal(let number, let coreDumped):
            writer.integer(UInt8(1))
            writer.integer(number)
            writer.flag(coreDumped)
        case .setupFailed(let stage, let index, let errno):
            writer.integer(UInt8(2))
            writer.integer(stage.rawValue)
            writer.integer(index)
            writer.integer(errno)
        case .unknown:
            writer.integer(UInt8(3))
        }
    }

    init(from reader: inout ByteReader) throws(PlanError) {
        let kind: UInt8 = try reader.integer()
        switch kind {
        case 0: self = .code(try reader.integer())
        case 1: self = .signal(try reader.integer(), coreDumped: try reader.flag("flag"))
        case 2:
            self = .setupFailed(
                stage: try reader.value(SetupStage.self), index: try reader.integer(), errno: try reader.integer())
        case 3: self = .unknown
        case _: throw reader.failure(.unknownValue("StepExit", UInt64(kind)))
        }
    }
}
