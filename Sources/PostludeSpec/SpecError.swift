import PostludeCore

/// Why a file of the installation (a profile, a component of the hub, the configuration) cannot be used.
public struct SpecError: Error, Hashable, Sendable, CustomStringConvertible {
    /// At least one error, in the order of the file.
    public var diagnostics: [Diagnostic]

    public init(_ diagnostics: [Diagnostic]) { self.diagnostics = diagnostics }

    init(_ code: String, _ message: String, hint: String, at place: SourcePlace? = nil) {
        diagnostics = [Diagnostic(.error, code, message, hint: hint, at: place)]
    }

    /// Stable, such as `spec.unknown-key`.
    public var code: String { diagnostics.first?.code ?? "spec.invalid" }
    public var message: String { diagnostics.first?.message ?? "The file is not valid." }
    public var hint: String? { diagnostics.first?.hint }

    public var description: String {
        diagnostics.map { DiagnosticText.line($0) }.joined(separator: "\n")
    }
}
