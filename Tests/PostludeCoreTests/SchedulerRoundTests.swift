import Testing

@testable import PostludeCore

@Suite struct SchedulerRoundTests {
    private let now = Timestamp(microseconds: 1_000_000_000)

    private func later(_ seconds: Double) -> Timestamp {
        Timestamp(microseconds: now.microseconds + Int64(seconds * 1_000_000))
    }

    private func capacity(gpus: Int = 4, idle: Int? = nil) -> Scheduler.Capacity {
        Scheduler.Capacity(
            memoryBytes: 64 << 30, milliCPU: 64_000, devices: ["gpu": gpus],
            idle: ["gpu": (0..<(idle ?? gpus)).map { "gpu\($0)" }])
    }

    private func waiting(
        _ index: Int, user: UInt32 = 1, queue: String = "default", isHook: Bool = false, gpus: Int = 1,
        timeout: Double? = nil
    ) -> Scheduler.Candidate {
        let needs = Scheduler.Needs(devices: gpus > 0 ? ["gpu": gpus] : [:], memoryBytes: 1 << 30, milliCPU: 1000)
        let lane = Scheduler.Lane(
            queue: queue, isHook: isHook, uid: user, user: "user\(user)", needs: needs, timeoutSeconds: timeout)
        return Scheduler.Candidate(lane: lane, run: RunSamples.runs[index], number: Int64(index))
    }

    private func placed(_ waiting: [Scheduler.Candidate], _ round: Scheduler.Round) -> [Int] {
        Outcome(of: waiting, in: round).placements.compactMap { RunSamples.runs.firstIndex(of: $0.run) }
    }

    @Test func `queues come by priority, then by number`() {
        let rules = SchedulingRules(queues: [.init(name: "urgent", priority: 10), .init(name: "idle", priority: -1)])
        let line = [
            waiting(0, queue: "idle"), waiting(1), waiting(2, queue: "urgent"), waiting(3), waiting(4, queue: "urgent"),
        ]
        #expect(placed(line, .init(capacity(gpus: 5), rules: rules, at: now)) == [2, 4, 1, 3, 0])
    }

    @Test func `hook runs come first in their priority and not before a higher one`() {
        let rules = SchedulingRules(queues: [.init(name: "urgent", priority: 10)])
        let line = [waiting(0), waiting(1, isHook: true, gpus: 0), waiting(2, queue: "urgent")]
        #expect(placed(line, .init(capacity(), rules: rules, at: now)) == [2, 1, 0])
    }

    @Test func `who used less comes first, and users take turns within one round`() {
        let line = (0..<4).map { waiting($0) } + (4..<8).map { waiting($0, user: 2) }
        #expect(placed(line, .init(capacity(gpus: 8), usage: [1: 100, 2: 1], at: now)).prefix(4) == [4, 5, 6, 7])
        #expect(placed(line, .init(capacity(gpus: 8), at: now)) == [0, 4, 1, 5, 2, 6, 3, 7])
    }

    @Test func `a weight of two is twice the share`() {
        let line = (0..<6).map { waiting($0) } + (6..<12).map { waiting($0, user: 2) }
        let rules = SchedulingRules(weights: ["user2": 2])
        let order = placed(line, .init(capacity(gpus: 6), rules: rules, at: now))
        #expect(order.count { $0 >= 6 } == 4)
    }

