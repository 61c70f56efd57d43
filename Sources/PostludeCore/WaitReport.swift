/// Why a run waits: where it stands, and who has what it needs.
public struct WaitReport: Hashable, Sendable, Codable {
    public var queue: String
    /// 1 when nobody has a better claim at this moment; nil while the run is held back, and stands nowhere.
    public var place: Int?
    /// How many wait, this one among them; those that are held back are not counted.
    public var waiting: Int
    public var needs: Scheduler.Needs
    public var heldBackBy: String?
    /// Those who hold part of the node, the longest first; of runs that are not the asker's only what they hold.
    public var holders: [Holder]
    /// When enough of what is missing is free at the latest, by the time limits of those who have it; nil when their
    /// limits do not say, or a limit of the queue or of its user keeps it waiting. Whoever has a better claim may take it then.
    public var earliestStart: Timestamp?

    public struct Holder: Hashable, Sendable, Codable {
        public var run: RunID?
        public var user: String?
        public var devices: [String]
        public var memoryBytes: Int64
        public var milliCPU: Int64
        public var since: Timestamp
        /// When its time limit ends it at the latest, its grace period included; nil without a limit.
        public var until: Timestamp?

        public init(
            run: RunID?, user: String?, devices: [String], memoryBytes: Int64, milliCPU: Int64, since: Timestamp,
            until: Timestamp?
        ) {
            self.run = run
            self.user = user
            self.devices = devices
            self.memoryBytes = memoryBytes
            self.milliCPU = milliCPU
            self.since = since
            self.until = until
        }
    }

    public init(
        queue: String, place: Int?, waiting: Int, needs: Scheduler.Needs, heldBackBy: String? = nil,
        holders: [Holder] = [], earliestStart: Timestamp? = nil
    ) {
        self.queue = queue
        self.place = place
        self.waiting = waiting
        self.needs = needs
        self.heldBackBy = heldBackBy
        self.holders = holders
        self.earliestStart = earliestStart
    }

    /// When what is free and what the holders give back by their time limits is enough.
    ///
    /// - Parameter classes: the class of each device that holders have.
    /// - Returns: `now` when it is enough already; nil when it never is by what is known.
    public static func earliest(
        _ needs: Scheduler.Needs, _ free: Scheduler.Capacity, _ holders: [Holder], classes: [String: String],
        now: Timestamp
    ) -> Timestamp? {
        var memory = free.freeMemoryBytes
        var cpu = free.freeMilliCPU
        var devices = free.idle.mapValues(\.count)
        func isEnough() -> Bool {
            memory >= needs.memoryBytes && cpu >= needs.milliCPU
                && needs.devices.allSatisfy { devices[$0.key, default: 0] >= $0.value }
        }
        if isEnough() { return now }
        let ending = holders.compactMap { holder in holder.until.map { (holder, max(now, $0)) } }
        for (holder, until) in ending.sorted(by: { $0.1 < $1.1 }) {
            memory += holder.memoryBytes
            cpu += holder.milliCPU
            for device in holder.devices { if let name = classes[device] { devices[name, default: 0] += 1 } }
            if isEnough() { return until }
        }
        return nil
    }
}
