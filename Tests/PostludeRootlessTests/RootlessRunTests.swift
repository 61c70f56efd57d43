import Foundation
import PostludeAPI
import PostludeCore
import Testing

/// Runs of an agent that a user without any right started: what is in force, and that it is said.
@Suite(.enabled(if: RootlessAgent.isAble, "needs root and the programs"), .timeLimit(.minutes(5)))
struct RootlessRunTests {
    @Test func `init, main, a sidecar and a hook run isolated, and their receipts say how`() async throws {
        // More than a small host has, for what a hook may use by its profile.
        try await RootlessAgent.run(configuration: "memory: 64Gi\ncpus: 16") { agent async throws in
            let text = """
                version: 1.1
                kind: operation
                hooks:
                - name: after
                  trigger: succeeded
                  component:
                    run:
                      kind: job
                      container:
                        command: [/bin/sh, -c, "cat $POSTLUDE_MAIN_LOGS/main.stdout.log"]
                component:
                  run:
                    kind: job
                    init:
                    - container: {command: [/bin/sh, -c, "echo prepared > made"], workingDir: "{{ globals.run_artifacts_path }}"}
                    sidecars:
                    - {name: beside, command: [/bin/sh, -c, "exec sleep 1000"]}
                    container:
                      command: [/bin/sh, -c, "cat made; i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done"]
                      workingDir: "{{ globals.run_artifacts_path }}"

                """
            let (main, result) = try await agent.run(text)
            #expect(result.status == 0 && result.output == "prepared\n", "\(result) \(agent.log)")
            #expect(main.summary.status == .succeeded && main.summary.uid == agent.uid)
            let hook = try await agent.awaitEnd(of: try #require(main.hooks.first?.run).description)
            #expect(hook.summary.status == .succeeded, "\(hook)")
            let steps = main.attempts[0].steps + hook.attempts[0].steps
            #expect(steps.map(\.role) == [.initialize, .sidecar, .main, .main], "\(steps)")
            for step in steps {
                let receipt = try #require(step.receipt)
                #expect(receipt.uid == agent.uid && receipt.gid == agent.uid && receipt.groups.isEmpty)
                #expect(receipt.sharedNamespaces.isEmpty, "\(receipt)")
                for kind in ["user", "pid", "mnt", "ipc", "uts", "cgroup", "net"] {
                    #expect(receipt.namespaces[kind] != nil, "\(kind)")
                }
                #expect(receipt.capabilities.count == 5 && receipt.capabilities.values.allSatisfy { $0 == 0 })
                #expect(receipt.noNewPrivileges && receipt.seccompMode == 2 && receipt.seccompFilters == 1)
                #expect(receipt.deviceIsolation == "private-dev" && receipt.deviceFilterPrograms.isEmpty)
                // Kernels before 6.12 have no scopes, and the receipt says "nothing" or less.
                let landlock = receipt.landlock ?? "nothing"
                #expect(landlock.contains("own-signals") || !landlock.contains("own-abstract-sockets"), "\(landlock)")
            }
            // Each in a user namespace of its own, which owns nothing of the others'. (Numbers are used again after an end.)
            #expect(steps[1].receipt?.namespaces["user"] != steps[2].receipt?.namespaces["user"])
        }
    }

    @Test func `without a cgroup the receipt names what was gone without, and usage its source`() async throws {
        try await RootlessAgent.run(cgroup: nil) { agent async throws in
            let (run, result) = try await agent.run(
                RootlessAgent.job(
                    "i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done; (sleep 0.01); grep -o 'Max processes *[0-9]*' /proc/self/limits"
                ))
            let step = run.attempts[0].steps[0]
            let receipt = try #require(step.receipt)
            // On a host where this very test runs in a cgroup of the user's there would be no difference to see.
            try #require(receipt.accounting == "rusage", "\(receipt)")
            #expect(receipt.lacking == ["memory-limit", "cpu-limit", "pids-limit", "device-filter"])
            #expect(
                receipt.limits == ["rlimit/processes": "4096"] && result.output.hasSuffix(" 4096\n"),
                "\(receipt) \(result)")
            #expect(step.usage?.userSeconds ?? 0 > 0.01 && step.usage?.maxRSSBytes ?? 0 > 1 << 20, "\(step)")
            // What nobody counted is unknown, and not 0.
            #expect(step.usage?.peakMemoryBytes == nil && step.usage?.peakPIDs == nil && step.usage?.oomKills == nil)
            let shown = try await agent.postlude("inspect", run.summary.id.description)
            for text in ["went without", "private-dev", "accounting    rusage", "without root none can be left"] {
                #expect(shown.output.contains(text), "\(text): \(shown.output)")
            }
        }
    }

