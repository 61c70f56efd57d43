import Testing

@testable import PostludeCore

@Suite struct DiskWatchTests {
    private let mib: Int64 = 1 << 20
    private let ada = AttemptID(run: RunID.random(), number: 1)
    private let eve = AttemptID(run: RunID.random(), number: 1)

    /// MiB available of a gigabyte; the reserve is 64 MiB.
    private func space(_ available: Int64, files: Int64 = 1000, of total: Int64 = 1000) -> DiskSpace {
        DiskSpace(
            availableBytes: available * mib, totalBytes: 1024 * mib, availableFiles: files, totalFiles: total)
    }

    private func use(_ count: Int64, files: Int64 = 1) -> DiskUse { DiskUse(bytes: count * mib, files: files) }

    private func watch() -> DiskWatch {
        DiskWatch(DiskWatch.Settings(reserve: DiskReserve(configuredBytes: 64 * mib), trustSeconds: 60))
    }

    /// One look: who is measured, and who ends.
    private func look(
        _ watch: inout DiskWatch, _ subjects: [DiskWatch.Subject], _ space: DiskSpace, at seconds: Double,
        _ uses: [AttemptID: DiskUse]
    ) -> (due: Set<AttemptID>, ended: [AttemptID: Eviction.Reason]) {
        let due = watch.due(subjects, in: space, at: seconds)
        let measured = uses.filter { due.contains($0.key) }
        let evictions = watch.evictions(among: subjects, measured: measured, in: space, at: seconds)
        return (Set(due), Dictionary(evictions.map { ($0.attempt, $0.eviction.reason) }) { first, _ in first })
    }

    // MARK: when to measure

    @Test func `nobody is measured while the disk has lost less than what is left of the limit`() {
        var watch = watch()
        let subjects = [DiskWatch.Subject(ada, limit: 100 * mib), DiskWatch.Subject(eve, limit: nil)]
        let uses = [ada: use(40), eve: use(5)]
        #expect(look(&watch, subjects, space(900), at: 1, uses).due == [ada, eve], "what is new is not known")
        #expect(look(&watch, subjects, space(900), at: 2, uses).due == [])
        #expect(look(&watch, subjects, space(950), at: 3, uses).due == [], "others have freed something")
        #expect(look(&watch, subjects, space(841), at: 4, uses).due == [])
        #expect(look(&watch, subjects, space(840), at: 5, uses).due == [ada])
        #expect(look(&watch, subjects, space(840), at: 6, uses).due == [], "from what there was then")
    }

    @Test func `nobody is trusted for ever, for what one frees may hide what another takes`() {
        var watch = watch()
        let subjects = [DiskWatch.Subject(ada, limit: 100 * mib)]
        _ = look(&watch, subjects, space(900), at: 1, [ada: use(1)])
        #expect(look(&watch, subjects, space(900), at: 60.5, [ada: use(200)]).due == [])
        #expect(look(&watch, subjects, space(900), at: 61, [ada: use(200)]).ended == [ada: .diskLimit])
    }

    @Test func `the next look comes before what is left could be used up, as far as one can tell`() {
        var watch = watch()
        let limited = [DiskWatch.Subject(ada, limit: 100 * mib)]
        #expect(watch.pause(after: limited, in: space(900), walked: 0) == 1, "nothing is known yet")
        _ = look(&watch, limited, space(900), at: 1, [ada: use(10)])
        #expect(watch.pause(after: limited, in: space(900), walked: 0) == 1)
        let unlimited = [DiskWatch.Subject(ada, limit: nil)]
        #expect(watch.pause(after: unlimited, in: space(900), walked: 0) > 1)
        #expect(watch.pause(after: unlimited, in: space(70), walked: 0) == 1)
        let large = DiskSpace(availableBytes: 1 << 42, totalBytes: 1 << 43)
        #expect(watch.pause(after: unlimited, in: large, walked: 0) == 10)
        #expect(watch.pause(after: limited, in: space(900), walked: 3) == 30, "a tenth of the time at most")
        #expect(watch.pause(after: limited, in: space(900), walked: 1000) == 60)
        // A disk that is seen to swallow four gigabytes a second.
        _ = watch.due(unlimited, in: DiskSpace(availableBytes: 1 << 36, totalBytes: 1 << 43), at: 2)
        _ = watch.due(unlimited, in: DiskSpace(availableBytes: 1 << 35, totalBytes: 1 << 43), at: 10)
        let later = DiskSpace(availableBytes: 1 << 35, totalBytes: 1 << 43)
        #expect(watch.pause(after: unlimited, in: later, walked: 0) < 5)
    }

