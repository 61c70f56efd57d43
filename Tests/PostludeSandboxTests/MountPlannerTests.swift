import PostludeCore
import PostludeLinux
import PostludePlan
import Testing

@testable import PostludeSandbox

@Suite struct MountPlannerTests {
    private let host = HostRoot(entries: [
        .init(name: "bin", kind: .link("usr/bin")), .init(name: "dev", kind: .directory),
        .init(name: "etc", kind: .directory), .init(name: "home", kind: .directory),
        .init(name: "notes.txt", kind: .file), .init(name: "proc", kind: .directory),
        .init(name: "root", kind: .directory), .init(name: "run", kind: .directory),
        .init(name: "sys", kind: .directory), .init(name: "tmp", kind: .directory),
        .init(name: "usr", kind: .directory), .init(name: "var", kind: .directory),
    ])

    private func planner(
        working: String? = nil, hidden: [String] = ["/home", "/root"], extras: [String] = [],
        state: String? = "/var/lib/postlude", home: String = "/home/ada", resolver: String? = nil,
        masked: [String] = [], secrets: [String] = []
    ) -> MountPlanner {
        let profile = SandboxProfile(name: "test", seccomp: "main")
        let template = TemplatePlanner(
            host: host, hidden: hidden, extras: extras, tmpBytes: profile.tmpBytes, tmpInodes: profile.tmpInodes,
            shmBytes: profile.shmBytes
        ).layout()
        return MountPlanner(
            template: template, profile: profile,
            user: UserIdentity(name: "ada", uid: 1000, gid: 1000, home: home),
            directories: AttemptDirectories(
                attempt: "/var/lib/postlude/runs/r/attempts/1", artifacts: "/var/lib/postlude/runs/r/artifacts",
                artifactsInside: "/plx-context/artifacts/r", working: working,
                readOnly: ["/var/lib/postlude/runs/m/artifacts": "/plx-context/artifacts/m"]),
            working: working, hidden: hidden, extras: extras, state: state, resolver: resolver,
            masked: masked, secrets: secrets)
    }

    private func targets(_ mounts: [PlannedMount]) -> [String] {
        mounts.map { mount in
            switch mount {
            case .image(_, let target), .host(_, let target, _), .working(let target), .run(_, let target, _),
                .shared(_, let target):
                target
            case .device(let node): node.path
            case .operation(let operation): operation.target
            }
        }
    }

    @Test func `the host is shown read-only, without what is the kernel's, private or hidden`() {
        let mounts = planner().whole().mounts
        #expect(mounts.contains(.host("/sys", target: "/sys", recursive: false)))
        for path in ["/etc", "/usr", "/var", "/notes.txt"] {
            #expect(mounts.contains(.host(path, target: path)))
        }
        for path in ["/dev", "/proc", "/run", "/tmp", "/home", "/root"] {
            #expect(!mounts.contains(.host(path, target: path)))
        }
        #expect(mounts.contains(.operation(.symlink(target: "/bin", text: "usr/bin"))))
        #expect(mounts.contains(.operation(.directory(target: "/root", mode: 0o755, uid: 0, gid: 0))))
        #expect(mounts.contains(.operation(.proc(target: "/proc"))))
        #expect(mounts.contains(.operation(.mask(target: "/sys/fs/cgroup"))))
    }

