import PostludeAPI
import Testing

@Suite struct ServerSentEventTests {
    private func parse(_ text: String, pieces: Int? = nil) -> [ServerSentEvent] {
        var parser = ServerSentEventParser()
        guard let pieces else { return parser.feed(text.utf8) }
        let bytes = Array(text.utf8)
        return stride(from: 0, to: bytes.count, by: pieces).flatMap {
            parser.feed(bytes[$0..<min($0 + pieces, bytes.count)])
        }
    }

    static let cases: [(String, [ServerSentEvent])] = [
        ("data: x\n\n", [.init(data: "x")]), ("data:x\n\n", [.init(data: "x")]), ("data:  x\n\n", [.init(data: " x")]),
        ("data: a\ndata: b\n\n", [.init(data: "a\nb")]), ("data\n\n", [.init(data: "")]), ("\n\n", []),
        ("event: e\n\n", []), ("event: e\ndata: 1\n\ndata: 2\n\n", [.init(name: "e", data: "1"), .init(data: "2")]),
        ("id: 7\ndata: 1\n\ndata: 2\n\n", [.init(data: "1", id: "7"), .init(data: "2", id: "7")]),
        (": comment\ndata: x\nretry: 5\nother: y\n\n", [.init(data: "x")]),
        ("data: x\r\n\r\n", [.init(data: "x")]), ("data: x\r\r", [.init(data: "x")]),
        ("\u{feff}data: x\n\n", [.init(data: "x")]),
        ("id: a\0b\ndata: x\n\n", [.init(data: "x")]), ("data: x\n", []), ("data: é日\n\n", [.init(data: "é日")]),
    ]

    @Test(arguments: cases)
    func `streams read as the standard says, in pieces of any size`(text: String, events: [ServerSentEvent]) {
        #expect(parse(text) == events)
        for pieces in 1...3 { #expect(parse(text, pieces: pieces) == events) }
    }

    @Test func `what is written reads back the same`() {
        let events = [
            ServerSentEvent(name: "status", data: "{\"a\":\n1}", id: "3"), ServerSentEvent(data: "", id: "4"),
        ]
        #expect(parse(events.map(\.encoded).joined()) == events)
    }
}
