import PostludeCore

/// Numbers as people read them. What is not known is `-`, never 0 (P9).
public enum Units {
    public static let unknown = "-"

    /// Seconds as `0.4ms`, `850ms`, `12.3s`, `4m05s`, `2h03m`, `3d04h`.
    public static func duration(_ seconds: Double?) -> String {
        guard let seconds, seconds.isFinite else { return unknown }
        if seconds < 0 { return "-" + duration(-seconds) }
        if seconds < 0.9995 { return fixed(seconds * 1000, digits: seconds < 0.00995 ? 1 : 0) + "ms" }
        if seconds < 9.995 { return fixed(seconds, digits: 2) + "s" }
        if seconds < 59.95 { return fixed(seconds, digits: 1) + "s" }
        guard seconds < 1e15 else { return unknown }
        let whole = Int64(seconds.rounded())
        if whole < 3600 { return "\(whole / 60)m\(twoDigits(whole % 60))s" }
        if whole < 86_400 { return "\(whole / 3600)h\(twoDigits(whole / 60 % 60))m" }
        return "\(whole / 86_400)d\(twoDigits(whole / 3600 % 24))h"
    }

    /// Bytes in binary units: `512 B`, `3.4 KiB`, `17.0 GiB`.
    public static func bytes(_ count: Int64?) -> String {
        guard let count else { return unknown }
        guard count.magnitude >= 1024 else { return "\(count) B" }
        var value = Double(count)
        var unit = ""
        for next in ["KiB", "MiB", "GiB", "TiB", "PiB"] {
            value /= 1024
            unit = next
            // 1023.95 would be shown as 1024.0.
            if value.magnitude < 1023.95 { break }
        }
        return fixed(value, digits: value.magnitude < 99.95 ? 1 : 0) + " " + unit
    }

    /// A count, or `-`.
    public static func count(_ value: Int64?) -> String { value.map(String.init) ?? unknown }

    /// UTC, ISO 8601 with milliseconds: `2026-03-01T12:00:00.123Z`.
    public static func timestamp(_ time: Timestamp?) -> String {
        guard let time else { return unknown }
        let day: Int64 = 86_400_000_000
        let days = (time.microseconds - (time.microseconds < 0 ? day - 1 : 0)) / day
        let inDay = time.microseconds - days * day
        let (year, month, dayOfMonth) = civil(days)
        let seconds = inDay / 1_000_000
        let milliseconds = inDay % 1_000_000 / 1000
        return "\(padded(year, 4))-\(padded(month, 2))-\(padded(dayOfMonth, 2))T\(padded(seconds / 3600, 2)):"
            + "\(padded(seconds / 60 % 60, 2)):\(padded(seconds % 60, 2)).\(padded(milliseconds, 3))Z"
    }

    /// The time of day, UTC: `12:00:00.123`.
    public static func clock(_ time: Timestamp?) -> String {
        guard time != nil else { return unknown }
        return String(timestamp(time).dropFirst(11).dropLast())
    }

    /// A decimal number with exactly `digits` digits behind the point; a plain `-` for what is no finite number.
    public static func fixed(_ value: Double, digits: Int) -> String {
        guard value.isFinite, value.magnitude < 1e15 else { return unknown }
        let scale = (0..<digits).reduce(Int64(1)) { product, _ in product * 10 }
        let scaled = (value.magnitude * Double(scale)).rounded()
        guard scaled < 9e18 else { return unknown }
        let whole = Int64(scaled)
        let sign = value < 0 && whole != 0 ? "-" : ""
        guard digits > 0 else { return sign + String(whole) }
        return sign + String(whole / scale) + "." + padded(whole % scale, digits)
    }

    /// Days since 1970-01-01 to year, month and day of the proleptic Gregorian calendar.
    ///
    /// The usual algorithm over 400-year eras that start in March, so that the leap day is an era's last.
    private static func civil(_ days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }

    private static func padded(_ value: Int64, _ width: Int) -> String {
        let digits = String(value)
        return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }

    private static func twoDigits(_ value: Int64) -> String { padded(value, 2) }
}
