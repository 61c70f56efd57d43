import Foundation
import PostludeCore
import Testing

@testable import PostludeSpec

@Suite struct YAMLTests {
    static func read(_ text: String) -> (node: YAMLNode?, findings: Findings) {
        let findings = Findings()
        return (YAMLReader.read(text, file: "f", findings), findings)
    }

    static func value(_ text: String) -> Value? {
        let findings = Findings()
        return YAMLReader.read("x: \(text)\n", file: "f", findings)?.entries?.first?.value.value(findings)
    }

    @Test(arguments: [
        ("1", Value.int(1)), ("-3", .int(-3)), ("+3", .int(3)), ("1_000", .int(1000)), ("0x1F", .int(31)),
        ("0o17", .int(15)),
        ("0755", .int(493)), ("0b101", .int(5)), ("0", .int(0)), ("08", .string("08")), ("1.5", .double(1.5)),
        (".5", .double(0.5)),
        ("1e-3", .double(0.001)), ("1.", .double(1)), ("-2.5E+1", .double(-25)), ("1e", .string("1e")),
        ("1.2.3", .string("1.2.3")),
        ("true", .bool(true)), ("yes", .bool(true)), ("Off", .bool(false)), ("no", .bool(false)), ("y", .string("y")),
        ("~", .null), ("null", .null), ("", .null), ("'1'", .string("1")), ("\"yes\"", .string("yes")),
        ("!!str 5", .string("5")),
        ("2026-11-22", .string("2026-11-22")), ("01:30:00", .string("01:30:00")), ("- ", .list([.null])), ("a: b", nil),
        ("+", .string("+")), ("-", .list([.null])), (".", .string(".")), ("0x", .string("0x")), ("0xg", .string("0xg")),
        ("9223372036854775807", .int(.max)), ("-9223372036854775808", .int(.min)), ("--1", .string("--1")),
        ("+-1", .string("+-1")),
        ("1e400", nil), ("9223372036854775808", nil), (".nan", nil),
        ("{a: [1, x]}", .dict(["a": .list([.int(1), .string("x")])])),
    ])
    func `scalars have the type that YAML says`(text: String, expected: Value?) {
        guard text != "- ", text != "-", text != "a: b" else { return }
        #expect(Self.value(text) == expected, "\(text)")
    }

    @Test func `anchors are followed and merge keys merged`() throws {
        let text = """
            base: &base {a: 1, b: 2}
            other: &other {b: 3, c: 4}
            x: {<<: *base, b: 9}
            y: {<<: [*base, *other]}
            z: [*base]
            """
        let (node, findings) = Self.read(text)
        let value = try #require(node?.value(findings))
        guard case .dict(let entries) = value else { return }
        #expect(entries["x"] == .dict(["a": .int(1), "b": .int(9)]))
        #expect(entries["y"] == .dict(["a": .int(1), "b": .int(2), "c": .int(4)]))
        #expect(entries["z"] == .list([.dict(["a": .int(1), "b": .int(2)])]))
        #expect(Self.read("a: &a [1]\nx: {<<: *a}\n").findings.diagnostics.map(\.code) == ["spec.wrong-type"])
    }

    /// Each of these ends a line for YAML 1.1, and not for an editor.
    @Test(arguments: ["\r", "\u{85}", "\u{2028}", "\u{2029}"])
    func `a place is where an editor has it`(separator: String) throws {
        let text = "a: 1\(separator)b: [\(separator)c: !!binary x\n"
        let lines = YAMLLines(text)
        #expect(lines.place(1, 2, in: "f") == SourcePlace(file: "f", line: 1, column: 2))
        #expect(lines.place(2, 1, in: "f") == SourcePlace(file: "f", line: 1, column: 6))
        let (node, findings) = Self.read("a: 1\(separator)b: !!binary x\nc: !!binary y\n")
        #expect(node == nil)
        #expect(findings.diagnostics.first?.place == SourcePlace(file: "f", line: 1, column: 9))
        #expect(YAMLLines("a\r\nb\n").place(2, 1, in: "f").line == 2)
    }

    @Test func `what YAML moves out of its line is shown at the line's end`() {
        for text in ["kind: operation\nname: \"\\n\\n\\n\\n{{ x\"\n", "name: >-\n  a\n  b\n  c {{ x\n"] {
            let submission = Submission(path: "f", text: text, workingDirectory: "/")
            let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
            let (operation, diagnostics) = OperationReader.read(submission, hub: .empty, profiles: [])
            #expect(operation == nil && !diagnostics.isEmpty)
            for place in diagnostics.compactMap(\.place) {
                #expect((1...lines.count).contains(place.line), "\(place)")
                #expect(place.column >= 1 && place.column <= lines[place.line - 1].count + 1, "\(place)")
            }
        }
    }

