import PostludeCore
import Testing

@Suite struct SitePolicyTests {
    private static let profiles: [String: SandboxProfile] = [
        "main": SandboxProfile(name: "main", network: .loopback, seccomp: "main"),
        "hook": SandboxProfile(name: "hook", seccomp: "hook"),
        "notifier": SandboxProfile(name: "notifier", network: .host, seccomp: "notifier"),
    ]

    private static func operation(
        _ resources: ResourceRequest = ResourceRequest(), profile: String? = nil, initSteps: [InitSpec] = [],
        sidecars: [ContainerSpec] = [], termination: Termination = Termination(), hooks: [Hook] = []
    ) -> Operation {
        let container = ContainerSpec(
            command: ["true"], resources: resources, place: SourcePlace(file: "o.yaml", line: 7, column: 3))
        let job = JobSpec(profile: profile, initSteps: initSteps, sidecars: sidecars, container: container)
        return Operation(component: Component(termination: termination, job: job), hooks: hooks)
    }

    private static func hook(_ name: String, profile: String? = nil, memory: Int64? = nil) -> Hook {
        let container = ContainerSpec(command: ["true"], resources: ResourceRequest(memoryBytes: memory))
        return Hook(
            name: name, origin: "inline", component: Component(job: JobSpec(profile: profile, container: container)),
            place: SourcePlace(file: "o.yaml", line: 20, column: 1))
    }

    private static func codes(_ rule: SitePolicy.Rule, _ operation: Operation, in directory: String? = nil) -> [String]
    {
        rule.admit(operation, workingDirectory: directory, profiles: profiles).violations.map(\.code)
    }

    // MARK: Who

