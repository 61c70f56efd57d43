import Foundation
import PostludeAPI
import PostludeCore
import PostludeLinux
import Testing

/// An agent without root to which a cgroup is delegated, as systemd does for a user's unit with Delegate=yes.
@Suite(.serialized, .enabled(if: RootlessAgent.isAble, "needs root and the programs"), .timeLimit(.minutes(5)))
struct RootlessCgroupTests {
    @Test func `a delegated cgroup is used, with the limits that it offers`() async throws {
        let uid = UInt32.random(in: 40_000..<60_000)
        let delegated = try DelegatedCgroup(to: uid)
        try await RootlessAgent.run(uid: uid, cgroup: delegated.path) { agent async throws in
            try await agent.startAgent()
            let offered = Set(delegated.controllers).isSuperset(of: ["memory", "cpu", "pids"])
            let checks = Dictionary(uniqueKeysWithValues: try await agent.client.doctor().map { ($0.name, $0) })
            #expect(checks["cgroups"]?.verdict == .ok && checks["accounting"]?.verdict == .ok, "\(checks)")
            #expect(checks["memory-limit"]?.verdict == (offered ? .ok : .missing), "\(checks)")
            #expect(checks["device-filter"]?.verdict == .missing)
            let (run, result) = try await agent.run(RootlessAgent.job("cat /proc/self/cgroup"))
            #expect(run.summary.status == .succeeded, "\(result)")
            let receipt = try #require(run.attempts[0].steps[0].receipt)
            #expect(receipt.accounting == "cgroup" && receipt.cgroups["unified"]?.contains("/runs/w") == true)
            #expect(result.output.contains("0::/\n"), "the step's own cgroup is its root: \(result)")
            #expect(run.attempts[0].steps[0].usage?.userSeconds != nil)
            if offered {
                #expect(receipt.lacking == ["device-filter"], "\(receipt)")
                #expect(receipt.limits["pids/pids.max"] == "4096" && receipt.limits["memory/memory.max"] != nil)
                try await checkLimits(agent)
            } else {
                #expect(receipt.lacking == ["memory-limit", "cpu-limit", "pids-limit", "device-filter"], "\(receipt)")
            }
        }
        try delegated.expectEmpty()
    }

    private func checkLimits(_ agent: RootlessAgent) async throws {
        let ask = "resources: {limits: {memory: 64Mi, cpu: 1}}"
        try agent.write(
            RootlessAgent.job("head -c 300000000 /dev/zero | tail | wc -c", container: ask), to: "greedy.yaml")
        let greedy = try await agent.postlude("run", "greedy.yaml")
        let run = try await agent.client.run(try #require(try await agent.client.runs().first?.id).description)
        #expect(greedy.status == 1 && run.attempts[0].steps[0].usage?.oomKills ?? 0 > 0, "\(greedy) \(run)")
        #expect(run.attempts[0].steps[0].receipt?.limits["memory/main/memory.max"] == "67108864", "\(run)")
    }

    /// Once controllers are handed down the kernel lets no process into the cgroup itself again (EBUSY, cgroups(7)), so
    /// while a run goes on nobody can start an agent where the first one was started.
    @Test(.enabled(if: !DelegatedCgroup.handsDown, "needs a cgroup v2 without controllers"))
    func `a killed agent's run is taken up from its cgroup, and stopped with everything in it`() async throws {
        let uid = UInt32.random(in: 40_000..<60_000)
        let delegated = try DelegatedCgroup(to: uid)
        try await RootlessAgent.run(uid: uid, cgroup: delegated.path) { agent async throws in
            try await agent.startAgent()
            let script = "trap '' TERM; setsid sleep 1000 & echo up; while :; do sleep 1; done"
            let id = try await agent.submit(
                RootlessAgent.job(script).replacingOccurrences(
                    of: "termination: {}", with: "termination: {gracePeriodSeconds: 1}"))
            try await agent.awaitOutput("up", of: try await agent.client.run(id))
            let first = try await agent.client.info().pid
            #expect(kill(first, SIGKILL) == 0)
            while access("/proc/\(first)/exe", F_OK) == 0 { await Task.yield() }
            try await agent.startAgent()
            #expect(try await agent.postlude("stop", id).status == 0)
            #expect(try await agent.awaitEnd(of: id).summary.status == .stopped)
            let left = try await agent.strangers()
            #expect(left == [])
        }
        try delegated.expectEmpty()
    }
}

/// A cgroup of the v2 hierarchy that belongs to a user, with whatever controllers this process may hand down.
final class DelegatedCgroup: Sendable {
    let path: String
    let controllers: [String]

    /// Whether one that is delegated here comes with controllers: on a pure v2 host.
    static let handsDown: Bool = {
        do { return !(try CgroupLayout.discover().unifiedControllers.isEmpty) } catch { return false }
    }()

    init(to uid: UInt32) throws {
        var layout = try CgroupLayout.discover()
        // A cgroup with processes hands nothing down: on a pure v2 host this one leaves its own first.
        if !layout.unifiedControllers.isEmpty {
            try layout.delegate(leaf: "postlude-rootless-tests")
        } else {
            layout.unifiedControllers = []
        }
        controllers = layout.unifiedControllers
        path = "\(layout.unified)/postlude-rootless-\(uid)"
        _ = try Cgroup(creating: path)
        // What systemd.resource-control(5) hands over with Delegate=yes (cgroups(7)).
        for name in ["", "/cgroup.procs", "/cgroup.threads", "/cgroup.subtree_control"] {
            guard chown(path + name, uid, uid) == 0 else { throw LinuxError(last: "chown", path + name) }
        }
    }

    deinit {
        do {
            let cgroup = try Cgroup(opening: path)
            if try cgroup.isPopulated() {
                try cgroup.kill()
                _ = try cgroup.events().waitUntilEmpty(milliseconds: 5000)
            }
            try Self.remove(path)
        } catch {
            print("cannot remove \(path), ignoring: \(error)")
        }
    }

    private static func remove(_ path: String) throws {
        for child in try Cgroup.children(of: path) { try remove("\(path)/\(child)") }
        try Cgroup.remove(path)
    }

    /// After the agent's end; its last wardens need a moment.
    func expectEmpty() throws {
        let isEmpty = try Cgroup(opening: path).events().waitUntilEmpty(milliseconds: 10_000)
        #expect(isEmpty, "processes are left in \(path)")
    }
}
