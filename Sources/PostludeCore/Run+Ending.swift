extension Run {
    /// Whether the event tells of another attempt than the current one.
    static func lateness(of event: Event, for active: Active) -> Ignored? {
        switch event {
        case .placed(let attempt, _), .accepted(let attempt), .mainStarted(let attempt), .neverAccepted(let attempt),
            .launchFailed(let attempt, _, _), .ended(let attempt, _), .wardenLost(let attempt),
            .handedBack(let attempt, _):
            attempt == active.attempt ? nil : .staleAttempt
        case .compiled, .conditionFalse, .compilationFailed, .waiting, .stopRequested: nil
        }
    }

    static func stop(_ active: Active, by: String, at time: Timestamp) -> Decision {
        .accept(
            Transition(
                .stopping(active, Stop(by: by)), conditions: [stoppingCondition(by: by, at: time)],
                effects: [Effect(.requestStop, attempt: active.attempt)]))
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
        _ active: Active, _ ending: Ending, _ verdicts: [DeviceVerdict], at time: Timestamp
    ) -> Decision {
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
            return finish(outcome, attempt: active.attempt, also: [cleanUp], devices: moves, at: time)
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
        _ outcome: Outcome, attempt: Int, also effects: [Effect] = [], devices: [DeviceLedger.Move] = [],
        at time: Timestamp
    ) -> Decision {
        .accept(
            Transition(
                .finished(outcome),
                conditions: [
                    RunCondition(status: outcome.status, reason: outcome.reason, message: outcome.message, at: time)
                ], effects: [Effect(.resolveHooks, attempt: attempt)] + effects, devices: devices))
    }

    static func stopped(by: String) -> Outcome {
        Outcome(.stopped, reason: "Stopped", message: "Stopped by \(by).")
    }

    static func stoppingCondition(by: String, at time: Timestamp) -> RunCondition {
        RunCondition(status: .stopping, reason: "StopRequested", message: "Asked for by \(by).", at: time)
    }

    static func lost(_ active: Active) -> Outcome {
        Outcome(
            .failed, reason: "WardenLost",
            message: "The warden of attempt \(active.attempt) died without saying how the steps ended.", exit: .unknown)
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
    static func outcome(of end: End, by: String?) -> Outcome {
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
            return Outcome(.failed, reason: "MainFailed", message: "Main ended with \(end.exit.words).", exit: end.exit)
        case .initFailed(let step):
            let reason = end.oomKilled ? "OOMKilled" : end.forksRefused > 0 ? "PidsLimit" : "InitFailed"
            let message = "The step '\(step)' ended with \(end.exit.words)."
            return Outcome(.failed, reason: reason, message: message, exit: end.exit)
        case .setupFailed(let step):
            let message = "The step '\(step)' could not be set up: \(end.exit.words)."
            return Outcome(.failed, reason: "SandboxSetupFailed", message: message, exit: end.exit)
        case .stopRequested:
            var outcome = stopped(by: by ?? "a signal to the warden")
            outcome.exit = end.exit
            return outcome
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
