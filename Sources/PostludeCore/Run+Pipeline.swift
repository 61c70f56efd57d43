extension Run {
    /// A compiled run goes to the queue; a parent starts to make its children.
    static func begin(_ terms: Terms, at time: Timestamp) -> Decision {
        let compiled = RunCondition(status: .compiled, reason: "Compiled", at: time)
        switch terms.kind {
        case .job, .service:
            return .accept(
                Transition(
                    .queued(Waiting(attempt: 1, terms: terms)),
                    conditions: [compiled, RunCondition(status: .queued, reason: "Queued", at: time)]))
        case .pipeline:
            return .accept(
                Transition(
                    .pipeline(Pipeline(terms: terms)),
                    conditions: [compiled, RunCondition(status: .running, reason: "PipelineStarted", at: time)],
                    effects: [Effect(.advance, attempt: 0)]))
        case .schedule:
            return .accept(
                Transition(
                    .pipeline(Pipeline(terms: terms)),
                    conditions: [compiled, RunCondition(status: .onSchedule, reason: "Scheduled", at: time)],
                    effects: [Effect(.advance, attempt: 0)]))
        }
    }

    static func decideHeld(_ terms: Terms, _ event: Event, at time: Timestamp) -> Decision {
        switch event {
        case .approved(let by):
            guard case .accept(var transition) = begin(terms, at: time) else { return .ignore(.notApplicable) }
            transition.conditions[0].reason = "Approved"
            transition.conditions[0].message = "Approved by \(by)."
            return .accept(transition)
        case .stopRequested(let by):
            return finish(stopped(by: by), attempt: 0, at: time)
        case .compiled, .conditionFalse, .compilationFailed, .upstreamFailed, .upstreamSkipped, .cacheHit,
            .childrenEnded, .waiting, .placed, .accepted, .mainStarted, .neverAccepted, .launchFailed,
            .launchDelayed, .ended, .wardenLost, .evicted, .handedBack:
            return .ignore(.notApplicable)
        }
    }

    static func decidePipeline(_ pipeline: Pipeline, _ event: Event, at time: Timestamp) -> Decision {
        switch event {
        case .childrenEnded(let outcome):
            return finish(pipeline.stop.map { stopped(by: $0.by ?? "the agent") } ?? outcome, attempt: 0, at: time)
        case .stopRequested(let by):
            guard pipeline.stop == nil else { return .ignore(.alreadyStopping) }
            var next = pipeline
            next.stop = Stop(by: by)
            return .accept(
                Transition(
                    .pipeline(next), conditions: [stoppingCondition(by: by, at: time)],
                    effects: [Effect(.advance, attempt: 0)]))
        case .compiled, .conditionFalse, .compilationFailed, .upstreamFailed, .upstreamSkipped, .cacheHit, .approved,
            .waiting, .placed, .accepted, .mainStarted, .neverAccepted, .launchFailed, .launchDelayed, .ended,
            .wardenLost,
            .evicted, .handedBack:
            return .ignore(.notApplicable)
        }
    }

    /// How a parent ends when all its children have, by Polyaxon's rule: failed when any failed (or could not start for
    /// one that did), stopped when all were stopped, else succeeded.
    public static func outcome(of children: [RunStatus: Int]) -> Outcome {
        let failed = children[.failed, default: 0] + children[.upstreamFailed, default: 0]
        let all = children.values.reduce(0, +)
        let counts = children.filter { $0.value > 0 }.sorted { $0.key.rawValue < $1.key.rawValue }
            .map { "\($0.value) \($0.key.rawValue)" }.joined(separator: ", ")
        let message = counts.isEmpty ? "There was nothing to run." : "Of \(all) runs: \(counts)."
        if failed > 0 { return Outcome(.failed, reason: "ChildrenFailed", message: message) }
        if all > 0, children[.stopped, default: 0] == all {
            return Outcome(.stopped, reason: "ChildrenStopped", message: message)
        }
        return Outcome(.succeeded, reason: "ChildrenEnded", message: message)
    }
}
