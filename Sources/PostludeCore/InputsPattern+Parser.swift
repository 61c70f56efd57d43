/// The tree of a pattern.
indirect enum PatternNode: Hashable, Sendable {
    case empty
    case scalar(Pattern.ScalarClass)
    case start
    case end
    case boundary(Bool)
    case sequence([PatternNode])
    case choice([PatternNode])
    case repetition(PatternNode, least: Int, most: Int?)
}

struct PatternParser {
    static let digit = Pattern.ScalarClass(ranges: [0x30...0x39], isNegated: false)
    static let word = Pattern.ScalarClass(
        ranges: [0x30...0x39, 0x41...0x5a, 0x5f...0x5f, 0x61...0x7a], isNegated: false)
    static let blank = Pattern.ScalarClass(ranges: [0x09...0x0d, 0x20...0x20], isNegated: false)

    private let text: [Unicode.Scalar]
    private var position = 0
    private var depth = 0

    init(_ text: [Unicode.Scalar]) { self.text = text }

    mutating func parse() throws(Pattern.Problem) -> PatternNode {
        let node = try choice()
        guard position == text.count else { throw problem("')' without '('") }
        return node
    }

    private var current: Unicode.Scalar? { position < text.count ? text[position] : nil }

    private mutating func choice() throws(Pattern.Problem) -> PatternNode {
        depth += 1
        defer { depth -= 1 }
        guard depth <= 32 else { throw problem("more than 32 nested groups") }
        var options = [try sequence()]
        while current == "|" {
            position += 1
            options.append(try sequence())
        }
        return options.count == 1 ? options[0] : .choice(options)
    }

    private mutating func sequence() throws(Pattern.Problem) -> PatternNode {
        var items: [PatternNode] = []
        while let scalar = current, scalar != "|", scalar != ")" { items.append(try repeated()) }
        return items.isEmpty ? .empty : items.count == 1 ? items[0] : .sequence(items)
    }

    private mutating func repeated() throws(Pattern.Problem) -> PatternNode {
        var node = try atom()
        var isRepeated = false
        while let scalar = current {
            let bounds: (Int, Int?)
            switch scalar {
            case "*": bounds = (0, nil)
            case "+": bounds = (1, nil)
            case "?": bounds = (0, 1)
            case "{":
                guard let (counted, next) = try counts() else { return node }
                bounds = counted
                position = next - 1
            default: return node
            }
            position += 1
            // A lazy or possessive mark changes which match is found, not whether there is one.
            if isRepeated { throw problem("a repetition of a repetition") }
            if current == "?" { position += 1 } else if current == "+" { throw problem("a possessive repetition") }
            node = .repetition(node, least: bounds.0, most: bounds.1)
            isRepeated = true
        }
        return node
    }

    /// `{3}`, `{2,}`, `{2,5}`; nil when the brace is a plain character.
    private func counts() throws(Pattern.Problem) -> (bounds: (Int, Int?), next: Int)? {
        guard let close = text[position...].firstIndex(of: "}") else { return nil }
        var inner = String.UnicodeScalarView()
        inner.append(contentsOf: text[(position + 1)..<close])
        let parts = String(inner).split(separator: ",", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), let least = parts[0].isEmpty ? 0 : Int(parts[0]), least >= 0 else {
            return nil
        }
        var most: Int? = least
        if parts.count == 2 {
            if parts[1].isEmpty { most = nil } else if let given = Int(parts[1]) { most = given } else { return nil }
            if parts[0].isEmpty, parts[1].isEmpty { return nil }
        }
        guard least <= 1_000, most ?? 0 <= 1_000, most ?? least >= least else {
            throw problem("a repetition beyond 1000 or with its bounds reversed")
        }
        return ((least, most), close + 1)
    }

    private mutating func atom() throws(Pattern.Problem) -> PatternNode {
        guard let scalar = current else { return .empty }
        position += 1
        switch scalar {
        case "(": return try group()
        case "[": return .scalar(try set())
        case ".": return .scalar(.init(ranges: [0x0a...0x0a], isNegated: true))
        case "^": return .start
        case "$": return .end
        case "\\": return try escaped()
        case "*", "+", "?": throw problem("'\(scalar)' with nothing to repeat")
        default: return .scalar(Self.one(scalar))
        }
    }

    private mutating func group() throws(Pattern.Problem) -> PatternNode {
        if current == "?" {
            position += 1
            switch current {
            case ":": position += 1
            case "P", "<":
                if current == "P" { position += 1 }
                guard current == "<", position + 1 < text.count, text[position + 1] != "=", text[position + 1] != "!",
                    let close = text[position...].firstIndex(of: ">")
                else { throw problem("look-around or a back reference, which are not supported") }
                position = close + 1
            default: throw problem("a group of a kind that is not supported")
            }
        }
        let node = try choice()
        guard current == ")" else { throw problem("a '(' that is not closed") }
        position += 1
        return node
    }

