import Testing

@testable import PostludeCLI

@Suite struct OutputTextTests {
    private func lines(_ pieces: [[UInt8]], colour: Bool = false) -> [String] {
        var text = OutputText(keepsColour: colour)
        return pieces.flatMap { text.feed($0) } + text.finish()
    }

    private func lines(_ text: String, colour: Bool = false) -> [String] { lines([Array(text.utf8)], colour: colour) }

    @Test(arguments: [
        ("plain\n", ["plain"]), ("no end", ["no end"]), ("a\nb\n", ["a", "b"]), ("a\r\nb\r\n", ["a", "b"]),
        ("10%\r20%\r30%\n", ["10%", "20%", "30%"]), ("\n\n", ["", ""]), ("tab\tstays\n", ["tab\tstays"]),
        ("\u{1b}[2J\u{1b}[Hgone\n", ["\\x1b[2J\\x1b[Hgone"]), ("\u{1b}]0;title\u{7}\n", ["\\x1b]0;title\\x07"]),
        ("\u{9b}31mC1\n", ["\\x9b31mC1"]), ("bell\u{7}\u{8}\u{7f}\n", ["bell\\x07\\x08\\x7f"]),
        ("nul\0\n", ["nul\\x00"]),
        ("\u{202e}turned\n", ["\\u{202e}turned"]), ("日本 é 👩‍🔬\n", ["日本 é 👩‍🔬"]), ("", []),
        ("\u{1b}[31mred\u{1b}[0m\n", ["red"]), ("\u{1b}[31\n", ["\\x1b[31"]), ("\u{1b}[31;H\n", ["\\x1b[31;H"]),
    ])
    func `a terminal gets text and no commands`(output: String, expected: [String]) {
        #expect(lines(output) == expected)
    }

    @Test func `colour stays where colour is wanted and ends with its line`() {
        #expect(lines("\u{1b}[31mred\nplain\n", colour: true) == ["\u{1b}[31mred\u{1b}[0m", "plain"])
    }

    @Test func `pieces of any size give the same lines`() {
        let bytes = Array("one\r\ntwo é\n\u{1b}[1m日本\u{1b}[0m\rend".utf8)
        #expect(lines(bytes.map { [$0] }) == lines([bytes]))
    }

    @Test func `bytes that are no characters are shown as such`() {
        #expect(lines([[0x61, 0xff, 0x62, 0x0a]]) == ["a\u{fffd}b"])
    }

    @Test func `a line without end does not grow without bound, and breaks between characters`() {
        let text = String(repeating: "日", count: 20_000)
        let broken = lines(text)
        #expect(
            broken.count > 1 && broken.joined() == text
                && broken.allSatisfy { $0.utf8.count < OutputText.longestLine + 4 })
    }

    @Test func `JSON texts are whole characters`() {
        let bytes = Array("aé日👩".utf8)
        for cut in 0...bytes.count {
            let (text, rest) = WholeCharacters.split(Array(bytes[..<cut]))
            #expect(
                text + String(decoding: rest + bytes[cut...], as: UTF8.self) == "aé日👩" && !text.contains("\u{fffd}"))
        }
        #expect(WholeCharacters.split([0x61, 0xff]).rest.isEmpty)
    }
}
