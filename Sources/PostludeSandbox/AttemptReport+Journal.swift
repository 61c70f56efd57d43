import PostludeCore
import PostludeLinux
import PostludePlan

extension JournalRecord.Body {
    /// The step that the record names.
    var step: (UInt16, String)? {
        switch self {
        case .stepStarted(let step, let name, _, _), .stepExited(let step, let name, _, _): (step, name)
        case .accepted, .stopping, .ended: nil
        }
    }
}

extension AttemptReport {
    /// The record in the agent's words; `names` are the steps' by index.
    init(_ record: JournalRecord, names: [UInt16: String]) {
        let at = Timestamp(microseconds: record.wallMicroseconds)
        switch record.body {
        case .accepted:
            self = .accepted(at: at)
        case .stepStarted(_, let name, let pid, let receipt):
            self = .stepStarted(step: name, pid: pid, receipt: Receipt(receipt), at: at)
        case .stepExited(_, let name, let exit, let usage):
            self = .stepExited(step: name, exit: ProcessExit(exit), usage: StepUsage(usage), at: at)
        case .stopping(let reason):
            self = .stopping(reason: StopReason(reason), at: at)
        case .ended(let reason, let step, let exit):
            let name = step.map { names[$0] ?? "step \($0)" } ?? ""
            self = .ended(exit: ProcessExit(exit), reason: AttemptEndReason(reason, step: name), at: at)
        }
    }
}

extension AttemptReport.StopReason {
    init(_ reason: JournalRecord.StopReason) {
        switch reason {
        case .requested: self = .requested
        case .timeout: self = .timeout
        case .mainEnded: self = .mainEnded
        }
    }
}

extension AttemptReport.AttemptEndReason {
    init(_ reason: JournalRecord.EndReason, step: String) {
        switch reason {
        case .mainExited: self = .mainExited
        case .initFailed: self = .initFailed(step: step)
        case .setupFailed: self = .setupFailed(step: step)
        case .stopRequested: self = .stopRequested
        case .timeout: self = .timeout
        }
    }
}

extension ProcessExit {
    init(_ exit: JournalRecord.StepExit) {
        switch exit {
        case .code(let code): self = .code(code)
        case .signal(let number, let coreDumped): self = .signal(number, coreDumped: coreDumped)
        case .setupFailed(let stage, let index, let errno):
            self = .setupFailed(
                stage: stage.name, errno: errno, detail: "\(stage.what) (item \(index)): \(errorText(errno))")
        case .unknown: self = .unknown
        }
    }
}

extension SetupStage {
    /// A stable word, such as `device-filter`.
    var name: String {
        switch self {
        case .plan: "plan"
        case .cgroup: "cgroup"
        case .limit: "limit"
        case .deviceFilter: "device-filter"
        case .clone: "clone"
        case .network: "network"
        case .mount: "mount"
        case .pivot: "pivot"
        case .hostname: "hostname"
        case .session: "session"
        case .resourceLimit: "resource-limit"
        case .credentials: "credentials"
        case .capabilities: "capabilities"
        case .noNewPrivileges: "no-new-privileges"
        case .descriptors: "descriptors"
        case .seccomp: "seccomp"
        case .workingDirectory: "working-directory"
        case .landlock: "landlock"
        case .receipt: "receipt"
        case .exec: "exec"
        case .log: "log"
        case .userNamespace: "user-namespace"
        case .coreScheduling: "core-scheduling"
        }
    }

    /// What was being done.
    var what: String {
        switch self {
        case .plan: "reading the launch plan"
        case .cgroup: "making the step's cgroup"
        case .limit: "writing a limit"
        case .deviceFilter: "attaching the device filter"
        case .clone: "cloning the step's first process"
        case .network: "entering the network namespace"
        case .mount: "mounting the step's file system"
        case .pivot: "changing the root"
        case .hostname: "setting the host name"
        case .session: "making the session and keyring"
        case .resourceLimit: "setting a resource limit"
        case .credentials: "taking the submitter's identity"
        case .capabilities: "dropping capabilities"
        case .noNewPrivileges: "setting no_new_privs"
        case .descriptors: "closing descriptors"
        case .seccomp: "installing the seccomp program"
        case .workingDirectory: "entering the working directory"
        case .landlock: "entering the Landlock domain"
        case .receipt: "reading the receipt back"
        case .exec: "starting the program"
        case .log: "writing the log"
        case .userNamespace: "entering a user namespace"
        case .coreScheduling: "asking for processor cores of its own"
        }
    }
}