    @Test func `a program finds no way to more rights, other processes or devices`() async throws {
        try await RootlessAgent.run { agent async throws in
            let script = """
                cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups /proc/sys/user/max_user_namespaces
                unshare -U true 2> /dev/null && echo 'a user namespace'
                unshare -m true 2> /dev/null && echo 'a mount namespace'
                mknod /tmp/node c 1 3 2> /dev/null && echo 'a node'
                mount -t tmpfs none /tmp 2> /dev/null && echo 'a mount'
                echo x > /proc/sys/kernel/hostname 2> /dev/null && echo 'a setting'
                echo 1 > /proc/sys/user/max_user_namespaces 2> /dev/null && echo 'namespaces again'
                touch /run/x /x /dev/x /etc/x /usr/x 2> /dev/null && echo 'a file'
                ls /sys/fs/cgroup /sys/kernel/debug /sys/kernel/tracing 2> /dev/null | grep -v :$ | grep .
                for d in /proc/[0-9]*; do echo ${d#/proc/}; done | wc -l
                hostname
                """
            let (run, result) = try await agent.run(RootlessAgent.job(script))
            #expect(run.summary.status == .succeeded, "\(result) \(agent.log)")
            let lines = result.output.split(separator: "\n").map { $0.split(separator: " ").joined(separator: " ") }
            #expect(
                lines.prefix(4) == ["\(agent.uid) \(agent.uid) 1", "\(agent.uid) \(agent.uid) 1", "deny", "0"],
                "\(lines)")
            // Pid 1, the shell and what counts.
            #expect(lines.count == 6 && lines.last == "postlude-\(run.summary.id.short)", "\(lines)")
            #expect(Int(lines.dropFirst(4).first ?? "") ?? 99 <= 4, "\(lines)")
        }
    }

    @Test func `supplementary groups stay, and receipt and doctor say so`() async throws {
        try await RootlessAgent.run(groups: [50, 41_000]) { agent async throws in
            let (run, _) = try await agent.run(RootlessAgent.job("true"))
            #expect(run.attempts[0].steps[0].receipt?.groups.sorted() == [50, 41_000], "\(run)")
            let check = try await agent.client.doctor().first { $0.name == "groups" }
            #expect(check?.verdict == .degraded && check?.detail.hasSuffix("50 41000") == true, "\(check as Any)")
        }
    }

    @Test func `a profile chooses between the host's network and none of it`() async throws {
        let listener = try Listener()
        try await RootlessAgent.run { agent async throws in
            let script = "exec 3<> /dev/tcp/127.0.0.1/\(listener.port) && echo connected"
            let text = RootlessAgent.job(script).replacingOccurrences(of: "/bin/sh", with: "/bin/bash")
            let (main, refused) = try await agent.run(text)
            #expect(main.summary.status == .failed && !refused.output.contains("connected"), "\(refused)")
            try agent.write(
                text.replacingOccurrences(of: "    kind: job", with: "    kind: job\n    profile: notifier"),
                to: "n.yaml")
            let host = try await agent.postlude("run", "n.yaml")
            #expect(host.status == 0 && host.output == "connected\n", "\(host) \(agent.log)")
        }
    }

    @Test func `doctor says what differs from an agent that is root`() async throws {
        try await RootlessAgent.run { agent async throws in
            #expect(try await agent.postlude("doctor").status == 0, "\(agent.log)")
            let checks = Dictionary(uniqueKeysWithValues: try await agent.client.doctor().map { ($0.name, $0) })
            #expect(checks["root"]?.verdict == .degraded && checks["user-namespace"]?.verdict == .ok, "\(checks)")
            for name in ["cgroups", "memory-limit", "cpu-limit", "pids-limit", "device-filter"] {
                #expect(checks[name]?.verdict == .missing && checks[name]?.hint != nil, "\(name): \(checks)")
            }
            for name in ["device-release", "accounting"] { #expect(checks[name]?.verdict == .degraded, "\(checks)") }
            #expect(checks["groups"]?.verdict == .ok && checks["seccomp"]?.verdict == .ok)
            // State, socket and slots are the user's own, below their home.
            for path in [agent.state, agent.socket, "\(agent.state)/slots"] {
                var status = stat()
                #expect(lstat(path, &status) == 0 && status.st_uid == agent.uid, "\(path)")
            }
        }
    }
}

/// A port of the host's loopback that answers.
final class Listener: Sendable {
    private let descriptor: Int32
    let port: UInt16

    init() throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let (descriptor, works) = (
            descriptor,
            withUnsafeMutablePointer(to: &address) { [descriptor] pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, size) == 0 && listen(descriptor, 4) == 0
                        && getsockname(descriptor, $0, &size) == 0
                }
            }
        )
        port = UInt16(bigEndian: address.sin_port)
        guard works else {
            close(descriptor)
            throw RootlessAgent.Failure(description: "no port: \(errno)")
        }
    }

    deinit { close(descriptor) }
}