    // MARK: limits

    @Test(arguments: [(99, false), (100, false), (101, true)])
    func `who is above the limit ends, and nobody else`(taken: Int64, ends: Bool) {
        var watch = watch()
        let subjects = [DiskWatch.Subject(ada, limit: 100 * mib), DiskWatch.Subject(eve, limit: nil)]
        let ended = look(&watch, subjects, space(500), at: 1, [ada: use(taken), eve: use(400)]).ended
        #expect(ended == (ends ? [ada: .diskLimit] : [:]))
    }

    @Test func `the reason has the numbers`() throws {
        var watch = watch()
        let subjects = [DiskWatch.Subject(ada, limit: 100 * mib)]
        _ = watch.due(subjects, in: space(500), at: 1)
        let first = watch.evictions(among: subjects, measured: [ada: use(101)], in: space(500), at: 1).first
        #expect(
            try #require(first).eviction.message
                == "The run's artifacts take 105906176 bytes on disk, more than their limit of 104857600.")
    }

    @Test func `a tree that is too deep to be measured is above every limit`() {
        var watch = watch()
        let deep = DiskUse(bytes: 1, files: 1, isComplete: false, isTooDeep: true)
        let subjects = [DiskWatch.Subject(ada, limit: 100 * mib), DiskWatch.Subject(eve, limit: nil)]
        #expect(look(&watch, subjects, space(500), at: 1, [ada: deep, eve: deep]).ended == [ada: .diskLimit])
    }

    @Test func `what was counted of an interrupted walk ends a run only when that alone is too much`() {
        var watch = watch()
        let subjects = [DiskWatch.Subject(ada, limit: 100 * mib)]
        _ = look(&watch, subjects, space(500), at: 1, [ada: use(99)])
        let part = DiskUse(bytes: 50 * mib, files: 1, isComplete: false)
        #expect(look(&watch, subjects, space(400), at: 2, [ada: part]).ended.isEmpty)
        let much = DiskUse(bytes: 150 * mib, files: 1, isComplete: false)
        #expect(look(&watch, subjects, space(300), at: 3, [ada: much]).ended == [ada: .diskLimit])
    }

    // MARK: the reserve

    @Test func `the default reserve is a gigabyte, or 2 % of a small disk, and 0 is none`() {
        let small = DiskSpace(availableBytes: 1, totalBytes: 1000 * mib, availableFiles: 5, totalFiles: 1000)
        #expect(DiskReserve().bytes(of: small) == 20 * mib)
        #expect(DiskReserve().bytes(of: DiskSpace(availableBytes: 1, totalBytes: 1 << 50)) == 1 << 30)
        #expect(DiskReserve().shortage(in: small) == .bytes(1, reserve: 20 * mib))
        let enough = DiskSpace(
            availableBytes: 500 * mib, totalBytes: 1000 * mib, availableFiles: 5, totalFiles: 1000)
        #expect(DiskReserve(configuredBytes: 10 * mib).shortage(in: enough) == .files(5, reserve: 10))
        #expect(DiskReserve(configuredBytes: 2000 * mib).files(of: enough) == 1000)
        #expect(DiskReserve(configuredBytes: 0).shortage(in: small) == nil)
        #expect(DiskReserve().shortage(in: DiskSpace(availableBytes: 1 << 40, totalBytes: 1 << 50)) == nil)
    }

    @Test func `who grew most since there was room enough ends, and not who is largest`() {
        var watch = watch()
        let subjects = [DiskWatch.Subject(ada, limit: nil), DiskWatch.Subject(eve, limit: nil)]
        _ = look(&watch, subjects, space(200), at: 1, [ada: use(700), eve: use(1)])
        let short = look(&watch, subjects, space(60), at: 2, [ada: use(710), eve: use(130)])
        #expect(short.due == [ada, eve])
        #expect(short.ended == [eve: .diskPressure])
    }

    @Test func `one ends at a time, and another only when space goes on shrinking`() {
        var watch = watch()
        let both = [DiskWatch.Subject(ada, limit: nil), DiskWatch.Subject(eve, limit: nil)]
        let rest = [DiskWatch.Subject(ada, limit: nil)]
        _ = look(&watch, both, space(200), at: 1, [ada: use(1), eve: use(1)])
        #expect(look(&watch, both, space(60), at: 2, [ada: use(50), eve: use(91)]).ended == [eve: .diskPressure])
        #expect(look(&watch, both, space(50), at: 3, [ada: use(50), eve: use(101)]).ended.isEmpty, "it is ending")
        // Its artifacts stay, so there is a shortage still.
        #expect(look(&watch, rest, space(50), at: 4, [ada: use(50)]).ended.isEmpty)
        #expect(look(&watch, rest, space(48), at: 5, [ada: use(52)]).ended.isEmpty)
        #expect(look(&watch, rest, space(45), at: 6, [ada: use(55)]).ended == [ada: .diskPressure])
    }

    @Test func `after somebody made room the next shortage is judged anew`() {
        var watch = watch()
        let both = [DiskWatch.Subject(ada, limit: nil), DiskWatch.Subject(eve, limit: nil)]
        let rest = [DiskWatch.Subject(ada, limit: nil)]
        _ = look(&watch, both, space(200), at: 1, [ada: use(1), eve: use(1)])
        #expect(look(&watch, both, space(60), at: 2, [ada: use(1), eve: use(141)]).ended == [eve: .diskPressure])
        _ = look(&watch, rest, space(60), at: 3, [ada: use(1)])
        _ = look(&watch, rest, space(900), at: 70, [ada: use(1)])
        #expect(look(&watch, rest, space(63), at: 80, [ada: use(600)]).ended == [ada: .diskPressure])
    }

    @Test func `growth that nobody sees ends no run before half of the reserve is gone`() {
        var watch = watch()
        let subjects = [DiskWatch.Subject(ada, limit: nil), DiskWatch.Subject(eve, limit: nil)]
        let uses = [ada: use(10), eve: use(20)]
        _ = look(&watch, subjects, space(200), at: 1, uses)
        #expect(look(&watch, subjects, space(60), at: 2, uses).ended.isEmpty)
        #expect(look(&watch, subjects, space(31), at: 3, uses).ended == [eve: .diskPressure])
    }

    @Test func `files run out too`() {
        var watch = watch()
        let subjects = [DiskWatch.Subject(ada, limit: nil), DiskWatch.Subject(eve, limit: nil)]
        _ = look(&watch, subjects, space(900, files: 900), at: 1, [ada: use(50, files: 10), eve: use(1, files: 10)])
        let uses = [ada: use(90, files: 10), eve: use(1, files: 880)]
        let short = look(&watch, subjects, space(900, files: 9), at: 2, uses)
        #expect(short.ended == [eve: .diskPressure])
    }

    @Test func `whoever is above a limit ends before anybody else does for the shortage`() {
        var watch = watch()
        let subjects = [DiskWatch.Subject(ada, limit: 100 * mib), DiskWatch.Subject(eve, limit: nil)]
        let short = look(&watch, subjects, space(60), at: 1, [ada: use(101), eve: use(700)])
        #expect(short.ended == [ada: .diskLimit])
    }

    @Test func `without runs nobody ends`() {
        var watch = watch()
        #expect(look(&watch, [], space(1), at: 1, [:]).ended.isEmpty)
    }
}