    @Test func `a bound of running runs is kept for users, queues and users in queues`() {
        let line = (0..<4).map { waiting($0) } + (4..<8).map { waiting($0, user: 2, queue: "night") }
        let perUser = SchedulingRules(perUser: .init(running: 1))
        #expect(placed(line, .init(capacity(gpus: 8), rules: perUser, at: now)) == [0, 4])
        let queue = SchedulingRules(queues: [.init(name: "night", limits: .init(running: 2))])
        #expect(Set(placed(line, .init(capacity(gpus: 8), rules: queue, at: now))) == [0, 1, 2, 3, 4, 5])
        let both = SchedulingRules(queues: [.init(name: "night", perUser: .init(devices: 3))])
        let outcome = Outcome(of: line, in: .init(capacity(gpus: 8), rules: both, at: now))
        #expect(outcome.placements.count == 7)
        #expect(
            outcome.limits == [
                "each user in the queue 'night' may have 3 devices, has 3, and this needs 1 more"
            ])
    }

    @Test func `what runs already counts, and hook runs count by their devices only`() {
        let rules = SchedulingRules(perUser: .init(running: 2, devices: 2))
        func holding(_ isHook: Bool, devices: Int) -> Scheduler.Holding {
            .init(queue: "default", isHook: isHook, uid: 1, devices: devices)
        }
        let line = [waiting(0, gpus: 0), waiting(1, gpus: 0), waiting(2, isHook: true, gpus: 0)]
        let round = Scheduler.Round(
            capacity(), rules: rules, holdings: [holding(false, devices: 1), holding(true, devices: 1)], at: now)
        #expect(placed(line, round) == [2, 0])
        #expect(placed([waiting(0, gpus: 1)], round).isEmpty)
    }

    @Test func `what a limit keeps back keeps nothing from others`() {
        let rules = SchedulingRules(perUser: .init(devices: 1))
        let line = [waiting(0, gpus: 4), waiting(1, user: 2, gpus: 1)]
        #expect(placed(line, .init(capacity(gpus: 4, idle: 1), rules: rules, at: now)) == [1])
    }

    @Test func `a drained node starts hooks alone`() {
        let window = MaintenanceWindow(from: now, reason: "new disks", by: "root")
        let line = [waiting(0, timeout: 1), waiting(1, isHook: true, gpus: 0)]
        let outcome = Outcome(of: line, in: .init(capacity(), windows: [window], at: now))
        #expect(outcome.placements.map(\.run) == [RunSamples.runs[1]])
        #expect(outcome.limits == ["the node is drained: new disks"])
        let over = MaintenanceWindow(from: now, until: later(0), by: "root")
        #expect(placed(line, .init(capacity(), windows: [over], at: now)) == [1, 0])
    }

    @Test func `before a planned window only what ends in time is started`() {
        let window = MaintenanceWindow(from: later(3600), until: later(7200), by: "root")
        let line = [waiting(0), waiting(1, timeout: 3600), waiting(2, timeout: 3601)]
        let outcome = Outcome(of: line, in: .init(capacity(), windows: [window], at: now))
        #expect(outcome.placements.map(\.run) == [RunSamples.runs[1]])
        #expect(
            Set(outcome.limits) == [
                "the node will be drained at 1970-01-01T01:16:40.000000Z, before it could have ended"
            ])
    }

    /// With many users that submit at random, whoever waits first in the best lane is delayed by no later one.
    @Test(arguments: 1...100)
    func `no bound is ever passed, and no device is given twice`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let rules = SchedulingRules(
            queues: [
                .init(name: "default", limits: .init(running: 5, devices: 6), perUser: .init(running: 3)),
                .init(name: "b", priority: 1, perUser: .init(devices: 2)),
            ], perUser: .init(running: 4, devices: 4))
        let line = (0..<40).map { index in
            waiting(
                index, user: .random(in: 1...4, using: &random), queue: Bool.random(using: &random) ? "default" : "b",
                gpus: .random(in: 0...3, using: &random))
        }
        let outcome = Outcome(of: line, in: .init(capacity(gpus: 12), rules: rules, at: now))
        let started = outcome.placements.compactMap { placement in line.first { $0.run == placement.run } }
        func running(_ include: (Scheduler.Lane) -> Bool) -> Int { started.count { include($0.lane) } }
        func devices(_ include: (Scheduler.Lane) -> Bool) -> Int {
            started.filter { include($0.lane) }.reduce(0) { $0 + ($1.lane.needs.devices["gpu"] ?? 0) }
        }
        #expect(running { $0.queue == "default" } <= 5 && devices { $0.queue == "default" } <= 6)
        for uid in UInt32(1)...4 {
            #expect(running { $0.uid == uid } <= 4 && devices { $0.uid == uid } <= 4)
            #expect(running { $0.uid == uid && $0.queue == "default" } <= 3)
            #expect(devices { $0.uid == uid && $0.queue == "b" } <= 2)
        }
        let given = outcome.placements.flatMap(\.lease.devices)
        #expect(Set(given).count == given.count && !started.isEmpty)
    }
}

@Suite struct FairShareTests {
    private func time(_ seconds: Double) -> Timestamp { Timestamp(microseconds: Int64(seconds * 1_000_000)) }

    @Test func `the largest fraction of the node counts`() {
        let node = Scheduler.Capacity(memoryBytes: 100, milliCPU: 1000, devices: ["gpu": 4, "fpga": 1])
        #expect(FairShare.dominant(.init(devices: ["gpu": 1], memoryBytes: 10, milliCPU: 100), of: node) == 0.25)
        #expect(FairShare.dominant(.init(devices: ["gpu": 1], memoryBytes: 70, milliCPU: 100), of: node) == 0.7)
        #expect(FairShare.dominant(.init(devices: ["gpu": 1, "fpga": 1]), of: node) == 1)
        #expect(FairShare.dominant(.init(devices: ["gone": 1]), of: node) == 0)
    }

    @Test func `use counts half after each half-life`() {
        #expect(FairShare.decayed(80, since: time(0), at: time(10), halfLife: 10) == 40)
        #expect(abs(FairShare.decayed(80, since: time(0), at: time(15), halfLife: 10) - 28.284271247461902) < 1e-12)
        #expect(FairShare.decayed(80, since: time(10), at: time(0), halfLife: 10) == 80)
        #expect(FairShare.decayed(80, since: time(0), at: time(1e9), halfLife: 1) == 0)
    }

    @Test func `holding in parts counts as holding at once`() {
        let whole = FairShare.held(0.5, from: time(0), to: time(100), halfLife: 30)
        let first = FairShare.held(0.5, from: time(0), to: time(60), halfLife: 30)
        let parts =
            FairShare.decayed(first, since: time(60), at: time(100), halfLife: 30)
            + FairShare.held(0.5, from: time(60), to: time(100), halfLife: 30)
        #expect(abs(whole - parts) < 1e-9)
        // Without decay it would be 50; a long half-life comes close.
        #expect(abs(FairShare.held(0.5, from: time(0), to: time(100), halfLife: 1e9) - 50) < 1e-3)
        #expect(FairShare.held(0.5, from: time(9), to: time(1), halfLife: 30) == 0)
    }
}
