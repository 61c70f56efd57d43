import PostludeCore
import PostludeSpec

/// The YAML front end: a file is read, checked and compiled, or each complaint has a place in it.
enum SpecTarget {
    private static let file = "polyaxonfile.yaml"
    private static let profiles: Set<String> = ["main", "hook", "notifier"]

    static func run(_ input: [UInt8]) {
        let text: String
        switch SourceText.decode(input, path: file) {
        case .success(let decoded): text = decoded
        case .failure(let error):
            for diagnostic in error.diagnostics { check(diagnostic, lines(String(decoding: input, as: UTF8.self))) }
            return
        }
        let lines = lines(text)
        let submission = Submission(
            path: file, text: text, references: ["other.yaml": text], workingDirectory: "/home/user")
        let (operation, diagnostics) = OperationReader.read(submission, hub: .empty, profiles: profiles)
        for diagnostic in diagnostics { check(diagnostic, lines) }
        let hasErrors = diagnostics.contains { $0.severity == .error }
        Fuzz.demand((operation == nil) == hasErrors, "there is an operation in spite of errors, or none without")
        let again = OperationReader.read(submission, hub: .empty, profiles: profiles)
        Fuzz.demand(again.operation == operation && again.diagnostics == diagnostics, "reading twice differs")
        for reference in OperationReader.references(in: text, path: file) {
            Fuzz.demand(text.utf8.count >= reference.utf8.count, "a reference is longer than the file")
        }
    }

    /// Scalars per line.
    private static func lines(_ text: String) -> [Int] {
        text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false).map(\.count)
    }

    /// A place may be just behind the end of a line or of the file, where something is missing.
    private static func check(_ diagnostic: Diagnostic, _ lines: [Int]) {
        Fuzz.demand(!diagnostic.code.isEmpty && !diagnostic.message.isEmpty, "a diagnostic says nothing")
        guard let place = diagnostic.place else { return }
        Fuzz.demand(place.line >= 1 && place.column >= 1, "a place before the file: \(diagnostic)")
        Fuzz.demand(place.line <= lines.count + 1, "a line behind the file of \(lines.count): \(diagnostic)")
        let width = place.line <= lines.count ? lines[place.line - 1] : 0
        Fuzz.demand(place.column <= width + 1, "a column behind the line of \(width): \(diagnostic)")
    }
}
