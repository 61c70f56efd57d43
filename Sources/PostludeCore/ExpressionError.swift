/// What is wrong with an expression or a template, and where in it.
public struct ExpressionError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Stable, such as `expression.unknown-name`.
    public var code: String
    public var message: String
    /// What the reader can do about it.
    public var hint: String?
    /// Unicode scalars from the start of the expression, or of the template once `Rendering` has seen it.
    public var offset: Int
    /// The place in the user's file, when the template knows where it came from.
    public var place: SourcePlace?

    public init(_ code: String, _ message: String, hint: String? = nil, offset: Int = 0, place: SourcePlace? = nil) {
        self.code = code
        self.message = message
        self.hint = hint
        self.offset = offset
        self.place = place
    }

    /// `file:line:column: message`, without the place when it is not known.
    public var description: String {
        let text = place.map { "\($0): \(message)" } ?? message
        return hint.map { "\(text) (\($0))" } ?? text
    }

    public var diagnostic: Diagnostic { Diagnostic(.error, code, message, hint: hint, at: place) }

    /// Whether the error says that something is not there, which the filter `default` answers.
    var isAbsence: Bool {
        code == Self.unknownName || code == Self.unknownKey || code == Self.indexOutOfRange
    }

    static let unknownName = "expression.unknown-name"
    static let unknownKey = "expression.unknown-key"
    static let indexOutOfRange = "expression.index-out-of-range"

    static func syntax(_ message: String, hint: String? = nil, at offset: Int) -> ExpressionError {
        ExpressionError("expression.syntax", message, hint: hint, offset: offset)
    }

    static func unsupported(_ what: String, hint: String, at offset: Int) -> ExpressionError {
        ExpressionError(
            "expression.unsupported", "\(what) is not supported in expressions.", hint: hint, offset: offset)
    }

    static func mismatch(_ message: String, hint: String? = nil, at offset: Int) -> ExpressionError {
        ExpressionError(
            "expression.type-mismatch", message, hint: hint ?? "Convert with `| int`, `| float` or `| string` first.",
            offset: offset)
    }

    static func overflow(_ what: String, at offset: Int) -> ExpressionError {
        ExpressionError(
            "expression.overflow", "\(what) does not fit.",
            hint: "Integers have 64 bits and floats must stay finite; use smaller numbers.", offset: offset)
    }

    static func tooLarge(_ what: String, at offset: Int) -> ExpressionError {
        ExpressionError(
            "expression.too-large", "\(what) is larger than an expression may make it.",
            hint: "Compute it in a program of the job instead.", offset: offset)
    }
}

/// Bounds that keep every expression total and cheap, whatever it says and whatever data it meets.
public enum ExpressionLimits {
    /// UTF-8 bytes of one template.
    public static let templateBytes = 1 << 20
    /// Unicode scalars of one expression.
    public static let sourceLength = 16_384
    /// Nested parentheses, lists, indices and conditions.
    public static let depth = 64
    /// Levels of the tree, to which each operator and filter of a chain adds one.
    public static let treeHeight = 256
    /// Nodes of one expression's tree.
    public static let nodes = 4_096
    /// UTF-8 bytes of a string that an expression makes.
    public static let resultBytes = 1 << 20
    /// Items of a list that an expression makes.
    public static let resultItems = 100_000
    /// Nested lists and dictionaries that can be written as text.
    public static let valueDepth = 256
    /// What the expressions of one template (or one param) make and read together: bytes of text, and 32 for each item
    /// of a list or dictionary. Each step alone may make `resultBytes`, and a template has room for many steps.
    public static let work = 64 << 20
}

/// What is left of `ExpressionLimits.work`.
struct ExpressionBudget {
    private var left = ExpressionLimits.work

    mutating func spend(_ value: Value, at offset: Int) throws(ExpressionError) {
        switch value {
        case .null, .bool, .int, .double: left -= 1
        case .string(let text): left -= text.utf8.count
        case .list(let items): left -= 32 * items.count
        case .dict(let entries): left -= 32 * entries.count
        }
        guard left >= 0 else { throw .tooLarge("What the expressions work on", at: offset) }
    }
}