extension StepUsage {
    init(_ counters: StepCounters) {
        self.init()
        wallSeconds = counters.wallNanoseconds.map { Double($0) / 1_000_000_000 }
        userSeconds = counters.userMicroseconds.map { Double($0) / 1_000_000 }
        systemSeconds = counters.systemMicroseconds.map { Double($0) / 1_000_000 }
        peakMemoryBytes = counters.peakMemoryBytes.map { Int64(clamping: $0) }
        maxRSSBytes = counters.maxRSSBytes.map { Int64(clamping: $0) }
        oomKills = counters.oomKills.map { Int64(clamping: $0) }
        peakPIDs = counters.peakPIDs.map { Int64(clamping: $0) }
        throttledSeconds = counters.throttledMicroseconds.map { Double($0) / 1_000_000 }
        readBytes = counters.readBytes.map { Int64(clamping: $0) }
        writtenBytes = counters.writtenBytes.map { Int64(clamping: $0) }
        forksRefused = counters.forksRefused.map { Int64(clamping: $0) }
        logBytesDropped = counters.logBytesDropped.map { Int64(clamping: $0) }
    }
}

extension Receipt {
    /// What the warden read back; the names of profile and devices are the agent's to add.
    init(_ receipt: StepReceipt) {
        let sets = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]
        self.init(
            namespaces: receipt.namespaces,
            sharedNamespaces: receipt.namespaces.filter { receipt.hostNamespaces[$0.key] == $0.value }.keys.sorted(),
            cgroups: Self.cgroups(receipt.cgroupText), limits: receipt.limits,
            deviceFilterPrograms: receipt.deviceFilterPrograms, seccompMode: receipt.seccompMode,
            seccompFilters: receipt.seccompFilters, noNewPrivileges: receipt.noNewPrivileges,
            capabilities: Dictionary(zip(sets, receipt.capabilities)) { first, _ in first }, uid: receipt.uid,
            gid: receipt.gid, groups: receipt.groups, mounts: Int(receipt.mounts),
            writableMounts: receipt.writableMounts, landlock: Self.landlock(receipt),
            deviceIsolation: receipt.deviceFilterPrograms.isEmpty ? "private-dev" : "device-filter private-dev",
            accounting: receipt.hasCgroup ? "cgroup" : "rusage",
            coreScheduling: receipt.hasCoreCookie ? true : nil)
    }

    private static func landlock(_ receipt: StepReceipt) -> String? {
        guard receipt.landlockABI > 0 else { return nil }
        let names: [(Landlock.Rules, String)] = [
            (.files, "files"), (.truncation, "truncation"), (.deviceCommands, "device-ioctl"),
            (.noTCPBind, "no-tcp-bind"), (.ownAbstractSockets, "own-abstract-sockets"), (.ownSignals, "own-signals"),
        ]
        let rules = Landlock.Rules(rawValue: receipt.landlockRules)
        let held = names.filter { rules.contains($0.0) }.map(\.1)
        return "ABI \(receipt.landlockABI): \(held.isEmpty ? "nothing" : held.joined(separator: " "))"
    }

    /// `9:name=systemd:/`, `4:memory:/a`, `0::/b` as `name=systemd`, `memory` and `unified`.
    private static func cgroups(_ text: String) -> [String: String] {
        var found: [String: String] = [:]
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { continue }
            found[fields[1].isEmpty ? "unified" : String(fields[1])] = String(fields[2])
        }
        return found
    }
}
