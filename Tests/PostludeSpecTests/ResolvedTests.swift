import Foundation
import PostludeCore
import Testing

@testable import PostludeSpec

/// What `validate --resolved` shows.
@Suite struct ResolvedTests {
    static func validate(_ submission: Submission) throws -> Validation {
        OperationReader.validate(
            submission, from: SpecSources(hub: try Reading.hub(), profiles: Reading.profiles))
    }

    static func fingerprint(_ text: String, _ file: String) throws -> String {
        try #require(YAMLReader.read(text, file: file, Findings()), "\(text)").fingerprint
    }

    @Test func `the text says the same as the merged operation, for every file of the corpus that is accepted`() throws
    {
        var count = 0
        for row in try CorpusTests.rows() {
            let text = try Files.text(Files.corpus.appendingPathComponent(row.file))
            var submission = Reading.submission(text, path: row.file)
            submission.references = try CorpusTests.references(of: row, text)
            let validation = try Self.validate(submission)
            guard validation.operation != nil else { continue }
            count += 1
            let resolved = try #require(validation.resolved)
            let again = try Self.validate(Reading.submission(resolved, path: row.file))
            let told = again.diagnostics.map { DiagnosticText.line($0) }.joined(separator: "\n")
            #expect(again.isValid, "\(told)\n\(resolved)")
            let second = try #require(again.resolved)
            #expect(try Self.fingerprint(second, "b") == Self.fingerprint(resolved, "a"), "\(resolved)")
        }
        #expect(count >= 35)
    }

    @Test func `texts of any kind come back as they were`() throws {
        let texts = [
            "a", "yes", "1", "1.0", "", " a", "a: b", "a # b", "- a", "a\nb", "a\nb\n", "a\n\nb\n\n", "\na", "  a\nb",
            "\u{1b}[31m", "\u{e9}", "\u{2028}", "\"'\\", "null", "~", "0755", "{{ a }}", "*a", "&a", "!a", "%a", "-",
            "?",
            "\ta", "a\t\nb", "\u{85}",
        ]
        let place = SourcePlace(file: "a b\n.yaml", line: 1, column: 2)
        let node = YAMLNode(.dict(["x": .list(texts.map(Value.string)), "y": .dict([:]), "z": .list([])]), at: place)
        let text = ResolvedText.render(node)
        let back = try #require(YAMLReader.read(text, file: "a", Findings()), "\(text)")
        #expect(back.value(Findings()) == node.value(Findings()), "\(text)")
        #expect(text.contains("# a b?.yaml:1:2"))
    }

    @Test func `hooks are shown with their components, params with those of the command line`() throws {
        var submission = Reading.submission(
            "params: {n: {value: 1, toEnv: N}}\n" + Reading.job + "hooks: [{hubRef: summary, runPatch: {init: []}}]\n")
        submission.params = ["n": .int(2), "m": .list([.string("a")])]
        let validation = try Self.validate(submission)
        let resolved = try #require(validation.resolved, "\(validation.diagnostics)")
        let root = try #require(YAMLReader.read(resolved, file: "r.yaml", Findings()))
        let value = try #require(root.value(Findings()))
        guard case .dict(let keys) = value, case .list(let hooks)? = keys["hooks"], case .dict(let hook)? = hooks.first
        else {
            Issue.record("\(resolved)")
            return
        }
        #expect(hook["hubRef"] == nil && hook["runPatch"] == nil && hook["component"] != nil)
        #expect(
            keys["params"]
                == .dict([
                    "n": .dict(["value": .int(2), "toEnv": .string("N")]),
                    "m": .dict(["value": .list([.string("a")])]),
                ]), "\(resolved)")
        #expect(resolved.contains("hub/summary.yaml:"))
    }
}
