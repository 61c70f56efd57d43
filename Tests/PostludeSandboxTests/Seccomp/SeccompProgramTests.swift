import Foundation
import Testing

@testable import PostludeSandbox

/// The shipped profiles, compiled, against what the files say.
@Suite struct SeccompProgramTests {
    static let profiles = ["main", "hook", "notifier"]
    static let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("profiles/seccomp")

    #if arch(x86_64)
    static let native: UInt32 = 0xc000_003e
    #else
    static let native: UInt32 = 0xc000_00b7
    #endif

    static let allow: UInt32 = 0x7fff_0000
    static let kill: UInt32 = 0x8000_0000
    static func errno(_ code: Int32) -> UInt32 { 0x0005_0000 | UInt32(code) }

    struct Subject {
        var profile: SeccompProfile
        var machine: BPFInterpreter
        var unknownNames: [String]

        func answer(_ number: Int32, _ arguments: [UInt64] = [], architecture: UInt32 = native) throws -> UInt32 {
            let padded = arguments + [UInt64](repeating: 0, count: 6 - arguments.count)
            return machine.run(
                .init(number: UInt32(bitPattern: number), architecture: architecture, arguments: padded)
            ).action
        }

        func answer(_ name: String, _ arguments: UInt64...) throws -> UInt32 {
            guard case .number(let number) = SyscallTable.look(up: name) else { throw Missing(name: name) }
            return try answer(number, arguments)
        }
    }

    struct Missing: Error { var name: String }

    static func shipped(_ name: String) throws -> Subject {
        let file = directory.appendingPathComponent("\(name).json")
        return try subject(Array(try Data(contentsOf: file)))
    }

    static func subject(_ text: [UInt8]) throws -> Subject {
        let host = SeccompHost.current()
        let profile = try SeccompProfile.read(text, file: "test.json", host: host)
        let program = try SeccompCompiler(file: "test.json", host: host).compile(profile)
        return Subject(
            profile: profile, machine: try BPFInterpreter(program.instructions),
            unknownNames: program.unknownNames)
    }

    static func subject(_ text: String) throws -> Subject { try subject(Array(text.utf8)) }

    @Test(arguments: profiles) func `the program is short`(name: String) throws {
        // A list of the same calls has over 400 instructions.
        #expect(try Self.shipped(name).machine.program.count < 350)
    }

    @Test(arguments: profiles) func `what every step needs is allowed`(name: String) throws {
        let subject = try Self.shipped(name)
        for call in [
            "read", "openat", "execve", "execveat", "mmap", "memfd_create", "mlock", "futex", "exit_group", "wait4",
            "sched_getaffinity", "prctl", "rseq", "getrandom", "statx", "close_range", "faccessat2",
            "landlock_restrict_self",
        ] {
            #expect(try subject.answer(call) == Self.allow, "\(call)")
        }
        #expect(try subject.answer("clone", 0x003d_0f00) == Self.allow)  // what pthread_create passes
        #expect(try subject.answer("clone", 17) == Self.allow)
        #expect(try subject.answer("socket", 1, 1) == Self.allow)
        #expect(try subject.answer("ioctl", 0, 0x5401) == Self.allow)
    }

    @Test(arguments: profiles) func `the calls of the attack table are denied`(name: String) throws {
        let subject = try Self.shipped(name)
        let denied = Self.errno(1)
        for call in [
            "unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "open_tree", "move_mount", "mount_setattr",
            "fsopen", "open_by_handle_at", "name_to_handle_at", "bpf", "perf_event_open", "io_uring_setup",
            "io_uring_enter", "io_uring_register", "add_key", "request_key", "keyctl", "init_module", "finit_module",
            "delete_module", "kexec_load", "reboot", "settimeofday", "clock_settime", "syslog", "userfaultfd",
            "fanotify_init", "memfd_secret", "sethostname", "setdomainname", "swapon", "acct", "quotactl", "vhangup",
            "lookup_dcookie", "kcmp", "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd",
        ] {
            #expect(try subject.answer(call) == denied, "\(call)")
        }
        #if arch(x86_64)
        for call in ["iopl", "ioperm", "modify_ldt", "uselib", "ustat", "_sysctl"] {
            #expect(try subject.answer(call) == denied, "\(call)")
        }
        #expect(try subject.answer("mknod", 0, 0o020666) == denied)
        #expect(try subject.answer("mknod", 0, 0o060666) == denied)
        #expect(try subject.answer("mknod", 0, 0o010666) == Self.allow)
        #endif
        for flag in [0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000]
            as [UInt64]
        {
            #expect(try subject.answer("clone", flag | 17) == denied)
            #expect(try subject.answer("clone", flag | 17 | 1 << 32) == denied)
        }
        #expect(try subject.answer("clone3") == Self.errno(38))
        for request in [0x5412, 0x541c, 0x5423] as [UInt64] {
            #expect(try subject.answer("ioctl", 0, request) == denied)
            #expect(try subject.answer("ioctl", 0, request | 1 << 32) == denied)
        }
        #expect(try subject.answer("personality", 0x0040_0000) == denied)
        #expect(try subject.answer("personality", 0x0004_0000) == denied)
        #expect(try subject.answer("personality", 0xffff_ffff) == Self.allow)
        #expect(try subject.answer("mknodat", 0, 0, 0o020666) == denied)
        #expect(try subject.answer("mknodat", 0, 0, 0o010666) == Self.allow)
    }