    private mutating func escaped() throws(Pattern.Problem) -> PatternNode {
        guard let scalar = current else { throw problem("a '\\' at the end") }
        switch scalar {
        case "b", "B":
            position += 1
            return .boundary(scalar == "b")
        case "A":
            position += 1
            return .start
        case "Z", "z":
            position += 1
            return .end
        case "1"..."9": throw problem("a back reference, which is not supported")
        default: return .scalar(try classEscape())
        }
    }

    /// The class behind a backslash; the current scalar is the letter.
    private mutating func classEscape() throws(Pattern.Problem) -> Pattern.ScalarClass {
        guard let scalar = current else { throw problem("a '\\' at the end") }
        position += 1
        switch scalar {
        case "d": return Self.digit
        case "w": return Self.word
        case "s": return Self.blank
        case "D": return .init(ranges: Self.digit.ranges, isNegated: true)
        case "W": return .init(ranges: Self.word.ranges, isNegated: true)
        case "S": return .init(ranges: Self.blank.ranges, isNegated: true)
        case "n": return Self.one("\n")
        case "t": return Self.one("\t")
        case "r": return Self.one("\r")
        default:
            guard !scalar.properties.isAlphabetic, !ExpressionLexer.isDigit(scalar) else {
                throw problem("'\\\(scalar)', which is not supported")
            }
            return Self.one(scalar)
        }
    }

    private mutating func set() throws(Pattern.Problem) -> Pattern.ScalarClass {
        var ranges: [ClosedRange<UInt32>] = []
        let isNegated = current == "^"
        if isNegated { position += 1 }
        var isFirst = true
        while let scalar = current, scalar != "]" || isFirst {
            isFirst = false
            let low = try setItem(scalar, &ranges)
            guard let low else { continue }
            guard current == "-", position + 1 < text.count, text[position + 1] != "]" else {
                ranges.append(low...low)
                continue
            }
            position += 1
            guard let last = current, let high = try setItem(last, &ranges), high >= low else {
                throw problem("a range with its ends reversed")
            }
            ranges.append(low...high)
        }
        guard current == "]" else { throw problem("a '[' that is not closed") }
        position += 1
        return .init(ranges: ranges, isNegated: isNegated)
    }

    /// One scalar of a set; nil when it was a class such as `\d`, which is added to the ranges.
    private mutating func setItem(
        _ scalar: Unicode.Scalar, _ ranges: inout [ClosedRange<UInt32>]
    )
        throws(Pattern.Problem) -> UInt32?
    {
        position += 1
        guard scalar == "\\" else { return scalar.value }
        let escape = try classEscape()
        if !escape.isNegated, escape.ranges.count == 1, escape.ranges[0].count == 1 {
            return escape.ranges[0].lowerBound
        }
        guard !escape.isNegated else { throw problem("an opposite such as \\D inside [ ]") }
        ranges += escape.ranges
        return nil
    }

    private static func one(_ scalar: Unicode.Scalar) -> Pattern.ScalarClass {
        .init(ranges: [scalar.value...scalar.value], isNegated: false)
    }

    private func problem(_ what: String) -> Pattern.Problem { Pattern.Problem(message: "the pattern has \(what)") }
}

enum PatternCompiler {
    static func compile(_ node: PatternNode) throws(Pattern.Problem) -> [Pattern.Instruction] {
        var program: [Pattern.Instruction] = []
        try emit(node, &program)
        program.append(.accept)
        return program
    }

    private static func emit(_ node: PatternNode, _ program: inout [Pattern.Instruction]) throws(Pattern.Problem) {
        guard program.count < Pattern.maximumInstructions else {
            throw Pattern.Problem(message: "the pattern is too large")
        }
        switch node {
        case .empty: break
        case .scalar(let scalars): program.append(.scalar(scalars))
        case .start: program.append(.assertStart)
        case .end: program.append(.assertEnd)
        case .boundary(let wanted): program.append(.assertBoundary(wanted))
        case .sequence(let nodes): for node in nodes { try emit(node, &program) }
        case .choice(let options): try emit(options[...], &program)
        case .repetition(let inner, let least, let most):
            for _ in 0..<least { try emit(inner, &program) }
            guard let most else {
                let start = program.count
                program.append(.jump(0))
                try emit(inner, &program)
                program.append(.jump(start))
                program[start] = .split(start + 1, program.count)
                return
            }
            var skips: [Int] = []
            for _ in 0..<max(0, most - least) {
                skips.append(program.count)
                program.append(.jump(0))
                try emit(inner, &program)
            }
            for skip in skips { program[skip] = .split(skip + 1, program.count) }
        }
    }

    private static func emit(
        _ options: ArraySlice<PatternNode>, _ program: inout [Pattern.Instruction]
    )
        throws(Pattern.Problem)
    {
        guard let first = options.first else { return }
        guard options.count > 1 else { return try emit(first, &program) }
        let split = program.count
        program.append(.jump(0))
        try emit(first, &program)
        let end = program.count
        program.append(.jump(0))
        program[split] = .split(split + 1, program.count)
        try emit(options.dropFirst(), &program)
        program[end] = .jump(program.count)
    }
}
