import Testing

@testable import PostludeSandbox

private typealias Instruction = SeccompProgram.Instruction

/// The interpreter against programs whose answers are known, and against the kernel.
@Suite struct BPFInterpreterTests {
    /// What a program that ends with its accumulator answers to a call.
    private static func accumulator(_ body: [Instruction], _ arguments: [UInt64] = []) throws -> UInt32 {
        let call = BPFInterpreter.Call(number: 7, architecture: 9, arguments: arguments, pointer: 0x1234_5678_9abc_def0)
        return try BPFInterpreter(body + [Instruction(0x16, 0)]).run(call).action
    }

    @Test func `every word of a call is where the kernel puts it`() throws {
        let arguments: [UInt64] = (1...6).map { $0 << 32 | ($0 + 0x80) }
        let expected: [UInt32] =
            [7, 9, 0x9abc_def0, 0x1234_5678] + (1...6).flatMap { [UInt32($0 + 0x80), UInt32($0)] }
        for (index, word) in expected.enumerated() {
            #expect(try Self.accumulator([.init(0x20, UInt32(index * 4))], arguments) == word)
        }
    }

    /// Bodies that leave something in the accumulator; arguments 0 and 1 are A and B.
    private static let operators: [(name: String, code: UInt16, meaning: @Sendable (UInt32, UInt32) -> UInt32)] = [
        ("add", 0x04, { $0 &+ $1 }), ("sub", 0x14, { $0 &- $1 }), ("mul", 0x24, { $0 &* $1 }),
        ("div", 0x34, { $0 / $1 }), ("or", 0x44, { $0 | $1 }), ("and", 0x54, { $0 & $1 }),
        ("lsh", 0x64, { $0 << ($1 & 31) }), ("rsh", 0x74, { $0 >> ($1 & 31) }), ("xor", 0xa4, { $0 ^ $1 }),
    ]
    private static let operands: [UInt32] = [1, 2, 3, 31, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, .max]
    private static let loadBoth: [Instruction] = [.init(0x20, 24), .init(0x07, 0), .init(0x20, 16)]  // X = B, A = A

    @Test func `operators mean what they say, with constants and with X`() throws {
        for (name, code, meaning) in Self.operators {
            for a in Self.operands + [0] {
                for b in Self.operands {
                    let arguments = [UInt64(a), UInt64(b)]
                    let isShift = code == 0x64 || code == 0x74
                    let withX = try Self.accumulator(Self.loadBoth + [.init(code | 8, 0)], arguments)
                    #expect(withX == meaning(a, b), "\(name) \(a) \(b)")
                    if isShift, b > 31 { continue }
                    let constant = try Self.accumulator([.init(0x20, 16), .init(code, b)], arguments)
                    #expect(constant == meaning(a, b), "\(name) \(a) #\(b)")
                }
            }
        }
        #expect(try Self.accumulator([.init(0x00, 5), .init(0x84, 0)]) == 0xffff_fffb)  // neg
    }

    @Test func `dividing by zero ends the program with SECCOMP_RET_KILL_THREAD`() throws {
        #expect(try Self.accumulator(Self.loadBoth + [.init(0x3c, 0), .init(0x00, 99)], [1, 0]) == 0)
    }

    private static let jumps: [(code: UInt16, meaning: @Sendable (UInt32, UInt32) -> Bool)] = [
        (0x15, { $0 == $1 }), (0x25, { $0 > $1 }), (0x35, { $0 >= $1 }), (0x45, { $0 & $1 != 0 }),
    ]

