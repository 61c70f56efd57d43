import Foundation
import PostludeCore
import Testing

@testable import PostludeSpec

/// Operation files of public repositories and of Polyaxon's documentation, with what Polyaxon 2.18.0 said to each.
@Suite struct CorpusTests {
    struct Row {
        var file: String
        var repository: String
        var path: String
        var features: String
        var verdict: String
    }

    static func rows() throws -> [Row] {
        let lines = try Files.text(Files.corpus.appendingPathComponent("index.tsv")).split(separator: "\n")
        return lines.dropFirst().map { line in
            let cells = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
            return Row(file: cells[0], repository: cells[1], path: cells[2], features: cells[6], verdict: cells[7])
        }
    }

    /// Files that Polyaxon rejects and Postlude takes, each by an extension.
    static let extensions: [String: String] = [:]

    /// Files that Polyaxon accepts and Postlude refuses for a reason of its own.
    static let differences: [String: (code: String, reason: String)] = [
        "polyaxon_cli__cli__tests__fixtures__plain__job_file_with_environment.yml": (
            "spec.invalid-value", "asks for 200 bytes of memory, with which nothing starts"
        ),
        "polyaxon_cli__cli__tests__fixtures__pipelines__simple_parallel_pipeline.yml": (
            "spec.invalid-value", "asks for 1024 bytes of memory, with which nothing starts"
        ),
        "polyaxon_cli__cli__tests__fixtures__pipelines__matrix_file_early_stopping.yml": (
            "spec.conflict", "names a component of the hub and writes another, of which one would be ignored"
        ),
        "doc_docs__scheduling__scheduling-strategies__conditional-scheduling__09.yaml": (
            "expression.not-a-condition", "a condition without braces, which could never be decided"
        ),
    ]

    /// Findings that need no further explanation in a file that Polyaxon accepts.
    static let explained: [String: String] = [
        "spec.unsupported-feature": "out of scope, refused by the feature's name",
        "spec.unknown-component": "names a component that this hub does not have",
        "inputs.missing": "needs params",
        "spec.nothing-to-run": "a fragment with nothing to run, as in Polyaxon",
        "spec.no-run-to-patch": "a fragment with nothing to run, as in Polyaxon",
        "spec.unknown-preset": "names a preset that this site does not have",
        "spec.unreadable-reference": "names a file that is not part of the corpus",
    ]

    /// The features that the README's table of what is refused names.
    static func documented() throws -> Set<String> {
        let readme = Files.profiles.deletingLastPathComponent().appendingPathComponent("README.md")
        let lines = try Files.text(readme).split(separator: "\n")
        let table = lines.drop { !$0.hasPrefix("| refused | why |") }.prefix { $0.hasPrefix("|") }
        return Set(
            table.dropFirst(2).flatMap { line in
                let cell = line.split(separator: "|").first ?? ""
                return cell.split(separator: "`").map(String.init).filter { $0.contains { $0.isLetter } }
            })
    }

    /// The files a `pathRef` names, where the corpus has them.
    static func references(of row: Row, _ text: String) throws -> [String: String] {
        var found: [String: String] = [:]
        for reference in OperationReader.references(in: text, path: row.file) {
            let target = URL(fileURLWithPath: "/" + row.path).deletingLastPathComponent().appendingPathComponent(
                reference
            )
            .standardizedFileURL.path.dropFirst()
            let flat = (row.repository + "/" + target).replacingOccurrences(of: "/", with: "__")
                .replacingOccurrences(
                    of: row.repository.replacingOccurrences(of: "/", with: "__"),
                    with: row.repository.replacingOccurrences(of: "/", with: "_"))
            let url = Files.corpus.appendingPathComponent(flat)
            if FileManager.default.fileExists(atPath: url.path) { found[reference] = try Files.text(url) }
        }
        return found
    }

    @Test func `every file of the corpus is parsed, or refused for a reason that has a name`() throws {
        var counts: [String: Int] = [:]
        var features: [String: Int] = [:]
        var unexplained: [String] = []
        let hub = try Reading.hub()
        let rows = try Self.rows()
        for row in rows {
            let text = try Files.text(Files.corpus.appendingPathComponent(row.file))
            var submission = Reading.submission(text, path: row.file)
            submission.references = try Self.references(of: row, text)
            let sources = SpecSources(hub: hub, profiles: Reading.profiles)
            if let found = OperationReader.checkPreset(submission, from: sources) {
                // Nothing runs by itself, and nothing in it is wrong.
                let wrong = found.filter { $0.severity == .error }
                if !wrong.isEmpty { unexplained.append("\(row.file): \(wrong)") }
                counts["\(row.verdict): a preset, parsed", default: 0] += 1
                continue
            }
            let (operation, diagnostics) = OperationReader.read(submission, from: sources)
            let errors = diagnostics.filter { $0.severity == .error }
            for error in errors {
                #expect(error.place != nil && error.hint?.isEmpty == false, "\(DiagnosticText.line(error))")
            }
            #expect((operation == nil) == !errors.isEmpty)
            let isAccepted = row.verdict != "reject"
            switch (isAccepted, operation != nil) {
            case (true, true): counts["\(row.verdict): parsed", default: 0] += 1
            case (true, false):
                for error in errors where error.code == "spec.unsupported-feature" {
                    features[String(error.message.split(separator: "`").first ?? ""), default: 0] += 1
                }
                if let difference = Self.differences[row.file] {
                    #expect(errors.contains { $0.code == difference.code })
                    counts["\(row.verdict): refused, \(difference.reason)", default: 0] += 1
                    continue
                }
                let reasons = Set(errors.map { Self.explained[$0.code] ?? "UNEXPLAINED" })
                if reasons.contains("UNEXPLAINED") {
                    unexplained.append(
                        "\(row.file) (\(row.verdict)):\n"
                            + errors.map { "  " + DiagnosticText.line($0) }.joined(separator: "\n"))
                }
                let reason = Self.explained.keys.sorted(by: >).first { code in errors.contains { $0.code == code } }
                counts["\(row.verdict): \(reason.flatMap { Self.explained[$0] } ?? "UNEXPLAINED")", default: 0] += 1
            case (false, false): counts["reject: refused as well", default: 0] += 1
            case (false, true):
                if let reason = Self.extensions[row.file] {
                    counts["reject: accepted, \(reason)", default: 0] += 1
                } else {
                    unexplained.append("\(row.file): Polyaxon rejects it, Postlude does not")
                }
            }
        }
        let documented = try Self.documented()
        let undocumented = features.keys.filter { !documented.contains($0) }
        #expect(undocumented.isEmpty, "not in the README's table of what is refused: \(undocumented.sorted())")
        for (what, count) in counts.sorted(by: { $0.key < $1.key }) { print("corpus: \(count) \(what)") }
        let named = features.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { "\($0.key) \($0.value)" }
        print("corpus: refused features: \(named.joined(separator: ", "))")
        print("corpus: \(rows.count) files, \(unexplained.count) unexplained")
        #expect(rows.count == 237)
        #expect(counts.values.reduce(0, +) + unexplained.filter { $0.contains("does not") }.count == rows.count)
        #expect(unexplained.isEmpty, "\(unexplained.joined(separator: "\n"))")
    }
}
