import PostludeCore
import PostludeLinux
import PostludePlan
import Testing

@testable import PostludeSandbox

@Suite struct FileRulesTests {
    private static let tuner = DeviceNode(path: "/dev/tuner0", major: 240, minor: 0)

    /// As a step of a user whose home is hidden gets it, without the host's directories.
    private func rules(
        owner: AgentOwner = AgentOwner(), working: String? = nil, devices: [DeviceNode] = [],
        change: (inout [PlannedMount]) -> Void = { _ in }
    ) -> [String: Landlock.FileAccess] {
        let template = TemplatePlanner(
            host: HostRoot(entries: []), hidden: ["/home", "/var/secret"], extras: ["/var/secret/open"],
            tmpBytes: 1 << 20, tmpInodes: 64, shmBytes: 1 << 20, owner: owner
        ).layout()
        let profile = SandboxProfile(name: "p", seccomp: "main")
        let planner = MountPlanner(
            template: template, profile: profile,
            user: UserIdentity(name: "ada", uid: 1000, gid: 1000, home: "/home/ada"),
            directories: AttemptDirectories(
                attempt: "/state/runs/r/attempts/1", artifacts: "/state/runs/r/artifacts",
                artifactsInside: "/plx-context/artifacts/r", readOnly: ["/state/runs/m/artifacts": "/plx-context/m"]),
            working: working, hidden: ["/home", "/var/secret"], extras: ["/var/secret/open"], state: "/state",
            owner: owner)
        let shared = planner.shared()
        let step = StepSpec(
            name: "main", role: .main, command: ["true"], getsDevices: true,
            files: ["/plx-context/context.json": "{}"])
        var mounts = template.mounts + shared.mounts
        change(&mounts)
        let rules = FileRules.planned(
            shared: mounts, own: planner.own(of: step, devices: devices), closing: planner.closing(after: shared))
        #expect(Set(rules.map(\.path)).count == rules.count, "a path has two rules: \(rules)")
        return Dictionary(rules.map { ($0.path, Landlock.FileAccess(rawValue: $0.access)) }) { first, _ in first }
    }

    @Test func `everything may be looked at, and changed only where it is the step's own`() {
        let rules = rules(working: "/home/ada/project")
        #expect(rules["/"] == .look)
        let changeable = rules.filter { $0.value == .change }.keys.sorted()
        #expect(
            changeable == [
                "/dev/shm", "/home/ada", "/plx-context/artifacts/r", "/run", "/tmp", "/var/tmp",
            ])
        #expect(rules["/proc"] == [.writeFile, .truncate])
        #expect(rules["/dev/mqueue"] == .change.union(.readFile))
        let others = rules.keys.filter { rules[$0] != .change && $0 != "/" && $0 != "/proc" }
        #expect(others.allSatisfy { $0.hasPrefix("/dev/") }, "\(others)")
        // An open and a call each, before a program starts.
        #expect(rules.count <= 16)
    }

    @Test func `devices take what they are there for`() {
        let rules = rules(devices: [Self.tuner])
        for name in ["null", "zero", "full", "random", "urandom"] { #expect(rules["/dev/\(name)"] == .writeFile) }
        for path in ["/dev/tty", "/dev/pts", Self.tuner.path] {
            #expect(rules[path] == [.writeFile, .deviceCommand], "\(path)")
        }
        // Of a directory in which a node might appear nothing is said.
        #expect(rules["/dev"] == nil)
        #expect(self.rules()[Self.tuner.path] == nil)
    }

    @Test func `nobody may make device nodes`() {
        for (path, access) in rules(devices: [Self.tuner]) {
            #expect(access.isDisjoint(with: [.makeCharacterDevice, .makeBlockDevice]), "\(path)")
        }
    }

    @Test func `what is made read-only or covered in the end is not written to`() {
        let plain = rules()
        #expect(plain["/var/secret"] == nil && plain["/var/secret/open"] == nil && plain["/plx-context/m"] == nil)
        #expect(rules(owner: AgentOwner(uid: 1000, gid: 1000))["/run"] == nil)
        #expect(rules { $0.append(.operation(.mask(target: "/dev/shm"))) }["/dev/shm"] == nil)
        #expect(rules { $0.append(.host("/mnt", target: "/var/tmp")) }["/var/tmp"] == nil)
        #expect(rules { $0.append(.cover("/tmp")) }["/tmp"] == .change)
        // What is shown read-only below a place that may be written to has the mount alone.
        #expect(rules(working: "/tmp/project")["/tmp"] == .change)
    }

    @Test func `a kernel's ABI decides what is handled, and none is half handled`() {
        let names: [(Landlock.Rules, Int32)] = [
            (.files, 2), (.truncation, 3), (.noTCPBind, 4), (.deviceCommands, 5), (.ownAbstractSockets, 6),
            (.ownSignals, 6),
        ]
        for abi in 0...9 as ClosedRange<Int32> {
            let expected = names.filter { $0.1 <= abi }.reduce(into: Landlock.Rules()) { $0.insert($1.0) }
            #expect(Landlock.Rules.known(in: abi) == expected, "ABI \(abi)")
        }
        let asked = PlanBuilder.landlock(SandboxProfile(name: "p", listen: .none, seccomp: "main"))
        #expect(asked == Landlock.Rules.known(in: 6))
        #expect(asked.subtracting(PlanBuilder.landlock(SandboxProfile(name: "p", seccomp: "main"))) == .noTCPBind)
    }

    @Test func `the probe names what a kernel's Landlock lacks`() {
        func check(_ abi: Int32) -> HostCheck { HostProbe.landlock(abi: abi) }
        #expect(check(0).verdict == .degraded && check(0).hint?.contains("mounts alone") == true)
        #expect(check(1).detail.contains("rules for files"))
        #expect(check(2).detail == "ABI 2, without: truncation, rules for TCP, ioctl on devices, scopes")
        #expect(check(5).detail == "ABI 5, without: scopes")
        for abi in 1...5 as ClosedRange<Int32> { #expect(check(abi).verdict == .degraded && check(abi).hint != nil) }
        #expect(check(6).verdict == .ok && check(9).verdict == .ok)
    }

    @Test func `the probe says why there is no core scheduling`() {
        #expect(HostProbe.coreScheduling(.available).verdict == .ok)
        for lack in [CoreScheduling.Availability.noThreads, .notBuilt] {
            let check = HostProbe.coreScheduling(lack)
            #expect(check.verdict == .degraded && check.hint?.contains("'coreScheduling: true' are refused") == true)
        }
        #expect(HostProbe.coreScheduling(.notBuilt).detail.contains("CONFIG_SCHED_CORE"))
        #expect(HostProbe.coreScheduling(.noThreads).detail.contains("second thread"))
    }
}
