import PostludeCore

/// Records of a run with three steps and a hook, as the engine gives them.
enum Samples {
    static let main = id("0123456789abcdef0123456789abcdef")
    static let hook = id("fedcba9876543210fedcba9876543210")
    static let start = Timestamp(microseconds: 1_772_366_400_000_000)

    static func id(_ text: String) -> RunID {
        guard let id = RunID(text) else { preconditionFailure("'\(text)' is not a run id") }
        return id
    }

    static func usage(wall: Double, user: Double, system: Double, memory: Int64?) -> StepUsage {
        var usage = StepUsage()
        usage.wallSeconds = wall
        usage.userSeconds = user
        usage.systemSeconds = system
        usage.peakMemoryBytes = memory
        return usage
    }

    static func record(
        _ step: String, _ role: StepRole, run: RunID = main, exit: ProcessExit? = .code(0), usage: StepUsage? = nil,
        after: Double = 0, seconds: Double? = 1
    ) -> UsageRecord {
        let started = Timestamp(microseconds: start.microseconds + Int64(after * 1_000_000))
        return UsageRecord(
            run: run, runName: "digits", project: "default", user: "ada", attempt: 1, step: step, role: role,
            status: .succeeded, exit: exit, queueSeconds: 0.0123, usage: usage, startedAt: started,
            finishedAt: seconds.map { Timestamp(microseconds: started.microseconds + Int64($0 * 1_000_000)) })
    }

    static var digits: [UsageRecord] {
        var training = record(
            "main", .main, usage: usage(wall: 12.25, user: 11, system: 0.5, memory: 200 << 20), after: 0.5,
            seconds: 12.25)
        training.devices = ["gpu0"]
        training.deviceSeconds = 12.8
        training.releasingSeconds = 0.0042
        training.artifactsBytes = 5 << 20
        var evaluate = record("main", .main, run: hook, exit: .code(3), usage: nil, after: 13, seconds: 0.25)
        evaluate.upstream = main
        evaluate.hookName = "evaluate"
        evaluate.status = .failed
        evaluate.queueSeconds = nil
        var prepare = record(
            "init-0", .initialize, usage: usage(wall: 0.4, user: 0.1, system: 0.05, memory: 9_437_184), seconds: 0.4)
        var watch = record(
            "sidecar-watch", .sidecar, exit: .signal(15, coreDumped: false),
            usage: usage(wall: 12.2, user: 0.2, system: 0.1, memory: nil), after: 0.5, seconds: 12.2)
        prepare.devices = ["gpu0"]
        watch.devices = ["gpu0"]
        return [evaluate, prepare, training, watch]
    }
}
