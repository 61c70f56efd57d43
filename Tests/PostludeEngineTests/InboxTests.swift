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

    @Test func `devices found free ahead are taken once, by their own attempt`() {
        let inbox = Inbox()
        let (first, second) = (AttemptID(run: run, number: 1), AttemptID(run: run, number: 2))
        inbox.keepFreed(["a", "b"], of: first)
        #expect(inbox.takeFreed(second) == nil)
        #expect(inbox.takeFreed(first) == ["a", "b"])
        #expect(inbox.takeFreed(first) == nil)
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
            case .refillPool: words.append("refill")
            case .recheckQuarantined: words.append("recheck")
            case .removeLeftovers(let slots): words.append("leftovers \(slots.count)")
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
        #expect(await work(inbox, 2) == ["watch w1", "watch w2"])
        inbox.stopWatching(first)
        #expect(!inbox.isEmpty)
        inbox.stopWatching(second)
        #expect(inbox.isEmpty)
    }
}
