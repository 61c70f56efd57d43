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
        let decoder = JSONDecoder()
        let claimed = try await store.claimedWardens().map { text in
            try decoder.decode(WardenIdentity.self, from: Data(text.utf8)).slot
        }
        inbox.removeLeftovers(leftovers.filter { !claimed.contains($0) })
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
}
