import Foundation
import Glibc
import PostludeLinux
import Testing

@testable import PostludeSandbox

/// Every program that is loaded, and the one of libseccomp that it stands for, run over every system call.
@Suite(.enabled(if: !isGuest, notInGuest)) struct SeccompExhaustiveTests {
    static let x32: UInt32 = 0x4000_0000

    struct Program {
        var name: String
        var machine: BPFInterpreter
        var meaning: SeccompMeaning
        var compared = 0
        var failures = 0

        init(_ name: String, _ instructions: [SeccompProgram.Instruction], _ meaning: SeccompMeaning) throws {
            self.name = name
            machine = try BPFInterpreter(instructions)
            self.meaning = meaning
        }

        @discardableResult
        mutating func compare(
            _ number: UInt32, _ arguments: [UInt64], architecture: UInt32 = SeccompProgramTests.native
        ) -> BPFInterpreter.Answer {
            let answer = machine.run(.init(number: number, architecture: architecture, arguments: arguments))
            let meant = meaning.action(number: number, architecture: architecture, arguments: arguments)
            compared += 1
            if answer.action != meant {
                failures += 1
                if failures < 3 {
                    let call = "call \(number) of \(String(architecture, radix: 16)) with \(arguments)"
                    Issue.record("\(name): \(call): \(hex(answer.action)), meant is \(hex(meant))")
                }
            }
            return answer
        }

        private func hex(_ value: UInt32) -> String { String(value, radix: 16) }
    }

    /// What the kernel is given, from the sealed file that the warden gets, and libseccomp's program for it.
    static func programs(_ name: String) throws -> [Program] {
        let host = SeccompHost.current()
        let json = try Data(contentsOf: SeccompProgramTests.directory.appendingPathComponent("\(name).json"))
        let meaning = try SeccompMeaning(json: json)
        let profile = try SeccompProfile.read(Array(json), file: name, host: host)
        let forms = try SeccompCompiler(file: name, host: host).forms(of: profile)
        let entry = try SeccompPrograms(directory: SeccompProgramTests.directory.path).program(named: name)
        let bytes = try MemoryFile.content(of: entry.memory.rawValue)
        let loaded = SeccompCompiler.instructions(bytes)
        #expect(loaded == forms.short, "\(name): what is loaded is not the short form")
        return [
            try Program("\(name), as loaded", loaded, meaning),
            try Program("\(name), of libseccomp", forms.whole, meaning),
        ]
    }

    @Test(arguments: SeccompProgramTests.profiles) func `every call answers as the profile says`(name: String) throws {
        for var program in try Self.programs(name) {
            let named = program.meaning.named
            for number in UInt32(0)...600 {
                for arguments in program.meaning.arguments(for: number) { program.compare(number, arguments) }
                var looked: UInt16 = 0
                for turn in 0..<24 {
                    let arguments = (0..<6).map { place in
                        named[(place * 7 + Int(number) + turn * 11) % named.count] << (turn % 2 * 32)
                    }
                    looked |= program.compare(number, arguments).looked
                }
                // What looks at the number and the architecture alone has one answer for all arguments there are.
                if program.meaning.rules[number, default: []].allSatisfy(\.conditions.isEmpty) {
                    #expect(looked & ~0b11 == 0, "\(program.name): call \(number) looks at arguments")
                }
            }
            #expect(program.compared > 10_000)
            print("seccomp: \(program.name): \(program.compared) calls of this architecture compared")
        }
    }

    @Test(arguments: SeccompProgramTests.profiles) func `numbers with high bits and of x32 never pass`(
        name: String
    ) throws {
        for var program in try Self.programs(name) {
            for number in UInt32(0)...600 {
                for bit in UInt32(10)..<32 {
                    for arguments in [[UInt64](repeating: 0, count: 6), [UInt64](repeating: .max, count: 6)] {
                        let answer = program.compare(number | 1 << bit, arguments)
                        #expect(answer.action != SeccompProgramTests.allow)
                    }
                }
                program.compare(number | 0xc000_0000, [0, 0, 0, 0, 0, 0])
                program.compare(number | 0x8000_0000 | 1 << 20, [0, 0, 0, 0, 0, 0])
            }
            for number in [Self.x32 - 1, Self.x32, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, .max] as [UInt32] {
                program.compare(number, [0, 0, 0, 0, 0, 0])
            }
            print("seccomp: \(program.name): \(program.compared) numbers with high bits compared")
        }
    }

    /// EM_* with the bits for 64 bits and little-endian (linux/audit.h).
    static let architectures: [UInt32] =
        [
            0x4000_0003, 0x4000_0028, 0xc000_003e, 0xc000_00b7, 0xc000_0015, 0x8000_0015, 0x8000_0016, 0x0000_0016,
            0xc000_00f3, 0xc000_0102, 0x0000_0008, 0x4000_0008, 0x8000_0008, 0xc000_0008, 0, .max,
        ] + (0..<32).map { SeccompProgramTests.native ^ 1 << $0 }

    @Test(arguments: SeccompProgramTests.profiles) func `the architecture is looked at first`(name: String) throws {
        for var program in try Self.programs(name) {
            for architecture in Set(Self.architectures).subtracting([SeccompProgramTests.native]) {
                for number in UInt32(0)...600 {
                    let answer = program.compare(number, [1, 2, 3, 4, 5, 6], architecture: architecture)
                    // Nothing but the architecture was looked at: the answer holds for every number and argument.
                    #expect(answer == .init(action: SeccompProgramTests.kill, looked: 0b10))
                }
            }
            print("seccomp: \(program.name): \(program.compared) calls of other architectures compared")
        }
    }

    @Test(arguments: SeccompProgramTests.profiles) func `unknown is ENOSYS, known and denied is EPERM`(
        name: String
    ) throws {
        let (unknown, denied) = (SeccompProgramTests.errno(ENOSYS), SeccompProgramTests.errno(EPERM))
        for program in try Self.programs(name) {
            let (machine, meaning) = (program.machine, program.meaning)
            for number in meaning.highest + 1...meaning.highest + 2000 {
                let answer = machine.run(.init(number: number, architecture: SeccompProgramTests.native, arguments: []))
                #expect(answer == .init(action: unknown, looked: 0b11))
            }
            for number in 0...meaning.highest where meaning.rules[number] == nil {
                let answer = machine.run(.init(number: number, architecture: SeccompProgramTests.native, arguments: []))
                #expect(answer == .init(action: denied, looked: 0b11), "call \(number) has no rule")
            }
        }
    }
}
