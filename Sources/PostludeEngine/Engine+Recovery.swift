import Foundation
import PostludeCore
import PostludeFailpoints
import PostludeSandbox
import PostludeStore

extension Engine {
    /// Takes up what a former agent left. It adds no transitions of its own: owed effects are performed again, live
    /// wardens and journals are watched again, and what is in them becomes ordinary events.
    func recover() async throws {
        Failpoint.reach(.recoveryDue)
        let leftovers = try sandbox.leftovers()
        for attempt in try await store.attemptsWithoutWarden() {
            _ = try await rebind(attempt.id, hasStarted: attempt.hasStarted)
        }
        let decoder = JSONDecoder()
        let claimed = try await store.claimedWardens().map { text in
            try decoder.decode(WardenIdentity.self, from: Data(text.utf8)).slot
        }
        let unclaimed = leftovers.filter { !claimed.contains($0) }
        if store.isRebuilt {
            // What a rebuilt database does not know may have devices: it ends before any is leased.
            logger.notice(
                "the database was repaired; what it does not know is ended first",
                metadata: ["slots": "\(unclaimed.joined(separator: " "))"])
            for slot in unclaimed { await removeLeftover(slot) }
            store.forgetRebuild()
        } else {
            inbox.removeLeftovers(unclaimed)
        }
        inbox.take(try await store.register(node, at: .now).owed)
        let missing = try await store.oweWhatIsMissing(at: .now).owed
        for owed in missing {
            logger.error(
                "a run waited for an effect that nobody owed",
                metadata: ["run": "\(owed.run)", "effect": "\(owed.effect.kind.rawValue)"])
        }
        inbox.take(try await store.owedEffects())
        Failpoint.reach(.effectsTaken)
        // When they are due next is remembered by nobody.
        for schedule in try await store.liveSchedules() {
            inbox.take(try await store.oweAdvance(of: schedule, at: .now).owed)
        }
        for attempt in try await store.liveAttempts() {
            guard let warden = try identity(attempt) else { continue }
            logger.notice("attempt adopted", metadata: ["attempt": "\(attempt.id)", "pid": "\(warden.pid)"])
            inbox.inherit(warden)
            inbox.watch(attempt.id, warden)
        }
        Failpoint.reach(.attemptsAdopted)
        for window in try await store.maintenance(at: .now) { if let until = window.until { inbox.place(at: until) } }
        if try await !store.quarantined().isEmpty { inbox.recheckQuarantined() }
        inbox.refillPool()
    }

    /// Writes down the warden of an attempt that took its plan although the store does not know it, as after a damaged
    /// database was repaired or an old copy of it was put back. The journal knows: such an attempt is never launched
    /// again, it is watched until its warden's end like any other. Nil when nothing was started.
    func rebind(_ attempt: AttemptID, hasStarted: Bool = false) async throws -> WardenIdentity? {
        let directory = paths.attempt(attempt)
        var (pid, hasStarted): (Int32?, Bool) = (nil, hasStarted)
        do {
            if !paths.lacks(attempt) { pid = try AttemptJournal(directory: directory).wardenPID() }
        } catch {
            // Nobody knows whether main has run, so it must not run again; and one journal keeps no agent from starting.
            logger.error(
                "a journal cannot be read", metadata: ["attempt": "\(attempt)", "error": "\(error)"])
            hasStarted = true
        }
        guard pid != nil || hasStarted else { return nil }
        let warden = try pid.flatMap { try sandbox.warden(withPID: $0) } ?? sandbox.vanishedWarden(of: attempt)
        guard try await store.rebind(attempt, warden: try Self.text(warden), at: .now) else { return nil }
        logger.warning(
            "an attempt was found that the database had forgotten",
            metadata: ["attempt": "\(attempt)", "pid": "\(warden.pid)"])
        return warden
    }
}