    @Test func `jumps compare unsigned and go both ways`() throws {
        let ends: [Instruction] = [.init(0x06, 1), .init(0x06, 2), .init(0x06, 3)]
        for (code, meaning) in Self.jumps {
            for a in Self.operands + [0] {
                for b in Self.operands + [0] {
                    let expected: UInt32 = meaning(a, b) ? 2 : 3
                    let call = BPFInterpreter.Call(number: 0, architecture: 0, arguments: [UInt64(a), UInt64(b)])
                    let withX = Self.loadBoth + [.init(code | 8, 0, ifTrue: 1, ifFalse: 2)] + ends
                    #expect(try BPFInterpreter(withX).run(call).action == expected)
                    let constant = [Instruction(0x20, 16), .init(code, b, ifTrue: 1, ifFalse: 2)] + ends
                    #expect(try BPFInterpreter(constant).run(call).action == expected)
                }
            }
        }
        let over = [Instruction(0x05, 2)] + ends
        #expect(try BPFInterpreter(over).run(.init(number: 0, architecture: 0, arguments: [])).action == 3)
    }

    @Test func `memory, X and the length of the data`() throws {
        let cases: [([Instruction], UInt32)] = [
            ([.init(0x00, 8), .init(0x02, 15), .init(0x00, 0), .init(0x60, 15)], 8),
            ([.init(0x01, 9), .init(0x03, 0), .init(0x60, 0)], 9),
            ([.init(0x00, 7), .init(0x02, 3), .init(0x61, 3), .init(0x87, 0)], 7),
            ([.init(0x80, 0)], 64), ([.init(0x81, 0), .init(0x87, 0)], 64),
            ([.init(0x00, 6), .init(0x07, 0), .init(0x00, 1), .init(0x0c, 0)], 7),
            ([], 0),
        ]
        for (body, expected) in cases { #expect(try Self.accumulator(body) == expected) }
    }

    private static let end = Instruction(0x06, 0x7fff_0000)
    private static let refused: [(program: [Instruction], fault: BPFInterpreter.Fault)] = [
        ([], .length(0)),
        ([.init(0x00, 1)], .noReturn),
        ([.init(0x05, 0)], .jumpPastTheEnd(at: 0)),
        ([.init(0x05, 1), end], .jumpPastTheEnd(at: 0)),
        ([.init(0x05, .max), end], .jumpPastTheEnd(at: 0)),
        ([.init(0x15, 0, ifTrue: 1), end], .jumpPastTheEnd(at: 0)),
        ([.init(0x15, 0, ifFalse: 255), end], .jumpPastTheEnd(at: 0)),
        ([.init(0x1d, 0, ifFalse: 1), end], .jumpPastTheEnd(at: 0)),
        ([.init(0x34, 0), end], .divisionByZero(at: 0)),
        ([.init(0x64, 32), end], .shift(32)),
        ([.init(0x74, .max), end], .shift(.max)),
        ([.init(0x02, 16), end], .memory(16)),
        ([.init(0x61, 16), end], .memory(16)),
        ([.init(0x60, 1), end], .neverStored(1)),
        // Stored on one of two ways only.
        ([.init(0x15, 0, ifTrue: 1), .init(0x02, 2), .init(0x60, 2), end], .neverStored(2)),
        ([.init(0x20, 64), end], .offset(64)),
        ([.init(0x20, 2), end], .offset(2)),
        ([.init(0x20, 0xffff_f000), end], .offset(0xffff_f000)),
        ([.init(0x28, 0), end], .unknown(0x28)),  // half a word
        ([.init(0x30, 0), end], .unknown(0x30)),  // a byte
        ([.init(0x40, 0), end], .unknown(0x40)),  // indirect
        ([.init(0x94, 3), end], .unknown(0x94)),  // mod, which other filters have
        ([.init(0x9c, 3), end], .unknown(0x9c)),
        ([.init(0xb1, 0), end], .unknown(0xb1)),
        ([.init(0x0e, 0)], .unknown(0x0e)),  // ret x
        ([.init(0x120, 0), end], .unknown(0x120)),
    ]

    @Test func `what the kernel refuses is refused, and why`() {
        for (program, fault) in Self.refused {
            #expect(throws: fault) { try BPFInterpreter(program) }
        }
        let long = [Instruction](repeating: Self.end, count: 4097)
        #expect(throws: BPFInterpreter.Fault.length(4097)) { try BPFInterpreter(long) }
    }

    private static func isTaken(_ program: [Instruction]) -> Bool {
        do {
            _ = try BPFInterpreter(program)
            return true
        } catch {
            return false
        }
    }

    // MARK: The kernel

    /// Bodies whose accumulator the kernel is asked for, in three parts of eleven bits.
    private static var bodies: [[Instruction]] {
        let memory: [[Instruction]] = [
            loadBoth + [.init(0x02, 15), .init(0x03, 0), .init(0x60, 0), .init(0x61, 15), .init(0x0c, 0)],
            [.init(0x80, 0)], [.init(0x81, 0), .init(0x87, 0)], [], [.init(0x20, 16), .init(0x84, 0)],
            [.init(0x20, 0)], [.init(0x20, 4)], [.init(0x20, 20)], [.init(0x20, 28)],
            [.init(0x20, 16), .init(0x87, 0)], [.init(0x20, 16), .init(0x05, 1), .init(0x00, 1), .init(0x04, 1)],
        ]
        let combined = operators.flatMap { entry in
            [loadBoth + [.init(entry.code | 8, 0)], loadBoth + [.init(entry.code, 3)]]
        }
        let jumping = jumps.flatMap { entry in
            [Instruction(entry.code | 8, 0, ifFalse: 1), .init(entry.code, 0x7fff_ffff, ifFalse: 1)].map { jump in
                loadBoth + [jump, .init(0x05, 1), .init(0xa4, .max), .init(0x04, 5)]
            }
        }
        return memory + combined + jumping
    }

    @Test(.enabled(if: KernelSeccomp.isAvailable, "needs /usr/bin/python3"))
    func `the kernel computes the same`() throws {
        var programs: [[Instruction]] = []
        var questions: [KernelSeccomp.Question] = []
        for body in Self.bodies {
            for part in 0..<3 as Range<UInt32> {
                let show: [Instruction] = [
                    .init(0x74, part * 11), .init(0x54, 0x7ff), .init(0x44, 0x0005_0000), .init(0x16, 0),
                ]
                for a in Self.operands + [0] {
                    for b in Self.operands {
                        questions.append(
                            .init(
                                program: programs.count, number: KernelSeccomp.getpidNumber,
                                arguments: [UInt64(a), UInt64(b)]))
                    }
                }
                programs.append(body + show)
            }
        }
        let answers = try KernelSeccomp.ask(programs, questions)
        let machines = try programs.map { try BPFInterpreter($0) }
        var wrong: [String] = []
        for (question, answer) in zip(questions, answers) {
            // The kernel sees the sixth argument too, which these programs do not look at.
            let call = BPFInterpreter.Call(
                number: KernelSeccomp.getpidNumber, architecture: SeccompProgramTests.native,
                arguments: question.arguments)
            let expected = machines[question.program].run(call).action & 0xfff
            guard answer != Int(expected) else { continue }
            wrong.append("\(programs[question.program]) with \(question.arguments): \(answer ?? -1), not \(expected)")
        }
        #expect(wrong.isEmpty, "\(wrong.count), such as \(wrong.prefix(3))")
        print("seccomp: \(answers.count) answers of \(programs.count) hand-written programs compared with the kernel")
    }

    @Test(.enabled(if: KernelSeccomp.isAvailable, "needs /usr/bin/python3"))
    func `the kernel takes and refuses the same programs`() throws {
        var programs = Self.refused.map(\.program)
        for code in UInt16(0)...0x1ff {
            // Division and shifts by 1, jumps to the next instruction, memory that was stored.
            programs.append([.init(0x02, 1), .init(code, code & 7 == 5 ? 0 : code & 0xe7 == 0x20 ? 4 : 1), Self.end])
        }
        let answers = try KernelSeccomp.takes(programs)
        for (program, answer) in zip(programs, answers) {
            #expect(answer == Self.isTaken(program), "\(program)")
        }
        print("seccomp: \(programs.count) programs, of which the kernel took \(answers.count { $0 })")
    }
}
