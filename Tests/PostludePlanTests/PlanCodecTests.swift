import Testing

@testable import PostludePlan

struct PlanCodecTests {
    @Test func `a plan comes back as it was`() throws {
        #expect(try LaunchPlan(decoding: Samples.plan.encoded()) == Samples.plan)
    }

    @Test func `a request comes back as it was`() throws {
        #expect(try PrepareRequest(decoding: Samples.request.encoded()[...]) == Samples.request)
        // As it arrives: after the byte that names the message.
        #expect(try PrepareRequest(decoding: ([1] + Samples.request.encoded()).dropFirst()) == Samples.request)
    }

    @Test func `every shorter plan is refused`() {
        let bytes = Samples.plan.encoded()
        for count in 0..<bytes.count {
            #expect(throws: PlanError.self) { try LaunchPlan(decoding: Array(bytes.prefix(count))) }
        }
        #expect(throws: PlanError(.trailingBytes, at: bytes.count)) { try LaunchPlan(decoding: bytes + [0]) }
    }

    /// What version 3 appended to a step comes last in a plan of one.
    @Test func `a plan of the version before is read, without what it did not know`() throws {
        var plan = Samples.plan
        plan.steps = [Samples.step("main", .main)]
        plan.steps[0].fileRules = []
        plan.steps[0].coreScheduling = false
        var bytes = plan.encoded()
        bytes.removeLast(4 + 1)
        bytes[4] = 2
        #expect(try LaunchPlan(decoding: bytes) == plan)
        bytes[4] = 1
        #expect(throws: PlanError(.unsupportedVersion(1), at: 6)) { try LaunchPlan(decoding: bytes) }
        var request = Samples.request.encoded()
        request[4] = 2
        #expect(try PrepareRequest(decoding: request[...]) == Samples.request)
    }

