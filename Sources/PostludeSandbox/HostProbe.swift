import CSeccomp
import Glibc
import PostludeCore
import PostludeLinux

/// What this host can enforce, tried rather than guessed where trying is harmless.
struct HostProbe {
    /// The checks, and what the sandbox needs of them.
    struct Findings: Sendable {
        var checks: [HostCheck]
        /// By profile requirement: the check that says whether it can be met.
        var requirements: [SandboxProfile.Requirement: HostCheck]
        /// Whether cores can be kept to one step; for profiles that ask for it.
        var coreScheduling: HostCheck

        /// Those that the profile requires and the host cannot meet.
        func unmet(of profile: SandboxProfile) -> [(key: SandboxProfile.Requirement, value: HostCheck)] {
            profile.requires.compactMap { name in requirements[name].map { (name, $0) } }
                .filter { $0.value.verdict != .ok }
        }
    }

    /// nil when it could not be made; then `cgroupError` says why.
    var tree: CgroupTree?
    var cgroupError: SandboxError?
    var wardenPath: String
    /// nil where nothing may be started.
    var bootID: String?
    let isRootless = geteuid() != 0

    func run() -> Findings {
        let memory = controller(.memory, "memory-limit", "limits of memory")
        let cpu = controller(.cpu, "cpu-limit", "limits of cpu time")
        let pids = controller(.pids, "pids-limit", "limits of processes")
        let filter = deviceFilter()
        let network = namespace("net", "network-namespace")
        let seccomp = seccomp()
        let landlock = landlock()
        let cores = Self.coreScheduling(CoreScheduling.availability())
        var checks = [kernel(), root(), cgroups(), memory, cpu, pids, filter, seccomp]
        if isRootless { checks += [groups(), deviceRelease(), accounting()] }
        for kind in ["pid", "mnt", "ipc", "uts", "cgroup"] { checks.append(namespace(kind, "\(kind)-namespace")) }
        checks += [
            network, userNamespace(), landlock, cores, pidfd(), warden(), openFiles(), lockedMemory(), corePattern(),
            nvidia(),
        ]
        return Findings(
            checks: checks,
            requirements: [
                .memoryLimit: memory, .cpuLimit: cpu, .pidsLimit: pids, .deviceFilter: filter, .seccomp: seccomp,
                .networkNamespace: network, .landlock: landlock,
            ], coreScheduling: cores)
    }

    /// mount_setattr came with 5.12, openat2 with 5.6, cgroup.kill with 5.14, the BPF device filter's replacement with
    /// 5.6.
    private static let oldestKernel = KernelVersion(major: 5, minor: 15)

    private func kernel() -> HostCheck {
        let running = KernelVersion.running()
        guard running >= Self.oldestKernel else {
            return HostCheck(
                "kernel", .missing, HostFacts.kernelRelease, hint: "Postlude needs Linux \(Self.oldestKernel) or newer."
            )
        }
        return HostCheck("kernel", .ok, HostFacts.kernelRelease)
    }

    private func root() -> HostCheck {
        geteuid() == 0
            ? HostCheck("root", .ok, "runs as root")
            : HostCheck(
                "root", .degraded, "runs as uid \(geteuid()), in user namespaces",
                hint: "It serves this user alone, and what follows says what it cannot do; the system's agent can.")
    }

    private func cgroups() -> HostCheck {
        guard let tree else {
            return HostCheck(
                "cgroups", .missing, cgroupError?.message ?? "not looked at", hint: cgroupError?.hint)
        }
        if let absence = tree.absence {
            return HostCheck(
                "cgroups", .missing, "none is delegated: \(absence.message) Steps end with their pid namespaces",
                hint: absence.hint)
        }
        let layout = tree.layout
        let kind =
            layout.isHybrid
            ? "hybrid: \(layout.legacy.keys.compactMap(\.kernelName).sorted().joined(separator: ", ")) in v1"
            : "v2: \(layout.unifiedControllers.joined(separator: ", "))"
        let detail = "\(kind); \(layout.unified)"
        guard let failure = tree.delegationFailure else { return HostCheck("cgroups", .ok, detail) }
        return HostCheck(
            "cgroups", .degraded, "\(detail); \(failure)",
            hint: "Give the agent a cgroup of its own: run it as a systemd service with Delegate=yes.")
    }

