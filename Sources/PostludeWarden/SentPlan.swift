import PostludeLinux
import PostludePlan

/// A plan and the descriptors it names, as they came over the control channel.
struct SentPlan {
    let plan: LaunchPlan
    /// The sealed memfd that holds the plan; steps read it for themselves.
    let memory: Int32
    /// By `DescriptorIndex`. They live as long as the process.
    let descriptors: [Int32]
    /// Whether programs wait for another word of the agent.
    let isHeld: Bool

    /// - Throws: `PlanError` or `LinuxError` when it is not a plan, or could still be changed by somebody.
    init(_ message: [UInt8], _ received: [Int32]) throws {
        isHeld = message == [ControlMessage.launchHeld.rawValue]
        guard isHeld || message == [ControlMessage.launch.rawValue], let memory = received.first,
            MemoryFile.isSealed(memory)
        else { throw PlanError(.notAPlan) }
        self.memory = memory
        var descriptors = Array(received.dropFirst())
        plan = try LaunchPlan(decoding: try MemoryFile.content(of: memory), descriptors: descriptors.count)
        try Rootless.reopen(plan.steps.flatMap(\.mounts), in: &descriptors)
        self.descriptors = descriptors
    }

    subscript(index: DescriptorIndex) -> Int32 { descriptors[Int(index)] }
}
