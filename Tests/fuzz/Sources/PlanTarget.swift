@testable import PostludePlan

/// What the warden and the agent read from each other. The first byte chooses the decoder.
///
/// Nothing here knows a field: what decodes must come out the same when it is written and read again.
enum PlanTarget {
    static func run(_ input: [UInt8]) {
        guard let kind = input.first else { return }
        let bytes = Array(input.dropFirst())
        switch kind % 5 {
        case 0: plan(bytes)
        case 1: request(bytes)
        case 2: records(bytes)
        case 3: records(framed(bytes))
        case _: message(bytes)
        }
    }

    private static func plan(_ bytes: [UInt8]) {
        do {
            let plan = try LaunchPlan(decoding: bytes)
            let again = try LaunchPlan(decoding: plan.encoded())
            Fuzz.demand(again == plan, "a plan changes when it is written and read")
        } catch {
            check(error, bytes.count)
        }
    }

    private static func request(_ bytes: [UInt8]) {
        do {
            let request = try PrepareRequest(decoding: bytes[...])
            let again = try PrepareRequest(decoding: request.encoded()[...])
            Fuzz.demand(again == request, "a request changes when it is written and read")
        } catch {
            check(error, bytes.count)
        }
    }

    private static func records(_ bytes: [UInt8]) {
        let (records, end) = JournalRecord.decode(bytes)
        Fuzz.demand((0...bytes.count).contains(end), "the journal ends at \(end) of \(bytes.count)")
        let (again, written) = JournalRecord.decode(records.flatMap { $0.encoded() })
        Fuzz.demand(again == records, "records change when they are written and read")
        Fuzz.demand(written == records.reduce(0) { $0 + $1.encoded().count }, "a record is not whole")
        // From where reading stopped there is nothing more.
        Fuzz.demand(JournalRecord.decode(bytes, from: end).records.isEmpty, "a record is read twice")
    }

    private static func message(_ bytes: [UInt8]) {
        do {
            if let (stage, errno) = try ControlMessage.failure(in: bytes) {
                let written = ControlMessage.failure(stage, errno: errno)
                Fuzz.demand(bytes.starts(with: written), "a failure changes when it is written")
            }
        } catch {
            check(error, bytes.count)
        }
    }

    private static func check(_ error: PlanError, _ count: Int) {
        Fuzz.demand((0...count).contains(error.offset), "an error is at \(error.offset) of \(count): \(error)")
        Fuzz.demand(!error.description.isEmpty, "an error says nothing")
    }

    /// Contents with the right length and checksum before them, which no mutation would hit. A content ends at the mark
    /// 0xfe 0xfd, for several records in one input.
    private static func framed(_ bytes: [UInt8]) -> [UInt8] {
        var framed: [UInt8] = []
        var content: [UInt8] = []
        func close() {
            for value in [UInt32(content.count), CRC32C.checksum(content[...])] {
                withUnsafeBytes(of: value.littleEndian) { framed.append(contentsOf: $0) }
            }
            framed += content
            content = []
        }
        for byte in bytes {
            content.append(byte)
            if content.suffix(2) == [0xfe, 0xfd] {
                content.removeLast(2)
                close()
            }
        }
        close()
        return framed
    }
}
