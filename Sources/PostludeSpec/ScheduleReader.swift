import Foundation
import PostludeCore

/// Reads `schedule`: when an operation runs again and again.
struct ScheduleReader {
    let session: SpecSession

    /// The hooks are the parent's own, which fire when the schedule is over.
    func read(_ reader: inout MappingReader) -> (schedule: Schedule, hooks: [Hook])? {
        let kindPlace = reader.entry("kind")?.value.place ?? reader.place
        let kind = reader.text("kind")
        let zone = zone(&reader)
        let startAt = time("startAt", &reader, zone)
        let endAt = time("endAt", &reader, zone)
        let maxRuns = reader.count("maxRuns", least: 1).map { Int(clamping: $0) }
        let dependsOnPast = reader.flag("dependsOnPast") ?? false
        var rule: Schedule.Rule?
        switch kind {
        case "cron": rule = cron(&reader)
        case "interval": rule = interval(&reader)
        case "datetime":
            rule = .once
            if !reader.has("startAt") {
                session.findings.error(
                    "spec.missing-key", "`\(reader.path)` has no `startAt`.", hint: "Say when the operation is to run.",
                    at: reader.place)
            }
        case let kind?:
            session.findings.error(
                "spec.invalid-value", "There is no schedule of the kind '\(kind)'.",
                hint: Suggestion.hint(for: kind, among: ["cron", "interval", "datetime"])
                    ?? "Kinds are cron, interval and datetime.", at: kindPlace)
        case nil:
            session.findings.error(
                "spec.missing-key", "`\(reader.path)` has no `kind`.", hint: "Add kind: cron, interval or datetime.",
                at: reader.place)
        }
        reader.accept(["cron", "frequency"])
        let hooks = HookReader(session: session).read(reader.list("hooks") ?? [], path: reader.name(of: "hooks"))
        reader.finish()
        if let startAt, let endAt, endAt < startAt {
            session.findings.error(
                "spec.invalid-value", "`\(reader.path)` ends before it starts.", hint: "Set `endAt` after `startAt`.",
                at: reader.place)
        }
        return rule.map { rule in
            let schedule = Schedule(
                rule, startAt: startAt, endAt: endAt, maxRuns: maxRuns, dependsOnPast: dependsOnPast,
                timeZone: zone?.identifier, place: reader.place)
            return (schedule, hooks)
        }
    }

    private func cron(_ reader: inout MappingReader) -> Schedule.Rule? {
        guard let entry = reader.entry("cron"), let text = reader.text("cron") else {
            session.findings.error(
                "spec.missing-key", "`\(reader.path)` has no `cron`.", hint: "Such as cron: \"0 2 * * *\".",
                at: reader.place)
            return nil
        }
        do throws(CronExpression.Problem) {
            return .cron(try CronExpression(text))
        } catch {
            session.findings.error(
                "spec.invalid-value", "The cron expression '\(text)' \(error.message).", hint: error.hint,
                at: entry.value.place)
            return nil
        }
    }

    private func interval(_ reader: inout MappingReader) -> Schedule.Rule? {
        guard reader.has("frequency") else {
            session.findings.error(
                "spec.missing-key", "`\(reader.path)` has no `frequency`.", hint: "Give it in seconds.",
                at: reader.place)
            return nil
        }
        return reader.count("frequency", least: 1).map { .interval(seconds: min($0, 10 * 366 * 86_400)) }
    }

    private func zone(_ reader: inout MappingReader) -> TimeZone? {
        guard let entry = reader.entry("timeZone"), let name = reader.text("timeZone") else { return nil }
        if let zone = TimeZone(identifier: name) { return zone }
        session.findings.error(
            "spec.invalid-value", "There is no time zone '\(name)'.",
            hint: Suggestion.hint(for: name, among: TimeZone.knownTimeZoneIdentifiers)
                ?? "Write a name such as Europe/Berlin.", at: entry.value.place)
        return nil
    }

    /// Seconds since 1970. A time that names no offset is one of the schedule's zone, or of UTC.
    private func time(_ key: String, _ reader: inout MappingReader, _ zone: TimeZone?) -> Int64? {
        guard let node = reader.take(key), let scalar = node.scalar else {
            if let node = reader.take(key) { session.findings.wrongType(reader.name(of: key), wanted: "a time", node) }
            return nil
        }
        if let seconds = Self.seconds(scalar.text, zone ?? .gmt) { return seconds }
        session.findings.error(
            "spec.invalid-value", "`\(reader.name(of: key))` is no time: '\(scalar.text)'.",
            hint: "Such as \"2026-06-24T21:20:07+02:00\" or \"2026-06-24 21:20\".", at: node.place)
        return nil
    }

    static func seconds(_ text: String, _ zone: TimeZone) -> Int64? {
        let pattern = #/(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?)?\s*(Z|[+-]\d{2}:?\d{2})?/#
        guard let match = text.wholeMatch(of: pattern) else { return nil }
        func number(_ part: Substring?) -> Int { part.flatMap { Int($0) } ?? 0 }
        var parts = DateComponents()
        (parts.year, parts.month, parts.day) = (number(match.1), number(match.2), number(match.3))
        (parts.hour, parts.minute, parts.second) = (number(match.4), number(match.5), number(match.6))
        var calendar = Calendar(identifier: .gregorian)
        if let offset = match.7 {
            let digits = offset.filter(\.isNumber)
            let seconds = number(digits.prefix(2)[...]) * 3_600 + number(digits.suffix(2)[...]) * 60
            guard let fixed = TimeZone(secondsFromGMT: offset.hasPrefix("-") ? -seconds : seconds) else { return nil }
            calendar.timeZone = offset == "Z" ? .gmt : fixed
        } else {
            calendar.timeZone = zone
        }
        // The calendar would take the 31st of June for the 1st of July.
        guard parts.isValidDate(in: calendar) || (1...12).contains(parts.month ?? 0), (parts.hour ?? 0) < 24,
            (parts.minute ?? 0) < 60, (parts.second ?? 0) < 60, let date = calendar.date(from: parts),
            calendar.component(.day, from: date) == parts.day, calendar.component(.month, from: date) == parts.month
        else { return nil }
        return Int64(date.timeIntervalSince1970)
    }
}
