import PostludeCore
import PostludeReports
import Testing

@testable import PostludeCLI

@Suite struct RendererTests {
    @Test func `inspect shows conditions, values, steps, receipts, leases, hooks and notes`() throws {
        try Snapshot.check("inspect", InspectText(style: .plain).lines(Samples.detail))
    }

    @Test func `explain shows trigger, condition with its operands, params, outcome and errors of each hook`() throws {
        let place = SourcePlace(file: "digits.yaml", line: 12, column: 17)
        var detail = Samples.detail
        detail.hooks[0].explanation = HookExplanation(
            trigger: .succeeded, status: .succeeded, triggerMatches: true,
            condition: .init(
                source: "{{ accuracy > 0.9 }}", place: place, operands: [.init("accuracy", "0.951")], holds: true),
            params: ["accuracy": "0.951", "text": "\"a\u{1b}[2J\""])
        detail.hooks[0].reruns = [
            .init(run: Samples.id("aaaabbbbccccdddd0000111122223333"), status: .running, at: Samples.time(60))
        ]
        detail.hooks[1].explanation = HookExplanation(trigger: .failed, status: .succeeded, triggerMatches: false)
        detail.hooks.append(
            HookRecord(
                index: 2, name: "tell", origin: "hub:webhook", trigger: .done, outcome: .error, detail: "no",
                explanation: HookExplanation(
                    trigger: .done, status: .succeeded, triggerMatches: true,
                    condition: .init(source: "{{ nope }}", place: place, operands: [.init("nope", nil)]),
                    errors: [
                        Diagnostic(
                            .error, "expression.unknown-name", "There is nothing called 'nope' here.",
                            hint: "Known: x.",
                            at: place)
                    ])))
        try Snapshot.check("explain", ExplainText(style: .plain).lines(RunExplanation(detail)))
    }

    @Test func `explain says of a queued run what it lacks and who has the devices`() throws {
        var detail = Samples.detail
        detail.summary.status = .queued
        detail.summary.message = "1 nvidia.com/gpu (0 of 1 idle)"
        detail.attempts = []
        detail.hooks = []
        var explanation = RunExplanation(detail)
        let device = Device(id: "gpu0", deviceClass: "nvidia.com/gpu", nodes: [])
        explanation.waits?.devices = [DeviceStatus(device: device, state: .leased, run: Samples.hook)]
        try Snapshot.check("explain-queued", ExplainText(style: .plain).lines(explanation))
    }

    @Test func `the summary of a run shows what every step used, the outputs and the hooks that were not due`() throws {
        var hook = Samples.detail
        hook.summary.id = Samples.hook
        hook.summary.upstream = Samples.main
        hook.summary.hookName = "evaluate"
        hook.attempts[0].leases = []
        try Snapshot.check("summary", SummaryText(style: .plain).lines(Samples.detail, hooks: [hook]))
    }

    @Test func `what joins found is shown by inspect and explain`() throws {
        var detail = Samples.detail
        (detail.attempts, detail.hooks, detail.notes) = ([], [], [])
        detail.joins = [
            JoinRecord(
                query: "metrics.loss: <0.3", params: ["losses", "uuids"],
                found: .init(taken: 5, leftOut: 2, hasMore: true)),
            JoinRecord(
                query: "name: a\u{1b}[2J", params: ["n"], found: .init(taken: 1, leftOut: 0, hasMore: false)),
            JoinRecord(query: "kind: job", params: ["n"], found: nil),
        ]
        try Snapshot.check("inspect-joins", InspectText(style: .plain).lines(detail))
        try Snapshot.check("explain-joins", ExplainText(style: .plain).lines(RunExplanation(detail)))
    }

    /// A matrix of three, one of which failed and one runs.
    private func parent(_ status: RunStatus) -> RunDetail {
        var detail = Samples.detail
        detail.summary.kind = "matrix"
        detail.summary.status = status
        detail.summary.message = status.isFinal ? "Of 3 runs: 1 failed, 2 succeeded." : ""
        (detail.attempts, detail.hooks, detail.outputs) = ([], [], [:])
        let statuses: [RunStatus] = [.succeeded, .failed, status.isFinal ? .succeeded : .running]
        detail.children = statuses.enumerated().map { index, status in
            var child = Samples.summary
            child.id = Samples.id("aaaabbbbccccdddd000011112222333\(index)")
            (child.parent, child.childName, child.status) = (detail.summary.id, "\(index)", status)
            (child.message, child.reason) = status == .failed ? ("exit 3", "MainFailed") : ("", "")
            return child
        }
        detail.childCounts =
            status.isFinal ? ["succeeded": 2, "failed": 1] : ["succeeded": 1, "failed": 1, "running": 1]
        return detail
    }

    @Test func `of a parent its children are shown: all, those that matter, and in the list below it`() throws {
        try Snapshot.check("inspect-parent", InspectText(style: .plain).lines(parent(.failed)))
        try Snapshot.check("summary-parent", SummaryText(style: .plain).lines(parent(.failed), hooks: []))
        let text = ExplainText(style: .plain)
        try Snapshot.check(
            "explain-parent",
            text.lines(RunExplanation(parent(.running))) + text.lines(RunExplanation(parent(.failed))))
        let detail = parent(.running)
        let runs = [detail.summary] + (detail.children ?? []).reversed()
        try Snapshot.check("ps-parent", RunTable.lines(runs, now: Samples.time(60), style: .plain))
    }

    @Test func `explain says of a held run how it goes on`() throws {
        var detail = Samples.detail
        (detail.summary.status, detail.summary.reason) = (.compiled, "ApprovalPending")
        #expect(RunExplanation(detail).waits?.reason == "It is held until `postlude approve 01234567`.")
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
