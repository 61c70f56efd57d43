import Testing

@testable import PostludeCore

@Suite struct RunMatrixTests {
    private static let end = "processing [processing] hand-back@1 release:gpu0 release:gpu1"
    private static let quietEnd = "processing [] hand-back@1 release:gpu0 release:gpu1"
    private static let stop = "stopping [stopping] request-stop@1"
    private static let evict = "stopping [stopping] evict@1"
    private static let handedBack = "resolve-hooks@1 clean-up@1 free:gpu0 free:gpu1"
    private static let no = "- notApplicable"
    private static let late = "- staleAttempt"

    /// Every pair, word for word; a pair that is missing here fails the test.
    private static let expected: [String: [String: String]] = [
        "created": [
            "compiled": "queued [compiled queued]", "condition false": "finished [skipped] resolve-hooks@0",
            "compilation failed": "finished [failed] resolve-hooks@0", "waiting": no, "unschedulable": no, "placed": no,
            "accepted": no, "main started": no, "never accepted": no, "launch failed": no, "ended well": no,
            "ended badly": no, "warden lost": no, "stop requested": "finished [stopped] resolve-hooks@0",
            "handed back": no,
            "evicted": no,
            "launch delayed": no,
            "upstream failed": "finished [upstream_failed] resolve-hooks@0",
            "upstream skipped": "finished [skipped] resolve-hooks@0",
            "cache hit": "finished [succeeded] resolve-hooks@0",
            "approved": no, "children ended": no,
        ],
        "queued": [
            "compiled": no, "condition false": no, "compilation failed": no, "waiting": "queued [queued]",
            "unschedulable": "queued [unschedulable]",
            "placed": "launching [scheduled] launch@1 lease:gpu0 lease:gpu1", "accepted": no, "main started": no,
            "never accepted": no, "launch failed": no, "ended well": no, "ended badly": no, "warden lost": no,
            "stop requested": "finished [stopped] resolve-hooks@0", "handed back": no,
            "evicted": no,
            "launch delayed": no,
            "upstream failed": no, "upstream skipped": no, "cache hit": no, "approved": no, "children ended": no,
        ],
        "queued for a retry": [
            "compiled": no, "condition false": no, "compilation failed": no, "waiting": "queued [queued]",
            "unschedulable": "queued [unschedulable]", "placed": late, "accepted": late, "main started": late,
            "never accepted": late, "launch failed": late, "ended well": late, "ended badly": late,
            "warden lost": late, "stop requested": "finished [stopped] resolve-hooks@1", "handed back": late,
            "evicted": late,
            "launch delayed": late,
            "upstream failed": no, "upstream skipped": no, "cache hit": no, "approved": no, "children ended": no,
        ],
        "launching": [
            "compiled": no, "condition false": no, "compilation failed": no, "waiting": no, "unschedulable": no,
            "placed": no, "accepted": "starting [starting]", "main started": "running [running]",
            "never accepted": "launching [] launch@1", "launch failed": end, "ended well": end, "ended badly": end,
            "warden lost": end, "stop requested": stop, "handed back": no,
            "evicted": no,
            "launch delayed": "launching [scheduled]",
            "upstream failed": no, "upstream skipped": no, "cache hit": no, "approved": no, "children ended": no,
        ],
        "starting": [
            "compiled": no, "condition false": no, "compilation failed": no, "waiting": no, "unschedulable": no,
            "placed": no, "accepted": "- alreadyStarted", "main started": "running [running]",
            "never accepted": "- alreadyStarted", "launch failed": "- alreadyStarted", "ended well": end,
            "ended badly": end, "warden lost": end, "stop requested": stop, "handed back": no,
            "evicted": evict,
            "launch delayed": "- alreadyStarted",
            "upstream failed": no, "upstream skipped": no, "cache hit": no, "approved": no, "children ended": no,
        ],
        "running": [
            "compiled": no, "condition false": no, "compilation failed": no, "waiting": no, "unschedulable": no,
            "placed": no, "accepted": "- alreadyStarted", "main started": "- alreadyStarted",
            "never accepted": "- alreadyStarted", "launch failed": "- alreadyStarted", "ended well": end,
            "ended badly": end, "warden lost": end, "stop requested": stop, "handed back": no,
            "evicted": evict,
            "launch delayed": "- alreadyStarted",
            "upstream failed": no, "upstream skipped": no, "cache hit": no, "approved": no, "children ended": no,
        ],
        "stopping": [
            "compiled": no, "condition false": no, "compilation failed": no, "waiting": no, "unschedulable": no,
            "placed": no, "accepted": "- alreadyStopping", "main started": "- alreadyStopping",
            "never accepted": quietEnd, "launch failed": quietEnd, "ended well": quietEnd, "ended badly": quietEnd,
            "warden lost": quietEnd, "stop requested": "- alreadyStopping", "handed back": no,
            "evicted": "stopping [] evict@1",
            "launch delayed": "- alreadyStopping",
            "upstream failed": no, "upstream skipped": no, "cache hit": no, "approved": no, "children ended": no,
        ],
        "being evicted": [
            "compiled": no, "condition false": no, "compilation failed": no, "waiting": no, "unschedulable": no,
            "placed": no, "accepted": "- alreadyStopping", "main started": "- alreadyStopping",
            "never accepted": quietEnd, "launch failed": quietEnd, "ended well": quietEnd, "ended badly": quietEnd,
            "warden lost": quietEnd, "stop requested": "- alreadyStopping", "handed back": no,
            "evicted": "- alreadyStopping",
            "launch delayed": "- alreadyStopping",
            "upstream failed": no, "upstream skipped": no, "cache hit": no, "approved": no, "children ended": no,
        ],
        "processing": [
            "compiled": no, "condition false": no, "compilation failed": no, "waiting": no, "unschedulable": no,
            "placed": no, "accepted": "- alreadyEnded", "main started": "- alreadyEnded",
            "never accepted": "- alreadyEnded", "launch failed": "- alreadyEnded", "ended well": "- alreadyEnded",
            "ended badly": "- alreadyEnded", "warden lost": "- alreadyEnded", "stop requested": "- alreadyEnded",
            "handed back": "finished [succeeded] " + handedBack,
            "evicted": "- alreadyEnded",
            "launch delayed": "- alreadyEnded",
            "upstream failed": no, "upstream skipped": no, "cache hit": no, "approved": no, "children ended": no,
        ],
        "processing before a retry": [
            "compiled": no, "condition false": no, "compilation failed": no, "waiting": no, "unschedulable": no,
            "placed": no, "accepted": "- alreadyEnded", "main started": "- alreadyEnded",
            "never accepted": "- alreadyEnded", "launch failed": "- alreadyEnded", "ended well": "- alreadyEnded",
            "ended badly": "- alreadyEnded", "warden lost": "- alreadyEnded",
            "stop requested": "processing [stopping]",
            "handed back": "queued [retrying queued] clean-up@1 free:gpu0 free:gpu1",
            "evicted": "- alreadyEnded",
            "launch delayed": "- alreadyEnded",
            "upstream failed": no, "upstream skipped": no, "cache hit": no, "approved": no, "children ended": no,
        ],
        "processing a stop": [
            "compiled": no, "condition false": no, "compilation failed": no, "waiting": no, "unschedulable": no,
            "placed": no, "accepted": "- alreadyEnded", "main started": "- alreadyEnded",
            "never accepted": "- alreadyEnded", "launch failed": "- alreadyEnded", "ended well": "- alreadyEnded",
            "ended badly": "- alreadyEnded", "warden lost": "- alreadyEnded", "stop requested": "- alreadyEnded",
            "handed back": "finished [stopped] " + handedBack,
            "evicted": "- alreadyEnded",
            "launch delayed": "- alreadyEnded",
            "upstream failed": no, "upstream skipped": no, "cache hit": no, "approved": no, "children ended": no,
        ],
        "created for approval": madeOf(created: "held [compiled]"),
        "created with children": madeOf(created: "pipeline [compiled running] advance@0"),
        "created with a schedule": madeOf(created: "pipeline [compiled on_schedule] advance@0"),
        "held": only([
            "approved": "queued [compiled queued]", "stop requested": "finished [stopped] resolve-hooks@0",
        ]),
        "held with children": only([
            "approved": "pipeline [compiled running] advance@0", "stop requested": "finished [stopped] resolve-hooks@0",
        ]),
        "pipeline": only([
            "children ended": "finished [failed] resolve-hooks@0", "stop requested": "pipeline [stopping] advance@0",
        ]),
        "on schedule": only([
            "children ended": "finished [failed] resolve-hooks@0", "stop requested": "pipeline [stopping] advance@0",
        ]),
        "pipeline stopping": only([
            "children ended": "finished [stopped] resolve-hooks@0", "stop requested": "- alreadyStopping",
        ]),
    ]

