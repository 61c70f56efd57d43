/// A regular expression that matches in linear time, so that no pattern and no value can stall the agent.
///
/// Understands literals, `.`, classes, `\d \w \s` and their opposites, `^ $ \b`, groups (named ones too), `|`, and
/// `* + ? {m,n}`. What needs backtracking (look-around, back references) is refused. Searches anywhere in the text.
struct Pattern: Sendable {
    struct Problem: Error, Hashable, Sendable {
        var message: String
    }

    /// One instruction of the automaton.
    enum Instruction: Hashable, Sendable {
        case scalar(ScalarClass)
        case split(Int, Int)
        case jump(Int)
        case assertStart
        case assertEnd
        case assertBoundary(Bool)
        case accept
    }

    struct ScalarClass: Hashable, Sendable {
        var ranges: [ClosedRange<UInt32>]
        var isNegated: Bool

        func contains(_ scalar: Unicode.Scalar) -> Bool {
            ranges.contains { $0.contains(scalar.value) } != isNegated
        }
    }

    static let maximumInstructions = 10_000
    /// Instructions times scalars of one match: a fraction of a second at the worst.
    static let maximumWork = 20_000_000
    private let program: [Instruction]

    init(_ source: String) throws(Problem) {
        guard source.utf8.count <= 4_096 else { throw Problem(message: "the pattern is longer than 4096 bytes") }
        var parser = PatternParser(Array(source.unicodeScalars))
        program = try PatternCompiler.compile(try parser.parse())
    }

    /// Whether the pattern matches anywhere in the text.
    /// - Throws: `Problem` when text and pattern together are too large.
    func matches(_ text: String) throws(Problem) -> Bool {
        let scalars = Array(text.unicodeScalars)
        guard (scalars.count + 1) * program.count <= Self.maximumWork else {
            throw Problem(message: "the text is too long for this pattern")
        }
        var current = ThreadSet(capacity: program.count)
        var next = ThreadSet(capacity: program.count)
        for position in 0...scalars.count {
            add(0, at: position, scalars, to: &current)
            if current.isAccepting { return true }
            guard position < scalars.count else { return false }
            for index in current.members {
                if case .scalar(let wanted) = program[index], wanted.contains(scalars[position]) {
                    add(index + 1, at: position + 1, scalars, to: &next)
                }
            }
            swap(&current, &next)
            next.removeAll()
            if current.isAccepting { return true }
        }
        return false
    }

    private struct ThreadSet {
        var members: [Int] = []
        var isAccepting = false
        private var seen: [Bool]

        init(capacity: Int) { seen = [Bool](repeating: false, count: capacity) }

        mutating func insert(_ index: Int) -> Bool {
            guard !seen[index] else { return false }
            seen[index] = true
            members.append(index)
            return true
        }

        mutating func removeAll() {
            for index in members { seen[index] = false }
            members.removeAll(keepingCapacity: true)
            isAccepting = false
        }
    }

    private func add(_ start: Int, at position: Int, _ text: [Unicode.Scalar], to threads: inout ThreadSet) {
        var pending = [start]
        while let index = pending.popLast() {
            guard threads.insert(index) else { continue }
            switch program[index] {
            case .scalar: break
            case .accept: threads.isAccepting = true
            case .jump(let target): pending.append(target)
            case .split(let first, let second):
                pending.append(second)
                pending.append(first)
            case .assertStart: if position == 0 { pending.append(index + 1) }
            case .assertEnd: if position == text.count { pending.append(index + 1) }
            case .assertBoundary(let wanted):
                let before = position > 0 && Self.isWord(text[position - 1])
                let after = position < text.count && Self.isWord(text[position])
                if (before != after) == wanted { pending.append(index + 1) }
            }
        }
    }

    private static func isWord(_ scalar: Unicode.Scalar) -> Bool { PatternParser.word.contains(scalar) }
}
