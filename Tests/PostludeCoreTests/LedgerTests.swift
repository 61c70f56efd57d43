import Testing

@testable import PostludeCore

/// A small generator with a seed, so that a failing sequence can be run again.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 | 1 }

    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }
}

@Suite struct LedgerTests {
    private static let run = RunSamples.runs[0]

    private static func moves(_ attempt: Int) -> [DeviceLedger.Move] {
        [
            .lease(device: "d", attempt: attempt), .beginRelease(device: "d", attempt: attempt),
            .free(device: "d", attempt: attempt), .quarantine(device: "d", attempt: attempt, evidence: []),
            .clear(device: "d"),
        ]
    }

    @Test(arguments: 1...64)
    func `whatever happens, a device's seconds add up to wall time`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let start = Timestamp(microseconds: 1_000_000_000)
        var now = start
        var open = DeviceLedger.Interval(device: "d", state: .idle, began: start)
        var closed: [DeviceLedger.Interval] = []
        for _ in 0..<200 {
            // Sometimes the clock is set back.
            now.microseconds += Int64.random(in: -2_000_000...10_000_000, using: &random)
            guard let move = Self.moves(Int.random(in: 1...2, using: &random)).randomElement(using: &random) else {
                continue
            }
            do throws(DeviceLedger.Violation) {
                let step = try DeviceLedger.step(open, move, of: Self.run, at: now)
                closed.append(step.closed)
                open = step.opened
            } catch {
                #expect(error.state == open.state)
            }
        }
        let until = Timestamp(microseconds: max(now, open.began).microseconds + 5_000_000)
        let totals = DeviceLedger.totals(closed + [open], from: start, until: until)
        #expect(abs(totals.values.reduce(0, +) - until.seconds(since: start)) < 1e-6)
        #expect(totals.count == DeviceLedger.State.allCases.count)
        for (earlier, later) in zip(closed, closed.dropFirst() + [open]) {
            #expect(earlier.ended == later.began)
        }
    }

    @Test func `a device is leased only when idle`() {
        for state in DeviceLedger.State.allCases where state != .idle {
            let open = DeviceLedger.Interval(
                device: "d", state: state, holder: AttemptID(run: Self.run, number: 1), began: .zero)
            #expect(throws: DeviceLedger.Violation.self) {
                try DeviceLedger.step(open, .lease(device: "d", attempt: 2), of: Self.run, at: .zero)
            }
        }
    }

    @Test func `a device is freed only by the attempt that has it, and only while it is being released`() throws {
        let holder = AttemptID(run: Self.run, number: 1)
        let releasing = DeviceLedger.Interval(device: "d", state: .releasing, holder: holder, began: .zero)
        #expect(throws: DeviceLedger.Violation.self) {
            try DeviceLedger.step(releasing, .free(device: "d", attempt: 2), of: Self.run, at: .zero)
        }
        #expect(throws: DeviceLedger.Violation.self) {
            try DeviceLedger.step(releasing, .free(device: "d", attempt: 1), of: RunSamples.runs[1], at: .zero)
        }
        #expect(
            try DeviceLedger.step(releasing, .free(device: "d", attempt: 1), of: Self.run, at: .zero).opened.state
                == .idle)
        let allocated = DeviceLedger.Interval(device: "d", state: .allocated, holder: holder, began: .zero)
        #expect(throws: DeviceLedger.Violation.self) {
            try DeviceLedger.step(allocated, .free(device: "d", attempt: 1), of: Self.run, at: .zero)
        }
    }

    @Test func `a quarantined device comes back only by being cleared`() throws {
        let quarantined = DeviceLedger.Interval(device: "d", state: .quarantined, began: .zero)
        for move in Self.moves(1) where move != .clear(device: "d") {
            #expect(throws: DeviceLedger.Violation.self) {
                try DeviceLedger.step(quarantined, move, of: Self.run, at: .zero)
            }
        }
        #expect(try DeviceLedger.step(quarantined, .clear(device: "d"), of: Self.run, at: .zero).opened.state == .idle)
    }
}
