import PostludeCore
import Testing

@testable import PostludeStore

@Suite struct WriteClockTests {
    private func times(_ asked: [Int64]) -> [Int64] {
        let clock = WriteClock()
        return asked.map { clock.time(of: Timestamp(microseconds: $0)).microseconds }
    }

    @Test func `a write that waited for others is not before them`() {
        #expect(times([10, 30, 20, 29, 31]) == [10, 30, 30, 30, 31])
    }

    @Test func `a clock that was set back is taken as it is`() {
        let hour: Int64 = 3_600_000_000
        #expect(times([hour * 2, hour, hour + 1, hour]) == [hour * 2, hour, hour + 1, hour + 1])
    }
}
