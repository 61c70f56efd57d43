@testable import PostludeSandbox

/// The reader of OCI seccomp profiles and the compiler behind it: what is accepted compiles to a program that the kernel
/// takes and that says what the profile does, or is refused.
enum SeccompTarget {
    #if arch(x86_64)
    private static let native: UInt32 = 0xc000_003e
    #else
    private static let native: UInt32 = 0xc000_00b7
    #endif

    static func run(_ input: [UInt8]) {
        let host = SeccompHost.current()
        do throws(SandboxError) {
            let profile = try SeccompProfile.read(input, file: "fuzz.json", host: host)
            let program = try SeccompCompiler(file: "fuzz.json", host: host).compile(profile)
            check(program, profile)
        } catch {
            // libseccomp itself never fails over a profile: its own errors would be unreadable to whoever wrote it.
            Fuzz.demand(error.code == "sandbox.seccomp-invalid", "an error says \(error)")
            Fuzz.demand(error.message.utf8.count < 1 << 16, "an error of \(error.message.utf8.count) bytes")
        }
    }

    private static func check(_ program: SeccompProgram, _ profile: SeccompProfile) {
        let machine: BPFInterpreter
        do {
            machine = try BPFInterpreter(program.instructions)
        } catch {
            Fuzz.demand(false, "the kernel refuses the program: \(error)")
            return
        }
        let foreign = machine.run(.init(number: 1, architecture: 0x4000_0003, arguments: []))
        Fuzz.demand(foreign == .init(action: 0x8000_0000, looked: 0b10), "i386 is not killed: \(foreign)")
        var rules: [UInt32: [SeccompProfile.Rule]] = [:]
        for rule in profile.rules {
            for name in rule.names {
                if case .number(let number) = SyscallTable.look(up: name) {
                    rules[UInt32(number), default: []].append(rule)
                }
            }
        }
        for (number, rules) in rules.prefix(8) where rules.count <= 600 {
            for arguments in vectors(rules) { compare(machine, number, arguments, rules, profile) }
        }
    }

    private static func compare(
        _ machine: BPFInterpreter, _ number: UInt32, _ arguments: [UInt64], _ rules: [SeccompProfile.Rule],
        _ profile: SeccompProfile
    ) {
        let matching = rules.filter { rule in
            rule.conditions.allSatisfy {
                UInt32(truncatingIfNeeded: arguments[Int($0.argument)]) & $0.mask == $0.expected
            }
        }
        let rank = matching.map(\.action.rank).min()
        let right = Set(matching.map(\.action).filter { $0.rank == rank })
        let answer = machine.run(.init(number: number, architecture: native, arguments: arguments)).action
        let meant = Set((right.isEmpty ? [profile.defaultAction] : right).map(SeccompCompiler.code))
        Fuzz.demand(meant.contains(answer), "call \(number) with \(arguments) gives \(answer), meant is \(meant)")
    }

    private static func vectors(_ rules: [SeccompProfile.Rule]) -> [[UInt64]] {
        var vectors: [[UInt64]] = [[UInt64](repeating: 0, count: 6), [UInt64](repeating: .max, count: 6)]
        for rule in rules.prefix(24) {
            for flipped in [0, 1, 1 << 31] as [UInt64] {
                var vector = [UInt64](repeating: UInt64(vectors.count) << 32, count: 6)
                for condition in rule.conditions {
                    vector[Int(condition.argument)] = (UInt64(condition.expected) ^ flipped) | 1 << 32
                }
                vectors.append(vector)
            }
        }
        return vectors
    }
}