    @Test func `dev has exactly the harmless nodes`() {
        let below = targets(planner().whole().mounts).filter { $0.hasPrefix("/dev/") }.sorted()
        #expect(
            below == [
                "/dev/fd", "/dev/full", "/dev/mqueue", "/dev/null", "/dev/ptmx", "/dev/pts", "/dev/random", "/dev/shm",
                "/dev/stderr", "/dev/stdin", "/dev/stdout", "/dev/tty", "/dev/urandom", "/dev/zero",
            ])
    }

    @Test func `the state directory is covered`() {
        let layout = planner().whole()
        #expect(layout.mounts.contains(.operation(.mask(target: "/var/lib/postlude"))))
        #expect(layout.view.region(of: "/var/lib/postlude/store.sqlite") == .hidden)
        #expect(layout.view.region(of: "/var/lib/other") == .host)
    }

    @Test func `a working directory below a hidden one is shown, the rest of it is not`() {
        let layout = planner(working: "/home/ada/project").whole()
        let order = targets(layout.mounts)
        #expect(layout.mounts.contains(.working(target: "/home/ada/project")))
        #expect(layout.view.region(of: "/home/ada/project/train.py") == .host)
        #expect(layout.view.region(of: "/home/ada/.ssh/id") == .runtime)
        #expect(layout.view.region(of: "/home/eve") == .hidden)
        // The home is emptied before the directory is put into it.
        let home = order.firstIndex(of: "/home/ada")
        let working = order.firstIndex(of: "/home/ada/project")
        #expect(home != nil && working != nil && home ?? 0 < working ?? 0)
    }

    @Test func `a working directory that is visible anyway is not mounted again`() {
        let layout = planner(working: "/usr/share/data").whole()
        #expect(!layout.mounts.contains(.working(target: "/usr/share/data")))
    }

    @Test func `state inside the working directory is covered again`() {
        let layout = planner(working: "/home/ada", state: "/home/ada/.local/state/postlude").whole()
        let order = targets(layout.mounts)
        #expect(order.last { $0.hasPrefix("/home/ada") } == "/home/ada/.local/state/postlude")
        #expect(layout.view.region(of: "/home/ada/.local/state/postlude/db") == .hidden)
    }

    @Test func `the agent's socket is covered wherever it is shown`() {
        for (socket, working) in [("/opt/agent.sock", nil), ("/home/ada/p/agent.sock", "/home/ada/p")] {
            let layout = planner(working: working, masked: [socket]).whole()
            #expect(targets(layout.mounts).filter { $0 == socket } == [socket])
            #expect(layout.view.region(of: socket) == .hidden)
            let order = targets(layout.mounts)
            if let working { #expect(order.firstIndex(of: working) ?? .max < order.firstIndex(of: socket) ?? 0) }
        }
        // Nothing is to be covered where nothing of the host is shown.
        #expect(!targets(planner(masked: ["/run/agent.sock"]).whole().mounts).contains("/run/agent.sock"))
    }

    @Test func `places for mount points are read-only in the end, below which what is mounted is not`() {
        let planner = planner(working: "/var/secret/open", hidden: ["/var/secret"])
        let closing = planner.closing(after: planner.shared())
        #expect(
            closing == ["/var/secret", "/dev"].map { .operation(.readOnly(target: $0)) })
    }

    @Test func `secrets of the submitter are masked wherever the home is shown, and only there`() {
        let mask = PlannedMount.operation(.mask(target: "/home/ada/.ssh"))
        let shown = planner(working: "/home/ada", secrets: ["/home/ada/.ssh"]).whole()
        #expect(shown.mounts.contains(mask) && shown.view.region(of: "/home/ada/.ssh/id") == .hidden)
        #expect(shown.view.region(of: "/home/ada/.config") == .host)
        let outside = planner(hidden: [], home: "/srv/ada", secrets: ["/srv/ada/.ssh"]).whole()
        #expect(outside.view.region(of: "/srv/ada/.ssh") != .host)
        #expect(!planner(working: "/home/ada/p", secrets: ["/home/ada/.ssh"]).whole().mounts.contains(mask))
        #expect(!planner(secrets: ["/home/ada/.ssh"]).whole().mounts.contains(mask))
        var rule = WorkingDirectoryRule(privates: [], hidden: ["/home"], home: "/home/ada", secrets: ["/home/ada/.ssh"])
        #expect(rule.objection(to: "/home/ada") == nil)
        #expect(rule.objection(to: "/home/ada/.ssh/keys") != nil)
        rule.secrets = []
        #expect(rule.objection(to: "/home/ada/.ssh/keys") == nil)
    }

    @Test func `state that is the working directory is covered, and the run's artifacts are shown`() {
        let order = targets(planner(working: "/home/ada/s", state: "/home/ada/s").whole().mounts)
        #expect(order.filter { $0 == "/home/ada/s" }.count == 2)
        #expect(order.last == "/plx-context/artifacts/r")
    }

    @Test func `a working directory may not hold what is hidden or private, nor lie in the agent's state`() {
        let rule = WorkingDirectoryRule(
            privates: ["/tmp", "/var/tmp", "/run"], hidden: ["/home", "/root", "/var/lib", "/etc/ssh"],
            state: "/home/ada/.local/state/postlude", home: "/home/ada")
        for path in [
            "/", "/tmp", "/var", "/var/tmp", "/run", "/home", "/root", "/var/lib", "/etc", "/etc/ssh",
            "/home/ada/.local", "/home/ada/.local/state/postlude", "/home/ada/.local/state/postlude/runs/x",
        ] {
            #expect(rule.objection(to: path) != nil, "\(path)")
        }
        for path in ["/home/ada", "/home/ada/p", "/tmp/x", "/run/user/1000", "/usr", "/home/eve", "/opt"] {
            #expect(rule.objection(to: path) == nil, "\(path)")
        }
        var bounded = rule
        bounded.bounds = ["/home/ada", "/opt"]
        for (path, isAllowed) in [("/home/ada/p", true), ("/opt", true), ("/home/adam", false), ("/usr", false)] {
            #expect((bounded.objection(to: path) == nil) == isAllowed, "\(path)")
        }
        var root = rule
        root.home = "/root"
        #expect(root.objection(to: "/root") == nil)
        root.home = "/"
        #expect(root.objection(to: "/") != nil)
        root.home = "/home/eve"
        #expect(root.objection(to: "/home/ada") != nil)
        root.hidden.append("/home/eve/.ssh")
        #expect(root.objection(to: "/home/eve") != nil)
    }

    @Test func `the cgroup of all runs is named as the kernel names it`() throws {
        let lines = """
            31 23 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro
            32 31 0:27 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw
            33 31 0:28 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
            40 31 0:27 /a\\040b /mnt/c rw - cgroup2 cgroup2 rw
            """
        let whole = try CgroupTree.membership(of: "/sys/fs/cgroup/unified/x/postlude/runs", mountinfo: lines)
        #expect(whole == "/x/postlude/runs")
        #expect(try CgroupTree.membership(of: "/mnt/c/runs", mountinfo: lines) == "/a b/runs")
        #expect(throws: LinuxError.self) { try CgroupTree.membership(of: "/other", mountinfo: lines) }
    }

    @Test func `a deep hidden directory is a cover, or a place to mount on when something is shown below it`() {
        let plain = planner(hidden: ["/var/secret"]).whole()
        #expect(plain.mounts.contains(.operation(.mask(target: "/var/secret"))))
        let shown = planner(working: "/var/secret/open", hidden: ["/var/secret"]).whole()
        let cover = shown.mounts.lastIndex { targets([$0]) == ["/var/secret"] }
        #expect(cover.map { shown.mounts[$0] } == .cover("/var/secret"))
        #expect(cover ?? .max < shown.mounts.firstIndex(of: .working(target: "/var/secret/open")) ?? 0)
        #expect(shown.mounts.contains(.working(target: "/var/secret/open")))
    }

    @Test func `extras come back from below what is hidden`() {
        let layout = planner(hidden: ["/root"], extras: ["/root/tools"]).whole()
        #expect(layout.mounts.contains(.host("/root/tools", target: "/root/tools")))
        #expect(layout.view.region(of: "/root/tools/bin/x") == .host)
        #expect(layout.view.region(of: "/root/other") == .hidden)
    }

    @Test func `the resolver's file is shown when it lies below run`() {
        let path = "/run/systemd/resolve/stub-resolv.conf"
        #expect(planner(resolver: path).whole().mounts.contains(.host(path, target: path)))
        #expect(!targets(planner(resolver: "/etc/resolv.conf").whole().mounts).contains("/etc/resolv.conf"))
    }

    @Test func `only the run's artifacts are writable`() {
        let writable = planner(working: "/home/ada/p").whole().mounts.filter {
            if case .run(_, _, let readOnly) = $0 { !readOnly } else { false }
        }
        #expect(targets(writable) == ["/plx-context/artifacts/r"])
    }

    @Test func `devices are for the steps that get them`() {
        let node = DeviceNode(path: "/dev/nvidia0", major: 195, minor: 0)
        let with = StepSpec(name: "main", role: .main, command: ["x"], getsDevices: true)
        let without = StepSpec(name: "side", role: .sidecar, command: ["x"], files: ["/plx-context/context.json": "{}"])
        #expect(planner().own(of: with, devices: [node]) == [.device(node)])
        let file = MountOperation.file(
            target: "/plx-context/context.json", content: Array("{}".utf8), mode: 0o444, uid: 0, gid: 0)
        #expect(planner().own(of: without, devices: [node]) == [.operation(file)])
    }

    @Test(arguments: [
        ("/a/b", "/", "/a/b"), ("a", "/x", "/x/a"), ("./a//b/", "/x", "/x/a/b"), ("../a", "/x/y", "/x/a"),
        ("/..", "/", "/"), ("/a/./../b", "/", "/b"),
    ]) func `paths are normalised by text`(path: String, base: String, expected: String) {
        #expect(InsideView.normalise(path, relativeTo: base) == expected)
    }
}

