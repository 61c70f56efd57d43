import PostludeCore
import PostludeReports
import Testing

@testable import PostludeCLI

@Suite struct RendererTests {
    @Test func `inspect shows conditions, values, steps, receipts, leases, hooks and notes`() throws {
        try Snapshot.check("inspect", InspectText(style: .plain).lines(Samples.detail))
    }

    @Test func `the summary of a run shows what every step used, the outputs and the hooks that were not due`() throws {
        var hook = Samples.detail
        hook.summary.id = Samples.hook
        hook.summary.upstream = Samples.main
        hook.summary.hookName = "evaluate"
        hook.attempts[0].leases = []
        try Snapshot.check("summary", SummaryText(style: .plain).lines(Samples.detail, hooks: [hook]))
    }

    @Test func `a list of runs tells what waits, what takes long, and why something failed`() throws {
        var queued = Samples.summary
        queued.status = .queued
        queued.reason = "NoRoom"
        queued.message = "gpu0 is leased to 01234567"
        queued.startedAt = nil
        queued.finishedAt = nil
        queued.devices = []
        var hook = Samples.summary
        hook.id = Samples.hook
        hook.upstream = Samples.main
        hook.hookName = "evaluate"
        try Snapshot.check("ps", RunTable.lines([queued, hook, Samples.summary], now: Samples.time(60), style: .plain))
    }

    @Test func `devices show who has them, and who holds what is quarantined`() throws {
        let device = Device(
            id: "gpu0", deviceClass: "nvidia.com/gpu", nodes: [DeviceNode(path: "/dev/nvidia0", major: 195, minor: 0)],
            model: "H200")
        let evidence = [DeviceHolder(pid: 7, command: "py\nthon", uid: 1000, how: .mapping, node: "/dev/nvidia0")]
        let statuses = [
            DeviceStatus(device: device, state: .leased, run: Samples.main, since: Samples.time(50)),
            DeviceStatus(device: device, state: .quarantined, since: Samples.time(0), evidence: evidence),
            DeviceStatus(device: device, state: .idle),
        ]
        try Snapshot.check("devices", RunTable.lines(statuses, now: Samples.time(60), style: .plain))
    }

    @Test func `doctor tells what follows from what is missing`() throws {
        let checks = [
            HostCheck("cgroup", .ok, "hybrid", hint: "not shown"),
            HostCheck("device-filter", .missing, "no v2 hierarchy", hint: "Mount cgroup2."),
            HostCheck("seccomp", .degraded, "no TSYNC"),
        ]
        try Snapshot.check("doctor", RunTable.lines(checks, style: .plain))
    }

    @Test func `events are lines with the time since the run was made`() throws {
        var text = EventText(style: .plain, start: Samples.time(0), run: Samples.main)
        let events = [
            Samples.event(0, .status, "queued", "Queued", at: 12.855, of: Samples.hook),
            Samples.event(1, .status, "created", "Created", at: 0),
            Samples.event(2, .status, "queued", "Queued", at: 0.001),
            Samples.event(3, .device, "gpu0", "leased", at: 0.012),
            Samples.event(4, .step, "main", "started", at: 0.5),
            Samples.event(5, .step, "", "stopping", "requested", at: 11),
            Samples.event(6, .step, "main", "exited", "exit 0", at: 12.75),
            Samples.event(7, .device, "gpu0", "releasing", at: 12.8),
            Samples.event(8, .device, "gpu0", "released", at: 12.804),
            Samples.event(9, .device, "gpu0", "quarantined", "pid 7", at: 12.804),
            Samples.event(10, .status, "succeeded", "Succeeded", at: 12.85),
            Samples.event(11, .hook, "evaluate", "fired", Samples.hook.description, at: 12.86),
            Samples.event(12, .hook, "alert", "trigger_mismatch", at: 12.86),
            Samples.event(13, .step, "main", "started", at: 12.9, of: Samples.hook),
            Samples.event(14, .status, "fa\u{1b}iled", "x", at: -1),
        ]
        try Snapshot.check("events", events.flatMap { text.lines($0) })
    }

    @Test func `colour is for terminals, and not for those who decline it`() {
        #expect(Terminal(output: true, error: true, environment: [:]).outputStyle.colour)
        #expect(!Terminal(output: false, error: true, environment: [:]).outputStyle.colour)
        #expect(!Terminal(output: true, error: true, environment: ["NO_COLOR": "1"]).outputStyle.colour)
        #expect(Terminal(output: true, error: true, environment: ["NO_COLOR": ""]).outputStyle.colour)
        #expect(!Terminal(output: true, error: true, environment: ["TERM": "dumb"]).errorStyle.colour)
        #expect(Style(colour: true).red("x") == "\u{1b}[31mx\u{1b}[0m" && Style.plain.red("x") == "x")
    }

    @Test func `nothing a run or a job is named can reach the terminal as a command`() {
        var detail = Samples.detail
        detail.summary.name = "x\u{1b}]0;title\u{7}"
        detail.summary.message = "y\u{9b}2J"
        detail.hooks[0].name = "\u{202e}evil"
        detail.outputs = ["a\u{1b}c": .string("\u{1b}[31m")]
        let text = (InspectText(style: .plain).lines(detail) + SummaryText(style: .plain).lines(detail, hooks: []))
            .joined(separator: "\n")
        #expect(text.unicodeScalars.allSatisfy { $0 == "\n" || !$0.isUnsafe })
    }
}
