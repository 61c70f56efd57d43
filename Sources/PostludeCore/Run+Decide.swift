extension Run {
    /// Wardens an attempt is given before its launch counts as failed.
    static let maxLaunches = 3
    /// How many agents may end while they launch an attempt. That is no fault of the attempt's, unless it is what ends
    /// them: then it must not end every agent that comes after.
    static let maxCutOffs = 10

    /// Decides what an event means for a run. Pure: the caller stores the transition and performs its effects.
    ///
    /// Polyaxon's rules hold: a final status never changes, a run that has not started stops at once, and after
    /// `stopping` only a final status follows. A run is finished only when each leased device has a verdict (P1, P2).
    public static func decide(_ state: State, _ event: Event, at time: Timestamp) -> Decision {
        switch state {
        case .created(let terms): decideCreated(terms, event, at: time)
        case .held(let terms): decideHeld(terms, event, at: time)
        case .queued(let waiting): decideQueued(waiting, event, at: time)
        case .pipeline(let pipeline): decidePipeline(pipeline, event, at: time)
        case .launching(let active): decideLaunching(active, event, at: time)
        case .starting(let active): decideStarted(active, event, mainRuns: false, at: time)
        case .running(let active): decideStarted(active, event, mainRuns: true, at: time)
        case .stopping(let active, let stop): decideStopping(active, stop, event, at: time)
        case .processing(let active, let ending): decideProcessing(active, ending, event, at: time)
        case .finished: .ignore(.alreadyFinished)
        }
    }

    private static func decideCreated(_ terms: Terms, _ event: Event, at time: Timestamp) -> Decision {
        switch event {
        case .compiled:
            guard terms.needsApproval else { return begin(terms, at: time) }
            let held = RunCondition(
                status: .compiled, reason: "ApprovalPending", message: "Waits until it is approved.", at: time)
            return .accept(Transition(.held(terms), conditions: [held]))
        case .conditionFalse(let detail):
            return finish(Outcome(.skipped, reason: "ConditionFalse", message: detail), attempt: 0, at: time)
        case .upstreamFailed(let detail):
            return finish(Outcome(.upstreamFailed, reason: "UpstreamFailed", message: detail), attempt: 0, at: time)
        case .upstreamSkipped(let detail):
            return finish(Outcome(.skipped, reason: "UpstreamSkipped", message: detail), attempt: 0, at: time)
        case .cacheHit(let run):
            let message = "The outputs are those of run \(run)."
            return finish(Outcome(.succeeded, reason: "CacheHit", message: message), attempt: 0, at: time)
        case .compilationFailed(let code, let message):
            let text = "\(code): \(message)"
            return finish(Outcome(.failed, reason: "CompilationFailed", message: text), attempt: 0, at: time)
        case .stopRequested(let by):
            return finish(stopped(by: by), attempt: 0, at: time)
        case .approved, .childrenEnded, .waiting, .placed, .accepted, .mainStarted, .neverAccepted, .launchFailed,
            .launchDelayed, .ended, .wardenLost, .evicted, .handedBack:
            return .ignore(.notApplicable)
        }
    }

    private static func decideQueued(_ waiting: Waiting, _ event: Event, at time: Timestamp) -> Decision {
        switch event {
        case .placed(let attempt, let lease):
            guard attempt == waiting.attempt else { return .ignore(.staleAttempt) }
            let active = Active(attempt: attempt, terms: waiting.terms, lease: lease)
            return .accept(
                Transition(
                    .launching(active), conditions: [RunCondition(status: .scheduled, reason: "Placed", at: time)],
                    effects: [Effect(.launch, attempt: attempt)],
                    devices: lease.devices.map { .lease(device: $0, attempt: attempt) }))
        case .waiting(let reason, let canEver):
            guard reason != waiting.reason || canEver != waiting.canEver else { return .ignore(.alreadyWaiting) }
            var next = waiting
            next.reason = reason
            next.canEver = canEver
            let status: RunStatus = canEver ? .queued : .unschedulable
            let word = canEver ? "Waiting" : "Unschedulable"
            return .accept(
                Transition(
                    .queued(next),
                    conditions: [RunCondition(status: status, reason: word, message: reason, at: time)]))
        case .stopRequested(let by):
            return finish(stopped(by: by), attempt: waiting.attempt - 1, at: time)
        case .accepted(let attempt), .mainStarted(let attempt), .neverAccepted(let attempt, _),
            .launchFailed(let attempt, _, _), .launchDelayed(let attempt, _), .ended(let attempt, _),
            .wardenLost(let attempt, _), .evicted(let attempt, _), .handedBack(let attempt, _):
            return .ignore(attempt < waiting.attempt ? .staleAttempt : .notApplicable)
        case .compiled, .conditionFalse, .compilationFailed, .upstreamFailed, .upstreamSkipped, .cacheHit, .approved,
            .childrenEnded:
            return .ignore(.notApplicable)
        }
    }

    private static func decideLaunching(_ active: Active, _ event: Event, at time: Timestamp) -> Decision {
        if let late = lateness(of: event, for: active) { return .ignore(late) }
        switch event {
        case .accepted:
            return .accept(
                Transition(
                    .starting(active), conditions: [RunCondition(status: .starting, reason: "Accepted", at: time)]))
        case .mainStarted:
            return .accept(
                Transition(
                    .running(active), conditions: [RunCondition(status: .running, reason: "MainStarted", at: time)]))
        case .neverAccepted(_, let agentEnded):
            guard let again = again(active, agentEnded: agentEnded) else {
                let message =
                    agentEnded
                    ? "\(maxCutOffs) agents ended while they launched it."
                    : "\(maxLaunches) wardens died before they took the plan."
                return end(active, Outcome(.failed, reason: "LaunchFailed", message: message), mayRetry: true, at: time)
            }
            return .accept(Transition(.launching(again), effects: [Effect(.launch, attempt: active.attempt)]))
        case .launchFailed(_, let code, let message):
            let outcome = Outcome(.failed, reason: "LaunchFailed", message: "\(code): \(message)")
            return end(active, outcome, mayRetry: true, at: time)
        case .launchDelayed(_, let reason):
            let delayed = RunCondition(status: .scheduled, reason: "LaunchDelayed", message: reason, at: time)
            return .accept(Transition(.launching(active), conditions: [delayed]))
        case .ended(_, let end):
            return self.end(
                active, outcome(of: end, by: nil, kind: active.terms.kind), mayRetry: mayRetry(after: end), at: time)
        case .wardenLost(_, let loss):
            return end(active, lost(active, with: loss), mayRetry: true, at: time)
        case .stopRequested(let by):
            return stop(active, by: by, at: time)
        case .compiled, .conditionFalse, .compilationFailed, .upstreamFailed, .upstreamSkipped, .cacheHit, .approved,
            .childrenEnded, .waiting, .placed, .evicted, .handedBack:
            return .ignore(.notApplicable)
        }
    }

    /// The attempt with one launch more, if it may have one.
    private static func again(_ active: Active, agentEnded: Bool) -> Active? {
        var again = active
        if agentEnded {
            again.cutOffs += 1
            return again.cutOffs < maxCutOffs ? again : nil
        }
        again.launches += 1
        return again.launches <= maxLaunches ? again : nil
    }

    private static func decideStarted(
        _ active: Active, _ event: Event, mainRuns: Bool, at time: Timestamp
    ) -> Decision {
        if let late = lateness(of: event, for: active) { return .ignore(late) }
        switch event {
        case .mainStarted:
            guard !mainRuns else { return .ignore(.alreadyStarted) }
            return .accept(
                Transition(
                    .running(active), conditions: [RunCondition(status: .running, reason: "MainStarted", at: time)]))
        case .ended(_, let end):
            return self.end(
                active, outcome(of: end, by: nil, kind: active.terms.kind), mayRetry: mayRetry(after: end), at: time)
        case .wardenLost(_, let loss):
            return end(active, lost(active, with: loss), mayRetry: true, at: time)
        case .stopRequested(let by):
            return stop(active, by: by, at: time)
        case .evicted(_, let eviction):
            return evict(active, nil, for: eviction, at: time)
        case .accepted, .neverAccepted, .launchFailed, .launchDelayed:
            // A launch that seemed to fail after the warden had the plan: the warden's own word counts.
            return .ignore(.alreadyStarted)
        case .compiled, .conditionFalse, .compilationFailed, .upstreamFailed, .upstreamSkipped, .cacheHit, .approved,
            .childrenEnded, .waiting, .placed, .handedBack:
            return .ignore(.notApplicable)
        }
    }

    private static func decideStopping(
        _ active: Active, _ stop: Stop, _ event: Event, at time: Timestamp
    ) -> Decision {
        if let late = lateness(of: event, for: active) { return .ignore(late) }
        switch event {
        case .neverAccepted, .launchFailed:
            return end(active, outcome(of: active, lostWith: nil, after: stop), isStopping: true, at: time)
        case .ended(_, let end):
            return self.end(
                active, outcome(of: end, after: stop, kind: active.terms.kind), isStopping: true, at: time)
        case .wardenLost(_, let loss):
            return end(active, outcome(of: active, lostWith: loss, after: stop), isStopping: true, at: time)
        case .evicted(_, let eviction):
            guard stop.eviction == nil else { return .ignore(.alreadyStopping) }
            return evict(active, stop, for: eviction, at: time)
        case .accepted, .mainStarted, .launchDelayed, .stopRequested:
            return .ignore(.alreadyStopping)
        case .compiled, .conditionFalse, .compilationFailed, .upstreamFailed, .upstreamSkipped, .cacheHit, .approved,
            .childrenEnded, .waiting, .placed, .handedBack:
            return .ignore(.notApplicable)
        }
    }

    private static func decideProcessing(
        _ active: Active, _ ending: Ending, _ event: Event, at time: Timestamp
    ) -> Decision {
        if let late = lateness(of: event, for: active) { return .ignore(late) }
        switch event {
        case .handedBack(_, let found):
            return handBack(active, ending, found, at: time)
        case .stopRequested(let by):
            guard case .retry(let outcome) = ending.next else { return .ignore(.alreadyEnded) }
            var stopped = stopped(by: by)
            stopped.exit = outcome.exit
            return .accept(
                Transition(
                    .processing(active, Ending(.finish(stopped), isStopping: true)),
                    conditions: [stoppingCondition(by: by, at: time)]))
        case .accepted, .mainStarted, .neverAccepted, .launchFailed, .launchDelayed, .ended, .wardenLost, .evicted:
            return .ignore(.alreadyEnded)
        case .compiled, .conditionFalse, .compilationFailed, .upstreamFailed, .upstreamSkipped, .cacheHit, .approved,
            .childrenEnded, .waiting, .placed:
            return .ignore(.notApplicable)
        }
    }
}
