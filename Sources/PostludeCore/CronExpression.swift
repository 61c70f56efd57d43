/// Cron's five fields: minute, hour, day of month, month, day of week (0 and 7 are Sunday). As in every cron, a day
/// matches when either of the two day fields does, if both are restricted.
///
/// Daylight saving: times that the clock skips run at the first moment after the gap, once. Times that it repeats run
/// the first time; where the hour is `*`, both times, for then what is asked for is an interval.
public struct CronExpression: Hashable, Sendable, Codable {
    public var source: String
    var minutes: UInt64
    var hours: UInt64
    var days: UInt64
    var months: UInt64
    var weekdays: UInt64
    var isEveryHour: Bool
    var isEveryDay: Bool
    var isEveryWeekday: Bool

    /// Why a text is no cron expression.
    public struct Problem: Error, Hashable, Sendable {
        public var message: String
        public var hint: String
    }

    private static let monthNames = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ]
    private static let dayNames = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
    private static let shorthands = [
        "@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
        "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
    ]

    public init(_ source: String) throws(Problem) {
        let text = Self.shorthands[source.lowercased()] ?? source
        let fields = text.split(whereSeparator: \.isWhitespace).map(String.init)
        guard fields.count == 5 else {
            throw Problem(
                message: "has \(fields.count) fields, not five",
                hint: "Write minute, hour, day of month, month and day of week, such as '30 2 * * mon-fri'.")
        }
        self.source = source
        minutes = try Self.field(fields[0], "minute", 0...59)
        hours = try Self.field(fields[1], "hour", 0...23)
        days = try Self.field(fields[2], "day of month", 1...31)
        months = try Self.field(fields[3], "month", 1...12, names: Self.monthNames, firstName: 1)
        let week = try Self.field(fields[4], "day of week", 0...7, names: Self.dayNames, firstName: 0)
        weekdays = week | (week >> 7 & 1)
        isEveryHour = fields[1].hasPrefix("*")
        isEveryDay = fields[2].hasPrefix("*")
        isEveryWeekday = fields[4].hasPrefix("*")
        guard next(after: 0, offset: { _ in 0 }) != nil else {
            throw Problem(message: "never comes", hint: "Name a day that its month has.")
        }
    }

    private static func field(
        _ text: String, _ what: String, _ range: ClosedRange<Int>, names: [String] = [], firstName: Int = 0
    ) throws(Problem) -> UInt64 {
        func fail(_ why: String) -> Problem {
            Problem(
                message: "has the \(what) '\(text)', which \(why)",
                hint: "Numbers are \(range.lowerBound) to \(range.upperBound)"
                    + (names.isEmpty ? "" : ", or names such as \(names[1])") + "; ranges a-b, lists a,b and steps */n."
            )
        }
        func number(_ word: Substring) throws(Problem) -> Int {
            if let index = names.firstIndex(of: word.lowercased()) { return index + firstName }
            guard word.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }), let number = Int(word) else {
                throw fail("is no number")
            }
            guard range.contains(number) else { throw fail("is out of range") }
            return number
        }
        var set: UInt64 = 0
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let halves = part.split(separator: "/", omittingEmptySubsequences: false)
            guard halves.count <= 2, let head = halves.first, !head.isEmpty else { throw fail("is empty in a place") }
            var step = 1
            if halves.count == 2 {
                guard let every = Int(halves[1]), every > 0 else { throw fail("has no step above 0") }
                step = every
            }
            let ends = head.split(separator: "-", omittingEmptySubsequences: false)
            guard ends.count <= 2, !ends.contains(where: \.isEmpty) else { throw fail("is no range") }
            let first = head == "*" ? range.lowerBound : try number(ends[0])
            let single = halves.count == 2 ? range.upperBound : first
            let last = head == "*" ? range.upperBound : ends.count == 2 ? try number(ends[1]) : single
            guard first <= last else { throw fail("goes backwards") }
            for value in stride(from: first, through: last, by: step) { set |= 1 << UInt64(value) }
        }
        return set
    }
}

extension CronExpression {
    private static let day: Int64 = 86_400
    /// Leap days are at most eight years apart.
    private static let horizon: Int64 = 9 * 366 * day
    /// No clock is set by more than that.
    private static let largestShift: Int64 = 3 * 3_600

    /// The first matching time later than `time`; nil when there is none. `offset` gives seconds east of UTC at a time.
    public func next(after time: Int64, offset: (Int64) -> Int64) -> Int64? {
        var now = (time.flooredDivision(60) + 1) * 60
        let end = now + Self.horizon
        var before = offset(now - 60)
        while now < end {
            let east = offset(now)
            if east > before, matchesGap(now + before, now + east) { return now }
            before = east
            let local = now + east
            guard matchesDate(local) else {
                // Not to the very end of the day: what the clock skips there belongs to the next one.
                let rest = Self.day - local.flooredRemainder(Self.day)
                now += rest > Self.largestShift ? (rest - Self.largestShift) / 900 * 900 : quarter(now)
                if rest > Self.largestShift, (rest - Self.largestShift) < 900 { now += quarter(now) }
                before = offset(now - 60)
                continue
            }
            let second = local.flooredRemainder(Self.day)
            guard hours >> UInt64(second / 3_600) & 1 == 1 else {
                now += quarter(now)
                before = offset(now - 60)
                continue
            }
            if minutes >> UInt64(second / 60 % 60) & 1 == 1, isEveryHour || !isRepeated(now, east, offset) {
                return now
            }
            now += 60
        }
        return nil
    }

    /// To the next quarter of an hour, at which clocks are set and local hours begin.
    private func quarter(_ time: Int64) -> Int64 { 900 - time.flooredRemainder(900) }

    /// Whether the local time was there before, an overlap ago.
    private func isRepeated(_ time: Int64, _ east: Int64, _ offset: (Int64) -> Int64) -> Bool {
        let earlier = offset(time - Self.largestShift)
        guard earlier > east else { return false }
        return offset(time - (earlier - east)) == earlier
    }

    /// Whether any of the local times that the clock skips matches.
    private func matchesGap(_ from: Int64, _ to: Int64) -> Bool {
        for local in stride(from: from, to: to, by: 60) {
            let second = local.flooredRemainder(Self.day)
            guard hours >> UInt64(second / 3_600) & 1 == 1, minutes >> UInt64(second / 60 % 60) & 1 == 1 else {
                continue
            }
            if matchesDate(local) { return true }
        }
        return false
    }

    private func matchesDate(_ local: Int64) -> Bool {
        let number = local.flooredDivision(Self.day)
        // Civil date from days since 1970-01-01, eras of 400 years beginning in March.
        let shifted = number + 719_468
        let era = shifted.flooredDivision(146_097)
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let fromMarch = (5 * dayOfYear + 2) / 153
        let dayOfMonth = dayOfYear - (153 * fromMarch + 2) / 5 + 1
        let month = fromMarch < 10 ? fromMarch + 3 : fromMarch - 9
        guard months >> UInt64(month) & 1 == 1 else { return false }
        let isDay = days >> UInt64(dayOfMonth) & 1 == 1
        // 1970-01-01 was a Thursday.
        let isWeekday = weekdays >> UInt64((number + 4).flooredRemainder(7)) & 1 == 1
        if isEveryDay || isEveryWeekday { return isDay && isWeekday }
        return isDay || isWeekday
    }
}