    @Test func `the first rule that names a submitter holds, and nobody else's`() {
        let staff = SitePolicy.Rule(name: "staff", groups: ["staff"])
        let ada = SitePolicy.Rule(name: "ada", users: ["ada", "1007"])
        let policy = SitePolicy(rules: [staff, ada])
        func verdict(_ name: String, _ uid: UInt32, _ groups: Set<String> = []) -> SitePolicy.Verdict {
            policy.verdict(on: SitePolicy.Subject(name: name, uid: uid, groups: groups))
        }
        #expect(verdict("ada", 1000) == .bounded(by: ada))
        #expect(verdict("ada", 1000, ["staff"]) == .bounded(by: staff))
        #expect(verdict("eve", 1007) == .bounded(by: ada))
        #expect(verdict("eve", 1001, ["ada"]) == .refused)
        #expect(verdict("root", 0) == .unbounded)
        // A user who is called like a uid is not that uid, but a rule may mean either.
        #expect(verdict("1000", 1001) == .refused)
        #expect(SitePolicy().verdict(on: SitePolicy.Subject(name: "eve", uid: 1)) == .unbounded)
        let rest = SitePolicy(rules: [staff, SitePolicy.Rule(name: "rest")])
        #expect(
            rest.verdict(on: SitePolicy.Subject(name: "eve", uid: 1)) == .bounded(by: SitePolicy.Rule(name: "rest")))
    }

    // MARK: What

    @Test func `a rule that bounds nothing lets everything in`() {
        let greedy = Self.operation(
            ResourceRequest(memoryBytes: 1 << 40, milliCPU: 1 << 30, devices: ["gpu": 64]), profile: "notifier",
            termination: Termination(maxRetries: 100, timeoutSeconds: 1e9),
            hooks: [Self.hook("a", profile: "notifier")])
        let admission = SitePolicy.Rule(name: "r").admit(greedy, workingDirectory: "/", profiles: Self.profiles)
        #expect(admission.violations.isEmpty)
        #expect(admission.operation.component.job.bounds == JobBounds(rule: "r"))
        #expect(admission.operation.notes.isEmpty)
    }

    @Test func `what is asked beyond a bound is refused, at its place and by the rule's name`() throws {
        let rule = SitePolicy.Rule(name: "students", memoryBytes: 4 << 30)
        let admission = rule.admit(
            Self.operation(ResourceRequest(memoryBytes: (4 << 30) + 1)), workingDirectory: nil, profiles: Self.profiles)
        let violation = try #require(admission.violations.first)
        #expect(violation.code == "policy.memory" && violation.severity == .error)
        #expect(violation.place == SourcePlace(file: "o.yaml", line: 7, column: 3))
        #expect(violation.message.contains("'students'") && violation.hint != nil)
        #expect(Self.codes(rule, Self.operation(ResourceRequest(memoryBytes: 4 << 30))) == [])
    }

    @Test func `the steps that exist together are bounded together`() {
        let rule = SitePolicy.Rule(name: "r", memoryBytes: 100, milliCPU: 1500, devices: 1)
        let sidecar = ContainerSpec(command: ["true"], resources: ResourceRequest(memoryBytes: 60, milliCPU: 1000))
        #expect(
            Self.codes(rule, Self.operation(ResourceRequest(memoryBytes: 60, milliCPU: 1000), sidecars: [sidecar]))
                == ["policy.memory", "policy.cpu"])
        #expect(
            Self.codes(
                rule, Self.operation(ResourceRequest(memoryBytes: 60), initSteps: [.container(sidecar)])) == [])
        #expect(Self.codes(rule, Self.operation(ResourceRequest(devices: ["a": 1, "b": 1]))) == ["policy.devices"])
        let none = SitePolicy.Rule(name: "none", devices: 0)
        #expect(Self.codes(none, Self.operation(ResourceRequest(devices: ["a": 1]))) == ["policy.devices"])
        #expect(Self.codes(none, Self.operation()) == [])
    }

    @Test func `profiles are bounded where one is taken by default too`() {
        let rule = SitePolicy.Rule(name: "r", profiles: ["main"])
        #expect(Self.codes(rule, Self.operation()) == [])
        #expect(Self.codes(rule, Self.operation(profile: "notifier")) == ["policy.profile"])
        #expect(Self.codes(rule, Self.operation(hooks: [Self.hook("h")])) == ["policy.profile"])
        #expect(Self.codes(SitePolicy.Rule(name: "r", profiles: []), Self.operation()) == ["policy.profile"])
    }

    @Test func `a network is bounded however a step comes by it`() {
        let rule = SitePolicy.Rule(name: "r", networks: [.none, .loopback])
        let git = InitSpec.git(url: "https://example.org/r", revision: nil, flags: [], path: nil)
        #expect(Self.codes(rule, Self.operation()) == [])
        #expect(Self.codes(rule, Self.operation(initSteps: [git])) == ["policy.network"])
        #expect(Self.codes(rule, Self.operation(hooks: [Self.hook("h", profile: "notifier")])) == ["policy.network"])
        #expect(Self.codes(SitePolicy.Rule(name: "r", networks: [.none]), Self.operation()) == ["policy.network"])
    }

    @Test func `hooks are bounded each by itself, and their number`() {
        let rule = SitePolicy.Rule(name: "r", memoryBytes: 100, hooks: 1)
        let hooks = [Self.hook("a", memory: 50), Self.hook("b", memory: 101)]
        let admission = rule.admit(Self.operation(hooks: hooks), workingDirectory: nil, profiles: Self.profiles)
        #expect(admission.violations.map(\.code) == ["policy.memory", "policy.hooks"])
        #expect(admission.violations.map(\.place?.line) == [20, 7])
        #expect(admission.violations.first?.message.contains("'b'") == true)
        #expect(admission.operation.hooks.allSatisfy { $0.component.job.bounds?.rule == "r" })
    }

    @Test func `storage above a bound is refused with rule and place; who asks for none has the bound`() throws {
        let rule = SitePolicy.Rule(name: "r", storageBytes: 100 << 20)
        let greedy = Self.operation(ResourceRequest(storageBytes: 101 << 20))
        let violation = try #require(
            rule.admit(greedy, workingDirectory: nil, profiles: Self.profiles).violations.first)
        #expect(violation.code == "policy.storage" && violation.place?.line == 7)
        #expect(violation.message.contains("101 MiB of storage") && violation.message.contains("'r' allows 100 MiB"))
        #expect(Self.codes(rule, Self.operation(ResourceRequest(storageBytes: 100 << 20))) == [])
        // Together they are above it.
        let half = ContainerSpec(command: ["x"], resources: ResourceRequest(storageBytes: 60 << 20))
        #expect(
            Self.codes(rule, Self.operation(ResourceRequest(storageBytes: 60 << 20), sidecars: [half]))
                == ["policy.storage"])
        let silent = rule.admit(Self.operation(), workingDirectory: nil, profiles: Self.profiles).operation
        #expect(silent.component.job.storageLimit(default: 1 << 40) == 100 << 20)
        #expect(silent.component.job.storageLimit(default: nil) == 100 << 20)
        #expect(silent.component.job.storageLimit(default: 1 << 20) == 1 << 20)
    }

    @Test func `what main asks for is the limit of storage, else the profile's or what other steps ask for`() {
        func job(_ main: Int64?, sidecar: Int64? = nil, initial: Int64? = nil) -> JobSpec {
            func container(_ bytes: Int64?) -> ContainerSpec {
                ContainerSpec(command: ["x"], resources: ResourceRequest(storageBytes: bytes))
            }
            return JobSpec(
                initSteps: [.container(container(initial))], sidecars: [container(sidecar)], container: container(main))
        }
        #expect(job(nil).storageLimit(default: nil) == nil)
        #expect(job(nil).storageLimit(default: 7) == 7)
        #expect(job(3).storageLimit(default: 7) == 3)
        #expect(job(3, sidecar: 2).storageLimit(default: 7) == 5)
        #expect(job(3, sidecar: 2, initial: 9).storageLimit(default: 7) == 9)
        #expect(job(nil, sidecar: 9).storageLimit(default: 7) == 9)
        #expect(job(nil, initial: 2).storageLimit(default: 7) == 7)
        #expect(job(.max, sidecar: .max).storageLimit(default: nil) == .max)
    }

    @Test func `a job without a timeout gets the rule's, and a note says so`() {
        let rule = SitePolicy.Rule(name: "r", timeoutSeconds: 3600, retries: 2)
        let admission = rule.admit(
            Self.operation(hooks: [Self.hook("h")]), workingDirectory: nil, profiles: Self.profiles)
        #expect(admission.violations.isEmpty)
        #expect(admission.operation.component.termination.timeoutSeconds == 3600)
        #expect(admission.operation.hooks.map(\.component.termination.timeoutSeconds) == [3600])
        #expect(admission.operation.notes.map(\.code) == ["policy.timeout", "policy.timeout"])
        #expect(Self.codes(rule, Self.operation(termination: Termination(timeoutSeconds: 60))) == [])
        #expect(
            Self.codes(rule, Self.operation(termination: Termination(maxRetries: 3, timeoutSeconds: 3601)))
                == ["policy.retries", "policy.timeout"])
    }

    @Test(arguments: [
        ("/home/ada", true), ("/home/ada/x", true), ("/home/adam", false), ("/home", false), ("/", false),
        ("/home/ada/../eve", false), ("//home//ada/", true), ("/home/ada/..", false),
    ])
    func `a working directory lies at or below an allowed one`(path: String, isAllowed: Bool) {
        let rule = SitePolicy.Rule(name: "r", workingDirectories: ["/data", "/home/ada"])
        #expect(Self.codes(rule, Self.operation(), in: path) == (isAllowed ? [] : ["policy.working-directory"]))
        #expect(Self.codes(SitePolicy.Rule(name: "r", workingDirectories: ["/"]), Self.operation(), in: "/x") == [])
    }

    @Test func `where nothing is asked the bound is what is left`() {
        #expect(JobBounds.bounded(nil, by: nil) == nil)
        #expect(JobBounds.bounded(5, by: nil) == 5)
        #expect(JobBounds.bounded(nil, by: 4) == 4)
        #expect(JobBounds.bounded(5, by: 4) == 4)
        #expect(JobBounds.bounded(3, by: 4) == 3)
    }
}