@Suite struct LimitWritesTests {
    private let unified = CgroupLayout(unified: "/c", legacy: [:], unifiedControllers: ["memory", "cpu", "pids"])
    private let hybrid = CgroupLayout(
        unified: "/c", legacy: [.memory: "/m", .cpu: "/p", .cpuacct: "/a", .pids: "/q"], unifiedControllers: [])
    private let all = AttemptLimits(memoryBytes: 1 << 30, milliCPU: 1500, maxPIDs: 64)

    @Test func `limits on v2`() throws {
        #expect(
            try LimitWrites(layout: unified).writes(all, isStep: false) == [
                CgroupWrite(.memory, "memory.max", "1073741824"),
                CgroupWrite(.memory, "memory.swap.max", "0", isRequired: false),
                CgroupWrite(.cpu, "cpu.max", "150000 100000"), CgroupWrite(.pids, "pids.max", "64"),
            ])
        #expect(
            try LimitWrites(layout: unified).writes(AttemptLimits(), isStep: true) == [
                CgroupWrite(.memory, "memory.oom.group", "1", isRequired: false)
            ])
    }

    @Test func `limits on v1`() throws {
        #expect(
            try LimitWrites(layout: hybrid).writes(all, isStep: true) == [
                CgroupWrite(.memory, "memory.limit_in_bytes", "1073741824"),
                CgroupWrite(.memory, "memory.memsw.limit_in_bytes", "1073741824", isRequired: false),
                CgroupWrite(.cpu, "cpu.cfs_period_us", "100000"), CgroupWrite(.cpu, "cpu.cfs_quota_us", "150000"),
                CgroupWrite(.pids, "pids.max", "64"),
            ])
    }

    @Test func `the kernel's smallest quota is the smallest limit`() throws {
        let writes = try LimitWrites(layout: unified).writes(AttemptLimits(milliCPU: 1), isStep: false)
        #expect(writes == [CgroupWrite(.cpu, "cpu.max", "1000 100000")])
    }

    @Test func `a limit without its controller is refused`() {
        let bare = LimitWrites(layout: CgroupLayout(unified: "/c", legacy: [:], unifiedControllers: []))
        for limits in [AttemptLimits(memoryBytes: 1), AttemptLimits(milliCPU: 1), AttemptLimits(maxPIDs: 1)] {
            let error = #expect(throws: SandboxError.self) { try bare.writes(limits, isStep: false) }
            #expect(error?.code == "sandbox.limit-unavailable")
        }
        #expect(throws: Never.self) { try bare.writes(AttemptLimits(), isStep: true) }
    }

    @Test func `a profile that requires what the host lacks is unmet`() {
        let findings = HostProbe(
            tree: nil, cgroupError: SandboxError(code: "c", message: "m", hint: "h"), wardenPath: "/nowhere"
        ).run()
        let profile = SandboxProfile(name: "p", seccomp: "main", requires: [.memoryLimit, .seccomp])
        #expect(findings.unmet(of: profile).map(\.value.name) == ["memory-limit"])
        #expect(findings.unmet(of: SandboxProfile(name: "p", seccomp: "main")).isEmpty)
        #expect(findings.checks.contains(findings.coreScheduling))
        #expect(findings.checks.filter { $0.verdict != .ok }.allSatisfy { $0.hint != nil })
        #expect(findings.checks.contains { $0.name == "warden" && $0.verdict == .missing })
        #expect(Set(findings.checks.map(\.name)).count == findings.checks.count)
    }
}

extension MountPlanner {
    /// The template's mounts and those that follow.
    fileprivate func whole() -> MountLayout {
        let shared = shared()
        return MountLayout(mounts: template.mounts + shared.mounts, view: shared.view)
    }
}
