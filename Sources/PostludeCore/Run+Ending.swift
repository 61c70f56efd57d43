extension Run {
    /// Whether the event tells of another attempt than the current one.
    static func lateness(of event: Event, for active: Active) -> Ignored? {
        switch event {
        case .placed(let attempt, _), .accepted(let attempt), .mainStarted(let attempt), .neverAccepted(let attempt, _),
            .launchFailed(let attempt, _, _), .launchDelayed(let attempt, _), .ended(let attempt, _),
            .wardenLost(let attempt, _), .evicted(let attempt, _), .handedBack(let attempt, _):
            attempt == active.attempt ? nil : .staleAttempt
        case .compiled, .conditionFalse, .compilationFailed, .upstreamFailed, .upstreamSkipped, .cacheHit, .approved,
            .childrenEnded, .waiting, .stopRequested:
            nil
        }
    }

    static func stop(_ active: Active, by: String, at time: Timestamp) -> Decision {
        .accept(
            Transition(
                .stopping(active, Stop(by: by)), conditions: [stoppingCondition(by: by, at: time)],
                effects: [Effect(.requestStop, attempt: active.attempt)]))
    }

    /// Ends the attempt at once; when a stop was asked for already, no more than its grace period is taken away.
    static func evict(_ active: Active, _ stop: Stop?, for eviction: Eviction, at time: Timestamp) -> Decision {
        var evicted = stop ?? Stop(for: eviction)
        evicted.eviction = eviction
        return .accept(
            Transition(
                .stopping(active, evicted),
                conditions: stop == nil
                    ? [
                        RunCondition(
                            status: .stopping, reason: eviction.reason.rawValue, message: eviction.message, at: time)
                    ] : [],
                effects: [Effect(.evict, attempt: active.attempt)]))
    }

    /// The attempt's steps are over: its devices are owed back before anything else follows.
    static func end(
        _ active: Active, _ outcome: Outcome, mayRetry: Bool = false, isStopping: Bool = false, at time: Timestamp
    ) -> Decision {
        let retries = mayRetry && !isStopping && active.attempt <= active.terms.maxRetries
        let ending = Ending(retries ? .retry(after: outcome) : .finish(outcome), isStopping: isStopping)
        // From stopping only a final status follows, so the hand-back is not told as another status there.
        let processing = RunCondition(
            status: .processing, reason: outcome.reason,
            message: active.lease.devices.isEmpty ? "" : "The devices are taken back.", at: time)
        return .accept(
            Transition(
                .processing(active, ending), conditions: isStopping ? [] : [processing],
                effects: [Effect(.handBack, attempt: active.attempt)],
                devices: active.lease.devices.map { .beginRelease(device: $0, attempt: active.attempt) }))
    }

    static func handBack(
        _ active: Active, _ ending: Ending, _ found: HandBack, at time: Timestamp
    ) -> Decision {
        let verdicts = found.verdicts
        var moves: [DeviceLedger.Move] = []
        for device in active.lease.devices {
            guard let found = verdicts.last(where: { $0.device == device }) else {
                return .refuse(.verdictMissing(device: device))
            }
            switch found.verdict {
            case .free: moves.append(.free(device: device, attempt: active.attempt))
            case .held(let holders):
                moves.append(.quarantine(device: device, attempt: active.attempt, evidence: holders))
            }
        }
        let cleanUp = Effect(.cleanUp, attempt: active.attempt)
        switch ending.next {
        case .finish(let outcome):
            // From stopping only a final status follows.
            let warning =
                ending.isStopping
                ? nil
                : found.outputs.map { problem in
                    RunCondition(status: .warning, reason: problem.reason, message: problem.message, at: time)
                }
            return finish(
                outcome, attempt: active.attempt, after: warning.map { [$0] } ?? [], also: [cleanUp], devices: moves,
                at: time)
        case .retry(let outcome):
            let message = "Attempt \(active.attempt) of at most \(active.terms.maxRetries + 1): \(outcome.message)"
            return .accept(
                Transition(
                    .queued(Waiting(attempt: active.attempt + 1, terms: active.terms)),
                    conditions: [
                        RunCondition(status: .retrying, reason: outcome.reason, message: message, at: time),
                        RunCondition(status: .queued, reason: "Retrying", at: time),
                    ], effects: [cleanUp], devices: moves))
        }
    }

    /// Hooks come first among what is owed: they are what somebody waits for.
    static func finish(
        _ outcome: Outcome, attempt: Int, after conditions: [RunCondition] = [], also effects: [Effect] = [],
        devices: [DeviceLedger.Move] = [], at time: Timestamp
    ) -> Decision {
        .accept(
            Transition(
                .finished(outcome),
                conditions: conditions + [
                    RunCondition(status: outcome.status, reason: outcome.reason, message: outcome.message, at: time)
                ], effects: [Effect(.resolveHooks, attempt: attempt)] + effects, devices: devices))
    }

    static func stopped(by: String) -> Outcome {
        Outcome(.stopped, reason: "Stopped", message: "Stopped by \(by).")
    }

    static func stoppingCondition(by: String, at time: Timestamp) -> RunCondition {
        RunCondition(status: .stopping, reason: "StopRequested", message: "Asked for by \(by).", at: time)
    }

    /// - Parameter status: what a run is that is lost; one that was being stopped is stopped.
    static func lost(_ active: Active, with loss: Loss, _ status: RunStatus = .failed) -> Outcome {
        let rest = status == .stopped ? " while the run was being stopped" : ""
        switch loss {
        case .warden:
            let message = "The warden of attempt \(active.attempt) died without saying how the steps ended\(rest)."
            return Outcome(status, reason: "WardenLost", message: message, exit: .unknown)
        case .node:
            let message = "The node was started anew during attempt \(active.attempt)\(rest)."
            return Outcome(status, reason: "NodeReboot", message: message, exit: .unknown)
        }
    }

    /// What the end of an attempt means that was being stopped. What ended by itself before it was killed keeps its own
    /// outcome; a stop that somebody asked for stays one, though the agent has cut its grace period short.
    static func outcome(of end: End, after stop: Stop, kind: Terms.Kind = .job) -> Outcome {
        guard let eviction = stop.eviction else { return outcome(of: end, by: stop.by, kind: kind) }
        switch end.reason {
        case .timeout: return outcome(of: end, by: stop.by, kind: kind)
        case .mainExited where end.exit.isSuccess: return outcome(of: end, by: stop.by)
        case .mainExited, .initFailed, .setupFailed, .stopRequested:
            return outcome(of: stop, eviction, exit: end.exit)
        }
    }

    private static func outcome(of stop: Stop, _ eviction: Eviction, exit: ProcessExit?) -> Outcome {
        guard let by = stop.by else {
            return Outcome(.failed, reason: eviction.reason.rawValue, message: eviction.message, exit: exit)
        }
        return Outcome(
            .stopped, reason: "Stopped", message: "Stopped by \(by), and killed at once: \(eviction.message)",
            exit: exit)
    }

    /// What it means that an attempt which was being stopped never ran (`loss` is nil then), or that nobody knows how it
    /// ended.
    static func outcome(of active: Active, lostWith loss: Loss?, after stop: Stop) -> Outcome {
        if let eviction = stop.eviction { return outcome(of: stop, eviction, exit: loss == nil ? nil : .unknown) }
        guard let loss else { return stopped(by: stop.by ?? "the agent") }
        return lost(active, with: loss, .stopped)
    }

    /// A program that failed may do better next time; a set-up that failed, a timeout and a stop will not.
    static func mayRetry(after end: End) -> Bool {
        switch end.reason {
        case .mainExited: !end.exit.isSuccess
        case .initFailed: true
        case .setupFailed, .stopRequested, .timeout: false
        }
    }

    /// What the warden's last word means. `by` names who asked for a stop, if anybody did.
    static func outcome(of end: End, by: String?, kind: Terms.Kind = .job) -> Outcome {
        switch end.reason {
        case .mainExited:
            if end.exit.isSuccess {
                guard end.logBytesDropped > 0 else { return Outcome(.succeeded, reason: "Completed", exit: end.exit) }
                return Outcome(
                    .succeeded, reason: "LogsTruncated",
                    message: "Main's output was longer than what is kept, by \(end.logBytesDropped) bytes.",
                    exit: end.exit)
            }
            if end.oomKilled {
                let message = "Main was killed for want of memory (\(end.exit.words))."
                return Outcome(.failed, reason: "OOMKilled", message: message, exit: end.exit)
            }
            if end.forksRefused > 0 {
                let message = "Main reached the limit of processes and ended with \(end.exit.words)."
                return Outcome(.failed, reason: "PidsLimit", message: message, exit: end.exit)
            }
            let message = end.said("Main ended with \(end.exit.words).")
            return Outcome(.failed, reason: "MainFailed", message: message, exit: end.exit)
        case .initFailed(let step):
            let reason = end.oomKilled ? "OOMKilled" : end.forksRefused > 0 ? "PidsLimit" : "InitFailed"
            let message = end.said("The step '\(step)' ended with \(end.exit.words).")
            return Outcome(.failed, reason: reason, message: message, exit: end.exit)
        case .setupFailed(let step):
            let what = step.isEmpty ? "The attempt" : "The step '\(step)'"
            let message = "\(what) could not be set up: \(end.exit.words)."
            return Outcome(.failed, reason: "SandboxSetupFailed", message: message, exit: end.exit)
        case .stopRequested:
            var outcome = stopped(by: by ?? "a signal to the warden")
            outcome.exit = end.exit
            return outcome
        case .timeout where kind == .service:
            return Outcome(
                .stopped, reason: "ServiceTimeout", message: "The service's time was up.", exit: end.exit)
        case .timeout:
            return Outcome(.failed, reason: "Timeout", message: "The attempt's time was up.", exit: end.exit)
        }
    }

    /// The history with one more condition: the same status again replaces the last entry's words and update time.
    public static func append(_ condition: RunCondition, to history: [RunCondition]) -> [RunCondition] {
        guard var last = history.last, last.status == condition.status else { return history + [condition] }
        last.reason = condition.reason
        last.message = condition.message
        last.lastUpdate = condition.lastUpdate
        return history.dropLast() + [last]
    }
}

extension Run.End {
    /// What happened, with the program's own words where it left some.
    fileprivate func said(_ what: String) -> String { message.map { "\(what) \($0)" } ?? what }
}

extension ProcessExit {
    /// For people: `code 3`, `signal 9`, `mount: errno 2 (detail)`.
    public var words: String {
        switch self {
        case .code(let code): "code \(code)"
        case .signal(let signal, let coreDumped): "signal \(signal)\(coreDumped ? ", core dumped" : "")"
        case .setupFailed(let stage, let errno, let detail):
            "stage \(stage), errno \(errno)\(detail.isEmpty ? "" : " (\(detail))")"
        case .unknown: "an unknown exit"
        }
    }
}
