import Glibc
import PostludeCore
import PostludeLinux
import PostludePlan

/// What an agent without root has to know besides.
extension HostProbe {
    static let userNamespaceName = "user-namespace"

    /// Tried with a real warden: whether it gets its user namespace, and in it the file systems that every step needs.
    func ownUserNamespace() -> HostCheck {
        let name = Self.userNamespaceName
        guard let tree, let bootID else { return HostCheck(name, .missing, "not tried") }
        let slot = CgroupTree.newSlot()
        let template: [MountOperation] = [
            .proc(target: "/proc"), .tmpfs(target: "/dev", bytes: 4096, inodes: 16, mode: 0o755, noExec: true),
            .devpts(target: "/dev/pts"), .mqueue(target: "/dev/mqueue"),
        ]
        do {
            let request = try tree.make(slot: slot, template: template, bringsLoopbackUp: false)
            let warden: WardenProcess
            do {
                warden = try WardenProcess.start(
                    path: wardenPath, slot: slot, request: request, descriptors: [], bootID: bootID, cgroupInode: 0)
            } catch {
                try tree.remove(slot: slot)
                throw error
            }
            defer { remove(slot, of: warden, in: tree) }
            try warden.awaitReady(path: wardenPath)
            return HostCheck(name, .ok, "uid \(geteuid()) alone is mapped; no further one can be made inside")
        } catch let error as SandboxError {
            return HostCheck(name, .missing, error.message, hint: Self.hint(error.message))
        } catch {
            return HostCheck(name, .missing, "\(error)")
        }
    }

    private func remove(_ slot: String, of warden: WardenProcess, in tree: CgroupTree) {
        warden.dismiss()
        _ = warden.awaitEnd(milliseconds: 2000)
        do {
            // Its parked step ends a moment after it.
            if tree.hasCgroups {
                _ = try Cgroup(opening: tree.path(of: slot)).events().waitUntilEmpty(milliseconds: 2000)
            }
            try tree.remove(slot: slot)
        } catch {
            // It stays as a leftover, which the next start finds.
        }
    }

    private static func hint(_ message: String) -> String {
        if message.contains(SetupStage.mount.what) {
            return "Something is mounted over parts of /proc here, as in containers: the kernel then gives no user "
                + "namespace a procfs of its own (or a security module forbids mounts). Run postluded on the host itself."
        }
        return "Allow user namespaces: user.max_user_namespaces above 0, and where there are such, "
            + "kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0."
    }

    /// setgroups(2) is for whoever owns more than one id.
    func groups() -> HostCheck {
        let groups: [UInt32]
        do {
            groups = try UserNamespace.groups().filter { $0 != getegid() }
        } catch {
            return HostCheck("groups", .missing, error.message)
        }
        guard !groups.isEmpty else { return HostCheck("groups", .ok, "this user has no supplementary groups") }
        return HostCheck(
            "groups", .degraded, "programs keep this user's groups: \(groups.map(String.init).joined(separator: " "))",
            hint:
                "Nobody can leave a group without root: what those groups may open, programs may, where a profile shows it."
        )
    }

    /// What the agent may not look into it cannot vouch for.
    func deviceRelease() -> HostCheck {
        HostCheck(
            "device-release", .degraded, "looks into the processes of uid \(geteuid()) alone",
            hint:
                "A device counts as free when no process of this user has it; processes of a run can be no other user's. "
                + "Whether other users have it, this agent cannot know."
        )
    }

    func accounting() -> HostCheck {
        guard let tree, tree.hasCgroups else {
            return HostCheck(
                "accounting", .degraded, "by rusage of each step's first process, which reaps all others",
                hint: "Peaks of memory and processes are not known; the largest process is.")
        }
        return HostCheck("accounting", .ok, "by cgroups")
    }
}