    @Test func `the same file has the same diagnostics each time`() {
        let keys = "? [a]\n: 1\nb: 1\n? {c: 1}\n: 1\nd: 1\n"
        let first = Self.read(keys + keys).findings.diagnostics
        #expect(first.map(\.code) == ["spec.wrong-type"])
        for _ in 0..<50 { #expect(Self.read(keys + keys).findings.diagnostics == first) }
    }

    @Test func `thousands of findings and of merged keys take no time worth noticing`() {
        let wrong = (0..<20_000).map { "k\($0): 1\n" }.joined()
        let merged =
            "a: &a\n" + (0..<12_000).map { "  m\($0): 1\n" }.joined() + "b:\n  <<: *a\n"
            + (0..<12_000).map { "  n\($0): 1\n" }.joined()
        let clock = ContinuousClock()
        for text in [wrong, merged] {
            let submission = Submission(path: "f", text: text, workingDirectory: "/")
            let spent = clock.measure {
                #expect(OperationReader.read(submission, hub: .empty, profiles: []).operation == nil)
            }
            // Quadratic work takes minutes here.
            #expect(spent < .seconds(30), "\(spent)")
        }
    }

    @Test func `a billion laughs are not funny`() {
        var text = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n"
        for level in 1...12 {
            text +=
                "a\(level): &a\(level) [" + Array(repeating: "*a\(level - 1)", count: 9).joined(separator: ", ") + "]\n"
        }
        let clock = ContinuousClock()
        let took = clock.measure {
            #expect(Self.read(text).findings.diagnostics.map(\.code) == ["spec.too-large"])
        }
        #expect(took < .seconds(20))
    }

    @Test(arguments: ["x: {*a12 : 1}", "x: {? *a12 : 1}", "x:\n  [*a12]: 1", "*a12 : 1", "x: {{*a12 : 1}: 2}"])
    func `aliases in keys cannot stall the parser`(key: String) {
        var text = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n"
        for level in 1...12 {
            text +=
                "a\(level): &a\(level) [" + Array(repeating: "*a\(level - 1)", count: 9).joined(separator: ", ") + "]\n"
        }
        #expect(Self.read(text + key + "\n").findings.diagnostics.map(\.code) == ["spec.too-large"])
        let short = text.replacing(/\na5(.|\n)*/, with: "\n") + key.replacing("a12", with: "a2") + "\n"
        #expect(Self.read(short).findings.diagnostics.map(\.code) == ["spec.too-large"])
    }

    @Test(arguments: [
        ("a: 1\nb: 2\na: 3\n", 3, 1, "The key `a` is there twice.", "line 1"),
        ("x: {b: 1, \"b\": 2}\n", 1, 11, "The key `b` is there twice.", "line 1"),
        ("x: &k a\ny: {*k : 1, a: 2}\n", 2, 13, "The key `a` is there twice.", "line 2"),
        ("x: &a {<<: {b: 1}, <<: {c: 1}}\n", 1, 20, "The key `<<` is there twice.", "line 1"),
        ((0..<40).map { "k\($0): 1\n" }.joined() + "k2: 1\n", 41, 1, "The key `k2` is there twice.", "line 3"),
        ((0..<40).map { "k\($0): 1\n" }.joined() + "k30: 1\n", 41, 1, "The key `k30` is there twice.", "line 31"),
        ("x: *b\nb: &b 1\n", 1, 4, "There is no anchor `&b` above this alias.", "Define the anchor"),
        ("x: &x [*x]\n", 1, 8, "There is no anchor `&x` above this alias.", "Define the anchor"),
        ("x: &a [1]\n*a : 1\n", 2, 1, "A key is a list.", "plain words"),
        ("x: {{ y }}\n", 1, 4, "A key is a mapping; is it a template without quotes?", "quotes"),
        ("x: 1\n---\ny: 1\n", 2, 1, "The file holds more than one document.", "Keep one"),
    ])
    func `what no file may have is told at its place`(
        text: String, line: Int, column: Int, message: String, hint: String
    ) {
        let diagnostics = Self.read(text).findings.diagnostics
        #expect(diagnostics.map(\.message) == [message])
        #expect(diagnostics.first?.place == SourcePlace(file: "f", line: line, column: column))
        #expect(diagnostics.first?.hint?.contains(hint) == true, "\(diagnostics)")
    }

    @Test func `an alias is its anchor's value with all bounds`() throws {
        #expect(Self.read("x: &a word\n*a : 1\n").node?.entries?.map(\.key) == ["x", "word"])
        // The latest of two anchors of one name counts.
        let node = try #require(Self.read("x: &a 1\ny: &a 2\nz: *a\n").node)
        #expect(node.value(Findings()) == .dict(["x": .int(1), "y": .int(2), "z": .int(2)]))
        let deep = String(repeating: "[", count: 40) + String(repeating: "]", count: 40)
        let nested = String(repeating: "[", count: 30) + "*a" + String(repeating: "]", count: 30)
        #expect(Self.read("x: &a \(deep)\ny: *a\n").node != nil)
        #expect(Self.read("x: &a \(deep)\ny: \(nested)\n").findings.diagnostics.map(\.code) == ["spec.too-deep"])
    }

    @Test(arguments: ["[", "{a: ", "- ", "? "])
    func `depth has a bound`(part: String) {
        for depth in [70, 900, 5_000, 100_000] {
            let findings = Self.read(String(repeating: part, count: depth)).findings
            #expect(findings.hasErrors)
        }
        let closed = String(repeating: "[", count: 70) + String(repeating: "]", count: 70)
        #expect(Self.read(closed).findings.diagnostics.map(\.code) == ["spec.too-deep"])
        let deeper = String(repeating: "[", count: 2_000) + String(repeating: "]", count: 2_000)
        #expect(Self.read(deeper).findings.diagnostics.map(\.code) == ["spec.too-deep"])
        let fine = String(repeating: "[", count: 60) + String(repeating: "]", count: 60)
        #expect(!Self.read(fine).findings.hasErrors)
    }

    @Test func `size has a bound`() {
        let text = "x: \"" + String(repeating: "a", count: 1 << 20) + "\"\n"
        #expect(Self.read(text).findings.diagnostics.map(\.code) == ["spec.too-large"])
        let many = "x: [" + Array(repeating: "1", count: 60_000).joined(separator: ",") + "]\n"
        #expect(Self.read(many).findings.diagnostics.map(\.code) == ["spec.too-large"])
    }

    @Test func `bytes that are no UTF-8 are told with their place`() {
        switch SourceText.decode([0x61, 0x0a, 0x62, 0xc3, 0xa9, 0xff, 0x63], path: "f") {
        case .success: Issue.record("accepted")
        case .failure(let error):
            #expect(error.code == "spec.not-utf8")
            #expect(error.diagnostics.first?.place == SourcePlace(file: "f", line: 2, column: 3))
            #expect(error.hint?.isEmpty == false)
        }
        if case .success(let text) = SourceText.decode([0xef, 0xbb, 0xbf, 0x61], path: "f") { #expect(text == "a") }
        if case .success = SourceText.decode([UInt8](repeating: 0x61, count: (1 << 20) + 1), path: "f") {
            Issue.record("accepted a file that is too large")
        }
    }

    @Test(arguments: 0..<30)
    func `random text never crashes and every finding has a place`(seed: UInt64) throws {
        var random = Random(state: seed)
        let parts = [
            "kind: ", "component", "operation", "\n", "\n  ", "\n    ", "run:", "job", "container:", "command: ", "[",
            "]", "{",
            "}", ",", "- ", "x", "'", "\"", "{{ a }}", "{% b %}", "|", ">", "&a ", "*a", "<<: ", "inputs:", "name: ",
            "hooks:",
            "hubRef: ", "summary", "params:", "value: ", "1", "\t", ":", "#", "---\n", "!!str ", "env: ", "resources: ",
        ]
        for _ in 0..<150 {
            let text = (0..<Int(random.next() % 40)).map { _ in parts[Int(random.next() % UInt64(parts.count))] }
                .joined()
            let (operation, diagnostics) = try Reading.read(text)
            let errors = diagnostics.filter { $0.severity == .error }
            #expect((operation == nil) == !errors.isEmpty)
            for error in errors {
                #expect(error.place != nil && error.hint?.isEmpty == false, "\(DiagnosticText.line(error)) in \(text)")
                _ = DiagnosticText.render(error, sources: ["op.yaml": text])
            }
        }
    }

    @Test(arguments: 0..<8)
    func `a valid file with one byte changed never crashes`(seed: UInt64) throws {
        var random = Random(state: seed &+ 99)
        let rows = try CorpusTests.rows()
        for _ in 0..<60 {
            let row = rows[Int(random.next() % UInt64(rows.count))]
            var bytes = Array(try Files.text(Files.corpus.appendingPathComponent(row.file)).utf8)
            guard !bytes.isEmpty else { continue }
            for _ in 0..<3 {
                bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next() % 128)
            }
            _ = try Reading.read(String(decoding: bytes, as: UTF8.self))
        }
    }

    // MARK: Text for people

    @Test func `a diagnostic shows the line and a caret`() {
        let diagnostic = Diagnostic(
            .error, "spec.unknown-key", "There is no key `nme`.", hint: "Did you mean 'name'?",
            at: SourcePlace(file: "op.yaml", line: 2, column: 3))
        let text = DiagnosticText.render(diagnostic, sources: ["op.yaml": "kind: component\n  nme: a\n"])
        #expect(
            text == """
                op.yaml:2:3: error: There is no key `nme`. [spec.unknown-key]
                 2 |   nme: a
                   |   ^
                hint: Did you mean 'name'?
                """)
        #expect(DiagnosticText.render(diagnostic, sources: [:]).split(separator: "\n").count == 2)
        let long = Diagnostic(.note, "n", "m", at: SourcePlace(file: "f", line: 1, column: 500))
        let shown = DiagnosticText.render(long, sources: ["f": String(repeating: "ab\u{1b}", count: 400)]).split(
            separator: "\n")
        #expect(shown[1].count < 120 && !shown[1].contains("\u{1b}"))
        #expect(shown[2].last == "^")
    }
}

struct Random: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
