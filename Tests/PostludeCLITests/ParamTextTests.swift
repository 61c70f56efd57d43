import PostludeCore
import Testing

@testable import PostludeCLI

@Suite struct ParamTextTests {
    @Test(arguments: [
        ("1", Value.int(1)), ("-3", .int(-3)), ("+3", .int(3)), ("0x1F", .int(31)), ("0o17", .int(15)),
        ("1.5", .double(1.5)),
        ("1e3", .double(1000)), (".5", .double(0.5)), ("-.inf", .double(-.infinity)), ("true", .bool(true)),
        ("False", .bool(false)), ("null", .null), ("~", .null), ("", .null), ("yes", .string("yes")),
        ("text with = and spaces", .string("text with = and spaces")), ("\"1\"", .string("1")),
        ("'it''s'", .string("it's")),
        ("[1, \"two\", null]", .list([.int(1), .string("two"), .null])), ("{\"a\": 0.5}", .dict(["a": .double(0.5)])),
        ("1_000", .string("1_000")), ("0x", .string("0x")), ("0x-1", .string("0x-1")), ("inf", .string("inf")),
        ("nan", .string("nan")),
        ("1.2.3", .string("1.2.3")), (".", .string(".")), ("99999999999999999999", .double(1e20)),
        ("2026-03-01", .string("2026-03-01")),
        ("{{ globals.uuid }}", .string("{{ globals.uuid }}")),
    ])
    func `values are typed as YAML types a scalar`(text: String, value: Value) throws {
        // What looks like a template is data here (P5), and data is not JSON.
        if text.hasPrefix("{{") {
            #expect(throws: CommandFailure.self) { try ParamText.parse(["x=\(text)"]) }
        } else {
            #expect(try ParamText.parse(["x=\(text)"]) == ["x": value])
        }
    }

    @Test(arguments: [
        ("novalue", "cli.param-without-value"), ("=1", "cli.param-name"), ("1x=1", "cli.param-name"),
        ("a b=1", "cli.param-name"),
        ("x=[1,", "cli.param-json"), ("x={a: 1}", "cli.param-json"), ("x=\"open", "cli.param-quotes"),
        ("x='", "cli.param-quotes"),
    ])
    func `what is no param is refused with what to write instead`(argument: String, code: String) {
        let failure = #expect(throws: CommandFailure.self) { try ParamText.parse([argument]) }
        #expect(failure?.code == code && failure?.hint != nil && failure?.exit == .usage)
    }

    @Test func `a param given twice is refused`() {
        let failure = #expect(throws: CommandFailure.self) { try ParamText.parse(["x=1", "x=2"]) }
        #expect(failure?.code == "cli.param-twice")
    }

    @Test(arguments: [
        ("90s", 90.0), ("5m", 300), ("2h", 7200), ("7d", 604_800), ("1w", 604_800),
    ])
    func `since takes a span`(text: String, seconds: Double) {
        let now = Samples.time(0)
        #expect(SinceText.parse(text, now: now).map { now.seconds(since: $0) } == seconds)
    }

    @Test(arguments: [
        ("2026-03-01", -43_200.0), ("2026-03-01T12:00", 0), ("2026-03-01T12:00:05Z", 5),
        ("2026-02-28T23:59:59", -43_201),
    ])
    func `since takes a date`(text: String, seconds: Double) {
        #expect(SinceText.parse(text, now: Samples.time(9)) == Samples.time(seconds))
    }

    @Test(arguments: [
        "", "d", "-1d", "5y", "2026-13-01", "2026-3-1", "2026-03-01T25:00", "2026-03-01T1:00", "yesterday",
        "99999999999999999999d",
    ])
    func `since takes nothing else`(text: String) {
        #expect(SinceText.parse(text, now: Samples.time(0)) == nil)
    }
}
