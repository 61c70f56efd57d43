import Glibc
import PostludeCore
import PostludeStore

extension Engine {
    /// Newest first.
    public func list(
        for caller: Caller, _ filter: RunFilter = RunFilter(), limit: Int = 100
    ) async throws -> [RunSummary] {
        try await asked { try await store.summaries(uid: caller.visibleUID, filter, limit: limit) }
    }

    /// Writes a copy of the database into the state directory's `backups`, readable by the agent's user alone, while
    /// work goes on. Returns its path. Throws `engine.administrators-only`, or the store's codes.
    public func backUp(for caller: Caller) async throws -> String {
        try checkAdministrator(caller, may: "copy the database, which has everybody's runs")
        let directory = "\(configuration.stateDirectory)/backups"
        guard mkdir(directory, 0o700) == 0 || errno == EEXIST else {
            throw EngineError(
                .unavailable, "engine.no-backup", "'\(directory)' cannot be made: \(String(cString: strerror(errno))).",
                hint: "See whether the disk has room.")
        }
        let path = "\(directory)/postlude-\(Timestamp.now.iso8601.filter { $0 != ":" }).sqlite"
        try await asked { [store] in try await store.backUp(to: path) }
        return path
    }

    public func detail(_ id: RunID, for caller: Caller) async throws -> RunDetail {
        try visible(try await known(id), to: caller)
    }

    /// The run whose id begins so. Throws `engine.unknown-run` or `engine.ambiguous-run`.
    public func resolveID(_ prefix: String, for caller: Caller) async throws -> RunID {
        let digits = prefix.lowercased().filter { $0 != "-" }
        guard !digits.isEmpty, digits.utf8.count <= 32, digits.allSatisfy(\.isHexDigit) else {
            throw EngineError.unknownRun(prefix)
        }
        let found = try await asked {
            try await store.ids(beginningWith: digits, uid: caller.visibleUID)
        }
        guard let first = found.first else { throw EngineError.unknownRun(prefix) }
        guard found.count == 1 else { throw EngineError.ambiguousRun(prefix, found) }
        return first
    }

    /// Asks a run to stop; one that has not started is stopped when this returns. Again is no error.
    public func stop(_ id: RunID, for caller: Caller) async throws {
        let detail = try await detail(id, for: caller)
        let by = caller.uid == detail.summary.uid ? detail.summary.user : "the administrator (uid \(caller.uid))"
        let decision = try await asked { try await apply(.stopRequested(by: by), to: id) }
        if case .ignore(.alreadyFinished) = decision {
            throw EngineError(
                .conflict, "engine.already-finished",
                "Run \(id.short) is already \(detail.summary.status.rawValue).", hint: nil)
        }
    }

    /// Lets a run go on that is held until somebody approves it: its submitter, or an administrator.
    public func approve(_ id: RunID, for caller: Caller) async throws {
        let detail = try await detail(id, for: caller)
        let by = caller.uid == detail.summary.uid ? detail.summary.user : "the administrator (uid \(caller.uid))"
        let decision = try await asked { try await apply(.approved(by: by), to: id) }
        guard case .ignore = decision else { return }
        throw EngineError(
            .conflict, "engine.not-held",
            "Run \(id.short) does not wait for approval; it is \(detail.summary.status.rawValue).",
            hint: "Only operations with isApproved: false wait.")
    }

    public func usage(for caller: Caller, since: Timestamp? = nil) async throws -> [UsageRecord] {
        try await asked { try await store.usage(uid: caller.visibleUID, since: since) }
    }

    public func deviceStatuses() async throws -> [DeviceStatus] {
        try await asked { try await store.deviceStatuses() }
    }

    /// Events after a sequence number, oldest first, at most 1000; nil for all runs the caller sees.
    public func events(of run: RunID?, after sequence: Int64, for caller: Caller) async throws -> [RunEvent] {
        if let run { _ = try await detail(run, for: caller) }
        return try await asked { try await store.events(of: run, after: sequence, uid: caller.visibleUID) }
    }

    /// Events of a run and of its hook runs after a sequence number, in order, as they are at one moment.
    public func feed(of run: RunID, after sequence: Int64, for caller: Caller) async throws -> Store.Feed {
        let feed = try await asked { try await store.feed(of: run, after: sequence) }
        guard let feed, caller.visibleUID == nil || caller.visibleUID == feed.uid else {
            throw EngineError.unknownRun(run.description)
        }
        return feed
    }

    /// A tick after each commit that may have added events; only the newest is kept for a slow reader.
    public func changes() -> AsyncStream<Void> { store.changes() }

    /// Gives the ticks of `changes()` to a stream that may have others too, until that one ends.
    public func tellChanges(to continuation: AsyncStream<Void>.Continuation) { store.tell(continuation) }

    /// The host path of a step's log; the file appears when the step starts. `attempt` nil takes the last one.
    public func logFile(
        _ id: RunID, attempt: Int? = nil, step: String, stream: LogStream, for caller: Caller
    ) async throws -> String {
        let detail = try await detail(id, for: caller)
        let candidates = detail.attempts.filter { attempt == nil || $0.number == attempt }
        // The name comes from outside: only one that the store knows becomes part of a path.
        guard let found = candidates.last(where: { $0.steps.contains { $0.name == step } }) else {
            throw EngineError.noLog(id, step: step)
        }
        return paths.log(AttemptID(run: id, number: found.number), step: step, stream)
    }

    func known(_ id: RunID) async throws -> RunDetail {
        guard let detail = try await asked({ try await store.detail(id) }) else {
            throw EngineError.unknownRun(id.description)
        }
        return detail
    }

    private func visible(_ detail: RunDetail, to caller: Caller) throws -> RunDetail {
        guard caller.visibleUID == nil || caller.visibleUID == detail.summary.uid else {
            // Not `forbidden`: that there is such a run is nobody else's business.
            throw EngineError.unknownRun(detail.summary.id.description)
        }
        return detail
    }

    private func asked<Value>(_ body: () async throws -> Value) async throws -> Value {
        do {
            return try await body()
        } catch let error as StoreError {
            throw EngineError.store(error)
        }
    }
}