    private func controller(_ controller: CgroupController, _ name: String, _ what: String) -> HostCheck {
        guard let tree, tree.hasCgroups, let directory = tree.layout.directory(of: controller) else {
            let fallback =
                controller == .pids && isRootless
                ? "; where a profile goes without, RLIMIT_NPROC bounds the processes of each step" : ""

            return HostCheck(
                name, .missing, "no cgroup controller for it here\(fallback)",
                hint:
                    "There will be no \(what). Give the agent's unit Delegate=yes, or boot with the controller enabled."
            )
        }
        return HostCheck(name, .ok, directory)
    }

    private func deviceFilter() -> HostCheck {
        do {
            _ = try DeviceFilterProgram.denyAll.load()
            return HostCheck("device-filter", .ok, "the kernel takes a cgroup device program")
        } catch {
            if isRootless {
                return HostCheck(
                    "device-filter", .missing,
                    "no device filter without root; a step's own /dev holds only what it leased, and no node can be made",
                    hint: "A profile that requires the filter is refused, unless its 'withoutRoot' lets it go without.")
            }
            return HostCheck(
                "device-filter", .missing, error.message,
                hint: "Run as root on a kernel with CONFIG_BPF_SYSCALL and CONFIG_CGROUP_BPF; devices cannot be leased."
            )
        }
    }

    private func seccomp() -> HostCheck {
        let detail = "libseccomp \(SeccompCompiler.libraryVersion), API level \(seccomp_api_get())"
        guard access("/proc/sys/kernel/seccomp/actions_avail", R_OK) == 0 else {
            return HostCheck(
                "seccomp", .missing, "\(detail); the kernel has no filters",
                hint: "Use a kernel with CONFIG_SECCOMP_FILTER.")
        }
        return HostCheck("seccomp", .ok, detail)
    }

    private func namespace(_ kind: String, _ name: String) -> HostCheck {
        guard access("/proc/self/ns/\(kind)", F_OK) == 0 else {
            return HostCheck(
                name, .missing, "the kernel has no \(kind) namespaces", hint: "Use a kernel with CONFIG_NAMESPACES.")
        }
        let limit = text("/proc/sys/user/max_\(kind)_namespaces")
        guard limit != "0" else {
            return HostCheck(
                name, .missing, "user.max_\(kind)_namespaces is 0",
                hint: "Raise user.max_\(kind)_namespaces with sysctl.")
        }
        return HostCheck(name, .ok, limit.map { "up to \($0)" } ?? "available")
    }

    private func userNamespace() -> HostCheck {
        guard !isRootless else { return ownUserNamespace() }
        return access("/proc/self/ns/user", F_OK) == 0
            ? HostCheck("user-namespace", .ok, "available; not used when running as root")
            : HostCheck("user-namespace", .degraded, "the kernel has none", hint: "Needed only to run without root.")
    }

    private func landlock() -> HostCheck { Self.landlock(abi: Landlock.abi()) }

    /// What a kernel has of it is used, and receipts say what that was; only a profile that requires it is refused.
    static func landlock(abi: Int32) -> HostCheck {
        guard abi > 0 else {
            return HostCheck(
                "landlock", .degraded, "the kernel has none, or it is switched off",
                hint: "Boot with lsm=landlock,...; without it notifiers can listen and reach abstract sockets of the "
                    + "host, and files are kept by mounts alone.")
        }
        let parts: [(Landlock.Rules, String)] = [
            (.files, "rules for files"), (.truncation, "truncation"), (.noTCPBind, "rules for TCP"),
            (.deviceCommands, "ioctl on devices"), (.ownAbstractSockets, "scopes"),
        ]
        let known = Landlock.Rules.known(in: abi)
        let missing = parts.filter { !known.contains($0.0) }.map(\.1)
        guard missing.isEmpty else {
            return HostCheck(
                "landlock", .degraded, "ABI \(abi), without: \(missing.joined(separator: ", "))",
                hint: "Linux 6.12 has all. What is missing is not in force, and receipts say so; before rules for TCP "
                    + "and scopes, notifiers can listen and reach abstract sockets of the host.")
        }
        return HostCheck("landlock", .ok, "ABI \(abi): \(parts.map(\.1).joined(separator: ", "))")
    }

