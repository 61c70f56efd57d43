/// Who may start now. Whoever has the better claim comes first (`SchedulingRules`), and nobody starves behind them: a
/// waiting run keeps aside what is free of all that it needs, and a later one may only use what is left then. So a later
/// run that passes an earlier one never delays it.
public enum Scheduler {
    /// What an attempt needs for all of its time.
    public struct Needs: Hashable, Sendable, Codable {
        /// Count by device class.
        public var devices: [String: Int]
        public var memoryBytes: Int64
        public var milliCPU: Int64

        public init(devices: [String: Int] = [:], memoryBytes: Int64 = 0, milliCPU: Int64 = 0) {
            self.devices = devices
            self.memoryBytes = memoryBytes
            self.milliCPU = milliCPU
        }
    }

    /// What the node has, and what of it is free.
    public struct Capacity: Hashable, Sendable {
        public var memoryBytes: Int64
        public var milliCPU: Int64
        public var freeMemoryBytes: Int64
        public var freeMilliCPU: Int64
        /// All devices by class, whatever their state.
        public var devices: [String: Int]
        /// Ids of idle devices by class, in the order they are given out.
        public var idle: [String: [String]]

        public init(
            memoryBytes: Int64, milliCPU: Int64, freeMemoryBytes: Int64? = nil, freeMilliCPU: Int64? = nil,
            devices: [String: Int] = [:], idle: [String: [String]] = [:]
        ) {
            self.memoryBytes = memoryBytes
            self.milliCPU = milliCPU
            self.freeMemoryBytes = freeMemoryBytes ?? memoryBytes
            self.freeMilliCPU = freeMilliCPU ?? milliCPU
            self.devices = devices
            self.idle = idle
        }
    }

    /// Something a run lacks.
    public struct Shortage: Hashable, Sendable, Comparable {
        /// `memory`, `cpu` or a device class.
        public var resource: String
        public var needed: Int64
        public var available: Int64

        public init(_ resource: String, needed: Int64, available: Int64) {
            self.resource = resource
            self.needed = needed
            self.available = available
        }

        public static func < (a: Shortage, b: Shortage) -> Bool { a.resource < b.resource }
    }

    public struct Delay: Hashable, Sendable {
        public var run: RunID
        public var shortages: [Shortage]
        /// Whether the node could hold the run when empty.
        public var canEver: Bool
    }

    /// What the node lacks even when empty; empty when the run fits.
    public static func neverFits(_ needs: Needs, _ capacity: Capacity) -> [Shortage] {
        var shortages: [Shortage] = []
        if needs.memoryBytes > capacity.memoryBytes {
            shortages.append(Shortage("memory", needed: needs.memoryBytes, available: capacity.memoryBytes))
        }
        if needs.milliCPU > capacity.milliCPU {
            shortages.append(Shortage("cpu", needed: needs.milliCPU, available: capacity.milliCPU))
        }
        for (name, count) in needs.devices where count > capacity.devices[name, default: 0] {
            shortages.append(
                Shortage(name, needed: Int64(count), available: Int64(capacity.devices[name, default: 0])))
        }
        return shortages.sorted()
    }
}

extension Scheduler {
    /// One walk along the queue; what a candidate takes or keeps aside is gone for those behind it.
    public struct Pass {
        public enum Verdict: Hashable, Sendable {
            case placed(Run.Lease)
            case delayed(Delay)
        }

        private var free: Capacity

        public init(_ capacity: Capacity) { free = capacity }

        /// Every attempt takes some memory and some processor time, so nothing fits once either is used up.
        public var isExhausted: Bool { free.freeMemoryBytes <= 0 || free.freeMilliCPU <= 0 }

        public mutating func offer(run: RunID, _ needs: Needs) -> Verdict {
            let impossible = Scheduler.neverFits(needs, free)
            guard impossible.isEmpty else {
                // It keeps nothing aside: what it waits for may never come.
                return .delayed(Delay(run: run, shortages: impossible, canEver: false))
            }
            var shortages: [Shortage] = []
            if needs.memoryBytes > free.freeMemoryBytes {
                shortages.append(Shortage("memory", needed: needs.memoryBytes, available: free.freeMemoryBytes))
            }
            if needs.milliCPU > free.freeMilliCPU {
                shortages.append(Shortage("cpu", needed: needs.milliCPU, available: free.freeMilliCPU))
            }
            var devices: [String] = []
            for (name, count) in needs.devices.sorted(by: { $0.key < $1.key }) where count > 0 {
                let idle = free.idle[name, default: []]
                if idle.count < count {
                    shortages.append(Shortage(name, needed: Int64(count), available: Int64(idle.count)))
                }
                devices += idle.prefix(count)
                free.idle[name] = Array(idle.dropFirst(count))
            }
            free.freeMemoryBytes -= min(needs.memoryBytes, free.freeMemoryBytes)
            free.freeMilliCPU -= min(needs.milliCPU, free.freeMilliCPU)
            guard shortages.isEmpty else {
                return .delayed(Delay(run: run, shortages: shortages.sorted(), canEver: true))
            }
            return .placed(
                Run.Lease(devices: devices, memoryBytes: needs.memoryBytes, milliCPU: needs.milliCPU))
        }
    }
}

extension Scheduler.Delay {
    /// For people: `waits for 2 nvidia.com/gpu (1 free)`.
    public var words: String {
        let parts = shortages.map { "\($0.neededWords) (\($0.availableWords))" }
        return (canEver ? "waits for " : "needs what this node does not have: ") + parts.joined(separator: ", ")
    }
}

extension Scheduler.Shortage {
    /// `4 GiB of memory`, `2 cores`, `1 nvidia.com/gpu`.
    public var neededWords: String {
        switch resource {
        case "memory": "\(Self.mebibytes(needed)) MiB of memory"
        case "cpu": "\(Self.thousandths(needed)) cores"
        default: "\(needed) \(resource)"
        }
    }

    public var availableWords: String {
        switch resource {
        case "memory": "\(Self.mebibytes(available)) MiB there"
        case "cpu": "\(Self.thousandths(available)) there"
        default: "\(available) there"
        }
    }

    private static func mebibytes(_ bytes: Int64) -> Int64 { (bytes + (1 << 20) - 1) >> 20 }

    private static func thousandths(_ value: Int64) -> String {
        let rest = value % 1000
        guard rest != 0 else { return "\(value / 1000)" }
        let digits = String(rest + 1000).dropFirst()
        return "\(value / 1000).\(digits)"
    }
}
