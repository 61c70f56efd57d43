/// What runs are searched by, in Polyaxon's query language, as a file says it: `metrics.loss: <0.3, status: succeeded`.
///
/// Fields and operators are the file's; templates stand for values alone. So what a value contains never becomes another
/// condition (P5).
public struct RunQuery: Hashable, Sendable {
    /// Conditions that a query may have.
    public static let maxConditions = 64
    /// Values that one condition may name: a search holds each of a user's runs against them.
    public static let maxValues = 1_000
    /// UTF-8 bytes of a query.
    public static let maxBytes = 64 << 10

    /// All of them must hold.
    var conditions: [Condition]

    struct Condition: Hashable, Sendable {
        var field: RunField
        /// As written, for messages.
        var name: String
        var isNegated: Bool
        var test: Test
    }

    enum Test: Hashable, Sendable {
        case missing
        case oneOf([Operand])
        case compare(Comparison, Operand)
        case range(Operand, Operand)
    }

    enum Comparison: String, Hashable, Sendable, CaseIterable {
        // The longer ones first, as the parser looks for them.
        case lessOrEqual = "<="
        case greaterOrEqual = ">="
        case less = "<"
        case greater = ">"
    }

    /// A value's text, with where it starts in the query.
    struct Operand: Hashable, Sendable {
        var template: Template
        var offset: Int
    }

    /// What is wrong with a query or a sort order, and where in its text.
    public struct Problem: Error, Hashable, Sendable {
        /// `join.syntax`, `join.unknown-field`, `join.unsupported-field`, `join.wrong-operator` or `join.wrong-value`.
        public var code: String
        public var message: String
        public var hint: String
        /// Unicode scalars from the start of the text.
        public var offset: Int

        init(_ code: String, _ message: String, hint: String, at offset: Int) {
            self.code = "join.\(code)"
            self.message = message
            self.hint = hint
            self.offset = offset
        }

        public func diagnostic(in template: Template) -> Diagnostic {
            Diagnostic(.error, code, message, hint: hint, at: template.place(at: offset))
        }
    }

    /// - Throws: `InputError` with what is wrong and where; the values that are no templates are looked at too.
    public static func parse(_ template: Template) throws(InputError) -> RunQuery {
        do throws(ExpressionError) { try Rendering.check(template) } catch { throw InputError(error) }
        do throws(Problem) {
            var parser = RunQueryParser(template)
            let query = RunQuery(conditions: try parser.conditions())
            for condition in query.conditions { try condition.checkWritten() }
            return query
        } catch {
            throw InputError([error.diagnostic(in: template)])
        }
    }
}

extension RunField {
    /// - Throws: `Problem` for a name that is no field, or one that cannot be asked about.
    static func named(_ name: String, at offset: Int) throws(RunQuery.Problem) -> RunField {
        if let field = RunField(name) { return field }
        if let hint = unsupported[name] {
            throw RunQuery.Problem(
                "unsupported-field", "Runs cannot be searched by '\(name)'.", hint: hint, at: offset)
        }
        let known = names.filter { !$0.hasSuffix(".NAME") }
        let prefixes = ["metrics", "outputs", "inputs"]
        let head = String(name.prefix { $0 != "." })
        var hint = Suggestion.hint(for: name, among: known)
        if let prefix = Suggestion.closest(to: head, among: prefixes) ?? (prefixes.contains(head) ? head : nil) {
            hint = hint ?? "Did you mean '\(prefix).NAME'?"
        }
        throw RunQuery.Problem(
            "unknown-field", "Runs have no field '\(name)'.",
            hint: hint ?? "Fields are \(names.joined(separator: ", ")).", at: offset)
    }
}

/// Takes a query apart. Total: each text is a query, or has a problem with a place.
struct RunQueryParser {
    private let scalars: [Unicode.Scalar]
    /// What belongs to an expression in braces, where no separator is one.
    private var isOpaque: [Bool]
    /// Of each scalar; empty where nobody knows.
    private let places: [SourcePlace]

    init(_ template: Template) {
        scalars = Array(template.source.unicodeScalars)
        places = Self.places(of: scalars, template.place)
        isOpaque = Array(repeating: false, count: scalars.count)
        do throws(ExpressionError) {
            for case .expression(let expression, let offset) in try Rendering.parts(of: template) {
                let end = min(scalars.count, offset + expression.source.unicodeScalars.count + 2)
                for index in max(0, offset - 2)..<end { isOpaque[index] = true }
            }
        } catch {
            // Braces that do not close are text like any other; whoever renders the template says what is wrong with it.
            isOpaque = Array(repeating: false, count: scalars.count)
        }
    }

    mutating func conditions() throws(RunQuery.Problem) -> [RunQuery.Condition] {
        guard scalars.count <= RunQuery.maxBytes else {
            throw RunQuery.Problem(
                "syntax", "The query is longer than \(RunQuery.maxBytes >> 10) KiB.",
                hint: "Give the values by a param that is a list.", at: 0)
        }
        let parts = split(scalars.indices, at: ",")
        guard parts.count <= RunQuery.maxConditions else {
            throw RunQuery.Problem(
                "syntax", "The query has \(parts.count) conditions; \(RunQuery.maxConditions) are allowed.",
                hint: "Give the runs a tag, and search for that.", at: parts[RunQuery.maxConditions].lowerBound)
        }
        var conditions: [RunQuery.Condition] = []
        for part in parts { conditions.append(try condition(trimmed(part))) }
        return conditions
    }

