import Glibc

/// The parts of the isolation that this program puts up whatever the plan says. All of them are in force in every
/// program that is installed; the tests build one more from the same sources, with POSTLUDE_KNOCKOUT, to learn what
/// each of them is needed for.
enum Layer: String {
    case capabilities, dumpable, keyring, landlock
    case noNewPrivileges = "no-new-privileges"
    case pidNamespace = "pid-namespace"
    case ipcNamespace = "ipc-namespace"
    case cgroupNamespace = "cgroup-namespace"
    case utsNamespace = "uts-namespace"
    case resourceLimits = "resource-limits"
    case descriptors
    /// Mounts made by the plan are nosuid; those that honour devices are made by the plan too.
    case noSetuid = "nosuid"

    #if POSTLUDE_KNOCKOUT
    /// Left out by a program whose file is named `warden-without-<layer>`, or with `+` between several.
    private static let missing: [Substring] = {
        let path = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 4096) { buffer -> String in
            guard let text = buffer.baseAddress else { return "" }
            let count = readlink("/proc/self/exe", text, buffer.count - 1)
            buffer[max(0, count)] = 0
            return String(cString: text)
        }
        let mark = "/warden-without-"
        guard let slash = path.lastIndex(of: "/"), path[slash...].hasPrefix(mark) else { return [] }
        return path[slash...].dropFirst(mark.count).split(separator: "+")
    }()

    var isInForce: Bool { !Self.missing.contains { $0 == rawValue } }
    /// Whether receipts are compared with what must be; with `+verified` in the name although a layer is left out.
    static var areReceiptsVerified: Bool { missing.isEmpty || missing.contains("verified") }
    #else
    var isInForce: Bool { true }
    static var areReceiptsVerified: Bool { true }
    #endif
}
