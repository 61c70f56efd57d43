import Foundation
import Testing

@testable import PostludeSandbox

@Suite struct SeccompProfileTests {
    private func subject(_ text: String) throws -> SeccompProgramTests.Subject { try SeccompProgramTests.subject(text) }

    private func rule(_ body: String) -> String {
        #"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}, \#(body)]}"#
    }

    @Test func `every mistake is told with its place`() throws {
        let cases = [
            (#"{"defaultAction": "SCMP_ACT_ERRNO""#, ""),
            ("[]", ""),
            (#"{}"#, "defaultAction"),
            (#"{"defaultAction": 7}"#, "defaultAction"),
            (#"{"defaultAction": "SCMP_ACT_NONSENSE"}"#, "defaultAction"),
            (#"{"defaultAction": "SCMP_ACT_NOTIFY"}"#, "defaultAction"),
            (rule(#"{"names": ["open"], "action": "SCMP_ACT_TRACE"}"#), "syscalls[1].action"),
            (rule(#"{"names": ["open"]}"#), "syscalls[1].action"),
            (rule(#"{"names": [], "action": "SCMP_ACT_ALLOW"}"#), "syscalls[1].names"),
            (rule(#"{"names": "open", "action": "SCMP_ACT_ALLOW"}"#), "syscalls[1].names"),
            (rule(#"{"names": ["open"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5000}"#), "syscalls[1].action"),
            (
                rule(
                    #"{"names": ["open"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]}"#
                ),
                "syscalls[1].args[0].index"
            ),
            (
                rule(
                    #"{"names": ["open"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 1, "op": "=="}]}"#),
                "syscalls[1].args[0].op"
            ),
            (
                rule(
                    #"{"names": ["open"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_GT"}]}"#
                ),
                "syscalls[1].args[0].op"
            ),
            (
                rule(
                    #"{"names": ["open"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 4294967296, "op": "SCMP_CMP_EQ"}]}"#
                ),
                "syscalls[1].args[0].value"
            ),
            (
                rule(#"{"names": ["open"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "new"}}"#),
                "syscalls[1].includes.minKernel"
            ),
            (#"{"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_S390"]}"#, "architectures"),
            (
                #"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["nonsense"], "action": "SCMP_ACT_ERRNO"}]}"#,
                "syscalls[0].names[0]"
            ),
        ]
        for (text, place) in cases {
            let error = #expect(throws: SandboxError.self) { try subject(text) }
            #expect(error?.code == "sandbox.seccomp-invalid")
            #expect(error?.message.contains("test.json") == true)
            #expect(
                place.isEmpty || error?.message.contains(place) == true, "\(error?.message ?? "") should name \(place)")
        }
    }

    @Test func `more rules than a program can hold are refused before they are made`() throws {
        let unequal = (0..<6).map { #"{"index": \#($0), "value": 1, "op": "SCMP_CMP_NE"}"# }.joined(separator: ",")
        let same = (0..<9).map { #"{"index": 1, "value": \#($0), "op": "SCMP_CMP_NE"}"# }.joined(separator: ",")
        let many = (0..<2100).map {
            #"{"names": ["ioctl"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 1, "value": \#($0), "op": "SCMP_CMP_EQ"}]}"#
        }.joined(separator: ",")
        let cases = [
            (#"{"names": ["ioctl"], "action": "SCMP_ACT_ALLOW", "args": [\#(unequal)]}"#, "syscalls[1].args"),
            (#"{"names": ["ioctl"], "action": "SCMP_ACT_ALLOW", "args": [\#(same)]}"#, "syscalls[1].args"),
            (many, "syscalls[2048]"),
        ]
        for (rules, place) in cases {
            let error = #expect(throws: SandboxError.self) { try subject(rule(rules)) }
            #expect(error?.code == "sandbox.seccomp-invalid")
            #expect(error?.message.contains(place) == true, "\(error?.message ?? "")")
        }
    }

    @Test func `the most severe of the rules that match wins, wherever it stands`() throws {
        let rules = [
            #"{"names": ["ioctl"], "action": "SCMP_ACT_KILL_PROCESS", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 7, "op": "SCMP_CMP_NE"}]}"#,
            #"{"names": ["ioctl"], "action": "SCMP_ACT_TRAP", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]}"#,
            #"{"names": ["ioctl"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5, "args": [{"index": 1, "value": 7, "op": "SCMP_CMP_NE"}]}"#,
            #"{"names": ["ioctl"], "action": "SCMP_ACT_LOG", "args": [{"index": 2, "value": 3, "op": "SCMP_CMP_EQ"}]}"#,
            #"{"names": ["ioctl"], "action": "SCMP_ACT_ALLOW"}"#,
        ]
        for order in [rules, rules.reversed(), Array(rules[2...] + rules[..<2])] {
            let subject = try subject(rule(order.joined(separator: ",")))
            #expect(try subject.answer("ioctl", 1, 8, 3) == SeccompProgramTests.kill)
            #expect(try subject.answer("ioctl", 1, 7, 3) == 0x0003_0000)
            #expect(try subject.answer("ioctl", 2, 8, 3) == SeccompProgramTests.errno(5))
            #expect(try subject.answer("ioctl", 2, 7, 3) == 0x7ffc_0000)
            #expect(try subject.answer("ioctl", 2, 7, 4) == SeccompProgramTests.allow)
        }
    }

    /// libseccomp 2.5.4 alone lets both of these pass, though each has a rule that matches.
    @Test func `no rule is lost where several overlap`() throws {
        let differing = try subject(
            #"""
            {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
              {"names": ["openat"], "action": "SCMP_ACT_KILL_PROCESS", "args": [
                {"index": 2, "value": 2147483648, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"},
                {"index": 1, "value": 256, "op": "SCMP_CMP_NE"}]},
              {"names": ["openat"], "action": "SCMP_ACT_ERRNO", "args": [
                {"index": 0, "value": 4294967294, "op": "SCMP_CMP_EQ"},
                {"index": 1, "value": 0, "op": "SCMP_CMP_NE"},
                {"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}]}]}
            """#)
        #expect(try differing.answer("openat", 32771, 0xffff_feff, 0xffff_ffff) == SeccompProgramTests.errno(1))
        let overlapping = try subject(
            #"""
            {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
              {"names": ["read"], "action": "SCMP_ACT_TRAP", "args": [
                {"index": 2, "value": 4294967295, "op": "SCMP_CMP_NE"},
                {"index": 0, "value": 255, "valueTwo": 3, "op": "SCMP_CMP_MASKED_EQ"}]},
              {"names": ["read"], "action": "SCMP_ACT_TRAP", "args": [
                {"index": 2, "value": 7, "op": "SCMP_CMP_NE"}]}]}
            """#)
        #expect(try overlapping.answer("read", 3, 0, 7) == 0x0003_0000)
        #expect(try overlapping.answer("read", 4, 0, 7) == SeccompProgramTests.allow)
        #expect(try overlapping.answer("read", 4, 0, 8) == 0x0003_0000)
    }

    @Test func `a permission for an unknown call is passed over, and said`() throws {
        let subject = try subject(rule(#"{"names": ["call_of_2040", "write"], "action": "SCMP_ACT_ALLOW"}"#))
        #expect(subject.unknownNames == ["call_of_2040"])
        #expect(try subject.answer("write") == SeccompProgramTests.allow)
    }

    @Test func `a comparison looks at 32 bits only`() throws {
        let subject = try subject(
            rule(
                #"{"names": ["ioctl"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 1, "value": 21505, "op": "SCMP_CMP_EQ"}]}"#
            ))
        #expect(try subject.answer("ioctl", 0, 21505) == SeccompProgramTests.allow)
        #expect(try subject.answer("ioctl", 0, 21505 | 1 << 32) == SeccompProgramTests.allow)
        #expect(try subject.answer("ioctl", 0, 21506) == SeccompProgramTests.errno(1))
    }

    @Test func `unequal cannot be fooled by the upper half`() throws {
        let subject = try subject(
            rule(
                #"{"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 40, "op": "SCMP_CMP_NE"}]}"#
            ))
        for family in UInt64(0)...64 {
            let expected = family == 40 ? SeccompProgramTests.errno(1) : SeccompProgramTests.allow
            #expect(try subject.answer("socket", family) == expected)
            #expect(try subject.answer("socket", family | 1 << 32) == expected)
        }
    }

    @Test func `conditions on one argument are alternatives, on several they must all hold`() throws {
        let either = try subject(
            rule(
                #"{"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}]}"#
            ))
        #expect(try either.answer("socket", 1) == SeccompProgramTests.allow)
        #expect(try either.answer("socket", 2) == SeccompProgramTests.allow)
        #expect(try either.answer("socket", 3) == SeccompProgramTests.errno(1))
        let both = try subject(
            rule(
                #"{"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 2, "op": "SCMP_CMP_EQ"}]}"#
            ))
        #expect(try both.answer("socket", 1, 2) == SeccompProgramTests.allow)
        #expect(try both.answer("socket", 1, 3) == SeccompProgramTests.errno(1))
    }

    @Test func `a denial wins over a permission, wherever it stands`() throws {
        let denial =
            #"{"names": ["ioctl"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13, "args": [{"index": 1, "value": 7, "op": "SCMP_CMP_EQ"}]}"#
        let permission = #"{"names": ["ioctl"], "action": "SCMP_ACT_ALLOW"}"#
        for order in [[denial, permission], [permission, denial]] {
            let subject = try subject(rule(order.joined(separator: ",")))
            #expect(try subject.answer("ioctl", 0, 7) == SeccompProgramTests.errno(13))
            #expect(try subject.answer("ioctl", 0, 8) == SeccompProgramTests.allow)
        }
    }

    @Test func `a profile that allows by default denies what it names`() throws {
        let subject = try subject(
            #"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"name": "unshare", "action": "SCMP_ACT_ERRNO"}, {"names": ["statmount"], "action": "SCMP_ACT_KILL_PROCESS"}]}"#
        )
        #expect(try subject.answer("unshare") == SeccompProgramTests.errno(1))
        #expect(try subject.answer("read") == SeccompProgramTests.allow)
        #expect(try subject.answer("statmount") == SeccompProgramTests.kill)
    }

    @Test func `conditions on capabilities, architecture and kernel are Docker's`() throws {
        let text = rule(
            #"""
            {"names": ["bpf"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_BPF"]}},
            {"names": ["write"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
            {"names": ["close"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
            {"names": ["dup"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "99.0"}},
            {"names": ["fsync"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["s390x"]}},
            {"names": ["openat2"], "action": "SCMP_ACT_ALLOW"}
            """#)
        let subject = try subject(text)
        for (call, isAllowed) in [("bpf", false), ("write", true), ("close", true), ("dup", false), ("fsync", false)] {
            let expected = isAllowed ? SeccompProgramTests.allow : SeccompProgramTests.errno(1)
            #expect(try subject.answer(call) == expected, "\(call)")
        }
    }

    @Test func `a profile is compiled once, and again when it changes`() throws {
        let directory = try TemporaryDirectory()
        let programs = SeccompPrograms(directory: directory.path)
        try directory.write("one.json", rule(#"{"names": ["write"], "action": "SCMP_ACT_ALLOW"}"#))
        let first = try programs.program(named: "one")
        #expect(try programs.program(named: "one") === first)
        try directory.write("copy.json", rule(#"{"names": ["write"], "action": "SCMP_ACT_ALLOW"}"#))
        #expect(try programs.program(named: "copy") === first)
        try directory.write("one.json", rule(#"{"names": ["writev"], "action": "SCMP_ACT_ALLOW"}"#))
        #expect(try programs.program(named: "one") !== first)
        for name in ["missing", "../one", "", ".hidden"] {
            let error = #expect(throws: SandboxError.self) { try programs.program(named: name) }
            #expect(error?.code == "sandbox.seccomp-missing")
        }
    }
}
