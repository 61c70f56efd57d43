import PostludePlan

/// Decides what comes next in an attempt; does nothing itself.
struct AttemptProgress {
    enum Action: Equatable {
        case start(Int)
        /// SIGTERM to every running step, and the grace period begins.
        case terminate(JournalRecord.StopReason)
        case finish(JournalRecord.EndReason, step: Int?, exit: JournalRecord.StepExit)
    }

    private var roles: [StepPlan.Role] = []
    private var alive: Set<Int> = []
    /// The init step that runs now, or the first that does not.
    private var next = 0
    private var reason: JournalRecord.StopReason?
    private var mainExit: JournalRecord.StepExit?
    private var last: (step: Int, exit: JournalRecord.StepExit)?
    var end: JournalRecord.EndReason?

    /// The first actions for steps with these roles.
    mutating func begin(_ roles: [StepPlan.Role]) -> [Action] {
        self.roles = roles
        return proceed()
    }

    /// Whether a step of this role may not start any more.
    func isStopping(_ role: StepPlan.Role) -> Bool { reason != nil }

    /// A stop was asked for, or the time is over. Only the first counts.
    mutating func stop(_ asked: JournalRecord.StopReason) -> [Action] {
        guard reason == nil, end == nil else { return [] }
        reason = asked
        return [.terminate(asked)] + (alive.isEmpty ? conclusion() : [])
    }

    /// A step is over: its cgroup is empty.
    mutating func ended(_ step: Int, _ exit: JournalRecord.StepExit) -> [Action] {
        alive.remove(step)
        guard end == nil else { return [] }
        switch roles[step] {
        case .initialize:
            last = (step, exit)
            if reason != nil { return conclusion() }
            if exit == .code(0) { return proceed() }
            return [.finish(Self.isSetup(exit) ? .setupFailed : .initFailed, step: step, exit: exit)]
        case .main:
            last = (step, exit)
            mainExit = exit
            if alive.isEmpty { return conclusion() }
            if reason != nil { return [] }
            reason = .mainEnded
            return [.terminate(.mainEnded)]
        case .sidecar:
            return alive.isEmpty ? conclusion() : []
        }
    }

    private mutating func proceed() -> [Action] {
        guard roles.indices.contains(next) else { return [] }
        if roles[next] == .initialize {
            defer { next += 1 }
            alive.insert(next)
            return [.start(next)]
        }
        let rest = Array(next..<roles.count)
        next = roles.count
        alive.formUnion(rest)
        return rest.map { .start($0) }
    }

    private func conclusion() -> [Action] {
        let exit = mainExit ?? last?.exit ?? .unknown
        switch reason {
        case .requested: return [.finish(.stopRequested, step: last?.step, exit: exit)]
        case .timeout: return [.finish(.timeout, step: last?.step, exit: exit)]
        case .mainEnded, nil:
            return [.finish(Self.isSetup(exit) ? .setupFailed : .mainExited, step: last?.step, exit: exit)]
        }
    }

    private static func isSetup(_ exit: JournalRecord.StepExit) -> Bool {
        if case .setupFailed = exit { return true }
        return false
    }
}
