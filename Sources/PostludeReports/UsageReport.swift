import PostludeCore

/// Accounting records for people (a table by run with its steps) and for programs (CSV).
public enum UsageReport {
    /// A table: a line for each run, newest first as given, with its steps below it; hook runs stand below their main.
    public static func table(_ records: [UsageRecord]) -> [String] {
        var table = TextTable([
            .init("RUN"), .init("NAME / STEP", limit: 44), .init("STATUS"), .init("WAITED", .trailing),
            .init("WALL", .trailing), .init("CPU", .trailing), .init("PEAK MEM", .trailing),
            .init("DISK", .trailing), .init("DEVICE", .trailing), .init("RELEASE", .trailing), .init("DEVICES"),
        ])
        for run in runs(records) { append(run, to: &table) }
        return table.lines
    }

    /// One row for each step, all columns, plain numbers in seconds and bytes; what is not known is empty.
    public static func csv(_ records: [UsageRecord]) -> String {
        CSV.text(
            header: [
                "run", "name", "project", "user", "upstream", "hook", "attempt", "step", "role", "status", "exit",
                "started_at", "finished_at", "queue_seconds", "wall_seconds", "user_seconds", "system_seconds",
                "peak_memory_bytes", "max_rss_bytes", "oom_kills", "peak_pids", "forks_refused", "throttled_seconds",
                "read_bytes",
                "written_bytes", "log_bytes_dropped", "device_seconds", "releasing_seconds", "devices",
                "artifacts_bytes",
            ],
            rows: records.map { record in
                [
                    record.run.description, record.runName, record.project, record.user, record.upstream?.description,
                    record.hookName, String(record.attempt), record.step, record.role.rawValue, record.status.rawValue,
                    record.exit?.text, record.startedAt.map { Units.timestamp($0) },
                    record.finishedAt.map { Units.timestamp($0) }, number(record.queueSeconds),
                    number(record.usage?.wallSeconds), number(record.usage?.userSeconds),
                    number(record.usage?.systemSeconds), number(record.usage?.peakMemoryBytes),
                    number(record.usage?.maxRSSBytes), number(record.usage?.oomKills),
                    number(record.usage?.peakPIDs), number(record.usage?.forksRefused),
                    number(record.usage?.throttledSeconds),
                    number(record.usage?.readBytes), number(record.usage?.writtenBytes),
                    number(record.usage?.logBytesDropped), number(record.deviceSeconds),
                    number(record.releasingSeconds), record.devices.joined(separator: " "),
                    number(record.artifactsBytes),
                ]
            })
    }

    /// One run's records, in the order given.
    struct Group {
        var run: RunID
        var upstream: RunID?
        var records: [UsageRecord]
    }

    /// Records by run in the order of first appearance, each hook run moved to behind its main when that is there too.
    static func runs(_ records: [UsageRecord]) -> [Group] {
        var groups: [Group] = []
        var index: [RunID: Int] = [:]
        for record in records {
            if let known = index[record.run] {
                groups[known].records.append(record)
            } else {
                index[record.run] = groups.count
                groups.append(Group(run: record.run, upstream: record.upstream, records: [record]))
            }
        }
        func family(_ group: Group) -> [Group] {
            [group] + groups.filter { $0.upstream == group.run }.flatMap(family)
        }
        return groups.filter { group in group.upstream.map { index[$0] == nil } ?? true }.flatMap(family)
    }

    private static func append(_ group: Group, to table: inout TextTable) {
        guard let first = group.records.first else { return }
        let isHook = first.upstream != nil
        // A run without devices has no device time, which is another thing than one that is not known.
        let hasDevices = group.records.contains { !$0.devices.isEmpty }
        let mains = group.records.filter { $0.role == .main }
        let name = isHook ? "↳ " + (first.hookName ?? first.runName) : first.runName
        table.rows.append([
            group.run.short, name, first.status.rawValue,
            Units.duration(group.records.lazy.compactMap(\.queueSeconds).first), Units.duration(span(group.records)),
            Units.duration(total(group.records.map(\.cpuSeconds))),
            Units.bytes(known(group.records.map { $0.usage?.peakMemoryBytes })?.max()),
            // What an attempt left is there for the next: the last one's is the run's.
            Units.bytes(mains.max { $0.attempt < $1.attempt }?.artifactsBytes),
            hasDevices ? Units.duration(total(mains.map(\.deviceSeconds))) : "",
            hasDevices ? Units.duration(total(mains.map(\.releasingSeconds))) : "",
            first.devices.isEmpty ? "" : first.devices.joined(separator: " "),
        ])
        let manyAttempts = Set(group.records.map(\.attempt)).count > 1
        for record in group.records {
            let attempt = manyAttempts ? "#\(record.attempt) " : ""
            table.rows.append([
                "", (isHook ? "    " : "  ") + attempt + record.step, record.exit?.text ?? Units.unknown, "",
                Units.duration(record.usage?.wallSeconds), Units.duration(record.cpuSeconds),
                Units.bytes(record.usage?.peakMemoryBytes),
                record.role == .main ? Units.bytes(record.artifactsBytes) : "",
                record.role == .main && hasDevices ? Units.duration(record.deviceSeconds) : "",
                record.role == .main && hasDevices ? Units.duration(record.releasingSeconds) : "", "",
            ])
        }
    }

    /// From the first step's start to the last step's end; nil while one of them is not known.
    private static func span(_ records: [UsageRecord]) -> Double? {
        let starts = records.compactMap(\.startedAt)
        let ends = records.compactMap(\.finishedAt)
        guard let start = starts.min(), let end = ends.max(), ends.count == starts.count else { return nil }
        return end.seconds(since: start)
    }

    /// The sum, when every part of it is known.
    private static func total(_ values: [Double?]) -> Double? { known(values)?.reduce(0, +) }

    /// The values, when there are some and all are known: a sum or a maximum of a part says nothing of the whole (P9).
    private static func known<Number>(_ values: [Number?]) -> [Number]? {
        let known = values.compactMap { $0 }
        return known.isEmpty || known.count < values.count ? nil : known
    }

    private static func number(_ value: Double?) -> String? {
        value.flatMap { $0.isFinite ? Units.fixed($0, digits: 6) : nil }
    }

    private static func number(_ value: Int64?) -> String? { value.map(String.init) }
}

extension UsageRecord {
    /// User and system seconds together; nil when neither is known.
    public var cpuSeconds: Double? { usage?.cpuSeconds }
}

extension StepUsage {
    /// User and system seconds together; nil when either is unknown, since half a sum is not the sum.
    public var cpuSeconds: Double? {
        guard let userSeconds, let systemSeconds else { return nil }
        return userSeconds + systemSeconds
    }
}
