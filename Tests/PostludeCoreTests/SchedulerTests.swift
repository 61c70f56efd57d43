import Testing

@testable import PostludeCore

extension RunSamples {
    static let runs: [RunID] = {
        var random = SeededGenerator(seed: 42)
        return (0..<64).map { _ in RunID.random(using: &random) }
    }()
}

@Suite struct SchedulerTests {
    private let gibibyte: Int64 = 1 << 30

    private func capacity(memory: Int64 = 8, cores: Int64 = 8, gpus: Int = 2) -> Scheduler.Capacity {
        Scheduler.Capacity(
            memoryBytes: memory * gibibyte, milliCPU: cores * 1000, devices: ["gpu": gpus],
            idle: ["gpu": (0..<gpus).map { "gpu\($0)" }])
    }

    private func waiting(
        _ index: Int, memory: Int64 = 1, cores: Int64 = 1, gpus: Int = 0
    ) -> Scheduler.Candidate {
        let needs = Scheduler.Needs(
            devices: gpus > 0 ? ["gpu": gpus] : [:], memoryBytes: memory * gibibyte, milliCPU: cores * 1000)
        return Scheduler.Candidate(
            lane: Scheduler.Lane(queue: "default", needs: needs), run: RunSamples.runs[index], number: Int64(index))
    }

    private func placed(_ plan: Outcome) -> [Int] {
        plan.placements.compactMap { RunSamples.runs.firstIndex(of: $0.run) }
    }

    private func place(_ waiting: [Scheduler.Candidate], _ capacity: Scheduler.Capacity) -> Outcome {
        Outcome(of: waiting, in: Scheduler.Round(capacity, at: Timestamp(microseconds: 0)))
    }

    @Test func `what fits starts in order, each with its own devices`() {
        let plan = place([waiting(0, gpus: 1), waiting(1, gpus: 1), waiting(2)], capacity())
        #expect(placed(plan) == [0, 1, 2])
        #expect(plan.placements.map(\.lease.devices) == [["gpu0"], ["gpu1"], []])
        #expect(plan.delays.isEmpty)
    }

    @Test func `a run that needs no device passes one that waits for a device`() {
        var capacity = capacity()
        capacity.idle["gpu"] = []
        let plan = place([waiting(0, gpus: 1), waiting(1), waiting(2, gpus: 1)], capacity)
        #expect(placed(plan) == [1])
        #expect(plan.delays.map(\.words) == ["waits for 1 gpu (0 there)"])
    }

    @Test func `a small run does not take the one device that a bigger one ahead already waits with`() {
        var capacity = capacity()
        capacity.idle["gpu"] = ["gpu1"]
        #expect(placed(place([waiting(0, gpus: 2), waiting(1, gpus: 1)], capacity)).isEmpty)
    }

    @Test func `memory that a waiting run will need is kept for it`() {
        var capacity = capacity()
        capacity.idle["gpu"] = []
        let plan = place(
            [waiting(0, memory: 6, gpus: 1), waiting(1, memory: 4), waiting(2, memory: 2)], capacity)
        // 8 - 6 kept = 2: too little for the second, which then keeps those 2.
        #expect(placed(plan).isEmpty)
        #expect(placed(place([waiting(0, memory: 6, gpus: 1), waiting(2, memory: 2)], capacity)) == [2])
    }

    @Test func `what can never fit keeps nothing from others`() {
        let plan = place([waiting(0, gpus: 3), waiting(1, memory: 8, gpus: 2)], capacity())
        #expect(placed(plan) == [1])
        #expect(plan.delays.map(\.canEver) == [false])
    }

    @Test func `more than the node has is told per resource`() {
        let needs = Scheduler.Needs(devices: ["gpu": 3, "tpu": 1], memoryBytes: 9 << 30, milliCPU: 8500)
        let words = Scheduler.neverFits(needs, capacity()).map { "\($0.neededWords), \($0.availableWords)" }
        #expect(
            words == [
                "8.500 cores, 8 there", "3 gpu, 2 there", "9216 MiB of memory, 8192 MiB there", "1 tpu, 0 there",
            ])
    }

    @Test func `a used up node ends the walk`() {
        let plan = place((0..<64).map { waiting($0, memory: 4) }, capacity())
        #expect(placed(plan) == [0, 1])
        #expect(plan.delays.isEmpty && plan.verdicts == 2)
    }

    /// The head of the queue starts no later than it would alone with what already runs.
    @Test(arguments: 1...200)
    func `nobody behind ever delays the head`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var free = capacity(gpus: 3)
        free.freeMemoryBytes = Int64.random(in: 0...8, using: &random) * gibibyte
        free.freeMilliCPU = Int64.random(in: 0...8, using: &random) * 1000
        free.idle["gpu"] = Array(
            ["gpu0", "gpu1", "gpu2"].shuffled(using: &random).prefix(Int.random(in: 0...3, using: &random)))
        let queue = (0..<8).map { index in
            waiting(
                index, memory: Int64.random(in: 1...8, using: &random), cores: Int64.random(in: 1...8, using: &random),
                gpus: Int.random(in: 0...3, using: &random))
        }
        let plan = place(queue, free)
        for (position, head) in queue.enumerated() where !plan.placements.contains(where: { $0.run == head.run }) {
            let later = plan.placements.filter { placement in
                queue.suffix(from: position).contains { $0.run == placement.run }
            }
            let earlier = plan.placements.filter { placement in
                queue.prefix(position).contains { $0.run == placement.run }
            }
            // What the later ones took was more than the head could use of what was free.
            let memory = free.freeMemoryBytes - earlier.reduce(0) { $0 + $1.lease.memoryBytes }
            let left = memory - later.reduce(0) { $0 + $1.lease.memoryBytes }
            #expect(left >= min(head.lane.needs.memoryBytes, memory) || later.isEmpty)
        }
        let given = plan.placements.flatMap(\.lease.devices)
        #expect(Set(given).count == given.count)
        #expect(plan.placements.reduce(0) { $0 + $1.lease.memoryBytes } <= free.freeMemoryBytes)
        #expect(plan.placements.reduce(0) { $0 + $1.lease.milliCPU } <= free.freeMilliCPU)
    }

    @Test func `needs count main with its sidecars, and the largest init step`() {
        let job = JobSpec(
            initSteps: [
                .container(ContainerSpec(resources: ResourceRequest(memoryBytes: 9 << 30, devices: ["gpu": 1]))),
                .file(name: "a", content: "b", mode: 0o644, path: nil),
            ],
            sidecars: [ContainerSpec(resources: ResourceRequest(memoryBytes: 1 << 30, milliCPU: 500))],
            container: ContainerSpec(resources: ResourceRequest(milliCPU: 2000, devices: ["gpu": 2])))
        let needs = Scheduler.Needs(of: job, defaultMemoryBytes: 2 << 30)
        #expect(needs == Scheduler.Needs(devices: ["gpu": 2], memoryBytes: 9 << 30, milliCPU: 2500))
        let none = Scheduler.Needs(of: JobSpec(container: ContainerSpec()))
        #expect(none.memoryBytes == Scheduler.Needs.assumedMemoryBytes)
        #expect(none.milliCPU == Scheduler.Needs.assumedMilliCPU)
    }
}
