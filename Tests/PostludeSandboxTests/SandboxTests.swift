import Foundation
import PostludeCore
import PostludeLinux
import Testing

@testable import PostludeSandbox

/// Real wardens, real cgroups, real programs.
@Suite(.enabled(if: SandboxFixture.isAvailable), .timeLimit(.minutes(2))) struct SandboxTests {
    @Test func `a program runs as the submitter, without rights, and is accounted for`() async throws {
        let fixture = try SandboxFixture()
        let script = "id -u; id -g; pwd; grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status; echo oops >&2; exit 7"
        let ended = try await fixture.run(script)
        #expect(ended.exit == .code(7))
        #expect(ended.reason == .mainExited)
        let output = try #require(ended.output["main.stdout"])
        #expect(output.hasPrefix("23456\n23456\n/plx-context/artifacts/"))
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            #expect(output.contains("\(set):\t0000000000000000\n"))
        }
        #expect(output.contains("NoNewPrivs:\t1\n"))
        #expect(output.contains("Seccomp:\t2\n"))
        #expect(ended.output["main.stderr"] == "oops\n")
        let receipt = try #require(ended.receipt(of: "main"))
        #expect(receipt.uid == 23_456)
        #expect(receipt.seccompMode == 2)
        #expect(receipt.noNewPrivileges)
        #expect(receipt.capabilities.values.allSatisfy { $0 == 0 })
        #expect(receipt.deviceFilterPrograms.count == 1)
        #expect(!receipt.sharedNamespaces.contains("pid") && !receipt.sharedNamespaces.contains("net"))
        #expect(receipt.limits.values.contains { $0.contains("268435456") })
        #expect(fixture.remains(of: ended.warden).isEmpty)
    }

    @Test func `passwords stay unread even by uid 0, and the agent's socket is covered`() async throws {
        let fixture = try SandboxFixture(hiddenPaths: ["work/agent.sock"])
        let working = try fixture.directory.directory("work", mode: 0o755)
        try fixture.directory.write("work/agent.sock", "reachable")
        var spec = try fixture.attempt(
            [
                fixture.step(
                    """
                    cat /etc/shadow /etc/gshadow; cat \(working)/agent.sock
                    test -c \(working)/agent.sock && echo covered
                    id -u; head -c 1 /proc/slabinfo /proc/kpagecount 2>/dev/null | grep -v '==>'; ls /etc/no-such-file
                    """)
            ], profile: fixture.profile { $0.hide += ["/etc/shadow", "/etc/gshadow", "/etc/no-such-file"] })
        spec.user = UserIdentity(name: "root", uid: 0, gid: 0, home: "/root")
        spec.directories.working = working
        #expect(chown(spec.directories.artifacts, 0, 0) == 0)
        let ended = try await fixture.run(spec)
        #expect(
            ended.output["main.stdout"]?.split(separator: "\n").filter { !$0.isEmpty } == ["covered", "0"],
            "\(ended.output)")
    }

    @Test func `a run is seen in the cgroup of all runs`() async throws {
        let fixture = try SandboxFixture()
        let warden = try fixture.sandbox.reserve(for: fixture.profile())
        let membership = try String(contentsOfFile: "/proc/\(warden.pid)/cgroup", encoding: .utf8)
        #expect(fixture.sandbox.runs.covers(cgroup: membership, status: "") == true, "\(membership)")
        #expect(membership.contains("/runs/\(warden.slot)"), "\(membership)")
        fixture.sandbox.cancel(warden)
        await fixture.sandbox.awaitExit(of: warden)
    }

    @Test func `steps run in order and share the artifacts`() async throws {
        let fixture = try SandboxFixture()
        let place = "${PWD}/trace"
        let spec = try fixture.attempt([
            fixture.step("echo one >> \(place)", "init-0", .initialize),
            fixture.step("echo two >> \(place)", "init-1", .initialize),
            fixture.step("while true; do read -t 1 x < /dev/zero; done", "sidecar-x", .sidecar),
            fixture.step("cat \(place); echo three > out"),
        ])
        let ended = try await fixture.run(spec)
        #expect(ended.exit == .code(0))
        #expect(ended.output["main.stdout"] == "one\ntwo\n")
        let written = FileManager.default.contents(atPath: spec.directories.artifacts + "/out")
        #expect(written == Data("three\n".utf8))
        #expect(ended.exit(of: "sidecar-x") != nil)
    }

    @Test func `a hook reads main's logs and artifacts, and changes neither`() async throws {
        let fixture = try SandboxFixture()
        let main = try await fixture.run("echo printed; echo made > result")
        chmod(main.spec.directories.attempt, 0o755)
        var hook = try fixture.attempt([
            fixture.step(
                "cd /main; cat logs/main.stdout.log artifacts/result; echo x > artifacts/result; cat logs/journal")
        ])
        hook.directories.readOnly = [
            main.spec.directories.attempt: "/main/logs", main.spec.directories.artifacts: "/main/artifacts",
        ]
        let ended = try await fixture.run(hook)
        #expect(ended.output["main.stdout"]?.hasPrefix("printed\nmade\n") == true, "\(ended.output)")
        #expect(ended.output["main.stderr"]?.contains("artifacts/result: Read-only file system") == true)
        #expect(ended.output["main.stderr"]?.contains("logs/journal: Permission denied") == true)
    }

    @Test func `nothing of the host can be changed, and little of it is seen`() async throws {
        let fixture = try SandboxFixture()
        let ended = try await fixture.run(
            """
            ls -A /root /home/other 2>&1; ls -A /home; ls -A /tmp /run
            ls \(fixture.directory.path) 2>&1
            touch /usr/x /etc/x /x /sys/x /proc/sys/kernel/core_pattern 2>&1
            cat /etc/shadow 2>&1
            ls -A /sys/fs/cgroup /sys/kernel/debug
            ls /proc | grep -c '^[0-9]'
            ls /dev | tr '\\n' ' '
            """)
        let output = try #require(ended.output["main.stdout"])
        #expect(output.contains("No such file or directory"))
        for path in ["/usr/x", "/etc/x", "/x"] {
            #expect(output.contains("touch: cannot touch '\(path)': Read-only file system"), "\(path)")
        }
        #expect(output.contains("/etc/shadow: Permission denied"))
        #expect(output.contains("ls: cannot access '\(fixture.directory.path)'"))
        #expect(
            output.hasSuffix("fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero "),
            "\(output)")
    }

    @Test func `without a network there is none`() async throws {
        let fixture = try SandboxFixture()
        let ended = try await fixture.run("cat /proc/net/dev | tail -n +3 | cut -d: -f1; cat /sys/class/net/lo/flags")
        #expect(ended.output["main.stdout"]?.contains("lo") == true)
        let loopback = try await fixture.run(
            "cat < /dev/null; exec 2>&1; (echo > /dev/udp/127.0.0.1/9) && echo sent",
            profile: fixture.profile { $0.seccomp = "hook" })
        #expect(loopback.output["main.stdout"]?.contains("sent") == false)
    }

    @Test func `a leased device can be opened by the steps that get it, and no other`() async throws {
        let fixture = try SandboxFixture()
        let device = try fixture.device()
        var spec = try fixture.attempt(
            [
                fixture.step("ls \(device.path) 2>&1; true", "init-0", .initialize),
                fixture.step("exec 5< \(device.path) && echo opened; ls /dev/loop-control 2>&1", getsDevices: true),
            ], profile: fixture.profile { $0.devices = .leased })
        spec.devices = [device]
        let ended = try await fixture.run(spec)
        #expect(ended.output["init-0.stdout"]?.contains("cannot access") == true)
        #expect(ended.output["main.stdout"]?.hasPrefix("opened\n") == true, "\(ended.output)")
        #expect(ended.output["main.stdout"]?.contains("cannot access '/dev/loop-control'") == true)
    }

    @Test func `a revoked device cannot be opened again`() async throws {
        let fixture = try SandboxFixture()
        let device = try fixture.device()
        let script = """
            exec 5< \(device.path) && echo held; mkfifo go; echo waiting; read x < go
            exec 6< \(device.path) && echo again; exec 7< /dev/null && echo null
            """
        var spec = try fixture.attempt(
            [fixture.step(script, getsDevices: true)], profile: fixture.profile { $0.devices = .leased })
        spec.devices = [device]
        let warden = try fixture.sandbox.reserve(for: spec.profile)
        try fixture.sandbox.launch(spec, in: warden)
        try await fixture.awaitOutput("waiting", of: "main", in: spec)
        try fixture.sandbox.revokeDevices(warden)
        let go = open(spec.directories.artifacts + "/go", O_WRONLY)
        close(go)
        let ended = try await fixture.end(of: spec, in: warden)
        #expect(ended.output["main.stdout"]?.contains("held\nwaiting\n") == true)
        #expect(ended.output["main.stdout"]?.contains("again") == false)
        #expect(ended.output["main.stderr"]?.contains("Operation not permitted") == true, "\(ended.output)")
        #expect(try await fixture.sandbox.awaitEmpty(warden, until: .now + .seconds(5)))
        try await fixture.sandbox.remove(warden)
    }

    @Test func `orphans that left the session are ended and the steps are empty`() async throws {
        let fixture = try SandboxFixture()
        let ended = try await fixture.run(
            "(setsid sh -c 'trap \"\" TERM HUP; (sleep 1000 &) ; sleep 1000' &) ; echo done")
        #expect(ended.output["main.stdout"] == "done\n")
        #expect(ended.exit == .code(0))
        #expect(fixture.remains(of: ended.warden).isEmpty)
    }

    @Test func `a stop request ends the attempt as stopped`() async throws {
        let fixture = try SandboxFixture()
        let spec = try fixture.attempt([
            fixture.step("trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.1; done")
        ])
        let warden = try fixture.sandbox.reserve(for: spec.profile)
        try fixture.sandbox.launch(spec, in: warden)
        try await fixture.awaitOutput("up", of: "main", in: spec)
        #expect(fixture.sandbox.isAlive(warden))
        #expect(try !fixture.sandbox.isEmpty(warden, stepsOnly: true))
        #expect(try await !fixture.sandbox.awaitEmpty(warden, until: .now + .milliseconds(20)))
        try fixture.sandbox.requestStop(warden)
        let ended = try await fixture.end(of: spec, in: warden)
        #expect(ended.reason == .stopRequested)
        #expect(ended.output["main.stdout"]?.contains("bye") == true)
        #expect(!fixture.sandbox.isAlive(warden))
        #expect(try fixture.sandbox.isEmpty(warden, stepsOnly: false))
        try await fixture.sandbox.remove(warden)
        try fixture.sandbox.requestStop(warden)
    }

    @Test func `kill leaves no process and no end record`() async throws {
        let fixture = try SandboxFixture()
        let spec = try fixture.attempt([fixture.step("echo up; sleep 1000 & wait")])
        let warden = try fixture.sandbox.reserve(for: spec.profile)
        try fixture.sandbox.launch(spec, in: warden)
        try await fixture.awaitOutput("up", of: "main", in: spec)
        try fixture.sandbox.kill(warden)
        let ended = try await fixture.end(of: spec, in: warden)
        #expect(ended.exit == nil)
        #expect(try await fixture.sandbox.awaitEmpty(warden, until: .now + .seconds(10)))
        try await fixture.sandbox.remove(warden)
        #expect(fixture.remains(of: warden).isEmpty)
    }

    @Test func `another agent finds the warden again`() async throws {
        let fixture = try SandboxFixture()
        let spec = try fixture.attempt([fixture.step("echo up; mkfifo go; read x < go; exit 5")])
        let warden = try fixture.sandbox.reserve(for: spec.profile)
        try fixture.sandbox.launch(spec, in: warden)
        try await fixture.awaitOutput("up", of: "main", in: spec)
        let second = try Sandbox(configuration: fixture.configuration)
        #expect(try second.leftovers().contains(warden.slot))
        #expect(second.isAlive(warden))
        var other = warden
        other.startTime += 1
        #expect(!second.isAlive(other))
        other = warden
        other.bootID = "another"
        #expect(!second.isAlive(other))
        try second.requestStop(warden)
        await second.awaitExit(of: warden)
        #expect(try await second.awaitEmpty(warden, until: .now + .seconds(5)))
        // The parent reaps; then the adopter may clear away.
        await fixture.sandbox.awaitExit(of: warden)
        try await second.remove(warden)
        #expect(try second.leftovers().isEmpty)
    }

    @Test func `a slot that no attempt claims is cleared`() async throws {
        let fixture = try SandboxFixture()
        let spec = try fixture.attempt([fixture.step("echo up; sleep 1000")])
        let warden = try fixture.sandbox.reserve(for: spec.profile)
        try fixture.sandbox.launch(spec, in: warden)
        try await fixture.awaitOutput("up", of: "main", in: spec)
        let second = try Sandbox(configuration: fixture.configuration)
        for slot in try second.leftovers() { try await second.removeLeftover(slot) }
        #expect(fixture.remains(of: warden).isEmpty)
        #expect(!fixture.sandbox.isAlive(warden))
    }

    @Test func `the pool fills, gives, and goes`() async throws {
        let fixture = try SandboxFixture(poolSize: 2)
        try fixture.sandbox.fillPool(for: [fixture.profile()])
        #expect(try fixture.sandbox.tree.slots().count == 2)
        let first = try fixture.sandbox.reserve(for: fixture.profile())
        let second = try fixture.sandbox.reserve(for: fixture.profile())
        let third = try fixture.sandbox.reserve(for: fixture.profile())
        #expect(Set([first.slot, second.slot, third.slot]).count == 3)
        for warden in [first, second, third] {
            #expect(fixture.sandbox.isAlive(warden))
            fixture.sandbox.cancel(warden)
            await fixture.sandbox.awaitExit(of: warden)
        }
        try fixture.sandbox.fillPool(for: [fixture.profile()])
        let idle = fixture.sandbox.state.withLock { state in state.idle.compactMap { state.wardens[$0]?.identity } }
        #expect(idle.count == 2)
        fixture.sandbox.shutdown()
        for warden in idle { await fixture.sandbox.awaitExit(of: warden) }
        #expect(idle.allSatisfy { !fixture.sandbox.isAlive($0) })
    }

    @Test func `what is mounted on the host after a warden was prepared is seen inside`() async throws {
        let fixture = try SandboxFixture(poolSize: 1)
        let place = try fixture.directory.directory("mounted", mode: 0o755)
        let profile = fixture.profile { $0.readOnly = [place] }
        fixture.sandbox.onPoolChange {}
        try fixture.sandbox.fillPool(for: [profile])
        let prepared = fixture.sandbox.state.withLock { $0.idle }
        try #require(mount("tmpfs", place, "tmpfs", 0, "size=4k") == 0)
        // Also when something below throws; without the mount it does nothing.
        defer { umount2(place, Int32(MNT_DETACH)) }
        #expect(FileManager.default.createFile(atPath: "\(place)/new", contents: nil))
        let ended = try await fixture.run("ls \(place)", profile: profile)
        #expect(ended.output["main.stdout"] == "new\n")
        #expect(!prepared.contains(ended.warden.slot))
        #expect(umount(place) == 0)
        // And what was unmounted is let go of, so that its device can be.
        for slot in prepared {
            let identity = fixture.sandbox.state.withLock { $0.wardens[slot]?.identity }
            if let identity { await fixture.sandbox.awaitExit(of: identity) }
        }
    }

    @Test func `the receipt says what Landlock enforces`() async throws {
        let fixture = try SandboxFixture()
        let open = try await fixture.run("true").receipt(of: "main")?.landlock
        let closed = try await fixture.run("true", profile: fixture.profile { $0.listen = .none }).receipt(of: "main")
        let abi = Landlock.abi()
        var words = abi >= 2 ? ["files"] : []
        if abi >= 3 { words.append("truncation") }
        if abi >= 5 { words.append("device-ioctl") }
        if abi >= 6 { words += ["own-abstract-sockets", "own-signals"] }
        #expect(open == (abi > 0 ? "ABI \(abi): \(words.isEmpty ? "nothing" : words.joined(separator: " "))" : nil))
        #expect(closed?.landlock?.contains("no-tcp-bind") ?? false == (abi >= 4))
    }

    @Test func `keys and tokens of a home that is the working directory are not shown, behind links neither`()
        async throws
    {
        let fixture = try SandboxFixture()
        let home = try fixture.directory.directory("home", mode: 0o755)
        for directory in [".ssh", "dotfiles", ".config/gh", "work"] {
            try FileManager.default.createDirectory(atPath: "\(home)/\(directory)", withIntermediateDirectories: true)
        }
        for file in [".ssh/id", "dotfiles/netrc", ".config/gh/hosts.yml", ".config/other", "work/data"] {
            try Data(file.utf8).write(to: URL(fileURLWithPath: "\(home)/\(file)"))
        }
        try #require(symlink("dotfiles/netrc", "\(home)/.netrc") == 0)
        let profile = fixture.profile { $0.hideInHome = [".ssh", ".netrc", ".config/gh", ".missing"] }
        let script = """
            cd '\(home)'; cat .ssh/id .netrc dotfiles/netrc .config/gh/hosts.yml; echo -; cat .config/other; cat work/data
            """
        var spec = try fixture.attempt([fixture.step(script)], profile: profile)
        spec.user.home = home
        spec.directories.working = home
        let ended = try await fixture.run(spec)
        #expect(ended.output["main.stdout"] == "-\n.config/otherwork/data", "\(ended.output)")
    }

    @Test func `a file that is replaced after a warden was prepared stays hidden`() async throws {
        let fixture = try SandboxFixture(poolSize: 1)
        // Not below the private /tmp.
        let place = "/opt/postlude-test-\(UInt32.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: false)
        defer { rmdir(place) }
        let secret = "\(place)/secret"
        defer { unlink(secret) }
        try Data("old".utf8).write(to: URL(fileURLWithPath: secret))
        let profile = fixture.profile { $0.hide.append(secret) }
        try fixture.sandbox.fillPool(for: [profile])
        try FileManager.default.removeItem(atPath: secret)
        try Data("new".utf8).write(to: URL(fileURLWithPath: secret), options: .atomic)
        let ended = try await fixture.run("cat \(secret); echo; wc -c < \(secret)", profile: profile)
        #expect(ended.output["main.stdout"] == "\n0\n")
        #expect(ended.exit == .code(0))
    }

    @Test func `the journal can be followed from before the first record`() async throws {
        let fixture = try SandboxFixture()
        let spec = try fixture.attempt([fixture.step("echo x")])
        let journal = try AttemptJournal(directory: spec.directories.attempt)
        var changes = journal.changes().makeAsyncIterator()
        await changes.next()
        #expect(try journal.reports(from: 0).isEmpty)
        let warden = try fixture.sandbox.reserve(for: spec.profile)
        try fixture.sandbox.launch(spec, in: warden)
        var reports: [AttemptReport] = []
        var next: UInt64 = 0
        follow: while await changes.next() != nil {
            for (sequence, report) in try journal.reports(from: next) {
                #expect(sequence == next)
                next = sequence + 1
                reports.append(report)
                if case .ended = report { break follow }
            }
        }
        #expect(reports.count >= 4)
        await fixture.sandbox.awaitExit(of: warden)
        try await fixture.sandbox.remove(warden)
    }
}
