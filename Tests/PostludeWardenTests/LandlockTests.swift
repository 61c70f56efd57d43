import CLinux
import Glibc
import PostludeLinux
import PostludePlan
import Testing

/// Rules for files and core scheduling, as a plan asks for them and as the kernel at hand has them.
@Suite(.enabled(if: WardenHarness.isRoot, "the warden needs root"))
struct LandlockTests {
    private static let abi = Landlock.abi()
    private static let asked: Landlock.Rules = [.files, .truncation, .deviceCommands]

    private func restrict(_ plan: inout LaunchPlan, _ rules: [FileRule]? = nil) {
        plan.steps[0].landlock = Self.asked.rawValue
        let usual = [
            rule("/", .look), rule("/tmp", .change), rule("/dev/null", .writeFile),
            rule("/proc", [.writeFile, .truncate]),
        ]
        plan.steps[0].fileRules = rules ?? usual
    }

    private func rule(_ path: String, _ access: Landlock.FileAccess) -> FileRule {
        FileRule(path: path, access: access.rawValue)
    }

    @Test func `files change only beneath what rules name, as far as the kernel has such rules`() throws {
        let outcome = try WardenHarness().run(
            """
            touch /tmp/a; mkdir /tmp/d; mv /tmp/a /tmp/d/b && ln /tmp/d/b /tmp/c && echo x > /tmp/c && rm -r /tmp/d && echo own
            echo x > /dev/null && echo null
            echo me > /proc/self/comm && echo comm
            cp /bin/true /tmp/true && /tmp/true && echo executed
            echo x > /dev/shm/x && echo shm
            mkdir /dev/shm/d && echo directory
            true
            """
        ) { restrict(&$0) }
        let known = Landlock.Rules.known(in: Self.abi).intersection(Self.asked)
        let receipt = try #require(outcome.receipt(of: "main"), "\(outcome.bodies)")
        #expect(receipt.landlockABI == Self.abi && receipt.landlockRules == known.rawValue)
        let open = known.contains(.files) ? [] : ["shm", "directory"]
        #expect(outcome.lines == ["own", "null", "comm", "executed"] + open + [""], "\(outcome.errors)")
        if known.contains(.files) { #expect(outcome.errors.contains("Permission denied")) }
    }

    @Test func `without rules for files a plan is as it was`() throws {
        let outcome = try WardenHarness().run("echo x > /dev/shm/x && cat /dev/shm/x")
        #expect(outcome.output == "x\n" && outcome.receipt(of: "main")?.landlockRules == 0)
    }

    @Test(.enabled(if: abi >= 2, "this kernel has no rules for files that could be wrong"))
    func `a rule for what is not there fails the step by its number`() throws {
        let outcome = try WardenHarness().run("echo ran") {
            restrict(&$0, [rule("/", .look), rule("/no/such/place", .change)])
        }
        #expect(outcome.exit(of: "main") == .setupFailed(stage: .landlock, index: 2, errno: ENOENT))
        #expect(outcome.output == "")
    }

    @Test(.enabled(if: abi >= 2, "this kernel has no rules for files that could be wrong"))
    func `rights that only directories have are refused for a file`() throws {
        let outcome = try WardenHarness().run("echo ran") { restrict(&$0, [rule("/dev/null", .change)]) }
        #expect(outcome.exit(of: "main") == .setupFailed(stage: .landlock, index: 1, errno: EINVAL))
    }

    @Test func `a step with cores of its own says so, or does not start where the kernel has none`() throws {
        let outcome = try WardenHarness().run("echo ran") { $0.steps[0].coreScheduling = true }
        switch CoreScheduling.availability() {
        case .available:
            #expect(outcome.receipt(of: "main")?.hasCoreCookie == true, "\(outcome.bodies)")
            #expect(outcome.output == "ran\n")
        case .noThreads:
            #expect(outcome.exit(of: "main") == .setupFailed(stage: .coreScheduling, index: 0, errno: ENODEV))
            #expect(outcome.output == "")
        case .notBuilt:
            #expect(outcome.exit(of: "main") == .setupFailed(stage: .coreScheduling, index: 0, errno: EINVAL))
            #expect(outcome.output == "")
        }
        print("core scheduling: \(CoreScheduling.availability())")
        let plain = try WardenHarness().run("true")
        #expect(plain.receipt(of: "main")?.hasCoreCookie == false)
    }
}
