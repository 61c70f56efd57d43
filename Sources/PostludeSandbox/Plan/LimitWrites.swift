import PostludeCore
import PostludeLinux
import PostludePlan

/// Limits as writes into the cgroup of whichever hierarchy has the controller; pure.
struct LimitWrites {
    var layout: CgroupLayout

    /// The kernel's usual period, in microseconds.
    static let period: Int64 = 100_000

    /// - Throws: `sandbox.limit-unavailable` when a limit is asked that the host cannot enforce (P7).
    func writes(_ limits: AttemptLimits, isStep: Bool) throws(SandboxError) -> [CgroupWrite] {
        var writes: [CgroupWrite] = []
        if let bytes = limits.memoryBytes { writes += try memory(bytes) }
        // One process out of memory means that the step is: half a step is worse than none.
        if isStep, layout.legacy[.memory] == nil, layout.directory(of: .memory) != nil {
            writes.append(CgroupWrite(.memory, "memory.oom.group", "1", isRequired: false))
        }
        if let milli = limits.milliCPU { writes += try cpu(milli) }
        if let count = limits.maxPIDs {
            try require(.pids, "of processes")
            writes.append(CgroupWrite(.pids, "pids.max", "\(count)"))
        }
        return writes
    }

    private func memory(_ bytes: Int64) throws(SandboxError) -> [CgroupWrite] {
        try require(.memory, "of memory")
        guard layout.legacy[.memory] == nil else {
            return [
                CgroupWrite(.memory, "memory.limit_in_bytes", "\(bytes)"),
                // Memory and swap together; the file is missing where the kernel does not account for swap.
                CgroupWrite(.memory, "memory.memsw.limit_in_bytes", "\(bytes)", isRequired: false),
            ]
        }
        return [
            CgroupWrite(.memory, "memory.max", "\(bytes)"),
            CgroupWrite(.memory, "memory.swap.max", "0", isRequired: false),
        ]
    }

    private func cpu(_ milli: Int64) throws(SandboxError) -> [CgroupWrite] {
        try require(.cpu, "of cpu time")
        // The kernel takes no quota under a millisecond.
        let quota = max(1000, milli * Self.period / 1000)
        guard layout.legacy[.cpu] == nil else {
            return [
                CgroupWrite(.cpu, "cpu.cfs_period_us", "\(Self.period)"),
                CgroupWrite(.cpu, "cpu.cfs_quota_us", "\(quota)"),
            ]
        }
        return [CgroupWrite(.cpu, "cpu.max", "\(quota) \(Self.period)")]
    }

    private func require(_ controller: CgroupController, _ what: String) throws(SandboxError) {
        guard layout.directory(of: controller) == nil else { return }
        throw SandboxError(
            code: "sandbox.limit-unavailable",
            message: "A limit \(what) is asked, but this host has no \(controller.kernelName ?? "") cgroup controller.",
            hint: "Give the agent's unit Delegate=yes, or boot with the controller enabled; see 'postlude doctor'.")
    }
}
