/// How a site shares its node among queues and users.
///
/// Queues come by priority, highest first. Within one priority hook runs come first, which only tell of work that is
/// over; then users by what they have used of the node lately, least first; then what was submitted first.
public struct SchedulingRules: Hashable, Sendable, Codable {
    /// The queue of what names none.
    public static let defaultQueue = "default"
    public static let defaultHalfLifeSeconds: Double = 24 * 3600

    /// Empty where the configuration names none: then any name stands for one and the same queue.
    public var queues: [Queue]
    /// For each user, over all queues.
    public var perUser: Limits
    /// Seconds after which what was used counts half.
    public var halfLifeSeconds: Double
    /// How much of the node a user is to have beside the others, by user name; 1 for those who are not named.
    public var weights: [String: Double]

    public init(
        queues: [Queue] = [], perUser: Limits = Limits(), halfLifeSeconds: Double = defaultHalfLifeSeconds,
        weights: [String: Double] = [:]
    ) {
        self.queues = queues
        self.perUser = perUser
        self.halfLifeSeconds = halfLifeSeconds
        self.weights = weights
    }

    public struct Queue: Hashable, Sendable, Codable {
        public var name: String
        /// Of two queues the one with the higher number comes first.
        public var priority: Int
        /// For all of its runs together.
        public var limits: Limits
        /// For each user's runs in it.
        public var perUser: Limits
        /// Names, or uids in decimal, of those who may use it; everybody, when there are no `groups` either.
        public var users: [String]
        public var groups: [String]

        public init(
            name: String, priority: Int = 0, limits: Limits = Limits(), perUser: Limits = Limits(),
            users: [String] = [], groups: [String] = []
        ) {
            self.name = name
            self.priority = priority
            self.limits = limits
            self.perUser = perUser
            self.users = users
            self.groups = groups
        }

        /// Whether the submitter may use it; root may use any.
        public func admits(_ subject: SitePolicy.Subject) -> Bool {
            subject.uid == 0 || users.isEmpty && groups.isEmpty || subject.isAmong(users: users, groups: groups)
        }
    }

    /// Bounds; nil is none. Hook runs are not counted: they come after work that was, and the next may have its turn
    /// while they run. What a hook leases counts among the devices.
    public struct Limits: Hashable, Sendable, Codable {
        /// Runs that hold part of the node at once.
        public var running: Int?
        /// Devices leased at once.
        public var devices: Int?
        /// Runs that wait; what is submitted beyond it is refused.
        public var waiting: Int?

        public init(running: Int? = nil, devices: Int? = nil, waiting: Int? = nil) {
            self.running = running
            self.devices = devices
            self.waiting = waiting
        }

        public var bindsRunning: Bool { running != nil || devices != nil }
    }

    public func queue(_ name: String) -> Queue { queues.first { $0.name == name } ?? Queue(name: name) }

    /// The queue that an operation's word means; nil when the configuration names queues, and not this one.
    ///
    /// Polyaxon writes `agent/queue`; there is one agent, so what comes before the slash means nothing here.
    public func resolve(_ word: String?) -> Queue? {
        let name = word?.split(separator: "/").last.map(String.init) ?? Self.defaultQueue
        if queues.isEmpty { return Queue(name: Self.defaultQueue) }
        // Without one of its own the default queue has no bounds.
        return queues.first { $0.name == name } ?? (name == Self.defaultQueue ? Queue(name: name) : nil)
    }

    /// Whether anything is bounded that depends on what runs.
    public var bindsRunning: Bool {
        perUser.bindsRunning || queues.contains { $0.limits.bindsRunning || $0.perUser.bindsRunning }
    }
}

/// A time in which nothing is started but hook runs, so that the node can be worked on.
public struct MaintenanceWindow: Hashable, Sendable, Codable, Identifiable {
    public var id: Int64
    public var from: Timestamp
    /// When it is over by itself; nil until somebody ends it.
    public var until: Timestamp?
    public var reason: String
    /// The user who asked for it.
    public var by: String

    public init(id: Int64 = 0, from: Timestamp, until: Timestamp? = nil, reason: String = "", by: String) {
        self.id = id
        self.from = from
        self.until = until
        self.reason = reason
        self.by = by
    }

    public func isOver(at time: Timestamp) -> Bool { until.map { $0 <= time } ?? false }

    /// Whether a run that starts now may be at work in the window: also before it begins, unless its time limit ends it
    /// before that.
    func isInTheWay(of timeoutSeconds: Double?, at time: Timestamp) -> Bool {
        guard !isOver(at: time) else { return false }
        guard from > time else { return true }
        guard let timeoutSeconds else { return true }
        return time.microseconds + Int64(timeoutSeconds * 1_000_000) > from.microseconds
    }

    /// For people: `the node is drained by root: new disks`.
    public func words(at time: Timestamp) -> String {
        let what =
            from > time
            ? "the node will be drained at \(from.iso8601), before it could have ended" : "the node is drained"
        return what + (reason.isEmpty ? "" : ": \(reason)")
    }
}
