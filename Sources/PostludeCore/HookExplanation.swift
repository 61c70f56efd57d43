/// How one hook came to its outcome, step by step: stored with the outcome, and what `postlude explain` shows.
public struct HookExplanation: Hashable, Sendable, Codable {
    public var trigger: Hook.Trigger
    /// Main's final status, which the trigger was compared with.
    public var status: RunStatus
    public var triggerMatches: Bool
    /// nil when the hook has no condition.
    public var condition: Condition?
    /// Params as resolved, as JSON, cut where they are long; empty when the hook did not come that far.
    public var params: [String: String]
    /// What was wrong, each with its place where it has one.
    public var errors: [Diagnostic]

    public init(
        trigger: Hook.Trigger, status: RunStatus, triggerMatches: Bool, condition: Condition? = nil,
        params: [String: String] = [:], errors: [Diagnostic] = []
    ) {
        self.trigger = trigger
        self.status = status
        self.triggerMatches = triggerMatches
        self.condition = condition
        self.params = params
        self.errors = errors
    }

    public struct Condition: Hashable, Sendable, Codable {
        /// As written.
        public var source: String
        public var place: SourcePlace?
        /// What it reads, in the order of the text; empty when it was not evaluated.
        public var operands: [Operand]
        /// nil when it was not evaluated, because the trigger did not match, or had no truth value.
        public var holds: Bool?

        public init(source: String, place: SourcePlace? = nil, operands: [Operand] = [], holds: Bool? = nil) {
            self.source = source
            self.place = place
            self.operands = operands
            self.holds = holds
        }

        /// The condition as written, with the values of what it reads.
        var words: String {
            let known = operands.compactMap { operand in
                operand.value.map { "\(operand.expression) = \($0.unicodeScalars.count > 80 ? "..." : $0)" }
            }
            return known.isEmpty ? source : "\(source) with \(known.joined(separator: ", "))"
        }
    }

    /// A name or path that a condition reads.
    public struct Operand: Hashable, Sendable, Codable {
        /// As `loss` or `globals.main.exit_code`.
        public var expression: String
        /// As JSON, cut where it is long; nil when there is no such thing.
        public var value: String?

        public init(_ expression: String, _ value: String?) {
            self.expression = expression
            self.value = value
        }
    }

    /// A value as explanations show it.
    static func shown(_ value: Value, limit: Int = 200) -> String {
        do {
            let text = try value.json()
            return text.unicodeScalars.count > limit ? String(text.unicodeScalars.prefix(limit)) + "..." : text
        } catch {
            return value.typeName
        }
    }
}
