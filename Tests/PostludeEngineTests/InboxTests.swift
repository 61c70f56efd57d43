import PostludeCore
import PostludeSandbox
import PostludeStore
import Testing

@testable import PostludeEngine

@Suite struct InboxTests {
    private let run = RunID.random()

    private func owed(_ sequence: Int64, _ kind: Run.Effect.Kind) -> OwedEffect {
        OwedEffect(sequence: sequence, run: run, effect: Run.Effect(kind, attempt: 1))
    }

    /// Takes what is in the inbox until `count` pieces came.
    private func work(_ inbox: Inbox, _ count: Int) async -> [String] {
        var words: [String] = []
        var pieces = inbox.work.makeAsyncIterator()
        while words.count < count, let piece = await pieces.next() {
            switch piece {
            case .lane: words.append("lane")
            case .background(let owed): words.append("background \(owed.sequence)")
            case .watch(_, let warden): words.append("watch \(warden.slot)")
            case .watchDisk: words.append("disk")
            case .refillPool: words.append("refill")
            case .recheckQuarantined: words.append("recheck")
            case .prepareImage(_, let image): words.append("image \(image)")
            case .place: words.append("place")
            case .removeLeftovers(let slots): words.append("leftovers \(slots.count)")
            case .followSchedules: words.append("schedules")
            }
        }
        return words
    }

    @Test func `effects of one run wait for each other, and what nobody waits for goes beside`() async {
        let inbox = Inbox()
        let effects = [owed(1, .launch), owed(2, .requestStop), owed(3, .cleanUp)]
        inbox.take(effects)
        inbox.take(effects)
        inbox.refillPool()
        inbox.refillPool()
        #expect(await work(inbox, 3) == ["lane", "background 3", "refill"])
        #expect(inbox.first(of: run) == effects[0])
        #expect(inbox.done(effects[0]) == effects[1])
        #expect(inbox.done(effects[1]) == nil)
        #expect(!inbox.isEmpty)
        inbox.done(effects[2])
        #expect(inbox.isEmpty)
        // A lane that was over begins anew.
        inbox.take([owed(4, .handBack)])
        #expect(await work(inbox, 1) == ["lane"])
    }

    @Test func `an attempt that gets another warden is watched again`() async {
        let inbox = Inbox()
        let attempt = AttemptID(run: run, number: 1)
        let first = WardenIdentity(slot: "w1", pid: 1, startTime: 1, bootID: "b", cgroupInode: 1)
        let second = WardenIdentity(slot: "w2", pid: 2, startTime: 2, bootID: "b", cgroupInode: 2)
        inbox.watch(attempt, first)
        inbox.watch(attempt, first)
        inbox.watch(attempt, second)
        #expect(await work(inbox, 3) == ["watch w1", "disk", "watch w2"])
        #expect(inbox.watchedAttempts == [attempt, attempt])
        inbox.stopWatching(first)
        #expect(!inbox.isEmpty)
        inbox.stopWatching(second)
        #expect(inbox.isEmpty)
    }

    @Test func `the disk is watched from the first attempt to the last`() async {
        let inbox = Inbox()
        let warden = WardenIdentity(slot: "w1", pid: 1, startTime: 1, bootID: "b", cgroupInode: 1)
        await inbox.awaitLastWatched()
        for _ in 0..<2 {
            inbox.watch(AttemptID(run: run, number: 1), warden)
            #expect(await work(inbox, 2) == ["watch w1", "disk"])
            #expect(inbox.goesOnWatchingDisk())
            async let last: Void = inbox.awaitLastWatched()
            inbox.stopWatching(warden)
            await last
            #expect(!inbox.goesOnWatchingDisk())
        }
    }

    @Test func `waiting for the last attempt ends with its task`() async {
        let inbox = Inbox()
        let warden = WardenIdentity(slot: "w1", pid: 1, startTime: 1, bootID: "b", cgroupInode: 1)
        inbox.watch(AttemptID(run: run, number: 1), warden)
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await inbox.awaitLastWatched() }
            group.cancelAll()
        }
        #expect(inbox.goesOnWatchingDisk())
    }
}
