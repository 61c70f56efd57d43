import PostludeCore
import PostludeFailpoints
import PostludeSandbox
import PostludeStore
import PostludeThreads

/// What runs write to disk: how much it is, who has to end for it, and when nobody may begin.
///
/// The limit is measured, not enforced by the file system: project quotas are an option that hardly any host is mounted
/// with, and whoever owns a file may move it to another project. So a run can be above its limit until the next look; that
/// the agent itself goes on is what the reserve is for.
extension Engine {
    /// Entries that are counted while somebody waits for the run's end; larger trees are measured after it.
    static let fewEntries = 256

    /// Looks at the disk from time to time while attempts are watched, and not at all when none is.
    func watchDisk() async {
        repeat {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await self.lookAtDisk() }
                group.addTask { await self.inbox.awaitLastWatched() }
                await group.next()
                group.cancelAll()
            }
        } while inbox.goesOnWatchingDisk() && !Task.isCancelled
    }

    private func lookAtDisk() async {
        var watch = DiskWatch(configuration.disk)
        var subjects: [AttemptID: DiskWatch.Subject] = [:]
        var evicted: Set<AttemptID> = []
        var pause = configuration.disk.pauses.lowerBound
        let start = ContinuousClock.now
        while true {
            // First, so that the shortest runs are over before anybody looks.
            do { try await PostludeThreads.pause(for: .seconds(pause)) } catch { return }
            let began = ContinuousClock.now
            let attempts = Set(inbox.watchedAttempts)
            subjects = subjects.filter { attempts.contains($0.key) }
            evicted.formIntersection(attempts)
            for attempt in attempts where subjects[attempt] == nil { subjects[attempt] = await subject(attempt) }
            for attempt in attempts { resume(attempt) }
            let known = Array(subjects.values)
            guard let space = DiskSpace(at: paths.runs) else {
                logger.warning("the disk's space cannot be read, ignoring", metadata: ["path": "\(paths.runs)"])
                pause = configuration.disk.pauses.upperBound
                continue
            }
            let seconds = start.duration(to: began) / .seconds(1)
            let measured = await measure(watch.due(known, in: space, at: seconds), space)
            for (attempt, eviction) in watch.evictions(among: known, measured: measured, in: space, at: seconds)
            where !evicted.contains(attempt) {
                if await apply(eviction, to: attempt) { evicted.insert(attempt) } else { watch.wentOn(attempt) }
            }
            if Task.isCancelled { return }
            pause = watch.pause(after: known, in: space, walked: began.duration(to: .now) / .seconds(1))
        }
    }

    /// A warden that somebody has stopped does not end its attempt when the time is up, nor hear of a stop.
    private func resume(_ attempt: AttemptID) {
        guard let warden = inbox.warden(of: attempt) else { return }
        do {
            guard try sandbox.resume(warden) else { return }
            logger.warning(
                "a warden was stopped by somebody (SIGSTOP), and goes on now",
                metadata: ["attempt": "\(attempt)", "pid": "\(warden.pid)"])
        } catch {
            logger.warning(
                "a warden cannot be looked at, ignoring", metadata: ["attempt": "\(attempt)", "error": "\(error)"])
        }
    }

    /// Whether the run is being ended now.
    private func apply(_ eviction: Eviction, to attempt: AttemptID) async -> Bool {
        do {
            let decision = try await apply(.evicted(attempt: attempt.number, eviction), to: attempt.run)
            if case .accept = decision { return true }
        } catch let error as StoreError where error.isTemporary {
            return killUnrecorded(attempt, eviction, error)
        } catch {
            logger.error(
                "a run that takes too much of the disk cannot be ended",
                metadata: ["attempt": "\(attempt)", "error": "\(error)"])
        }
        return false
    }

    /// The disk is so full that not even this can be written down. What the run holds without a name comes free with its
    /// end, so that comes first; why it ended is written before that it has ended.
    private func killUnrecorded(_ attempt: AttemptID, _ eviction: Eviction, _ error: StoreError) -> Bool {
        logger.error(
            "a run is killed before that is stored", metadata: ["attempt": "\(attempt)", "error": "\(error)"])
        guard let warden = inbox.warden(of: attempt) else { return false }
        inbox.keep(eviction, of: attempt)
        do {
            try sandbox.evict(warden)
            return true
        } catch {
            logger.error("a run cannot be killed", metadata: ["attempt": "\(attempt)", "error": "\(error)"])
            return false
        }
    }

    /// Stores why an attempt was killed, if that could not be stored at the time.
    func recordEviction(of attempt: AttemptID) async throws {
        guard let eviction = inbox.eviction(of: attempt) else { return }
        try await apply(.evicted(attempt: attempt.number, eviction), to: attempt.run)
        inbox.forgetEviction(of: attempt)
    }

    /// What an attempt may take; nil when that cannot be told now.
    private func subject(_ attempt: AttemptID) async -> DiskWatch.Subject? {
        do {
            guard let run = try await store.run(attempt.run) else { return nil }
            let job = run.operation.component.job
            let profile = try profile(of: job, isHook: run.upstream != nil)
            return DiskWatch.Subject(attempt, limit: job.storageLimit(default: profile.defaultStorageBytes))
        } catch {
            logger.warning(
                "an attempt's limit of storage cannot be read, ignoring",
                metadata: ["attempt": "\(attempt)", "error": "\(error)"])
            return nil
        }
    }

    /// Measures the artifacts of some attempts, one after the other, on a thread that may block. When the disk runs short
    /// meanwhile, what is known by then has to do.
    private func measure(_ attempts: [AttemptID], _ space: DiskSpace) async -> [AttemptID: DiskUse] {
        guard !attempts.isEmpty else { return [:] }
        let (paths, reserve) = (paths, configuration.disk.reserve)
        let isShort = reserve.shortage(in: space) != nil
        let stop = DirectoryUse.Stop()
        do {
            return try await withTaskCancellationHandler {
                try await offload {
                    let end = ContinuousClock.now + .seconds(isShort ? 2 : 3600)
                    func mayGoOn() -> Bool {
                        if isShort { return ContinuousClock.now < end }
                        return DiskSpace(at: paths.runs).map { reserve.shortage(in: $0) == nil } ?? true
                    }
                    var uses: [AttemptID: DiskUse] = [:]
                    for attempt in attempts {
                        let use = DirectoryUse(of: paths.artifacts(attempt.run))
                        uses[attempt] = use.measured(stop: stop, mayGoOn: mayGoOn)
                    }
                    return uses
                }
            } onCancel: {
                stop.ask()
            }
        } catch {
            logger.warning("artifacts cannot be measured, ignoring", metadata: ["error": "\(error)"])
            return [:]
        }
    }

    /// Kills the attempt's steps. Its warden says how they ended; without one nobody would end it.
    func evict(_ attempt: AttemptID, _ owed: OwedEffect) async throws {
        Failpoint.reach(.evictDue)
        guard let stored = try await store.attempt(attempt), let warden = try identity(stored) else {
            return try await requestStop(attempt, owed)
        }
        if sandbox.isAlive(warden) {
            do {
                try sandbox.evict(warden)
                Failpoint.reach(.evicted)
            } catch let error as SandboxError where sandbox.isAlive(warden) {
                throw error
            }
        }
        try await store.complete(owed)
    }

    // MARK: sizes

    /// What the artifacts take on disk; nil when that is not known, or they have more entries than are to be counted.
    func artifactsSize(of path: String, entries: Int = .max, stop: DirectoryUse.Stop = DirectoryUse.Stop()) -> Int64? {
        let use = DirectoryUse(of: path).measured(entries: entries, stop: stop)
        return use?.isComplete == true ? use?.bytes : nil
    }

    /// The size where the hand-back left it open; nil when it is known already.
    func artifactsBytesLeft(by attempt: AttemptID) async throws -> Int64? {
        guard let stored = try await store.attempt(attempt), stored.artifactsBytes == nil else { return nil }
        let path = paths.artifacts(attempt.run)
        let stop = DirectoryUse.Stop()
        return try await withTaskCancellationHandler {
            try await offload { self.artifactsSize(of: path, stop: stop) }
        } onCancel: {
            stop.ask()
        }
    }

    // MARK: the reserve

    /// Whether what the full disk did not take may be written now: there was some space kept for that.
    func makesRoom(for error: StoreError) -> Bool {
        guard error.code == StoreError.diskFullCode, store.dropBallast() else { return false }
        logger.error("the disk is full; what was kept aside for the ends of runs is used now")
        return true
    }

    /// Takes nothing new while the disk of runs or of the database has less than the reserve.
    func checkDisk() throws(EngineError) {
        for path in paths.disks {
            guard let space = DiskSpace(at: path) else { continue }
            if let shortage = configuration.disk.reserve.shortage(in: space) { throw .diskPressure(path, shortage) }
        }
        store.fillBallast()
    }
}