    @Test func `another version is refused by its number`() {
        var bytes = Samples.plan.encoded()
        bytes[4] = 9
        #expect { try LaunchPlan(decoding: bytes) } throws: { error in
            (error as? PlanError)?.reason == .unsupportedVersion(9) && (error as? PlanError)?.hint != nil
        }
    }

    /// A changed plan is either refused or a plan that means something; it never crashes or takes long.
    @Test(arguments: 0..<40 as Range<UInt64>) func `a damaged plan is refused or well-formed`(seed: UInt64) throws {
        var random = SplitMix(state: seed)
        let original = Samples.plan.encoded()
        for _ in 0..<100 {
            var bytes = original
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let position = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes[position] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes[position] ^= 1 << UInt8.random(in: 0..<8, using: &random)
                case 2: bytes.removeSubrange(position..<min(bytes.count, position + 4))
                case _: bytes.insert(contentsOf: [0xff, 0xff, 0xff, 0xff], at: position)
                }
                if bytes.isEmpty { break }
            }
            do {
                let plan = try LaunchPlan(decoding: bytes)
                try plan.validate()
                #expect(try LaunchPlan(decoding: plan.encoded()) == plan)
            } catch {
                continue
            }
        }
    }

    @Test(arguments: 0..<20 as Range<UInt64>) func `noise is refused`(seed: UInt64) {
        var random = SplitMix(state: seed)
        for _ in 0..<50 {
            let noise = (0..<Int.random(in: 0..<400, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            #expect(throws: PlanError.self) { try LaunchPlan(decoding: noise) }
            #expect(throws: PlanError.self) { try LaunchPlan(decoding: Samples.plan.encoded().prefix(8) + noise) }
            #expect(JournalRecord.decode(noise).records.isEmpty)
        }
    }

    @Test func `a length that cannot be true reserves nothing`() {
        var bytes = Array(Samples.plan.encoded().prefix(8))
        bytes += [0xff, 0xff, 0xff, 0x7f]
        #expect(throws: PlanError.self) { try LaunchPlan(decoding: bytes) }
    }

    struct Change: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let apply: @Sendable (inout LaunchPlan) -> Void

        init(_ name: String, _ apply: @escaping @Sendable (inout LaunchPlan) -> Void) {
            testDescription = name
            self.apply = apply
        }
    }

    static let forbidden: [Change] = [
        Change("no steps") { $0.steps = [] },
        Change("no main") { $0.steps.removeLast() },
        Change("main first") { $0.steps.swapAt(0, 2) },
        Change("two mains") { $0.steps[0].role = .main },
        Change("init after sidecar") { $0.steps.swapAt(0, 1) },
        Change("same names") { $0.steps[0].name = "main" },
        Change("name with slash") { $0.steps[0].name = "a/b" },
        Change("name going up") { $0.steps[0].name = ".." },
        Change("hidden name") { $0.steps[0].name = ".x" },
        Change("no name") { $0.steps[0].name = "" },
        Change("the warden's name") { $0.steps[0].name = "warden" },
        Change("a kernel file's name") { $0.steps[0].name = "cgroup.procs" },
        Change("long name") { $0.steps[0].name = String(repeating: "x", count: 65) },
        Change("relative program") { $0.steps[2].program = "python3" },
        Change("relative working directory") { $0.steps[2].workingDirectory = "." },
        Change("no argv") { $0.steps[2].arguments = [] },
        Change("variable without a name") { $0.steps[2].environment = ["=x"] },
        Change("variable without a value") { $0.steps[2].environment = ["PATH"] },
        Change("text with NUL") { $0.steps[2].arguments = ["a\0b"] },
        Change("limit in another directory") { $0.limits[0].file = "../memory.max" },
        Change("limit that is no limit") { $0.limits[0].file = "cgroup.procs" },
        Change("step limit elsewhere") { $0.steps[0].limits[0].file = "x/y" },
        Change("journal that was not sent") { $0.journal = 250 },
        Change("log that was not sent") { $0.steps[2].standardError = 65535 },
        Change("seccomp that was not sent") { $0.steps[2].seccomp = 300 },
        Change("bind that was not sent") {
            $0.steps[2].mounts[0] = .bind(source: 251, target: "/x", readOnly: true, devices: false, recursive: true)
        },
        Change("relative target") { $0.steps[2].mounts[2] = .proc(target: "proc") },
        Change("target going up") { $0.steps[2].mounts[2] = .proc(target: "/a/../../b") },
        Change("file rule for a relative path") { $0.steps[2].fileRules[0].path = "tmp" },
        Change("file rule going up") { $0.steps[2].fileRules[1].path = "/tmp/../etc" },
        Change("nobody's uid") { $0.steps[2].uid = .max },
        Change("nobody's group") { $0.steps[2].groups = [1, .max] },
        Change("no attempt") { $0.attempt = "" },
        Change("long host name") { $0.hostname = String(repeating: "h", count: 65) },
    ]

    @Test(arguments: forbidden) func `a plan that no agent means is refused`(change: Change) {
        var plan = Samples.plan
        change.apply(&plan)
        #expect(throws: PlanError.self) { try LaunchPlan(decoding: plan.encoded()) }
    }

    @Test func `fewer descriptors than the plan names are refused`() throws {
        #expect(throws: PlanError.self) { try LaunchPlan(decoding: Samples.plan.encoded(), descriptors: 5) }
        #expect(try LaunchPlan(decoding: Samples.plan.encoded(), descriptors: 6) == Samples.plan)
    }

    @Test func `control answers come back as they were`() throws {
        #expect(try ControlMessage.failure(in: [2]) == nil)
        let failure = try #require(try ControlMessage.failure(in: ControlMessage.failure(.network, errno: 13)))
        #expect(failure.stage == .network && failure.errno == 13)
        #expect(throws: PlanError.self) { try ControlMessage.failure(in: [1]) }
        #expect(throws: PlanError.self) { try ControlMessage.failure(in: []) }
        #expect(throws: PlanError.self) { try ControlMessage.failure(in: [3, 200, 0, 0, 0, 0]) }
    }
}
