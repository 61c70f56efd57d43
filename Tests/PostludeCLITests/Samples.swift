import PostludeCore

/// A finished run with everything a run can have.
enum Samples {
    static let main = id("0123456789abcdef0123456789abcdef")
    static let hook = id("fedcba9876543210fedcba9876543210")

    static func id(_ text: String) -> RunID {
        guard let id = RunID(text) else { preconditionFailure("'\(text)' is not a run id") }
        return id
    }

    /// Seconds after 2026-03-01T12:00:00Z.
    static func time(_ seconds: Double) -> Timestamp {
        Timestamp(microseconds: 1_772_366_400_000_000 + Int64((seconds * 1_000_000).rounded()))
    }

    static var summary: RunSummary {
        RunSummary(
            id: main, name: "digits", project: "default", user: "ada", uid: 1000, status: .succeeded,
            reason: "Succeeded",
            attempt: 1, devices: ["gpu0"], createdAt: time(0), queuedAt: time(0.001), startedAt: time(0.012),
            finishedAt: time(12.85))
    }

    static var receipt: Receipt {
        Receipt(
            namespaces: ["pid": 4026532001, "mnt": 4026532002], sharedNamespaces: ["user"],
            cgroups: ["unified": "/postlude/runs/w01/main"], limits: ["memory.max": "1073741824\n"],
            deviceFilterPrograms: [42], seccompProfile: "main", seccompMode: 2, seccompFilters: 1,
            noNewPrivileges: true,
            capabilities: ["CapInh": 0, "CapPrm": 0, "CapEff": 0, "CapBnd": 0, "CapAmb": 0], uid: 1000, gid: 1000,
            groups: [44], mounts: 31, writableMounts: ["/tmp", "/dev/shm"], profile: "main", devices: ["/dev/gpu0"])
    }

    static var usage: StepUsage {
        var usage = StepUsage()
        usage.wallSeconds = 12.25
        usage.userSeconds = 11
        usage.systemSeconds = 0.5
        usage.peakMemoryBytes = 200 << 20
        usage.oomKills = 0
        return usage
    }

    static var detail: RunDetail {
        RunDetail(
            summary: summary,
            conditions: [
                RunCondition(status: .queued, reason: "Queued", at: time(0.001)),
                RunCondition(status: .scheduled, reason: "Placed", at: time(0.012)),
                RunCondition(status: .succeeded, reason: "Succeeded", message: "", at: time(12.85)),
            ],
            inputs: ["lr": .double(0.1), "name": .string("a\u{1b}[2Jb")], outputs: ["accuracy": .double(0.951)],
            attempts: [
                AttemptRecord(
                    number: 1,
                    steps: [
                        StepRecord(
                            name: "init-0", role: .initialize, startedAt: time(0.02), finishedAt: time(0.4),
                            exit: .code(0)),
                        StepRecord(
                            name: "main", role: .main, startedAt: time(0.5), finishedAt: time(12.75), exit: .code(0),
                            usage: usage,
                            receipt: receipt),
                    ],
                    leases: [
                        LeaseRecord(
                            device: "gpu0", leasedAt: time(0.012), releasingAt: time(12.8), releasedAt: time(12.8042))
                    ], artifactsBytes: 5 << 20)
            ],
            hooks: [
                HookRecord(
                    index: 0, name: "evaluate", origin: "path:evaluate.yaml", trigger: .succeeded, outcome: .fired,
                    detail: "0.951 > 0.9", run: hook, status: .succeeded),
                HookRecord(index: 1, name: "alert", origin: "inline", trigger: .failed, outcome: .triggerMismatch),
            ],
            notes: [
                Diagnostic(
                    .note, "spec.no-effect", "The port has no effect.",
                    at: SourcePlace(file: "digits.yaml", line: 7, column: 9))
            ],
            artifacts: "/var/lib/postlude/runs/0123/artifacts")
    }

    static func event(
        _ sequence: Int64, _ kind: RunEvent.Kind, _ subject: String, _ what: String, _ detail: String = "",
        at seconds: Double, of run: RunID = main
    ) -> RunEvent {
        RunEvent(
            sequence: sequence, run: run, kind: kind, subject: subject, what: what, detail: detail, at: time(seconds))
    }
}
