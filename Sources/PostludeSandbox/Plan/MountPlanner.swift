import PostludeCore
import PostludePlan

/// One operation on the new root, its source still a path: what `PlanBuilder` opens and puts into the plan.
enum PlannedMount: Hashable, Sendable {
    /// A path of the host that the agent trusts.
    case host(String, target: String)
    /// The submitter's working directory, opened with the submitter's rights.
    case working(target: String)
    /// A directory of the run, which no link may lead away from.
    case run(String, target: String, readOnly: Bool)
    case device(DeviceNode)
    case operation(MountOperation)
}

/// Lays out the file system of a step; pure.
///
/// The host's root is shown read-only, without what a job has no business in; kernel file systems are fresh; whatever
/// is writable is private to the step, apart from the run's artifacts.
struct MountPlanner {
    var host: HostRoot
    var profile: SandboxProfile
    var user: UserIdentity
    var directories: AttemptDirectories
    /// The working directory without links.
    var working: String?
    /// `profile.hide` without links, existing ones only.
    var hidden: [String]
    /// Existing ones only.
    var extras: [String]
    /// Where the agent keeps its state; never visible inside.
    var state: String?
    /// The file that name resolution reads when it lies below /run, which is private inside.
    var resolver: String?
    /// What is never visible inside wherever it lies, such as the agent's socket; without links.
    var masked: [String] = []

    struct Layout: Hashable, Sendable {
        var mounts: [PlannedMount] = []
        var view = InsideView()
    }

    /// What every step has.
    func shared() -> Layout {
        var layout = Layout()
        root(&layout)
        kernel(&layout)
        temporary(&layout)
        hide(&layout)
        own(&layout)
        return layout
    }

    /// What one step has besides: granted devices, its own files.
    func own(of step: StepSpec, devices: [DeviceNode]) -> [PlannedMount] {
        var mounts: [PlannedMount] = []
        if step.getsDevices { mounts += devices.map(PlannedMount.device) }
        for (path, content) in step.files.sorted(by: { $0.key < $1.key }) {
            let target = InsideView.normalise(path)
            mounts.append(
                .operation(.file(target: target, content: Array(content.utf8), mode: 0o444, uid: 0, gid: 0)))
        }
        return mounts
    }

    private static let kernelDirectories: Set<String> = ["proc", "dev", "sys", "tmp", "run"]
    /// Parts of /sys that steer or reveal more of the machine than a job needs.
    private static let maskedSystem = [
        "/sys/fs/cgroup", "/sys/fs/bpf", "/sys/fs/pstore", "/sys/firmware", "/sys/kernel/debug", "/sys/kernel/tracing",
        "/sys/kernel/security", "/sys/devices/virtual/powercap",
    ]

    private func root(_ layout: inout Layout) {
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
        layout.mounts.append(.host("/sys", target: "/sys"))
        for path in Self.maskedSystem { layout.mounts.append(.operation(.mask(target: path))) }
        layout.view.set(.kernel, at: "/sys")
    }

    private func kernel(_ layout: inout Layout) {
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
            tmpfs("/dev/shm", bytes: profile.shmBytes, inodes: profile.tmpInodes, mode: 0o1777, noExec: true))
        layout.mounts.append(.operation(.mqueue(target: "/dev/mqueue")))
        for (name, text) in [("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")] {
            layout.mounts.append(.operation(.symlink(target: "/dev/\(name)", text: "/proc/self/fd\(text)")))
        }
        layout.view.set(.kernel, at: "/proc")
        layout.view.set(.kernel, at: "/dev")
        layout.view.set(.runtime, at: "/dev/shm")
    }

    private func temporary(_ layout: inout Layout) {
        for path in ["/tmp", "/var/tmp"] {
            layout.mounts.append(
                tmpfs(path, bytes: profile.tmpBytes, inodes: profile.tmpInodes, mode: 0o1777, noExec: false))
            layout.view.set(.runtime, at: path)
        }
        layout.mounts.append(tmpfs("/run", bytes: 16 << 20, inodes: 4096, mode: 0o755, noExec: true))
        layout.view.set(.runtime, at: "/run")
        if let resolver, InsideView.contains("/run", resolver) {
            layout.mounts.append(.host(resolver, target: resolver))
        }
    }

    private func hide(_ layout: inout Layout) {
        let top = Set(host.entries.map { "/" + $0.name })
        // The shorter first: a cover of a directory would bury what was done to its children.
        for path in hidden.sorted() where layout.view.region(of: path) == .host {
            layout.view.set(.hidden, at: path)
            guard !top.contains(path) else { continue }
            layout.mounts.append(cover(path))
        }
        if let state, layout.view.region(of: state) == .host {
            layout.view.set(.hidden, at: state)
            layout.mounts.append(cover(state))
        }
    }

    /// Empty, and so that mount points can still be made in it where something is bound back.
    private func cover(_ path: String) -> PlannedMount {
        let below =
            [working, user.home, directories.artifactsInside].compactMap { $0 } + extras
            + [String](directories.readOnly.values)
        if below.contains(where: { InsideView.contains(path, $0) }) {
            return tmpfs(path, bytes: 1 << 20, inodes: 1024, mode: 0o755, noExec: true)
        }
        return .operation(.mask(target: path))
    }

    private func own(_ layout: inout Layout) {
        let home = InsideView.normalise(user.home)
        switch layout.view.region(of: home) {
        case .hidden, .runtime:
            layout.mounts.append(
                tmpfs(home, bytes: profile.tmpBytes, inodes: profile.tmpInodes, mode: 0o700, noExec: false))
            layout.mounts.append(.operation(.directory(target: home, mode: 0o700, uid: user.uid, gid: user.gid)))
            layout.view.set(.runtime, at: home)
        case .host, .kernel: break
        }
        for path in extras where layout.view.region(of: path) != .host {
            layout.mounts.append(.host(path, target: path))
            layout.view.set(.host, at: path)
        }
        if let working, layout.view.region(of: working) != .host {
            layout.mounts.append(.working(target: working))
            layout.view.set(.host, at: working)
        }
        // What was bound back may hold them, for instance a user's home in which the user's own agent has its state.
        for path in [state].compactMap({ $0 }) + masked where layout.view.region(of: path) == .host {
            layout.mounts.append(.operation(.mask(target: path)))
            layout.view.set(.hidden, at: path)
        }
        for (host, inside) in directories.readOnly.sorted(by: { $0.value < $1.value }) {
            layout.mounts.append(.run(host, target: inside, readOnly: true))
            layout.view.set(.runtime, at: InsideView.normalise(inside))
        }
        layout.mounts.append(.run(directories.artifacts, target: directories.artifactsInside, readOnly: false))
        layout.view.set(.runtime, at: InsideView.normalise(directories.artifactsInside))
    }

    private func directory(_ path: String) -> PlannedMount {
        .operation(.directory(target: path, mode: 0o755, uid: 0, gid: 0))
    }

    private func tmpfs(_ path: String, bytes: Int64, inodes: Int64, mode: UInt32, noExec: Bool) -> PlannedMount {
        .operation(
            .tmpfs(
                target: path, bytes: UInt64(max(4096, bytes)), inodes: UInt64(max(16, inodes)), mode: mode,
                noExec: noExec))
    }
}
