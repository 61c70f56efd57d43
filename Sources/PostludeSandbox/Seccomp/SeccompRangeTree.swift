/// Puts the answers that depend on nothing but the number before everything else, as a search tree over ranges of
/// numbers. The kernel walks a filter once for each number when it is installed, and translates every instruction: a
/// tree over some fifty ranges installs in half the time of a list of three hundred calls.
struct SeccompRangeTree {
    /// Numbers from `first` on; nil where the answer depends on the arguments.
    struct Segment: Hashable {
        var first: UInt32
        var answer: UInt32?
    }

    let segments: [Segment]

    /// Asks a complete program about every number up to `highest` and the first above.
    ///
    /// - Returns: nil when the program is not of the known form.
    init?(of program: [SeccompProgram.Instruction], highest: UInt32, architecture: UInt32) {
        var segments: [Segment] = []
        for number in 0...(highest + 1) {
            guard let outcome = Self.answer(of: program, to: number, architecture: architecture) else { return nil }
            let answer = outcome.constant
            if segments.last?.answer != answer || segments.isEmpty {
                segments.append(.init(first: number, answer: answer))
            }
        }
        // From here on x86-64 has the numbers of x32, which the program itself refuses.
        segments.append(Segment(first: 0x4000_0000, answer: nil))
        self.segments = segments
    }

    /// The tree, whose open ends go on to `rest`; nil when it needs longer jumps than there are.
    func instructions(
        architecture: UInt32, before rest: [SeccompProgram.Instruction]
    ) -> [SeccompProgram.Instruction]? {
        let tree = emit(segments[...])
        guard let tree else { return nil }
        let head: [SeccompProgram.Instruction] = [
            .init(BPF.loadWord, 4),  // arch
            .init(BPF.jumpIfEqual, architecture, ifTrue: 1, ifFalse: 0),
            .init(BPF.returnConstant, SeccompCompiler.code(.killProcess)),
            .init(BPF.loadWord, 0),  // nr
        ]
        var all = head + tree
        let end = all.count
        for index in all.indices where all[index].code == BPF.jump {
            all[index].operand = UInt32(end - index - 1)
        }
        return all + rest
    }

    private func emit(_ part: ArraySlice<Segment>) -> [SeccompProgram.Instruction]? {
        guard part.count > 1 else {
            guard let answer = part.first?.answer else { return [.init(BPF.jump, 0)] }
            return [.init(BPF.returnConstant, answer)]
        }
        let middle = part.startIndex + part.count / 2
        guard let left = emit(part[..<middle]), let right = emit(part[middle...]), left.count <= 255 else { return nil }
        let node = SeccompProgram.Instruction(
            BPF.jumpIfGreaterOrEqual, part[middle].first, ifTrue: UInt8(left.count), ifFalse: 0)
        return [node] + left + right
    }

    /// What a program says to a number, whatever the arguments.
    private enum Outcome {
        case constant(UInt32)
        case depends

        var constant: UInt32? {
            switch self {
            case .constant(let answer): answer
            case .depends: nil
            }
        }
    }

    private static func answer(
        of program: [SeccompProgram.Instruction], to number: UInt32, architecture: UInt32
    ) -> Outcome? {
        var accumulator: UInt32 = 0
        var index = 0
        while program.indices.contains(index) {
            let instruction = program[index]
            let operand = instruction.operand
            index += 1
            let holds: Bool
            switch instruction.code {
            case BPF.loadWord:
                guard operand < 16 else { return .depends }
                accumulator = operand == 0 ? number : operand == 4 ? architecture : 0
                continue
            case BPF.returnConstant: return .constant(operand)
            case BPF.jump:
                index += Int(operand)
                continue
            case BPF.and:
                accumulator &= operand
                continue
            case BPF.jumpIfEqual: holds = accumulator == operand
            case BPF.jumpIfGreater: holds = accumulator > operand
            case BPF.jumpIfGreaterOrEqual: holds = accumulator >= operand
            case BPF.jumpIfSet: holds = accumulator & operand != 0
            case _: return nil
            }
            index += Int(holds ? instruction.ifTrue : instruction.ifFalse)
        }
        return nil
    }
}
