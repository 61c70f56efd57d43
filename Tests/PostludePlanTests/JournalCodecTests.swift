import Testing

@testable import PostludePlan

struct JournalCodecTests {
    @Test func `the checksum is CRC-32C`() {
        #expect(CRC32C.checksum(Array("123456789".utf8)[...]) == 0xE306_9283)
        #expect(CRC32C.checksum([]) == 0)
        #expect(CRC32C.checksum(Array(repeating: 0, count: 32)[...]) == 0x8A91_36AA)
    }

    @Test(arguments: Samples.journal) func `a record comes back as it was`(record: JournalRecord) {
        let bytes = record.encoded()
        let decoded = JournalRecord.decode(bytes)
        #expect(decoded.records == [record])
        #expect(decoded.end == bytes.count)
    }

    @Test func `a journal is read up to its last whole record, from any record on`() {
        let parts = Samples.journal.map { $0.encoded() }
        let whole = parts.flatMap { $0 }
        #expect(JournalRecord.decode(whole).records == Samples.journal)
        let second = parts[0].count
        #expect(JournalRecord.decode(whole, from: second).records == Array(Samples.journal.dropFirst()))
        for cut in 1..<(parts.last?.count ?? 1) {
            let decoded = JournalRecord.decode(Array(whole.dropLast(cut)))
            #expect(decoded.records == Array(Samples.journal.dropLast()))
            #expect(decoded.end == whole.count - (parts.last?.count ?? 0))
        }
        #expect(JournalRecord.decode(whole, from: whole.count + 10).records.isEmpty)
    }

    @Test func `reading stops at the first damaged byte`() {
        let parts = Samples.journal.map { $0.encoded() }
        let whole = parts.flatMap { $0 }
        let start = parts[0].count + parts[1].count
        for offset in 0..<parts[2].count {
            var bytes = whole
            bytes[start + offset] ^= 0x40
            let decoded = JournalRecord.decode(bytes)
            #expect(decoded.records == Array(Samples.journal.prefix(2)))
            #expect(decoded.end == start)
        }
    }

    @Test func `unknown types and longer payloads of a newer warden are passed over`() {
        let unknown = reframe(Samples.journal[6].encoded()) { $0[8] = 99 }
        let longer = reframe(Samples.journal[9].encoded()) { $0 += [1, 2, 3] }
        let bytes = unknown + longer + Samples.journal[7].encoded()
        let decoded = JournalRecord.decode(bytes)
        #expect(decoded.records == [Samples.journal[9], Samples.journal[7]])
        #expect(decoded.end == bytes.count)
    }

    @Test func `a count that nobody made stays unknown`() throws {
        let record = try #require(JournalRecord.decode(Samples.journal[3].encoded()).records.first)
        guard case .stepExited(_, _, _, let usage) = record.body else {
            Issue.record("\(record)")
            return
        }
        #expect(usage.userMicroseconds == nil)
        #expect(usage.logBytesDropped == 0)
    }

    @Test func `records of older wardens, which end earlier, are read`() throws {
        // Before core scheduling, before there were steps without a cgroup, and before Landlock: a receipt without its last
        // field, its last three, its last five.
        let lengths = [1, 1 + 1 + 8, 1 + 1 + 8 + 4 + 4]
        let started = lengths.flatMap { length in reframe(Samples.journal[1].encoded()) { $0.removeLast(length) } }
        var receipts = [Samples.receipt, Samples.olderReceipt, Samples.olderReceipt]
        receipts[0].hasCoreCookie = false
        receipts[1].landlockABI = Samples.receipt.landlockABI
        receipts[1].landlockRules = Samples.receipt.landlockRules
        let expected = receipts.map { receipt in
            var record = Samples.journal[1]
            record.body = .stepStarted(step: 2, name: "main", pid: 99, receipt: receipt)
            return record
        }
        // Before refused forks were counted: eleven counters, all unknown.
        let exited = reframe(Samples.journal[2].encoded()) { bytes in
            let count = bytes.count - 1 - Int(bytes[bytes.count - 13])
            bytes[count] = 11
            bytes.removeLast()
        }
        let decoded = JournalRecord.decode(started + exited)
        #expect(decoded.records == expected + [Samples.journal[2]])
        #expect(decoded.end == started.count + exited.count)
    }

    /// Changes the content of a record and puts length and checksum right again.
    private func reframe(_ bytes: [UInt8], _ change: (inout [UInt8]) -> Void) -> [UInt8] {
        var bytes = bytes
        change(&bytes)
        let content = bytes[8...]
        let header =
            withUnsafeBytes(of: UInt32(content.count).littleEndian) { Array($0) }
            + withUnsafeBytes(of: CRC32C.checksum(content).littleEndian) { Array($0) }
        return header + content
    }
}
