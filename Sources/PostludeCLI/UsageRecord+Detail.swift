import PostludeCore

extension UsageRecord {
    /// The accounting records of one run, from what `inspect` knows of it: the same rows as the agent's own report.
    static func records(of detail: RunDetail) -> [UsageRecord] {
        let summary = detail.summary
        let placed = detail.conditions.first { $0.status == .scheduled }?.lastTransition
        return detail.attempts.flatMap { attempt in
            attempt.steps.map { step in
                let isMain = step.role == .main
                return UsageRecord(
                    run: summary.id, runName: summary.name, project: summary.project, user: summary.user,
                    upstream: summary.upstream, hookName: summary.hookName, attempt: attempt.number, step: step.name,
                    role: step.role, status: summary.status, exit: step.exit,
                    queueSeconds: summary.queuedAt.flatMap { queued in
                        placed.flatMap { queued <= $0 ? $0.seconds(since: queued) : nil }
                    },
                    usage: step.usage, deviceSeconds: isMain ? attempt.leases.total(\.leasedSeconds) : nil,
                    releasingSeconds: isMain ? attempt.leases.total(\.releasingSeconds) : nil,
                    artifactsBytes: isMain ? attempt.artifactsBytes : nil,
                    devices: attempt.leases.map(\.device), startedAt: step.startedAt, finishedAt: step.finishedAt)
            }
        }
    }
}

extension LeaseRecord {
    /// Seconds from the lease to main's end; nil while main runs.
    fileprivate var leasedSeconds: Double? { releasingAt?.seconds(since: leasedAt) }

    /// Seconds from main's end until the device was verified free, or quarantined.
    fileprivate var releasingSeconds: Double? {
        guard let releasingAt else { return nil }
        return (releasedAt ?? quarantinedAt)?.seconds(since: releasingAt)
    }
}

extension [LeaseRecord] {
    /// The sum over all leases; nil when there is none, or one is not known yet.
    fileprivate func total(_ seconds: (LeaseRecord) -> Double?) -> Double? {
        let known = compactMap(seconds)
        return known.isEmpty || known.count < count ? nil : known.reduce(0, +)
    }
}
