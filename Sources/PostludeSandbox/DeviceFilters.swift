import PostludeCore
import PostludeLinux
import Synchronization

/// Device filter programs that are loaded already, by the devices that they allow. Loading one takes longer than
/// attaching it, and the same few sets are leased again and again.
final class DeviceFilters: Sendable {
    final class Entry: Sendable {
        let program: OwnedDescriptor

        init(allowing rules: [DeviceRule]) throws(LinuxError) {
            program = try DeviceFilterProgram(allowing: rules).load()
        }
    }

    private let loaded = Mutex<[[DeviceRule]: Entry]>([:])
    /// Above this many sets all are dropped: a site has a handful.
    private static let capacity = 128

    /// - Throws: `sandbox.device-filter-unavailable` when the kernel takes no such program.
    func filter(allowing nodes: [DeviceNode]) throws(SandboxError) -> Entry {
        let rules = nodes.map { DeviceRule(major: $0.major, minor: $0.minor) }
            .sorted { ($0.major, $0.minor ?? .max) < ($1.major, $1.minor ?? .max) }
        if let known = loaded.withLock({ $0[rules] }) { return known }
        let entry: Entry
        do {
            entry = try Entry(allowing: rules)
        } catch {
            throw SandboxError(
                code: "sandbox.device-filter-unavailable",
                message: "The kernel refuses a device filter: \(errorText(error.errno)).",
                hint:
                    "Run postluded as root (CAP_BPF, CAP_NET_ADMIN) on a kernel with CONFIG_CGROUP_BPF.",
                isTemporary: SandboxError.isShortage(error.errno))
        }
        loaded.withLock { loaded in
            if loaded.count >= Self.capacity { loaded.removeAll() }
            loaded[rules] = entry
        }
        return entry
    }
}