    @Test(arguments: profiles) func `no file is made setuid or setgid`(name: String) throws {
        let subject = try Self.shipped(name)
        let denied = Self.errno(1)
        for flag in [0, 0o100, 0o2000_0000 | 0o20_0000, 0o100 | 0o2] as [UInt64] {  // none, O_CREAT, O_TMPFILE
            for bits in [0, 0o1000, 0o2000, 0o4000, 0o6000, 0o4000 | 1 << 32] as [UInt64] {
                let mode = bits | 0o755
                let isDenied = bits & 0o6000 != 0
                let expected = isDenied && flag != 0 ? denied : Self.allow
                let changed = isDenied ? denied : Self.allow
                let place = "flags \(String(flag, radix: 8)), mode \(String(mode, radix: 8))"
                #expect(try subject.answer("openat", 0, 0, flag, mode) == expected, "openat, \(place)")
                #expect(try subject.answer("openat", 0, 0, flag | 1 << 32, mode) == expected, "openat, \(place)")
                #expect(try subject.answer("fchmod", 3, mode) == changed, "fchmod, \(place)")
                #expect(try subject.answer("fchmodat", 0, 0, mode) == changed, "fchmodat, \(place)")
                #expect(try subject.answer("fchmodat2", 0, 0, mode, 0x100) == changed, "fchmodat2, \(place)")
                #expect(try subject.answer("mknodat", 0, 0, mode | 0o100000) == changed, "mknodat, \(place)")
                #if arch(x86_64)
                #expect(try subject.answer("open", 0, flag, mode) == expected, "open, \(place)")
                #expect(try subject.answer("chmod", 0, mode) == changed, "chmod, \(place)")
                #expect(try subject.answer("creat", 0, mode) == changed, "creat, \(place)")
                #expect(try subject.answer("mknod", 0, mode | 0o100000) == changed, "mknod, \(place)")
                #endif
            }
        }
        // The mode is in a struct; C libraries and programs fall back to openat.
        #expect(try subject.answer("openat2", 0, 0, 0, 24) == Self.errno(38))
        // The kernel itself drops the bits from a new directory's mode.
        #expect(try subject.answer("mkdirat", 0, 0, 0o6755) == Self.allow)
    }

    @Test(arguments: profiles) func `numbers nobody has reviewed look like an older kernel`(name: String) throws {
        let subject = try Self.shipped(name)
        for number in [457, 462, 467, 470, 471, 472, 500, 600, 999, 0x3fff_ffff] as [Int32] {
            #expect(try subject.answer(number) == Self.errno(38), "\(number)")
        }
    }

    @Test func `what allows by default knows every kernel's numbers, and none above`() throws {
        let all = try Self.subject(#"{"defaultAction": "SCMP_ACT_ALLOW"}"#)
        for name in ["read", "write", "execve", "landlock_add_rule"] { #expect(try all.answer(name) == Self.allow) }
        #expect(try all.answer(1023) == Self.allow && all.answer(1024) == Self.errno(38))
        let one = try Self.subject(
            #"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ERRNO"}]}"#)
        #expect(try one.answer("write") == Self.allow && one.answer("read") == Self.errno(1))
    }

    @Test func `sockets follow the table of families`() throws {
        let denied = Self.errno(1)
        let (main, hook, notifier) = (try Self.shipped("main"), try Self.shipped("hook"), try Self.shipped("notifier"))
        for family in UInt64(0)...46 {
            let inet: Set<UInt64> = [1, 2, 10, 16]
            #expect(try main.answer("socket", family, 1) == (inet.contains(family) ? Self.allow : denied), "\(family)")
            #expect(
                try notifier.answer("socket", family, 1) == (inet.contains(family) ? Self.allow : denied), "\(family)")
            #expect(try hook.answer("socket", family, 1) == (family == 1 ? Self.allow : denied), "\(family)")
            #expect(try hook.answer("socketpair", family, 1) == (family == 1 ? Self.allow : denied), "\(family)")
        }
        for subject in [main, notifier] {
            #expect(try subject.answer("socket", 16, 3, 12) == denied)  // NETLINK_NETFILTER
            #expect(try subject.answer("socket", 2, 1, 262) == Self.errno(93))  // MPTCP
            #expect(try subject.answer("socket", 2, 1, 262 | 1 << 32) == Self.errno(93))
        }
    }

    @Test func `memory placement is for main alone`() throws {
        for call in ["set_mempolicy", "mbind", "move_pages", "migrate_pages"] {
            #expect(try Self.shipped("main").answer(call) == Self.allow)
            #expect(try Self.shipped("hook").answer(call) == Self.errno(1))
            #expect(try Self.shipped("notifier").answer(call) == Self.errno(1))
        }
    }
}