    private func condition(_ range: Range<Int>) throws(RunQuery.Problem) -> RunQuery.Condition {
        guard !range.isEmpty else {
            throw RunQuery.Problem(
                "syntax", "A condition is missing here.", hint: "Write field: value; conditions are parted by commas.",
                at: range.lowerBound)
        }
        guard let colon = range.first(where: { scalars[$0] == ":" && !isOpaque[$0] }) else {
            let isTemplate = range.contains { isOpaque[$0] }
            throw RunQuery.Problem(
                "syntax", "'\(text(range).prefix(64))' is no condition: there is no colon.",
                hint: isTemplate
                    ? "A template stands for a value alone; write the field and the operator."
                    : "Write field: value, as in status: succeeded.", at: range.lowerBound)
        }
        let name = trimmed(range.lowerBound..<colon)
        if let template = name.first(where: { isOpaque[$0] }) {
            throw RunQuery.Problem(
                "syntax", "A template cannot stand for a field.", hint: "Write the field's name.", at: template)
        }
        let field = try RunField.named(text(name), at: name.lowerBound)
        var rest = trimmed(colon + 1..<range.upperBound)
        var isNegated = false
        if let first = rest.first, scalars[first] == "~" {
            isNegated = true
            rest = trimmed(first + 1..<rest.upperBound)
        }
        guard !rest.isEmpty else {
            throw RunQuery.Problem(
                "syntax", "The condition on '\(text(name))' has no value.",
                hint: "Write field: value, or field: nil for runs that have none.", at: range.upperBound)
        }
        let test = try test(rest, of: field, named: text(name))
        return RunQuery.Condition(field: field, name: text(name), isNegated: isNegated, test: test)
    }

    private func test(
        _ range: Range<Int>, of field: RunField, named name: String
    ) throws(RunQuery.Problem) -> RunQuery.Test {
        if text(range) == "nil" { return .missing }
        let isOrdered = field.nature == .number || field.nature == .time || field.nature == .any
        for comparison in RunQuery.Comparison.allCases where starts(range, with: comparison.rawValue) {
            guard isOrdered else {
                throw RunQuery.Problem(
                    "wrong-operator", "'\(name)' is a text, which `\(comparison.rawValue)` cannot compare.",
                    hint: "Write \(name): value, ~value, or a | b.", at: range.lowerBound)
            }
            return .compare(comparison, try operand(range.dropFirst(comparison.rawValue.utf8.count), of: name))
        }
        if scalars[range.lowerBound] == "=" || scalars[range.lowerBound] == "!" {
            throw RunQuery.Problem(
                "syntax", "There is no operator `\(scalars[range.lowerBound])`.",
                hint: "Write \(name): value, or \(name): ~value for all others.", at: range.lowerBound)
        }
        if isOrdered, let dots = dots(range, needBlanks: field.nature == .any) {
            return .range(
                try operand(range.lowerBound..<dots, of: name), try operand(dots + 2..<range.upperBound, of: name))
        }
        var operands: [RunQuery.Operand] = []
        for part in split(range, at: "|") { operands.append(try operand(part, of: name)) }
        return .oneOf(operands)
    }

    private func operand(_ range: Range<Int>, of name: String) throws(RunQuery.Problem) -> RunQuery.Operand {
        let range = trimmed(range)
        guard !range.isEmpty else {
            throw RunQuery.Problem(
                "syntax", "A value of '\(name)' is missing here.", hint: "Write one on each side of the operator.",
                at: range.lowerBound)
        }
        // A template of its own, so that one expression alone keeps its type and errors have their place.
        let place = places.isEmpty ? nil : places[range.lowerBound]
        return RunQuery.Operand(template: Template(text(range), at: place), offset: range.lowerBound)
    }

    // MARK: Scalars

    /// As `Template.place(at:)`, for all of them at once: a query may have as many values as scalars.
    private static func places(of scalars: [Unicode.Scalar], _ start: SourcePlace?) -> [SourcePlace] {
        guard var place = start, scalars.count <= RunQuery.maxBytes else { return [] }
        let column = place.column
        return scalars.map { scalar in
            defer { place.step(over: scalar, linesFrom: column) }
            return place
        }
    }

    /// Where ` .. ` is; what is behind a colon of `any` may be a path.
    private func dots(_ range: Range<Int>, needBlanks: Bool) -> Int? {
        range.dropLast().first { index in
            guard scalars[index] == ".", scalars[index + 1] == ".", !isOpaque[index], !isOpaque[index + 1] else {
                return false
            }
            return !needBlanks
                || (index > range.lowerBound && isBlank(index - 1) && index + 2 < range.upperBound
                    && isBlank(index + 2))
        }
    }

    private func starts(_ range: Range<Int>, with text: String) -> Bool {
        let wanted = Array(text.unicodeScalars)
        guard range.count >= wanted.count else { return false }
        return wanted.indices.allSatisfy {
            scalars[range.lowerBound + $0] == wanted[$0] && !isOpaque[range.lowerBound + $0]
        }
    }

    private func split(_ range: Range<Int>, at separator: Unicode.Scalar) -> [Range<Int>] {
        var parts: [Range<Int>] = []
        var start = range.lowerBound
        for index in range where scalars[index] == separator && !isOpaque[index] {
            parts.append(start..<index)
            start = index + 1
        }
        return parts + [start..<range.upperBound]
    }

    private func trimmed(_ range: Range<Int>) -> Range<Int> {
        var (start, end) = (range.lowerBound, range.upperBound)
        while start < end, isBlank(start) { start += 1 }
        while end > start, isBlank(end - 1) { end -= 1 }
        return start..<end
    }

    private func isBlank(_ index: Int) -> Bool { scalars[index].properties.isWhitespace }

    private func text(_ range: Range<Int>) -> String {
        var text = String.UnicodeScalarView()
        text.append(contentsOf: scalars[range])
        return String(text)
    }
}
