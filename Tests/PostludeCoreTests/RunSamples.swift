@testable import PostludeCore

/// One of each state and event, for the matrix.
enum RunSamples {
    static let time = Timestamp(microseconds: 1_700_000_000_000_000)
    static let terms = Run.Terms(maxRetries: 1)
    static let lease = Run.Lease(devices: ["gpu0", "gpu1"], memoryBytes: 1 << 30, milliCPU: 1000)
    static let active = Run.Active(attempt: 1, terms: terms, lease: lease)
    static let success = Run.Outcome(.succeeded, reason: "Completed", exit: .code(0))
    static let failure = Run.Outcome(
        .failed, reason: "MainFailed", message: "Main ended with code 3.", exit: .code(3))

    static let eviction = Eviction(.diskLimit, "Too much.")

    static let states: [String: Run.State] = [
        "created": .created(terms),
        "created for approval": .created(Run.Terms(needsApproval: true)),
        "created with children": .created(Run.Terms(kind: .pipeline)),
        "created with a schedule": .created(Run.Terms(kind: .schedule)),
        "held": .held(Run.Terms(needsApproval: true)),
        "held with children": .held(Run.Terms(kind: .pipeline, needsApproval: true)),
        "pipeline": .pipeline(Run.Pipeline(terms: Run.Terms(kind: .pipeline))),
        "on schedule": .pipeline(Run.Pipeline(terms: Run.Terms(kind: .schedule))),
        "pipeline stopping": .pipeline(Run.Pipeline(terms: Run.Terms(kind: .pipeline), stop: Run.Stop(by: "ada"))),
        "queued": .queued(Run.Waiting(attempt: 1, terms: terms)),
        "queued for a retry": .queued(Run.Waiting(attempt: 2, terms: terms)),
        "launching": .launching(active),
        "starting": .starting(active),
        "running": .running(active),
        "stopping": .stopping(active, Run.Stop(by: "ada")),
        "being evicted": .stopping(active, Run.Stop(for: eviction)),
        "processing": .processing(active, Run.Ending(.finish(success))),
        "processing before a retry": .processing(active, Run.Ending(.retry(after: failure))),
        "processing a stop": .processing(
            active, Run.Ending(.finish(Run.Outcome(.stopped, reason: "Stopped")), isStopping: true)),
        "finished": .finished(success),
    ]

    static let other = RunID.random()
    static let free = [Run.DeviceVerdict("gpu0", .free), Run.DeviceVerdict("gpu1", .free)]
    static let holder = DeviceHolder(pid: 7, command: "python3", uid: 1000, how: .descriptor, node: "/dev/nvidia0")

    static let events: [String: Run.Event] = [
        "compiled": .compiled,
        "condition false": .conditionFalse(detail: "1 > 2"),
        "compilation failed": .compilationFailed(code: "spec.x", message: "No."),
        "upstream failed": .upstreamFailed(detail: "'a' failed"),
        "upstream skipped": .upstreamSkipped(detail: "'a' skipped"),
        "cache hit": .cacheHit(other),
        "approved": .approved(by: "ada"),
        "children ended": .childrenEnded(Run.Outcome(.failed, reason: "ChildrenFailed")),
        "waiting": .waiting(reason: "waits for 1 gpu", canEver: true),
        "unschedulable": .waiting(reason: "no such device", canEver: false),
        "placed": .placed(attempt: 1, lease: lease),
        "accepted": .accepted(attempt: 1),
        "main started": .mainStarted(attempt: 1),
        "never accepted": .neverAccepted(attempt: 1),
        "launch failed": .launchFailed(attempt: 1, code: "sandbox.x", message: "No."),
        "launch delayed": .launchDelayed(attempt: 1, reason: "sandbox.x: Not now."),
        "ended well": .ended(attempt: 1, Run.End(exit: .code(0), reason: .mainExited)),
        "ended badly": .ended(attempt: 1, Run.End(exit: .code(3), reason: .mainExited)),
        "warden lost": .wardenLost(attempt: 1),
        "stop requested": .stopRequested(by: "ada"),
        "evicted": .evicted(attempt: 1, eviction),
        "handed back": .handedBack(attempt: 1, Run.HandBack(free)),
    ]

    static let matrix: [(state: String, event: String)] = states.keys.sorted().flatMap { state in
        events.keys.sorted().map { (state, $0) }
    }

    /// An event of an attempt that is not the current one.
    static let staleEvents: [Run.Event] = [
        .placed(attempt: 9, lease: lease), .accepted(attempt: 9), .mainStarted(attempt: 9), .neverAccepted(attempt: 9),
        .launchFailed(attempt: 9, code: "", message: ""), .launchDelayed(attempt: 9, reason: ""),
        .ended(attempt: 9, Run.End(exit: .code(0), reason: .mainExited)), .wardenLost(attempt: 9),
        .evicted(attempt: 9, eviction),
        .handedBack(attempt: 9, Run.HandBack(free)),
    ]
}

extension Run.Decision {
    /// `processing [processing] hand-back@1 release:gpu0 release:gpu1`: everything a decision does, in one line.
    var line: String {
        switch self {
        case .ignore(let reason): return "- \(reason.rawValue)"
        case .refuse(let refused): return "! \(refused)"
        case .accept(let transition):
            var words = ["\(transition.state.phase.rawValue)"]
            words.append("[" + transition.conditions.map(\.status.rawValue).joined(separator: " ") + "]")
            words += transition.effects.map { "\($0.kind.rawValue)@\($0.attempt)" }
            words += transition.devices.map { move in
                switch move {
                case .lease(let device, _): "lease:\(device)"
                case .beginRelease(let device, _): "release:\(device)"
                case .free(let device, _): "free:\(device)"
                case .quarantine(let device, _, _): "quarantine:\(device)"
                case .clear(let device): "clear:\(device)"
                }
            }
            return words.joined(separator: " ")
        }
    }
}
