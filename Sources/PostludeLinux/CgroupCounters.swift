/// What a step's cgroups counted; nil where the host does not count.
public struct CgroupCounters: Hashable, Sendable {
    public var peakMemoryBytes: UInt64?
    public var userMicroseconds: UInt64?
    public var systemMicroseconds: UInt64?
    public var throttledMicroseconds: UInt64?
    public var peakPIDs: UInt64?
    /// Processes and threads that a limit refused.
    public var forksRefused: UInt64?
    public var oomKills: UInt64?
    public var readBytes: UInt64?
    public var writtenBytes: UInt64?

    public init() {}

    /// Reads them from absolute paths of one step's cgroups. A controller without a v1 path is read from the v2 one.
    public static func read(unified: String, legacy: [CgroupController: String]) -> CgroupCounters {
        var counters = CgroupCounters()
        // cpu.stat counts time in v2 whether or not the cpu controller is there.
        let time = text(unified, "cpu.stat")
        counters.userMicroseconds = time.flatMap { flatKeyed($0, "user_usec") }
        counters.systemMicroseconds = time.flatMap { flatKeyed($0, "system_usec") }
        if let path = legacy[.cpu] {
            counters.throttledMicroseconds = text(path, "cpu.stat").flatMap { flatKeyed($0, "throttled_time") }.map {
                $0 / 1000
            }
        } else {
            counters.throttledMicroseconds = time.flatMap { flatKeyed($0, "throttled_usec") }
        }
        if let path = legacy[.memory] {
            counters.peakMemoryBytes = number(path, "memory.max_usage_in_bytes")
            counters.oomKills = text(path, "memory.oom_control").flatMap { flatKeyed($0, "oom_kill") }
        } else {
            counters.peakMemoryBytes = number(unified, "memory.peak")
            counters.oomKills = text(unified, "memory.events").flatMap { flatKeyed($0, "oom_kill") }
        }
        counters.peakPIDs = number(legacy[.pids] ?? unified, "pids.peak")
        counters.forksRefused = forksRefused(in: legacy[.pids], unified)
        if let storage = text(unified, "io.stat") {
            counters.readBytes = sum(storage, "rbytes=")
            counters.writtenBytes = sum(storage, "wbytes=")
        }
        return counters
    }

    /// `max` of pids.events. In v1, and in v2 before Linux 6.12, it counts in the cgroup that wanted to fork; since then
    /// in the one whose limit it was, which may be the attempt's, just above the step's.
    private static func forksRefused(in legacy: String?, _ unified: String) -> UInt64? {
        func refused(_ cgroup: String) -> UInt64? {
            text(cgroup, "pids.events").flatMap { flatKeyed($0, "max") }
        }
        guard legacy == nil else { return legacy.flatMap(refused) }
        guard let own = refused(unified) else { return nil }
        guard own == 0, let slash = unified.lastIndex(of: "/") else { return own }
        return refused(String(unified[..<slash])) ?? own
    }

    /// nil when the host has no such file.
    private static func text(_ cgroup: String, _ file: String) -> String? {
        do { return String(decoding: try readSmallFile(cgroup + "/" + file), as: UTF8.self) } catch { return nil }
    }

    private static func number(_ cgroup: String, _ file: String) -> UInt64? {
        text(cgroup, file).flatMap { UInt64($0.prefix { $0 != "\n" }) }
    }

    /// The sum over all devices of `<key><number>` in io.stat.
    private static func sum(_ text: String, _ key: String) -> UInt64 {
        text.split(whereSeparator: { $0 == " " || $0 == "\n" })
            .filter { $0.hasPrefix(key) }
            .compactMap { UInt64($0.dropFirst(key.count)) }
            .reduce(0) { $0 &+ $1 }
    }
}
