/// What a step's cgroups counted; nil where the host does not count.
public struct CgroupCounters: Hashable, Sendable {
    public var peakMemoryBytes: UInt64?
    public var userMicroseconds: UInt64?
    public var systemMicroseconds: UInt64?
    public var throttledMicroseconds: UInt64?
    public var peakPIDs: UInt64?
    public var oomKills: UInt64?
    public var readBytes: UInt64?
    public var writtenBytes: UInt64?

    public init() {}

    /// Reads them from absolute paths of one step's cgroups. A controller without a v1 path is read from the v2 one.
    public static func read(unified: String, legacy: [CgroupController: String]) -> CgroupCounters {
        var counters = CgroupCounters()
        do {
            counters.readUnified(try Cgroup(opening: unified), legacy: legacy)
        } catch {
            // A cgroup that is gone counts nothing: every field stays nil.
        }
        for (controller, path) in legacy {
            do {
                counters.readLegacy(controller, try Cgroup(opening: path))
            } catch {
                continue
            }
        }
        return counters
    }

    private mutating func readUnified(_ cgroup: borrowing Cgroup, legacy: [CgroupController: String]) {
        // cpu.stat counts time in v2 whether or not the cpu controller is there.
        if let text = text("cpu.stat", of: cgroup) {
            userMicroseconds = flatKeyed(text, "user_usec")
            systemMicroseconds = flatKeyed(text, "system_usec")
            if legacy[.cpu] == nil { throttledMicroseconds = flatKeyed(text, "throttled_usec") }
        }
        if legacy[.memory] == nil {
            peakMemoryBytes = cgroup.number("memory.peak")
            oomKills = cgroup.number("memory.events", key: "oom_kill")
        }
        if legacy[.pids] == nil { peakPIDs = cgroup.number("pids.peak") }
        if let text = text("io.stat", of: cgroup) {
            readBytes = sum(text, "rbytes=")
            writtenBytes = sum(text, "wbytes=")
        }
    }

    private mutating func readLegacy(_ controller: CgroupController, _ cgroup: borrowing Cgroup) {
        switch controller {
        case .memory:
            peakMemoryBytes = cgroup.number("memory.max_usage_in_bytes")
            oomKills = cgroup.number("memory.oom_control", key: "oom_kill")
        case .cpu:
            throttledMicroseconds = cgroup.number("cpu.stat", key: "throttled_time").map { $0 / 1000 }
        case .cpuacct:
            userMicroseconds = userMicroseconds ?? cgroup.number("cpuacct.usage_user").map { $0 / 1000 }
            systemMicroseconds = systemMicroseconds ?? cgroup.number("cpuacct.usage_sys").map { $0 / 1000 }
        case .pids:
            peakPIDs = cgroup.number("pids.peak")
        case .unified, .devices:
            break
        }
    }

    private func text(_ file: String, of cgroup: borrowing Cgroup) -> String? {
        do { return try cgroup.read(file) } catch { return nil }
    }

    /// The sum over all devices of `<key><number>` in io.stat.
    private func sum(_ text: String, _ key: String) -> UInt64 {
        text.split(whereSeparator: { $0 == " " || $0 == "\n" })
            .filter { $0.hasPrefix(key) }
            .compactMap { UInt64($0.dropFirst(key.count)) }
            .reduce(0) { $0 &+ $1 }
    }
}
