import PostludeCore
import PostludeFailpoints
import PostludeSandbox
import PostludeStore
import PostludeThreads

extension Engine {
    private enum Word: Sendable {
        case ended, wardenGone, cancelled
    }

    /// Follows an attempt until its warden said that all is over, or is gone.
    ///
    /// The journal wakes us when it grows, the pidfd when the warden ends; nothing is asked for in between.
    func watch(_ attempt: AttemptID, _ warden: WardenIdentity) async {
        do {
            try await persistently { try await self.follow(attempt, warden) }
        } catch {
            logger.error(
                "an attempt cannot be watched", metadata: ["attempt": "\(attempt)", "error": "\(error)"])
            await watchWithoutJournal(attempt, warden)
        }
    }

    private func follow(_ attempt: AttemptID, _ warden: WardenIdentity) async throws {
        let journal = try AttemptJournal(directory: paths.attempt(attempt))
        let reader = JournalReader(journal: journal, attempt: attempt, engine: self)
        let sandbox = sandbox
        let word = await withTaskGroup(of: Word.self) { group in
            group.addTask {
                await sandbox.awaitExit(of: warden)
                return Task.isCancelled ? .cancelled : .wardenGone
            }
            group.addTask {
                for await _ in journal.changes() {
                    if await reader.drain() == .ended { return .ended }
                    if Task.isCancelled { return .cancelled }
                }
                // Without news from the file system the warden's own end is still to come.
                await sandbox.awaitExit(of: warden)
                return Task.isCancelled ? .cancelled : .wardenGone
            }
            let first = await group.next() ?? .cancelled
            group.cancelAll()
            return first
        }
        // A warden writes its last record before it ends, so what is in the journal now is all there will be.
        guard word == .wardenGone else { return }
        let last = await reader.drain()
        guard last != .ended, !Task.isCancelled else { return }
        try await wardenGone(warden, of: attempt, journalRead: last == .open)
    }

    /// Without a journal nobody can say how the steps end, but the run must not wait for that for ever.
    private func watchWithoutJournal(_ attempt: AttemptID, _ warden: WardenIdentity) async {
        await sandbox.awaitExit(of: warden)
        guard !Task.isCancelled else { return }
        do {
            try await persistently {
                // No plan is sent before there is a directory for the journal.
                try await self.wardenGone(warden, of: attempt, journalRead: self.paths.lacks(attempt))
            }
        } catch {
            logger.error(
                "a lost attempt cannot be ended", metadata: ["attempt": "\(attempt)", "error": "\(error)"])
        }
    }

    /// Tells the run, unless the attempt has another warden by now.
    private func wardenGone(_ warden: WardenIdentity, of attempt: AttemptID, journalRead: Bool) async throws {
        guard let stored = try await store.attempt(attempt), let text = stored.warden,
            try identity(stored) == warden
        else { return }
        let loss: Run.Loss = sandbox.isOfThisBoot(warden) ? .warden : .node
        let applied = try await persistently {
            try await self.recordEviction(of: attempt)
            return try await self.store.wardenEnded(
                text, of: attempt, with: loss, agentEnded: self.inbox.isInherited(warden), journalRead: journalRead,
                at: .now)
        }
        take(applied, of: attempt.run)
        // An attempt that is launched anew has another slot, and nobody would clear this one away.
        if try await store.attempt(attempt)?.warden != text { inbox.removeLeftovers([warden.slot]) }
    }

    /// Tries again while the store has no room, or the agent no means to look; only a cancelled task gives up.
    func persistently<Value: Sendable>(_ body: @Sendable () async throws -> Value) async throws -> Value {
        var pause = Duration.milliseconds(100)
        while true {
            do {
                return try await body()
            } catch let error as StoreError where makesRoom(for: error) {
                continue
            } catch let error as StoreError where error.isTemporary {
                logger.error("the store has no room, trying again", metadata: ["error": "\(error)"])
            } catch let error as SandboxError where error.isTemporary {
                logger.error("the sandboxes cannot be looked at, trying again", metadata: ["error": "\(error)"])
            }
            try await PostludeThreads.pause(for: pause)
            pause = min(pause * 2, .seconds(10))
        }
    }
}

/// Takes reports from a journal to the store, each once.
private actor JournalReader {
    enum News {
        /// The attempt's end was among it.
        case ended
        case open
        /// Nobody knows: the journal could not be read, or not be taken over.
        case unreadable
    }

    private let journal: AttemptJournal
    private let attempt: AttemptID
    private let engine: Engine
    private var next: UInt64 = 0
    private var hasEnded = false

    init(journal: AttemptJournal, attempt: AttemptID, engine: Engine) {
        self.journal = journal
        self.attempt = attempt
        self.engine = engine
    }

    /// Takes what is new. The store passes over what it has already.
    func drain() async -> News {
        do {
            let (journal, next) = (journal, next)
            let reports = try await engine.persistently { try journal.reports(from: next) }
            guard let last = reports.last, !hasEnded else { return hasEnded ? .ended : .open }
            Failpoint.reach(.journalRead)
            let (engine, attempt, noticed) = (engine, attempt, Timestamp.now)
            let message = reports.contains { $0.report.isFailure } ? engine.message(of: attempt) : nil
            let freed = reports.contains { $0.report.isEnd } ? await engine.freed(attempt) : nil
            let applied = try await engine.persistently {
                try await engine.recordEviction(of: attempt)
                return try await engine.store.record(
                    reports, of: attempt, message: message, at: noticed, freed: freed)
            }
            engine.inbox.take(applied.owed)
            if let handedBack = applied.result.handedBack { engine.tell(handedBack, of: attempt.run) }
            self.next = max(self.next, last.sequence + 1)
            hasEnded = hasEnded || applied.result.hasEnded || reports.contains { $0.report.isEnd }
            if applied.result.mainStarted || applied.result.hasEnded { engine.inbox.refillPool() }
            return hasEnded ? .ended : .open
        } catch is CancellationError {
            return .unreadable
        } catch {
            engine.logger.error(
                "a journal cannot be taken over", metadata: ["attempt": "\(attempt)", "error": "\(error)"])
            return .unreadable
        }
    }
}

extension AttemptReport {
    fileprivate var isEnd: Bool {
        switch self {
        case .ended: true
        case .accepted, .stepStarted, .stepExited, .stopping: false
        }
    }

    fileprivate var isFailure: Bool {
        switch self {
        case .ended(let exit, _, _): !exit.isSuccess
        case .accepted, .stepStarted, .stepExited, .stopping: false
        }
    }
}

extension Engine {
    /// What the attempt's program wrote to `POSTLUDE_MESSAGE`.
    func message(of attempt: AttemptID) -> String? {
        MessageFile.read(
            artifacts: paths.artifacts(attempt.run), name: InsidePaths.messageFileName(attempt: attempt.number))
    }
}