    static func coreScheduling(_ availability: CoreScheduling.Availability) -> HostCheck {
        let name = "core-scheduling"
        switch availability {
        case .available: return HostCheck(name, .ok, "used where a profile says so")
        case .noThreads:
            return HostCheck(
                name, .degraded, "no processor core has a second thread in use, so the kernel schedules none together",
                hint: "Profiles with 'coreScheduling: true' are refused. In a virtual machine only its host knows what "
                    + "shares a core; elsewhere take the line out, for here no two programs share one at a time.")
        case .notBuilt:
            return HostCheck(
                name, .degraded, "the kernel has none (CONFIG_SCHED_CORE)",
                hint: "Profiles with 'coreScheduling: true' are refused; use a kernel that has it, or switch SMT off "
                    + "and take the line out.")
        }
    }

    private func pidfd() -> HostCheck {
        do {
            let own = try ProcessDescriptor(pid: getpid())
            _ = try own.hasEnded()
            return HostCheck("pidfd", .ok, "available")
        } catch {
            return HostCheck("pidfd", .missing, error.message, hint: "Postlude needs pidfd_open(2), Linux 5.3.")
        }
    }

    private func warden() -> HostCheck {
        access(wardenPath, X_OK) == 0
            ? HostCheck("warden", .ok, wardenPath)
            : HostCheck(
                "warden", .missing, "\(wardenPath): \(errorText(errno))",
                hint: "Install postlude-warden, or set wardenPath in postlude.yaml.")
    }

    private func openFiles() -> HostCheck {
        limit("open-files", 7, enough: 65536, unit: "files", setting: "LimitNOFILE")
    }

    private func lockedMemory() -> HostCheck {
        limit("locked-memory", 8, enough: 1 << 30, unit: "bytes", setting: "LimitMEMLOCK")
    }

    private func limit(_ name: String, _ resource: UInt32, enough: UInt64, unit: String, setting: String) -> HostCheck {
        let hard = ResourceLimits.hard(resource)
        guard hard < enough else { return HostCheck(name, .ok, hard == .max ? "unlimited" : "\(hard) \(unit)") }
        return HostCheck(
            name, .degraded, "\(hard) \(unit)",
            hint: "GPU programs may need more; set \(setting)=infinity in the agent's unit.")
    }

    private func corePattern() -> HostCheck {
        let pattern = text("/proc/sys/kernel/core_pattern") ?? ""
        return HostCheck(
            "core-dumps", .ok,
            pattern.hasPrefix("|")
                ? "piped to '\(pattern.dropFirst())'; stopped by RLIMIT_CORE=1" : "written to '\(pattern)'")
    }

    private func nvidia() -> HostCheck {
        guard let version = text("/proc/driver/nvidia/version") else {
            return HostCheck("nvidia", .ok, "no NVIDIA driver is loaded")
        }
        let line = String(version.prefix { $0 != "\n" })
        for node in ["/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools"] where access(node, F_OK) != 0 {
            return HostCheck(
                "nvidia", .degraded, "\(line); \(node) is missing",
                hint: "Run 'nvidia-modprobe -u -c 0' at boot: inside the sandbox nothing can make the node.")
        }
        return HostCheck("nvidia", .ok, line)
    }

    private func text(_ path: String) -> String? {
        do {
            let text = try readText(path)
            return text.last == "\n" ? String(text.dropLast()) : text
        } catch {
            return nil
        }
    }
}
