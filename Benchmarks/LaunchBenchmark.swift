import Glibc
import PostludeCore
import PostludeSandbox
import PostludeSpec

/// What it takes to run `/bin/true`: alone, in bubblewrap, in crun and in Postlude's sandbox, one of each per round.
struct LaunchBenchmark {
    var places: Places
    var rounds: Int

    private struct Row {
        var name: String
        var samples = Samples()
    }

    func run() async throws {
        let scratch = try Scratch()
        let seccompDirectory = "\(places.profiles)/seccomp"
        guard let profile = try ProfileCatalog.load(directory: "\(places.profiles)/sandbox")["main"] else {
            throw BenchmarkError("there is no profile 'main' in \(places.profiles)/sandbox")
        }
        let sandbox = try Sandbox(
            configuration: SandboxConfiguration(
                wardenPath: places.warden, seccompDirectory: seccompDirectory, poolSize: 2,
                cgroupName: "postlude-bench-\(getpid())"))
        defer { sandbox.shutdown() }

        try sandbox.fillPool(for: [profile])
        // The first launch compiles the seccomp profile, which the others then share.
        _ = try await launch(sandbox, profile, scratch, rounds + 5)
        let bwrap = Child.exists("bwrap") ? try bubblewrap(scratch.path) : nil
        let holder = try Holder.unifiedTree.map { try Holder(hiding: $0) }
        let crun = Child.exists("crun") ? try bundle(profile, scratch, prefix: holder?.prefix ?? []) : nil
        let bare = Child(arguments: ["/bin/true"])

        var rows = [
            Row(name: "fork + exec"), Row(name: "bwrap, all namespaces, seccomp"), Row(name: "crun run"),
            Row(name: "Postlude, full sandbox"),
        ]
        for round in -5..<rounds {
            // Each comes after each other one as often as not, and after what that leaves to the kernel to clear away
            // (network namespaces, cgroups) is done: it shall not be paid by whoever is next.
            for index in rows.indices.shuffled() {
                try await Task.sleep(for: .milliseconds(250))
                let duration: Int64? =
                    switch index {
                    case 0: try bare.run()
                    case 1: try bwrap?.run()
                    case 2: try crun?.run()
                    case _: try await launch(sandbox, profile, scratch, round + 5)
                    }
                // The first rounds warm caches up.
                if round >= 0, let duration { rows[index].samples.add(duration) }
            }
        }

        withExtendedLifetime(holder) {}
        let reference = rows[1].samples.median
        let dearest = rows[2].samples.median
        print(
            "Launch of /bin/true, \(rounds) rounds, interleaved in random order (\(layout)); pool of prepared wardens refilled between.\n"
        )
        print(
            table(
                ["from the call to the reaped exit", "p50 ms", "p99 ms", "x bwrap", "x crun"],
                rows.map { row in
                    [
                        row.name, milliseconds(row.samples.median), milliseconds(row.samples.p99),
                        ratio(row.samples.median, to: reference), ratio(row.samples.median, to: dearest),
                    ]
                }))
        print()
    }

    /// One launch through the same calls as the engine's; nanoseconds until the journal says that all has ended.
    func launch(
        _ sandbox: Sandbox, _ profile: SandboxProfile, _ scratch: borrowing Scratch, _ number: Int,
        refills: Bool = true
    ) async throws -> Int64 {
        let run = RunID.random()
        let spec = AttemptSpec(
            attempt: AttemptID(run: run, number: 1),
            user: UserIdentity(name: "root", uid: getuid(), gid: getgid(), home: "/root"), profile: profile,
            steps: [
                StepSpec(name: "main", role: .main, command: ["/bin/true"], environment: ["PATH": "/usr/bin:/bin"])
            ],
            directories: AttemptDirectories(
                attempt: try scratch.directory("\(number)/attempt"),
                artifacts: try scratch.directory("\(number)/artifacts"),
                artifactsInside: "/plx-context/artifacts/\(run)"),
            limits: AttemptLimits(memoryBytes: 256 << 20, milliCPU: 1000, maxPIDs: 64))

        let start = now()
        let warden = try sandbox.reserve(for: profile)
        try sandbox.launch(spec, in: warden)
        let exit = try await end(of: spec.directories.attempt)
        let elapsed = now() - start

        guard exit == .code(0) else { throw BenchmarkError("/bin/true in the sandbox: \(exit)") }
        try await sandbox.remove(warden)
        if refills { try sandbox.fillPool(for: [profile]) }
        return elapsed
    }

