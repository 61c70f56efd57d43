import Glibc
import PostludeLinux
import PostludePlan

/// Reads from the kernel what isolation is in force for a step that is about to start, and refuses one that is not as
/// planned.
struct ReceiptReader {
    let pid: Int32
    private var receipt = StepReceipt()

    init(pid: Int32) { self.pid = pid }

    /// What is fixed before the step's process exists.
    mutating func readCgroup(
        limits: [String: String], programs: [UInt32], hostNamespaces: [String: UInt64], hasCgroup: Bool
    ) {
        receipt.hasCgroup = hasCgroup
        receipt.limits = limits
        receipt.deviceFilterPrograms = programs
        receipt.hostNamespaces = hostNamespaces
    }

    /// What is final once the step has said `mounted`; read while it goes on.
    mutating func readPlace() throws(LinuxError) {
        receipt.namespaces = Namespace.inodes(of: "\(pid)")
        receipt.startTime = try ProcessIdentity.startTime(of: pid) ?? 0
        receipt.cgroupText = String(decoding: try readSmallFile("/proc/\(pid)/cgroup"), as: UTF8.self)
        let mounts = try readFile("/proc/\(pid)/mountinfo")
        mounts.withUnsafeBufferPointer { readMounts($0) }
    }

    /// Counts the lines of mountinfo and collects those mounts that are writable: neither the mount (field 6) nor its
    /// file system (the last field) is read-only.
    private mutating func readMounts(_ text: UnsafeBufferPointer<UInt8>) {
        let space = UInt8(ascii: " ")
        var start = 0
        while start < text.count {
            var end = start
            var field = 0
            var point = start..<start
            var optionsStart = start
            var lastStart = start
            while end < text.count, text[end] != UInt8(ascii: "\n") {
                if text[end] == space {
                    field += 1
                    if field == 4 { point = (end + 1)..<(end + 1) }
                    if field == 5 { point = point.lowerBound..<end }
                    if field == 5 { optionsStart = end + 1 }
                    lastStart = end + 1
                }
                end += 1
            }
            receipt.mounts += 1
            func isWritable(_ place: Int) -> Bool {
                place + 1 < end && text[place] == UInt8(ascii: "r") && text[place + 1] == UInt8(ascii: "w")
            }
            if isWritable(optionsStart), isWritable(lastStart) {
                receipt.writableMounts.append(unescapeMountPath(String(decoding: text[point], as: UTF8.self)))
            }
            start = end + 1
        }
    }

    /// Landlock shows nothing in /proc: what its calls answered to the step's own first process, which ran nothing yet.
    mutating func note(landlock rules: UInt32, abi: Int32) {
        receipt.landlockRules = rules
        receipt.landlockABI = abi
    }

    /// Whether it runs on cores of its own, as its plan asks.
    mutating func readCores() throws(LinuxError) {
        receipt.hasCoreCookie = try CoreScheduling.cookie(of: pid) != 0
    }

    /// Without cgroups the one limit of what a step may have at once, besides files and memory locked.
    private mutating func readProcessLimit() throws(LinuxError) {
        guard !receipt.hasCgroup else { return }
        let text = String(decoding: try readSmallFile("/proc/\(pid)/limits"), as: UTF8.self)
        for line in text.split(separator: "\n") where line.hasPrefix("Max processes ") {
            let soft = line.dropFirst("Max processes ".count).split(separator: " ").first
            if let soft, soft != "unlimited" { receipt.limits["rlimit/processes"] = String(soft) }
        }
    }

    /// What is final once it has said `ready`.
    mutating func readRights() throws(LinuxError) {
        try readProcessLimit()
        let status = try readSmallFile("/proc/\(pid)/status")
        for line in status.split(separator: UInt8(ascii: "\n")) {
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { continue }
            let values = line[(colon + 1)...].split(whereSeparator: { $0 == 9 || $0 == 32 })
            let first = values.first.map { String(decoding: $0, as: UTF8.self) } ?? ""
            switch String(decoding: line[..<colon], as: UTF8.self) {
            case "Uid": receipt.uid = Self.same(values)
            case "Gid": receipt.gid = Self.same(values)
            case "Groups":
                receipt.groups = Self.groups(values.compactMap { UInt32(String(decoding: $0, as: UTF8.self)) })
            case "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb":
                receipt.capabilities.append(UInt64(first, radix: 16) ?? .max)
            case "NoNewPrivs": receipt.noNewPrivileges = first == "1"
            case "Seccomp": receipt.seccompMode = Int32(first) ?? 0
            case "Seccomp_filters": receipt.seccompFilters = Int32(first) ?? 0
            case _: break
            }
        }
    }

    /// From a user namespace every group but the mapped one shows as the overflow id. None can have been left or joined
    /// in there, so when there are as many as before, they are those.
    private static func groups(_ seen: [UInt32]) -> [UInt32] {
        guard Rootless.isInForce else { return seen }
        return seen.count == Rootless.groups.count ? Rootless.groups : seen
    }

    /// Real, effective, saved and file-system id when they are one; else one that nobody has.
    private static func same(_ values: [ArraySlice<UInt8>]) -> UInt32 {
        let ids = Set(values.map { UInt32(String(decoding: $0, as: UTF8.self)) ?? .max })
        return ids.count == 1 ? ids.first ?? .max : .max
    }

    /// The receipt, when it says what the plan asked for.
    /// - Throws: stage `receipt` with the number of the check that failed.
    func verified(against step: StepPlan, hasOwnNetwork: Bool) throws(SetupFailure) -> StepReceipt {
        func isOwn(_ kind: Namespace) -> Bool {
            guard let own = receipt.namespaces[kind.rawValue], let host = receipt.hostNamespaces[kind.rawValue] else {
                return false
            }
            return own != host
        }
        let own: [Namespace] =
            [.pid, .mnt, .ipc, .uts, .cgroup] + (hasOwnNetwork ? [.net] : []) + (Rootless.isInForce ? [.user] : [])
        let checks = [
            own.allSatisfy(isOwn),
            receipt.uid == step.uid && receipt.gid == step.gid,
            Set(receipt.groups) == Set(step.groups),
            receipt.capabilities.count == 5 && receipt.capabilities.allSatisfy { $0 == 0 },
            receipt.noNewPrivileges,
            step.seccomp == nil || receipt.seccompMode == 2,
            step.deviceFilter == nil || !receipt.deviceFilterPrograms.isEmpty,
            // As much of them as this kernel has: what it lacks the agent has judged.
            Landlock.Rules(rawValue: step.landlock).intersection(.known(in: Landlock.abi()))
                .isSubset(of: Landlock.Rules(rawValue: receipt.landlockRules)),
            !step.coreScheduling || receipt.hasCoreCookie,
        ]
        if let failed = checks.firstIndex(of: false), Layer.areReceiptsVerified {
            throw SetupFailure(stage: .receipt, index: failed, errno: EPERM)
        }
        return receipt
    }
}
