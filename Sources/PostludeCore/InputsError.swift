/// Why a run cannot be compiled: every problem of its inputs, params and templates at once.
public struct InputError: Error, Hashable, Sendable, CustomStringConvertible {
    /// At least one, all of them errors, in the order of the file.
    public var diagnostics: [Diagnostic]

    public init(_ diagnostics: [Diagnostic]) {
        self.diagnostics =
            diagnostics.isEmpty ? [Diagnostic(.error, "inputs.invalid", "The inputs are not valid.")] : diagnostics
    }

    init(_ error: ExpressionError) { self.init([error.diagnostic]) }

    public var code: String { diagnostics.first?.code ?? "inputs.invalid" }
    public var message: String { diagnostics.map(\.message).joined(separator: " ") }
    public var hint: String? { diagnostics.lazy.compactMap(\.hint).first }

    public var description: String {
        diagnostics.map { finding in
            let place = finding.place.map { "\($0): " } ?? ""
            return place + finding.message + (finding.hint.map { " (\($0))" } ?? "")
        }.joined(separator: "\n")
    }
}
