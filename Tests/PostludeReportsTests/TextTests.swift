import PostludeCore
import PostludeReports
import Testing

@Suite struct TextTests {
    @Test(arguments: [
        (0.0, "0.0ms"), (0.0004, "0.4ms"), (0.0123, "12ms"), (0.25, "250ms"), (0.9996, "1.00s"), (1, "1.00s"),
        (9.999, "10.0s"),
        (59.94, "59.9s"), (59.96, "1m00s"), (61, "1m01s"), (3599.6, "1h00m"), (7384, "2h03m"), (90_000, "1d01h"),
        (-1.5, "-1.50s"), (.infinity, "-"), (.nan, "-"), (1e300, "-"),
    ])
    func `durations are short and never lie`(seconds: Double, text: String) {
        #expect(Units.duration(seconds) == text)
    }

    @Test(arguments: [
        (Int64(0), "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1_048_575, "1.0 MiB"), (209_715_200, "200 MiB"),
        (1 << 40, "1.0 TiB"), (.max, "8192 PiB"), (-2048, "-2.0 KiB"),
    ])
    func `bytes are in binary units`(count: Int64, text: String) {
        #expect(Units.bytes(count) == text)
    }

    @Test func `what is not known is a dash`() {
        #expect(
            Units.duration(nil) == "-" && Units.bytes(nil) == "-" && Units.count(nil) == "-"
                && Units.timestamp(nil) == "-")
    }

    @Test(arguments: [
        (Int64(0), "1970-01-01T00:00:00.000Z"), (951_782_400_000_000, "2000-02-29T00:00:00.000Z"),
        (1_772_366_400_123_456, "2026-03-01T12:00:00.123Z"), (-1, "1969-12-31T23:59:59.999Z"),
        (4_107_542_399_999_999, "2100-02-28T23:59:59.999Z"), (4_107_542_400_000_000, "2100-03-01T00:00:00.000Z"),
    ])
    func `times are ISO 8601 in UTC`(microseconds: Int64, text: String) {
        #expect(Units.timestamp(Timestamp(microseconds: microseconds)) == text)
    }

    @Test(arguments: [
        ("abc", 3), ("", 0), ("é", 1), ("e\u{301}", 1), ("日本", 4), ("👩‍🔬", 2), ("❤️", 2), ("한글", 4), ("→", 1),
        ("\u{200b}", 0),
    ])
    func `text is measured in terminal columns`(text: String, width: Int) {
        #expect(text.displayWidth == width)
    }

    @Test func `columns stay aligned whatever the script`() {
        let table = TextTable([.init("A"), .init("B", .trailing)], rows: [["日本", "1"], ["abc", "22"], ["e\u{301}"]])
        #expect(table.lines == ["A      B", "日本   1", "abc   22", "e\u{301}"])
    }

    @Test func `long cells are cut, wide characters whole`() {
        #expect(
            "abcdef".truncated(to: 4) == "abc…" && "日本語".truncated(to: 4) == "日…" && "abc".truncated(to: 3) == "abc")
    }

    @Test func `control characters in a cell cannot break the line or talk to the terminal`() {
        let table = TextTable([.init("A")], rows: [["x\u{1b}[2J\ny\u{202e}\r\n"]])
        #expect(table.lines == ["A", "x\\x1b[2J\\ny\\u{202e}\\r\\n"])
    }

    @Test func `CSV quotes what RFC 4180 wants quoted, and disarms formulas`() {
        let text = CSV.text(
            header: ["a", "b"], rows: [["x,y", "say \"hi\""], ["two\r\nlines", nil], ["=1+1", "-5"], ["-x", "@y"]])
        #expect(text == "a,b\r\n\"x,y\",\"say \"\"hi\"\"\"\r\n\"two\r\nlines\",\r\n'=1+1,-5\r\n'-x,'@y\r\n")
    }

    @Test(arguments: [
        (ProcessExit.code(0), "0"), (.code(3), "exit 3"), (.signal(9, coreDumped: false), "SIGKILL"),
        (.signal(11, coreDumped: true), "SIGSEGV (core)"), (.signal(40, coreDumped: false), "signal 40"),
        (.setupFailed(stage: "mount", errno: 2, detail: "x"), "setup failed: mount"), (.unknown, "unknown"),
    ])
    func `exits are words`(exit: ProcessExit, text: String) {
        #expect(exit.text == text)
    }
}