    /// As a created job, but that it goes on otherwise when it is compiled.
    private static func madeOf(created line: String) -> [String: String] {
        only([
            "compiled": line, "condition false": "finished [skipped] resolve-hooks@0",
            "compilation failed": "finished [failed] resolve-hooks@0",
            "upstream failed": "finished [upstream_failed] resolve-hooks@0",
            "upstream skipped": "finished [skipped] resolve-hooks@0",
            "cache hit": "finished [succeeded] resolve-hooks@0",
            "stop requested": "finished [stopped] resolve-hooks@0",
        ])
    }

    /// What is named, and nothing for any other event.
    private static func only(_ lines: [String: String]) -> [String: String] {
        RunSamples.events.mapValues { _ in no }.merging(lines) { _, line in line }
    }

    @Test(arguments: RunSamples.matrix)
    func `each state answers each event as written down`(state: String, event: String) throws {
        let decision = Run.decide(
            try #require(RunSamples.states[state]), try #require(RunSamples.events[event]), at: RunSamples.time)
        let expected =
            state == "finished" ? "- alreadyFinished" : try #require(Self.expected[state]?[event], "not written down")
        #expect(decision.line == expected)
    }

    @Test(arguments: RunSamples.matrix)
    func `no lease is lost and no status comes after a final one`(state: String, event: String) throws {
        let before = try #require(RunSamples.states[state])
        guard case .accept(let transition) = Run.decide(before, try #require(RunSamples.events[event]), at: .zero)
        else { return }
        #expect(before.phase != .finished)
        let held = Set(before.active?.lease.devices ?? [])
        let holds = Set(transition.state.active?.lease.devices ?? [])
        let given = Set(
            transition.devices.compactMap { move -> String? in
                switch move {
                case .free(let device, _), .quarantine(let device, _, _): device
                case .lease, .beginRelease, .clear: nil
                }
            })
        // Whoever held a device holds it still, or there is a verdict on it.
        #expect(held.subtracting(holds) == given)
        #expect(Set(transition.effects).count == transition.effects.count)
        if transition.state.phase == .finished { #expect(transition.effects.contains { $0.kind == .resolveHooks }) }
        // Of several conditions only the last may be final, and it is the state's own word.
        if let last = transition.conditions.last { #expect(last.status == transition.state.status) }
        for condition in transition.conditions.dropLast() { #expect(!condition.status.isFinal) }
        // From stopping only final statuses follow.
        if before.status == .stopping { for condition in transition.conditions { #expect(condition.status.isFinal) } }
    }

    @Test(arguments: RunSamples.states.keys.sorted())
    func `an event of another attempt changes nothing`(state: String) throws {
        let before = try #require(RunSamples.states[state])
        for event in RunSamples.staleEvents {
            guard case .ignore = Run.decide(before, event, at: .zero) else {
                Issue.record("\(state) took \(event)")
                continue
            }
        }
    }

    @Test(arguments: RunSamples.states.keys.sorted())
    func `the wire status agrees with the phase`(state: String) throws {
        let value = try #require(RunSamples.states[state])
        #expect(value.status.isFinal == (value.phase == .finished))
    }
}

extension Timestamp {
    static let zero = Timestamp(microseconds: 0)
}
