import PostludeCore
import PostludeStore
import PostludeThreads

extension Engine {
    /// Keeps a run that waits from being started, until it is let go. Again is no error.
    ///
    /// Throws `EngineError`: `engine.unknown-run`, `engine.not-waiting`.
    public func hold(_ id: RunID, for caller: Caller) async throws -> RunDetail {
        let detail = try await detail(id, for: caller)
        let by = caller.uid == detail.summary.uid ? detail.summary.user : "the administrator (uid \(caller.uid))"
        return try await answer(id, to: try await store.hold(id, by: by, at: .now))
    }

    /// Lets a run go that was held back.
    public func release(_ id: RunID, for caller: Caller) async throws -> RunDetail {
        _ = try await detail(id, for: caller)
        return try await answer(id, to: try await store.release(id, at: .now))
    }

    private func answer(_ id: RunID, to applied: Applied<Store.Holding>) async throws -> RunDetail {
        inbox.take(applied.owed)
        let detail = try await known(id)
        guard applied.result == .notWaiting else { return detail }
        throw EngineError(
            .conflict, "engine.not-waiting",
            "Run \(id.short) does not wait to be started: it is \(detail.summary.status.rawValue).",
            hint: "Only a run that is queued can be held back; postlude stop ends any.")
    }

    // MARK: Maintenance

    /// Windows that are not over, the earliest first.
    public func maintenance() async throws -> [MaintenanceWindow] { try await store.maintenance(at: .now) }

    /// Starts nothing but hook runs from a time on; running work goes on. Before it begins only what its own time limit
    /// ends in time is started.
    ///
    /// Throws `engine.administrators-only`, or `engine.invalid-window` when it would end before it begins.
    public func drain(
        from: Timestamp? = nil, until: Timestamp? = nil, reason: String, by user: UserIdentity, for caller: Caller
    ) async throws -> MaintenanceWindow {
        try checkAdministrator(caller, may: "drain the node")
        let now = Timestamp.now
        let window = MaintenanceWindow(from: from ?? now, until: until, reason: reason, by: user.name)
        if let until, until <= max(window.from, now) {
            throw EngineError(
                .badRequest, "engine.invalid-window", "The window would be over before it begins.",
                hint: "Give an end after its beginning, and after now.")
        }
        let applied = try await store.drain(window, at: now)
        inbox.take(applied.owed)
        if let until { inbox.place(at: until) }
        logger.notice("the node is to be drained", metadata: ["by": "\(user.name)", "reason": "\(reason)"])
        return applied.result
    }

    /// Ends a window, or all that are not over; returns those that it ended.
    public func endMaintenance(_ id: Int64? = nil, for caller: Caller) async throws -> [MaintenanceWindow] {
        try checkAdministrator(caller, may: "drain the node")
        let applied = try await store.endMaintenance(id, at: .now)
        inbox.take(applied.owed)
        if let id, applied.result.isEmpty {
            throw EngineError(
                .notFound, "engine.unknown-window", "There is no maintenance window \(id).",
                hint: "postlude drain --list shows those that are not over.")
        }
        return applied.result
    }

    func checkAdministrator(_ caller: Caller, may what: String) throws(EngineError) {
        guard caller.visibleUID == nil else {
            throw EngineError(
                .forbidden, "engine.administrators-only", "Only administrators may \(what).",
                hint: "Ask a member of the group that `administratorsGroup` of the configuration names.")
        }
    }

    /// Places whoever fits when a window has ended by itself.
    func place(at time: Timestamp) async {
        do {
            try await pause(untilWallClock: (time.microseconds + 999_999) / 1_000_000)
            let applied = try await persistently { [store] in try await store.place(at: .now) }
            inbox.take(applied.owed)
        } catch is CancellationError {
            return
        } catch {
            logger.error("runs cannot be placed", metadata: ["error": "\(error)"])
        }
    }

    // MARK: Queues

    /// Where a run stands that waits, and who has what it needs; nil when it does not wait.
    public func waitReport(_ id: RunID, for caller: Caller) async throws -> WaitReport? {
        _ = try await detail(id, for: caller)
        return try await store.waitReport(of: id, visible: caller.visibleUID, at: .now)
    }

    /// The queue that an operation names, if the submitter may use it.
    ///
    /// Throws `engine.unknown-queue`, `engine.queue-refused`.
    func queue(_ word: String?, for subject: SitePolicy.Subject) throws(EngineError) -> SchedulingRules.Queue {
        guard let queue = configuration.rules.resolve(word) else {
            throw .unknownQueue(word ?? "", known: configuration.rules.queues.map(\.name))
        }
        guard queue.admits(subject) else { throw .queueRefused(queue.name, user: subject.name) }
        return queue
    }

    func waitingLimits(_ queue: SchedulingRules.Queue, uid: UInt32) -> [NewRun.WaitingLimit] {
        [
            configuration.rules.perUser.waiting.map { .init($0, uid: uid) },
            queue.perUser.waiting.map { .init($0, queue: queue.name, uid: uid) },
            queue.limits.waiting.map { .init($0, queue: queue.name) },
        ].compactMap(\.self)
    }
}

extension EngineError {
    static func holdsParent(_ kind: String) -> EngineError {
        EngineError(
            .badRequest, "engine.holds-parent", "A \(kind) is not queued itself, so it cannot be held back.",
            hint: "Write isApproved: false into the operation; `postlude approve` lets it go.")
    }

    static func unknownQueue(_ name: String, known: [String]) -> EngineError {
        EngineError(
            .badRequest, "engine.unknown-queue", "There is no queue '\(name)'.",
            hint: Suggestion.hint(for: name, among: known) ?? "Queues here: \(known.sorted().joined(separator: ", ")).")
    }

    static func queueRefused(_ name: String, user: String) -> EngineError {
        EngineError(
            .forbidden, "engine.queue-refused", "The queue '\(name)' is not for '\(user)'.",
            hint: "Name another queue, or ask the administrator: `queues` of the agent's configuration says who may.")
    }
}
