@testable import PostludeSandbox

/// A machine for the classic BPF that seccomp(2) takes: what the kernel would answer, without a kernel.
///
/// Written from linux/filter.h and from what the kernel checks when a filter is installed (`seccomp_check_filter`,
/// `bpf_check_classic`, `check_load_and_stores`); it refuses what the kernel refuses, so running cannot fail.
struct BPFInterpreter {
    /// struct seccomp_data: int nr, u32 arch, u64 instruction pointer, u64 args[6]; little-endian in 16 words.
    struct Call: Hashable {
        var words: [UInt32]

        init(number: UInt32, architecture: UInt32, arguments: [UInt64], pointer: UInt64 = 0) {
            words = [number, architecture, UInt32(truncatingIfNeeded: pointer), UInt32(pointer >> 32)]
            for argument in arguments.prefix(6) {
                words.append(UInt32(truncatingIfNeeded: argument))
                words.append(UInt32(argument >> 32))
            }
            while words.count < 16 { words.append(0) }
        }
    }

    struct Answer: Hashable {
        var action: UInt32
        /// Bit n is set when word n of the call was looked at: the answer holds for every value of the others.
        var looked: UInt16
    }

    enum Fault: Error, Hashable {
        case length(Int)
        case unknown(UInt16)
        case jumpPastTheEnd(at: Int)
        case divisionByZero(at: Int)
        case shift(UInt32)
        case memory(UInt32)
        case neverStored(UInt32)
        case offset(UInt32)
        case noReturn
    }

    let program: [SeccompProgram.Instruction]

    /// - Throws: `Fault` for a program that the kernel refuses with EINVAL.
    init(_ program: [SeccompProgram.Instruction]) throws(Fault) {
        self.program = program
        guard (1...4096).contains(program.count) else { throw .length(program.count) }
        for (index, instruction) in program.enumerated() { try Self.check(instruction, at: index, of: program.count) }
        guard let last = program.last?.code, last == 0x06 || last == 0x16 else { throw .noReturn }
        try checkMemory()
    }

    private static func check(
        _ instruction: SeccompProgram.Instruction, at index: Int, of count: Int
    ) throws(Fault) {
        let operand = instruction.operand
        switch instruction.code {
        case 0x20:  // ld [k]
            guard operand < 64, operand % 4 == 0 else { throw .offset(operand) }
        case 0x00, 0x01, 0x80, 0x81, 0x07, 0x87: break  // ld/ldx #k, ld/ldx #len, tax, txa
        case 0x60, 0x61, 0x02, 0x03:  // ld/ldx M[k], st, stx
            guard operand < 16 else { throw .memory(operand) }
        case 0x04, 0x14, 0x24, 0x44, 0x54, 0xa4, 0x84: break  // add, sub, mul, or, and, xor, neg
        case 0x0c, 0x1c, 0x2c, 0x3c, 0x4c, 0x5c, 0x6c, 0x7c, 0xac: break  // the same with X, and div, lsh, rsh
        case 0x34: if operand == 0 { throw .divisionByZero(at: index) }  // div #k
        case 0x64, 0x74: if operand >= 32 { throw .shift(operand) }  // lsh, rsh #k
        case 0x05: if Int(operand) >= count - index - 1 { throw .jumpPastTheEnd(at: index) }  // ja
        case 0x15, 0x25, 0x35, 0x45, 0x1d, 0x2d, 0x3d, 0x4d:  // jeq, jgt, jge, jset; #k, x
            guard index + Int(max(instruction.ifTrue, instruction.ifFalse)) + 1 < count else {
                throw .jumpPastTheEnd(at: index)
            }
        case 0x06, 0x16: break  // ret #k, ret a
        case let code: throw .unknown(code)
        }
    }

    /// Every word of memory is stored on each way to where it is loaded.
    private func checkMemory() throws(Fault) {
        var valid: UInt16 = 0
        var arriving = [UInt16](repeating: .max, count: program.count)
        for (index, instruction) in program.enumerated() {
            valid &= arriving[index]
            switch instruction.code {
            case 0x02, 0x03: valid |= 1 << UInt16(instruction.operand)
            case 0x60, 0x61:
                if valid & 1 << UInt16(instruction.operand) == 0 { throw .neverStored(instruction.operand) }
            case 0x05:
                arriving[index + 1 + Int(instruction.operand)] &= valid
                valid = .max
            case 0x15, 0x25, 0x35, 0x45, 0x1d, 0x2d, 0x3d, 0x4d:
                arriving[index + 1 + Int(instruction.ifTrue)] &= valid
                arriving[index + 1 + Int(instruction.ifFalse)] &= valid
                valid = .max
            case _: break
            }
        }
    }

    func run(_ call: Call) -> Answer {
        var (accumulator, register) = (UInt32(0), UInt32(0))
        var memory: [UInt32] = []
        var looked: UInt16 = 0
        var index = 0
        while true {
            let instruction = program[index]
            let operand = instruction.operand
            index += 1
            switch instruction.code {
            case 0x20:
                looked |= 1 << UInt16(operand / 4)
                accumulator = call.words[Int(operand / 4)]
            case 0x00: accumulator = operand
            case 0x01: register = operand
            case 0x80: accumulator = 64  // the length of struct seccomp_data
            case 0x81: register = 64
            case 0x02, 0x03:
                if memory.isEmpty { memory = [UInt32](repeating: 0, count: 16) }
                memory[Int(operand)] = instruction.code == 0x02 ? accumulator : register
            case 0x60: accumulator = memory[Int(operand)]
            case 0x61: register = memory[Int(operand)]
            case 0x07: register = accumulator
            case 0x87: accumulator = register
            case 0x06: return Answer(action: operand, looked: looked)
            case 0x16: return Answer(action: accumulator, looked: looked)
            case 0x05: index += Int(operand)
            case let code where code & 7 == 5:
                let other = code & 8 == 0 ? operand : register
                index += Int(Self.holds(code, accumulator, other) ? instruction.ifTrue : instruction.ifFalse)
            case let code:
                let other = code & 8 == 0 ? operand : register
                // The kernel ends a filter that divides by zero with 0, which is SECCOMP_RET_KILL_THREAD.
                if code == 0x3c, other == 0 { return Answer(action: 0, looked: looked) }
                accumulator = Self.combine(code, accumulator, other)
            }
        }
    }

    private static func holds(_ code: UInt16, _ a: UInt32, _ b: UInt32) -> Bool {
        switch code & 0xf0 {
        case 0x10: a == b
        case 0x20: a > b
        case 0x30: a >= b
        case _: a & b != 0
        }
    }

    private static func combine(_ code: UInt16, _ a: UInt32, _ b: UInt32) -> UInt32 {
        switch code & 0xf0 {
        case 0x00: a &+ b
        case 0x10: a &- b
        case 0x20: a &* b
        case 0x30: a / b
        case 0x40: a | b
        case 0x50: a & b
        case 0x60: a &<< b  // of a distance the machine takes the low five bits
        case 0x70: a &>> b
        case 0x80: 0 &- a
        case _: a ^ b
        }
    }
}