    private func end(of directory: String) async throws -> ProcessExit {
        let journal = try AttemptJournal(directory: directory)
        var next: UInt64 = 0
        for await _ in journal.changes() {
            for entry in try journal.reports(from: next) {
                next = entry.sequence + 1
                if case .ended(let exit, _, _) = entry.report { return exit }
            }
        }
        throw BenchmarkError("the journal in \(directory) ended without a result")
    }

    /// The neighbour's strongest settings: every namespace, read-only host, private /dev, /proc, /tmp, the same filter.
    private func bubblewrap(_ directory: String) throws -> Child {
        let filter = try Self.seccompFilter()
        let arguments = [
            "bwrap", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup",
            "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "--tmpfs", "/dev/shm",
            "--bind", directory, directory, "--cap-drop", "ALL", "--new-session", "--die-with-parent", "--clearenv",
            "--seccomp", "20", "/bin/true",
        ]
        return Child(arguments: arguments, rewinding: filter, as: 20)
    }

    /// The very program that the sandbox installs: the memory file that this process keeps it in, opened once more.
    private static func seccompFilter() throws -> Int32 {
        for name in entries("/proc/self/fd") {
            var target = [CChar](repeating: 0, count: 64)
            let length = max(0, readlink("/proc/self/fd/\(name)", &target, target.count))
            let text = String(decoding: target[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self)
            if text.hasPrefix("/memfd:postlude-seccomp") {
                let filter = open("/proc/self/fd/\(name)", O_RDONLY | O_CLOEXEC)
                if filter >= 0 { return filter }
            }
        }
        throw BenchmarkError("this process holds no compiled seccomp profile")
    }

    /// An OCI bundle with the same limits, namespaces and seccomp profile.
    private func bundle(
        _ profile: SandboxProfile, _ scratch: borrowing Scratch, prefix: [String]
    ) throws -> Child {
        let directory = try scratch.directory("bundle")
        // The host's own root cannot be pivoted into; all of its programs are below /usr.
        for name in ["usr", "proc", "dev", "tmp"] { _ = try scratch.directory("bundle/root/\(name)") }
        for name in ["bin", "lib", "lib64"] { symlink("usr/\(name)", "\(directory)/root/\(name)") }
        guard let seccomp = contents("\(places.profiles)/seccomp/\(profile.seccomp).json") else {
            throw BenchmarkError("cannot read the seccomp profile \(profile.seccomp)")
        }
        try write(OCI.configuration(seccomp: seccomp), to: "\(directory)/config.json")
        return Child(arguments: prefix + ["crun", "run", "--bundle", directory, "crun-bench-\(getpid())"])
    }

    private var layout: String { Holder.unifiedTree == nil ? "cgroup v2" : "hybrid cgroups; crun with v1 alone" }
}

/// A container as `LaunchBenchmark` asks crun for it.
enum OCI {
    static func configuration(seccomp: String) -> String {
        """
        {"ociVersion": "1.0.2", "hostname": "bench", "root": {"path": "root", "readonly": true},
         "process": {"user": {"uid": \(getuid()), "gid": \(getgid())}, "args": ["/bin/true"], "cwd": "/",
           "env": ["PATH=/usr/bin:/bin"], "noNewPrivileges": true,
           "capabilities": {"bounding": [], "effective": [], "permitted": [], "inheritable": [], "ambient": []},
           "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 1024}]},
         "mounts": [
           {"destination": "/usr", "type": "none", "source": "/usr", "options": ["rbind", "ro"]},
           {"destination": "/proc", "type": "proc", "source": "proc"},
           {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64k"]},
           {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["nosuid", "noexec", "newinstance"]},
           {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "nodev", "size=64m"]},
           {"destination": "/tmp", "type": "tmpfs", "source": "tmp", "options": ["nosuid", "nodev", "size=64m"]}],
         "linux": {
           "resources": {"memory": {"limit": 268435456}, "cpu": {"quota": 100000, "period": 100000},
             "pids": {"limit": 64}, "devices": [{"allow": false, "access": "rwm"}]},
           "namespaces": [{"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"},
             {"type": "cgroup"}],
           "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list"],
           "readonlyPaths": ["/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus"],
           "seccomp": \(seccomp)}}
        """
    }
}
