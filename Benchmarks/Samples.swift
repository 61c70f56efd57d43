import Glibc

/// Durations of one thing, measured many times, in nanoseconds.
struct Samples {
    private(set) var values: [Int64] = []

    mutating func add(_ nanoseconds: Int64) { values.append(nanoseconds) }

    var count: Int { values.count }

    /// The smallest value that at least `share` of all values do not exceed; nil without values.
    func percentile(_ share: Double) -> Int64? {
        guard !values.isEmpty else { return nil }
        let rank = Int((share * Double(values.count)).rounded(.up))
        return values.sorted()[min(max(rank, 1), values.count) - 1]
    }

    var median: Int64? { percentile(0.5) }
    var p99: Int64? { percentile(0.99) }
}

/// Nanoseconds of a clock that never jumps.
func now() -> Int64 { read(CLOCK_MONOTONIC) }

/// Nanoseconds since 1970, as `date +%s%N` tells them.
func wallClock() -> Int64 { read(CLOCK_REALTIME) }

private func read(_ clock: clockid_t) -> Int64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}

/// A nanosecond count as milliseconds with two digits.
func milliseconds(_ nanoseconds: Int64?) -> String {
    guard let nanoseconds else { return "-" }
    let hundredths = (nanoseconds + 5_000) / 10_000
    let rest = hundredths % 100
    return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest)"
}

/// How many times `whole` fits into `part`'s place: `part / whole` with two digits.
func ratio(_ part: Int64?, to whole: Int64?) -> String {
    guard let part, let whole, whole > 0 else { return "-" }
    let hundredths = (part * 100 + whole / 2) / whole
    let rest = hundredths % 100
    return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest)"
}

/// Rows as a Markdown table, which is also readable as it is.
func table(_ header: [String], _ rows: [[String]]) -> String {
    let widths = header.indices.map { column in ([header] + rows).map { $0[column].count }.max() ?? 0 }
    func line(_ cells: [String]) -> String {
        let padded = zip(cells, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }
        return "| " + padded.joined(separator: " | ") + " |"
    }
    let rule = "|" + widths.map { String(repeating: "-", count: $0 + 2) }.joined(separator: "|") + "|"
    return ([line(header), rule] + rows.map(line)).joined(separator: "\n")
}
