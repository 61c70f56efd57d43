import Glibc
import PostludeCore
import PostludePlan

/// One operation on the new root, its source still a path: what `PlanBuilder` opens and puts into the plan.
enum PlannedMount: Hashable, Sendable {
    /// A path of an image's root, at the same path inside; the first is where on the host that root is.
    case image(String, path: String)
    /// A path of the host that the agent trusts, with what is mounted below it when `recursive`.
    case host(String, target: String, recursive: Bool = true)
    /// The submitter's working directory, opened with the submitter's rights.
    case working(target: String)
    /// A directory of the run, which no link may lead away from.
    case run(String, target: String, readOnly: Bool)
    /// A directory that the agent's configuration shares with the step, writable as far as its user may write.
    case shared(String, target: String)
    case device(DeviceNode)
    case operation(MountOperation)
}

/// What a step's file system shows, and how its parts are made.
struct MountLayout: Hashable, Sendable {
    var mounts: [PlannedMount] = []
    var view = InsideView()
}

/// Lays out the part of a step's file system that depends on the host and the profile alone, so that it can be made
/// before there is a step; pure.
///
/// The host's root is shown read-only, without what a job has no business in; kernel file systems are fresh.
struct TemplatePlanner {
    var host: HostRoot
    /// What the profile hides, without links, existing ones only.
    var hidden: [String]
    /// What it shows all the same, likewise.
    var extras: [String]
    var tmpBytes: Int64
    var tmpInodes: Int64
    var shmBytes: Int64
    var owner = AgentOwner()
    /// What is mounted below /sys, for an agent without root: the kernel then shows /sys only with all that lies on it.
    var systemMounts: [String]?

    func layout() -> MountLayout {
        var layout = base()
        addHost(to: &layout)
        return layout
    }

    /// What all roots have, whatever else is in them.
    func base() -> MountLayout {
        var layout = MountLayout()
        system(&layout)
        kernel(&layout)
        temporary(&layout)
        return layout
    }

    /// What makes the base a root of the host's.
    func addHost(to layout: inout MountLayout) {
        root(&layout)
        layout.mounts.append(
            tmpfs("/var/tmp", bytes: tmpBytes, inodes: tmpInodes, mode: 0o1777, noExec: false))
        layout.view.set(.runtime, at: "/var/tmp")
        hide(&layout)
        for path in extras where layout.view.region(of: path) != .host {
            layout.mounts.append(.host(path, target: path))
            layout.view.set(.host, at: path)
        }
    }

    private static let kernelDirectories: Set<String> = ["proc", "dev", "sys", "tmp", "run"]
    /// Parts of /sys that steer or reveal more of the machine than a job needs.
    private static let maskedSystem = [
        "/sys/fs/cgroup", "/sys/fs/bpf", "/sys/fs/pstore", "/sys/firmware", "/sys/kernel/debug", "/sys/kernel/tracing",
        "/sys/kernel/security", "/sys/devices/virtual/powercap",
    ]

    private func root(_ layout: inout MountLayout) {
        let hiddenHere = Set(hidden)
        for entry in host.entries where !Self.kernelDirectories.contains(entry.name) {
            let path = "/" + entry.name
            switch entry.kind {
            case .link(let text): layout.mounts.append(.operation(.symlink(target: path, text: text)))
            case .directory, .file:
                if hiddenHere.contains(path) {
                    // Not bound at all: cheaper than a cover, and nothing lies beneath.
                    if entry.kind == .directory { layout.mounts.append(directory(path)) }
                } else {
                    layout.mounts.append(.host(path, target: path))
                }
            }
        }
    }

    private func system(_ layout: inout MountLayout) {
        // Alone: the cgroup hierarchies, tracefs and whatever else is mounted there are none of a job's business. Where
        // they cannot be left out they are covered.
        layout.mounts.append(.host("/sys", target: "/sys", recursive: systemMounts != nil))
        var masks = Self.maskedSystem
        for path in (systemMounts ?? []).sorted() where !masks.contains(where: { InsideView.contains($0, path) }) {
            masks.append(path)
        }
        for path in masks { layout.mounts.append(.operation(.mask(target: path))) }
        layout.view.set(.kernel, at: "/sys")
    }

