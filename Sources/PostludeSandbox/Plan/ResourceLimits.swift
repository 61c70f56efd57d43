import CLinux
import Glibc
import PostludeCore
import PostludePlan

/// The rlimits of a step.
enum ResourceLimits {
    // RLIMIT_* of the generic numbering, which x86-64 and arm64 share.
    private static let core: UInt32 = 4
    private static let processes: UInt32 = 6
    private static let openFiles: UInt32 = 7
    private static let lockedMemory: UInt32 = 8
    private static let nice: UInt32 = 13
    private static let realTime: UInt32 = 14

    static func of(
        _ profile: SandboxProfile, without lacking: Set<SandboxProfile.Requirement> = []
    ) -> [ResourceLimit] {
        // Without CAP_SYS_RESOURCE the agent's own hard limits cannot be passed; the receipt shows what came of it.
        let files = min(profile.openFiles, hard(openFiles))
        let locked = min(profile.lockedMemoryBytes ?? .max, hard(lockedMemory))
        return [
            // 1, not 0: a core_pattern that is a pipe is only stopped by a limit too small for a header.
            ResourceLimit(resource: core, soft: min(1, hard(core)), hard: min(1, hard(core))),
            ResourceLimit(resource: openFiles, soft: files, hard: files),
            ResourceLimit(resource: lockedMemory, soft: locked, hard: locked),
            ResourceLimit(resource: nice, soft: 0, hard: 0),
            ResourceLimit(resource: realTime, soft: 0, hard: 0),
        ] + (lacking.contains(.pidsLimit) ? [processes(of: profile)] : [])
    }

    /// RLIMIT_NPROC counts in each user namespace by itself (since Linux 5.14), and a step without root is alone in its
    /// own: so this bounds each step, though not, as a pids cgroup does, the attempt.
    private static func processes(of profile: SandboxProfile) -> ResourceLimit {
        let count = min(UInt64(max(1, profile.maxPIDs)), hard(processes))
        return ResourceLimit(resource: processes, soft: count, hard: count)
    }

    /// The agent's own hard limit; .max when it has none.
    static func hard(_ resource: UInt32) -> UInt64 {
        var limit = rlimit()
        guard linux_prlimit(0, resource, nil, &limit) == 0 else { return .max }
        return UInt64(limit.rlim_max)
    }
}
