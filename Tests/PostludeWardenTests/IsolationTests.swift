import Glibc
import PostludeLinux
import PostludePlan
import Testing

@Suite(.enabled(if: WardenHarness.isRoot, "the warden needs root"))
struct IsolationTests {
    @Test func `a step has no capability, no way to get one, and its own user`() throws {
        let outcome = try WardenHarness().run("cat /proc/self/status; id -u; id -g; id -G")
        let status = outcome.lines
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            #expect(status.contains("\(set):\t0000000000000000"))
        }
        #expect(status.contains("NoNewPrivs:\t1"))
        #expect(status.contains("Seccomp:\t2"))
        #expect(status.contains("Uid:\t65534\t65534\t65534\t65534"))
        #expect(status.contains("Gid:\t65534\t65534\t65534\t65534"))
        #expect(Array(status.suffix(4)) == ["65534", "65534", "65534", ""])
    }

    @Test func `every thread of every process inside is without rights`() throws {
        let outcome = try WardenHarness().run(
            """
            sleep 1 & cat /proc/[0-9]*/task/*/status | grep -E '^(Cap|NoNewPrivs|Seccomp:)' | sort | uniq -c | sort -k2
            """
        )
        let kinds = outcome.lines.dropLast().map {
            $0.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().joined(separator: " ")
        }
        #expect(
            Set(kinds) == [
                "CapAmb: 0000000000000000", "CapBnd: 0000000000000000", "CapEff: 0000000000000000",
                "CapInh: 0000000000000000", "CapPrm: 0000000000000000", "NoNewPrivs: 1", "Seccomp: 2",
            ])
    }

    @Test func `uid 0 without capabilities changes nothing of the host`() throws {
        let outcome = try WardenHarness().run(
            """
            echo x > /proc/sys/kernel/hostname && echo wrote
            echo h > /proc/sysrq-trigger && echo wrote
            touch /usr/x && echo wrote
            mount -t tmpfs none /mnt 2>/dev/null && echo wrote
            chown 1 /tmp && echo wrote
            true
            """
        ) {
            $0.steps[0].uid = 0
            $0.steps[0].gid = 0
        }
        #expect(outcome.exit(of: "main") == .code(0))
        #expect(outcome.output.isEmpty)
    }

    @Test func `namespaces differ from the host's and the receipt says which`() throws {
        let outcome = try WardenHarness().run(
            "for n in cgroup ipc mnt net pid user uts; do stat -Lc %i /proc/self/ns/$n; done")
        let receipt = try #require(outcome.receipt(of: "main"))
        let host = Namespace.inodes(of: "self")
        let inside = outcome.lines.compactMap { UInt64($0) }
        let kinds = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"]
        try #require(inside.count == kinds.count)
        for (kind, inode) in zip(kinds, inside) {
            #expect(receipt.namespaces[kind] == inode)
            #expect(receipt.hostNamespaces[kind] == host[kind])
            #expect((inode == host[kind]) == (kind == "user"))
        }
    }

    @Test func `the receipt tells what the kernel says`() throws {
        let harness = try WardenHarness()
        let limit = harness.layout.legacy[.memory] == nil ? "memory.max" : "memory.limit_in_bytes"
        let outcome = try harness.run("true") {
            $0.limits = [CgroupWrite(.memory, limit, "268435456")]
            $0.steps[0].groups = [12345, 23456]
        }
        let receipt = try #require(outcome.receipt(of: "main"))
        #expect(receipt.uid == 65534)
        #expect(receipt.gid == 65534)
        #expect(receipt.groups == [12345, 23456])
        #expect(receipt.capabilities == [0, 0, 0, 0, 0])
        #expect(receipt.noNewPrivileges)
        #expect(receipt.seccompMode == 2)
        #expect(receipt.seccompFilters == 1)
        #expect(receipt.deviceFilterPrograms.count == 1)
        #expect(receipt.limits == ["memory/" + limit: "268435456"])
        #expect(receipt.cgroupText.contains("/\(harness.slot)/main\n"))
        #expect(receipt.mounts > 10)
        #expect(Set(receipt.writableMounts).isSuperset(of: ["/tmp", "/dev/shm", "/proc"]))
        #expect(!receipt.writableMounts.contains("/"))
        #expect(!receipt.writableMounts.contains("/usr"))
    }

    @Test func `membership is in the step's cgroup of every hierarchy, and inside it looks like the root`() throws {
        let harness = try WardenHarness()
        let outcome = try harness.run("cat /proc/self/cgroup")
        let receipt = try #require(outcome.receipt(of: "main"))
        let expected = harness.layout.isHybrid ? [":memory:", ":cpu:", ":cpuacct:", ":pids:", "0::"] : ["0::"]
        for name in expected {
            let outside = receipt.cgroupText.split(separator: "\n").first { $0.contains(name) }
            #expect(outside?.hasSuffix("/\(harness.slot)/main") == true)
            #expect(outcome.lines.first { $0.contains(name) }?.hasSuffix(":/") == true)
        }
    }

    @Test func `no mount of the host is left, and the root cannot be written`() throws {
        let outcome = try WardenHarness().run(
            """
            cut -d' ' -f5 /proc/self/mountinfo
            echo --
            ls /
            echo --
            touch /x 2>&1
            touch /usr/x 2>&1
            touch /etc/x 2>&1
            touch /dev/x 2>&1
            touch /tmp/ok && echo fine
            """
        )
        let parts = outcome.output.split(separator: "--\n").map { $0.split(separator: "\n").map { String($0) } }
        try #require(parts.count == 3)
        let allowed = ["/", "/usr", "/etc", "/bin", "/sbin", "/lib", "/lib64", "/sys", "/dev", "/proc", "/tmp"]
        for point in parts[0] {
            #expect(
                allowed.contains(point)
                    || ["/sys/", "/dev/", "/proc/", "/usr/", "/etc/"].contains { point.hasPrefix($0) })
        }
        #expect(
            Set(parts[1]).isSubset(of: [
                "bin", "dev", "etc", "lib", "lib64", "plx-context", "proc", "sbin", "sys", "tmp", "usr",
            ]))
        #expect(parts[2].filter { $0.contains("Read-only file system") }.count == 4)
        #expect(parts[2].last == "fine")
    }

    @Test func `dev holds what was granted and nothing else`() throws {
        let outcome = try WardenHarness().run(
            """
            ls /dev
            echo hi > /dev/null
            head -c 4 /dev/zero | wc -c
            echo out > /dev/stdout
            ls -l /dev/pts/ptmx | cut -c1-10
            """
        )
        #expect(
            Set(outcome.lines.dropLast(4)) == [
                "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty",
                "urandom", "zero",
            ])
        #expect(Array(outcome.lines.suffix(4)) == ["4", "out", "crw-rw-rw-", ""])
    }

    @Test func `proc shows only the step, and its dangerous parts are covered`() throws {
        let outcome = try WardenHarness().run(
            """
            ls /proc | grep -c '^[0-9]*$'
            cat /proc/1/comm
            wc -c < /proc/timer_list; wc -c < /proc/keys
            ls /proc/scsi /proc/acpi /sys/firmware 2>/dev/null | grep -v ':$' | grep -c .
            for p in sys sysrq-trigger irq bus fs; do
                [ -e /proc/$p ] && grep -q "^[^ ]* [^ ]* [^ ]* [^ ]* /proc/$p ro" /proc/self/mountinfo && echo ro
            done | sort -u
            """)
        #expect(Int(outcome.lines[0]) ?? 99 < 8)
        #expect(outcome.lines[1] == "postlude-init")
        #expect(Array(outcome.lines[2...4]) == ["0", "0", "0"])
        #expect(outcome.lines[5] == "ro")
    }

    @Test func `pid 1 cannot be looked into, stopped or killed from inside`() throws {
        let outcome = try WardenHarness().run(
            """
            cat /proc/1/environ 2>&1 | tail -c 18
            ls /proc/1/fd 2>&1 | tail -c 18
            kill -KILL 1
            kill -STOP 1
            head -c 1 /proc/1/mem 2>&1 | tail -c 18
            echo alive
            """
        )
        #expect(outcome.lines.filter { $0.hasSuffix("ermission denied") }.count == 3)
        #expect(outcome.lines.contains("alive"))
        #expect(outcome.exit(of: "main") == .code(0))
    }

    @Test func `no descriptor of the warden reaches the program`() throws {
        let outcome = try WardenHarness().run("ls /proc/$$/fd")
        #expect(outcome.lines.filter { !$0.isEmpty } == ["0", "1", "2"])
    }

    @Test func `the seccomp program is in force`() throws {
        let outcome = try WardenHarness().run("unshare -U true 2>&1")
        #expect(outcome.output.contains("Operation not permitted"))
    }

    @Test func `hostname, limits and session are the step's own`() throws {
        let outcome = try WardenHarness().run("uname -n; ulimit -Sn; ulimit -Hn; ulimit -c; ps -o sid= -p $$; echo $$")
        #expect(Array(outcome.lines.prefix(3)) == ["inside", "256", "256"])
        #expect(outcome.lines[4].trimmed == outcome.lines[5])
    }

    @Test(arguments: [Network.none, .loopback, .host])
    func `the network is as planned`(network: Network) throws {
        let outcome = try WardenHarness(networkAhead: network != .loopback).run(
            "cat /sys/class/net/lo/flags 2>/dev/null; stat -Lc %i /proc/self/ns/net; grep -c : /proc/net/dev"
        ) { $0.network = network }
        let isHost = outcome.lines.contains("\(Namespace.inodes(of: "self")["net"] ?? 0)")
        #expect(isHost == (network == .host))
        if network != .host { #expect(outcome.lines.dropLast().last == "1") }
        #expect(outcome.receipt(of: "main")?.namespaces["net"] != nil)
    }

    @Test func `loopback can be used where it is planned and only there`() throws {
        let script =
            "python3 -c 'import socket; s=socket.create_server((\"127.0.0.1\",0)); "
            + "c=socket.create_connection(s.getsockname(), 1); print(\"connected\")' 2>&1 | tail -1"
        #expect(try WardenHarness().run(script) { $0.network = .loopback }.output == "connected\n")
        #expect(try WardenHarness().run(script).output.contains("Network is unreachable"))
    }

    @Test func `where there is one hierarchy the warden clones by itself`() throws {
        let harness = try WardenHarness(usesLegacy: false)
        let outcome = try harness.run("grep -E '^(CapBnd|NoNewPrivs)' /proc/self/status; grep ^0: /proc/self/cgroup")
        #expect(outcome.lines == ["CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "0::/", ""])
        #expect(outcome.receipt(of: "main")?.cgroupText.contains("0::") == true)
        #expect(outcome.ended?.1 == .code(0))
    }

    @Test func `the memory limit kills, and the counters say so`() throws {
        let harness = try WardenHarness()
        let limit = harness.layout.legacy[.memory] == nil ? "memory.max" : "memory.limit_in_bytes"
        let outcome = try harness.run("exec python3 -c 'x = bytearray(200 << 20)'") {
            $0.steps[0].limits = [CgroupWrite(.memory, limit, "\(32 << 20)")]
        }
        #expect(outcome.exit(of: "main") == .signal(SIGKILL, coreDumped: false))
        #expect(outcome.counters(of: "main")?.oomKills ?? 0 >= 1)
        #expect(outcome.receipt(of: "main")?.limits == ["memory/main/" + limit: "33554432"])
    }

    @Test(arguments: [true, false]) func `programs are ended before the warden when memory runs out`(
        usesLegacy: Bool
    ) throws {
        let harness = try WardenHarness(usesLegacy: usesLegacy)
        let own = try readText("/proc/\(harness.pid)/oom_score_adj")
        let outcome = try harness.run("cat /proc/self/oom_score_adj /proc/1/oom_score_adj")
        #expect(outcome.output == "500\n500\n")
        #expect(Int(own.trimmed.prefix { $0 != "\n" }) ?? 1000 <= 0)
    }

    @Test func `a fork bomb that fills the attempt's memory does not end the warden`() throws {
        for _ in 0..<5 {
            let harness = try WardenHarness()
            let limit = harness.layout.legacy[.memory] == nil ? "memory.max" : "memory.limit_in_bytes"
            var plan = try harness.builder.plan(
                steps: [harness.builder.step("main", .main, script: "f(){ f|f& }; f; sleep 4")])
            plan.limits = [CgroupWrite(.memory, limit, "\(64 << 20)")]
            try harness.launch(plan)
            let outcome = try Outcome(try harness.finish(milliseconds: 60_000), harness)
            #expect(outcome.end == .code(0))
            #expect(outcome.counters(of: "main")?.oomKills ?? 0 >= 1)
            #expect(outcome.ended != nil)
        }
    }

    @Test func `a step that asks for it joins the host's network`() throws {
        let outcome = try WardenHarness().run("stat -Lc %i /proc/self/ns/net") { $0.steps[0].usesHostNetwork = true }
        #expect(outcome.output == "\(Namespace.inodes(of: "self")["net"] ?? 0)\n")
    }
}

extension String {
    var trimmed: String { String(drop { $0 == " " }.prefix { $0 != " " }) }
}
