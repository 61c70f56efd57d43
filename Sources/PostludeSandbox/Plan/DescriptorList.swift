import Glibc
import PostludeLinux
import PostludePlan

/// The descriptors that go with a plan, in the order of their indices; closed together when the list goes.
final class DescriptorList {
    private(set) var raw: [Int32] = []
    private var named: [String: DescriptorIndex] = [:]

    deinit { for descriptor in raw { close(descriptor) } }

    /// Takes a descriptor into the list.
    func add(_ descriptor: consuming OwnedDescriptor) throws(SandboxError) -> DescriptorIndex {
        guard raw.count < LaunchPlan.maximumDescriptors else {
            throw SandboxError(
                code: "sandbox.too-many-descriptors",
                message: "The attempt needs more than \(LaunchPlan.maximumDescriptors) files and directories.",
                hint: "Use fewer steps, or hide fewer single directories in the profile.")
        }
        raw.append(descriptor.release())
        return DescriptorIndex(raw.count - 1)
    }

    /// The index of what `open` gives for this name, opened once however many steps use it.
    func shared(
        _ name: String, _ open: () throws(SandboxError) -> OwnedDescriptor
    ) throws(SandboxError) -> DescriptorIndex {
        if let index = named[name] { return index }
        let index = try add(try open())
        named[name] = index
        return index
    }
}