    private func kernel(_ layout: inout MountLayout) {
        layout.mounts.append(.operation(.proc(target: "/proc")))
        layout.mounts.append(tmpfs("/dev", bytes: 1 << 20, inodes: 1024, mode: 0o755, noExec: true))
        for (name, minor) in [("null", 3), ("zero", 5), ("full", 7), ("random", 8), ("urandom", 9)]
            as [(String, UInt32)]
        {
            layout.mounts.append(.device(DeviceNode(path: "/dev/\(name)", major: 1, minor: minor)))
        }
        layout.mounts.append(.device(DeviceNode(path: "/dev/tty", major: 5, minor: 0)))
        layout.mounts.append(.operation(.devpts(target: "/dev/pts")))
        layout.mounts.append(.operation(.symlink(target: "/dev/ptmx", text: "pts/ptmx")))
        layout.mounts.append(
            tmpfs("/dev/shm", bytes: shmBytes, inodes: tmpInodes, mode: 0o1777, noExec: true))
        layout.mounts.append(.operation(.mqueue(target: "/dev/mqueue")))
        for (name, text) in [("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")] {
            layout.mounts.append(.operation(.symlink(target: "/dev/\(name)", text: "/proc/self/fd\(text)")))
        }
        layout.view.set(.kernel, at: "/proc")
        layout.view.set(.kernel, at: "/dev")
        layout.view.set(.runtime, at: "/dev/shm")
    }

    private func temporary(_ layout: inout MountLayout) {
        layout.mounts.append(tmpfs("/tmp", bytes: tmpBytes, inodes: tmpInodes, mode: 0o1777, noExec: false))
        layout.view.set(.runtime, at: "/tmp")
        layout.mounts.append(tmpfs("/run", bytes: 16 << 20, inodes: 4096, mode: 0o755, noExec: true))
        layout.view.set(.runtime, at: "/run")
    }

    private func hide(_ layout: inout MountLayout) {
        let top = Set(host.entries.map { "/" + $0.name })
        // The shorter first: a cover of a directory would bury what was done to its children.
        for path in hidden.sorted() where layout.view.region(of: path) == .host {
            layout.view.set(.hidden, at: path)
            guard !top.contains(path) else { continue }
            let holdsExtras = extras.contains { InsideView.contains(path, $0) }
            layout.mounts.append(holdsExtras ? .cover(path) : .operation(.mask(target: path)))
        }
    }

    private func directory(_ path: String) -> PlannedMount {
        .operation(.directory(target: path, mode: 0o755, uid: owner.uid, gid: owner.gid))
    }

    private func tmpfs(_ path: String, bytes: Int64, inodes: Int64, mode: UInt32, noExec: Bool) -> PlannedMount {
        .tmpfs(path, bytes: bytes, inodes: inodes, mode: mode, noExec: noExec)
    }
}

/// Whom what the agent makes belongs to: the agent's user, root as a rule. In a user namespace of another user there is no
/// root to give it to.
struct AgentOwner: Hashable, Sendable {
    var uid: UInt32 = 0
    var gid: UInt32 = 0

    static let current = AgentOwner(uid: geteuid(), gid: getegid())
}

extension PlannedMount {
    static func tmpfs(_ path: String, bytes: Int64, inodes: Int64, mode: UInt32, noExec: Bool) -> PlannedMount {
        .operation(
            .tmpfs(
                target: path, bytes: UInt64(max(4096, bytes)), inodes: UInt64(max(16, inodes)), mode: mode,
                noExec: noExec))
    }

    /// Empty, and so that mount points can still be made in it where something is bound back.
    static func cover(_ path: String) -> PlannedMount {
        .tmpfs(path, bytes: 1 << 20, inodes: 1024, mode: 0o755, noExec: true)
    }
}
