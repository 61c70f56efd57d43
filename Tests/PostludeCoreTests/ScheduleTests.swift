import Foundation
import Testing

@testable import PostludeCore

@Suite struct ScheduleTests {
    /// Seconds since 1970 of an ISO 8601 time in UTC.
    private func time(_ text: String) throws -> Int64 {
        Int64(try #require(ISO8601DateFormatter().date(from: text)).timeIntervalSince1970)
    }

    private func text(_ seconds: Int64?) -> String? {
        seconds.map { ISO8601DateFormatter().string(from: Date(timeIntervalSince1970: Double($0))) }
    }

    private func offset(_ zone: String) throws -> (Int64) -> Int64 {
        let zone = try #require(TimeZone(identifier: zone))
        return { Int64(zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double($0)))) }
    }

    private func slots(_ cron: String, _ zone: String, after: String, count: Int) throws -> [String?] {
        let cron = try CronExpression(cron)
        let offset = try offset(zone)
        var now = try time(after)
        return (0..<count).map { _ in
            guard let next = cron.next(after: now, offset: offset) else { return nil }
            now = next
            return text(next)
        }
    }

    @Test func `fields, names, ranges, lists and steps`() throws {
        #expect(
            try slots("0 0 * * MON", "UTC", after: "2026-11-26T12:00:00Z", count: 2) == [
                "2026-11-30T00:00:00Z", "2026-12-07T00:00:00Z",
            ])
        #expect(
            try slots("*/20 9-10 * * *", "UTC", after: "2026-11-26T09:15:00Z", count: 6) == [
                "2026-11-26T09:20:00Z", "2026-11-26T09:40:00Z", "2026-11-26T10:00:00Z", "2026-11-26T10:20:00Z",
                "2026-11-26T10:40:00Z", "2026-11-27T09:00:00Z",
            ])
        #expect(
            try slots("5,35 0 1 jan,jul *", "UTC", after: "2026-11-26T00:00:00Z", count: 3) == [
                "2027-01-01T00:05:00Z", "2027-01-01T00:35:00Z", "2027-07-01T00:05:00Z",
            ])
        #expect(try slots("0 12 * * 7", "UTC", after: "2026-11-26T00:00:00Z", count: 1) == ["2026-11-29T12:00:00Z"])
        #expect(try slots("@monthly", "UTC", after: "2026-11-26T00:00:00Z", count: 1) == ["2026-12-01T00:00:00Z"])
        #expect(
            try slots("0 0 29 2 *", "UTC", after: "2026-11-26T00:00:00Z", count: 2) == [
                "2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z",
            ])
    }

    @Test func `either day field is enough when both are restricted`() throws {
        #expect(
            try slots("0 0 13 * fri", "UTC", after: "2026-11-26T00:00:00Z", count: 4) == [
                "2026-11-27T00:00:00Z", "2026-12-04T00:00:00Z", "2026-12-11T00:00:00Z", "2026-12-13T00:00:00Z",
            ])
    }

    @Test func `a time that the clock skips runs at the first moment after the gap, once`() throws {
        // Berlin, 28 March 2027: 02:00 becomes 03:00 at 01:00 UTC.
        #expect(
            try slots("30 2 * * *", "Europe/Berlin", after: "2027-03-27T00:00:00Z", count: 3) == [
                "2027-03-27T01:30:00Z", "2027-03-28T01:00:00Z", "2027-03-29T00:30:00Z",
            ])
        #expect(
            try slots("0,20,40 2 * * *", "Europe/Berlin", after: "2027-03-28T00:00:00Z", count: 2) == [
                "2027-03-28T01:00:00Z", "2027-03-29T00:00:00Z",
            ])
        // A gap at midnight: Beirut, 29 March 2026, 00:00 becomes 01:00 at 22:00 UTC.
        #expect(
            try slots("0 0 * * *", "Asia/Beirut", after: "2026-03-28T00:00:00Z", count: 2) == [
                "2026-03-28T22:00:00Z", "2026-03-29T21:00:00Z",
            ])
    }

    @Test func `a time that the clock repeats runs once, every hour runs both`() throws {
        // Berlin, 31 October 2027: 03:00 becomes 02:00 at 01:00 UTC.
        #expect(
            try slots("30 2 * * *", "Europe/Berlin", after: "2027-10-30T12:00:00Z", count: 2) == [
                "2027-10-31T00:30:00Z", "2027-11-01T01:30:00Z",
            ])
        #expect(
            try slots("30 * * * *", "Europe/Berlin", after: "2027-10-30T23:45:00Z", count: 3) == [
                "2027-10-31T00:30:00Z", "2027-10-31T01:30:00Z", "2027-10-31T02:30:00Z",
            ])
        // Half an hour only: Lord Howe, 4 April 2027, 02:00 becomes 01:30 at 15:00 UTC the day before.
        #expect(
            try slots("45 1 * * *", "Australia/Lord_Howe", after: "2027-04-03T00:00:00Z", count: 2) == [
                "2027-04-03T14:45:00Z", "2027-04-04T15:15:00Z",
            ])
    }

    @Test(arguments: ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"])
    func `slots rise, and every local minute that matches is among them`(zone: String) throws {
        let offset = try offset(zone)
        let cron = try CronExpression("*/15 1-3 * * *")
        var now = try time("2027-01-01T00:00:00Z")
        let end = try time("2028-01-01T00:00:00Z")
        var found: Set<Int64> = []
        while let next = cron.next(after: now, offset: offset), next < end {
            #expect(next > now)
            found.insert(next)
            now = next
        }
        var first: Set<Int64> = []
        for minute in stride(from: try time("2027-01-01T00:00:00Z") + 60, to: end, by: 60) {
            let local = minute + offset(minute)
            let (hour, part) = (local.flooredRemainder(86_400) / 3_600, local.flooredRemainder(3_600) / 60)
            guard (1...3).contains(hour), part % 15 == 0 else { continue }
            // Only the first of two equal local times.
            if first.insert(local).inserted { #expect(found.contains(minute), "\(text(minute) ?? "")") }
        }
        #expect(found.count >= first.count)
        #expect(found.count <= first.count + 1)
    }

    @Test(arguments: [
        "", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 * ", "* * * * 8",
        "5-1 * * * *",
        "*/0 * * * *", "a * * * *", "1,,2 * * * *", "1- * * * *", "0 0 30 2 *", "-1 * * * *", "1/2/3 * * * *",
    ])
    func `what is no cron expression says so`(text: String) {
        #expect(throws: CronExpression.Problem.self) { try CronExpression(text) }
    }

    // MARK: Steps

    private func step(
        _ schedule: Schedule, last: Int64? = nil, made: Int = 0, alive: Int = 0, now: Int64
    ) -> Schedule.Step {
        schedule.step(submitted: 1_000, last: last, made: made, alive: alive, now: now) { _ in 0 }
    }

    @Test func `an interval begins at once and goes on from there`() {
        let schedule = Schedule(.interval(seconds: 60))
        #expect(step(schedule, now: 1_000) == .run(slot: 1_000))
        #expect(step(schedule, last: 1_000, made: 1, now: 1_000) == .wait(until: 1_060))
        #expect(step(schedule, last: 1_000, made: 1, now: 1_060) == .run(slot: 1_060))
    }

    @Test func `slots keep to the start, also to one long ago`() {
        #expect(step(Schedule(.interval(seconds: 60), startAt: 7), now: 1_000) == .wait(until: 1_027))
        #expect(step(Schedule(.interval(seconds: 60), startAt: 2_000), now: 1_000) == .wait(until: 2_000))
    }

    @Test func `of slots that were missed the last one runs, and only that`() throws {
        let schedule = Schedule(.interval(seconds: 60))
        #expect(step(schedule, last: 1_000, made: 1, now: 1_500) == .run(slot: 1_480))
        #expect(step(schedule, last: 1_480, made: 2, now: 1_500) == .wait(until: 1_540))
        let hourly = Schedule(.cron(try CronExpression("0 * * * *")))
        #expect(step(hourly, last: 3_600, made: 1, now: 3_600 * 5_000 + 12) == .run(slot: 3_600 * 5_000))
        #expect(step(hourly, last: 3_600, made: 1, now: 7_200) == .run(slot: 7_200))
        let yearly = Schedule(.cron(try CronExpression("0 0 1 1 *")))
        #expect(step(yearly, last: nil, now: 31_536_000 + 5) == .run(slot: 31_536_000))
    }

    @Test func `a clock that is set back repeats nothing`() {
        let schedule = Schedule(.interval(seconds: 60))
        #expect(step(schedule, last: 1_480, made: 2, now: 1_100) == .wait(until: 1_540))
    }

    @Test func `the end, the number of runs and the past bound it`() {
        let ending = Schedule(.interval(seconds: 60), endAt: 1_100)
        #expect(step(ending, last: 1_060, made: 2, now: 1_061) == .over)
        #expect(step(ending, last: 1_000, made: 1, now: 5_000) == .run(slot: 1_060))
        #expect(step(Schedule(.interval(seconds: 60), maxRuns: 2), last: 1_060, made: 2, now: 5_000) == .over)
        let past = Schedule(.interval(seconds: 60), dependsOnPast: true)
        #expect(step(past, last: 1_000, made: 1, alive: 1, now: 1_300) == .waitForPast)
        #expect(step(past, last: 1_000, made: 1, alive: 0, now: 1_300) == .run(slot: 1_300))
    }

    @Test func `once is once, at once when it is past`() {
        #expect(step(Schedule(.once, startAt: 5_000), now: 1_000) == .wait(until: 5_000))
        #expect(step(Schedule(.once, startAt: 5_000), now: 5_000) == .run(slot: 5_000))
        #expect(step(Schedule(.once, startAt: 5), now: 1_000) == .run(slot: 5))
        #expect(step(Schedule(.once, startAt: 5_000), last: 5_000, made: 1, now: 6_000) == .over)
    }
}
