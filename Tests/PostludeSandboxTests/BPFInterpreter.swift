@testable import PostludeSandbox

/// A machine for the classic BPF that seccomp uses, written from the manual page bpf(4) and linux/filter.h: what the
/// kernel would answer, without a kernel.
struct BPFInterpreter {
    struct Call: Hashable {
        var number: UInt32
        var architecture: UInt32
        var arguments: [UInt64]
    }

    enum Fault: Error, Hashable {
        case pastTheEnd
        case unknown(UInt16)
        case unaligned(UInt32)
    }

    let program: [SeccompProgram.Instruction]

    func run(_ call: Call) throws -> UInt32 {
        var accumulator: UInt32 = 0
        var index: UInt32 = 0
        var memory = [UInt32](repeating: 0, count: 16)
        var register: UInt32 = 0
        while Int(index) < program.count {
            let instruction = program[Int(index)]
            let operand = instruction.operand
            index += 1
            func branch(_ holds: Bool) { index += UInt32(holds ? instruction.ifTrue : instruction.ifFalse) }
            switch instruction.code {
            case 0x20: accumulator = try word(operand, of: call)  // ld [k]
            case 0x00: accumulator = operand  // ld #k
            case 0x02: memory[Int(operand & 15)] = accumulator  // st
            case 0x60: accumulator = memory[Int(operand & 15)]  // ld M[k]
            case 0x07: register = accumulator  // tax
            case 0x87: accumulator = register  // txa
            case 0x54: accumulator &= operand
            case 0x44: accumulator |= operand
            case 0x05: index += operand  // ja
            case 0x15: branch(accumulator == operand)
            case 0x25: branch(accumulator > operand)
            case 0x35: branch(accumulator >= operand)
            case 0x45: branch(accumulator & operand != 0)
            case 0x06: return operand  // ret #k
            case let code: throw Fault.unknown(code)
            }
        }
        throw Fault.pastTheEnd
    }

    /// struct seccomp_data: int nr, u32 arch, u64 instruction pointer, u64 args[6].
    private func word(_ offset: UInt32, of call: Call) throws -> UInt32 {
        guard offset % 4 == 0, offset < 64 else { throw Fault.unaligned(offset) }
        switch offset {
        case 0: return call.number
        case 4: return call.architecture
        case 8, 12: return 0
        case _:
            let argument = call.arguments[Int(offset - 16) / 8]
            return UInt32(truncatingIfNeeded: offset % 8 == 0 ? argument : argument >> 32)
        }
    }
}
