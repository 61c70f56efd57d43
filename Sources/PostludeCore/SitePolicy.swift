/// What an administrator lets submitters ask for: rules in order, of which the first that names a submitter bounds them.
///
/// With no rules everything is allowed that the profiles and the node allow. With rules, whom none of them names may
/// submit nothing. Root is bound by none: it could change the rules.
public struct SitePolicy: Hashable, Sendable, Codable {
    public var rules: [Rule]

    public init(rules: [Rule] = []) { self.rules = rules }

    /// A submitter, as rules name one.
    public struct Subject: Hashable, Sendable {
        public var name: String
        public var uid: UInt32
        /// Names of all groups, privileged ones too.
        public var groups: Set<String>

        public init(name: String, uid: UInt32, groups: Set<String> = []) {
            self.name = name
            self.uid = uid
            self.groups = groups
        }

        /// Whether one of these users (names, or uids in decimal) or a member of one of these groups.
        public func isAmong(users: [String], groups named: [String]) -> Bool {
            users.contains { $0 == name || $0 == String(uid) } || named.contains(where: groups.contains)
        }
    }

    /// Bounds for some submitters; what is nil is not bounded.
    public struct Rule: Hashable, Sendable, Codable {
        /// What refusals call it.
        public var name: String
        /// Names, or uids in decimal.
        public var users: [String]
        public var groups: [String]
        /// Sandbox profiles that may be named or taken by default.
        public var profiles: [String]?
        /// Networks that a step may have, be it by its profile or as a built-in `git` step.
        public var networks: [SandboxProfile.Network]?
        /// Directories at or below which the working directory must lie: the one place of the host besides the profile's
        /// that a run is shown.
        public var workingDirectories: [String]?
        /// For the steps of a run that exist together, in bytes.
        public var memoryBytes: Int64?
        /// For the steps of a run that exist together, in thousandths of a core.
        public var milliCPU: Int64?
        /// For a run's artifacts, in bytes on disk.
        public var storageBytes: Int64?
        /// Devices of a run, of all classes together.
        public var devices: Int?
        /// Seconds an attempt may take.
        public var timeoutSeconds: Double?
        /// How often a failed run may be tried again.
        public var retries: Int?
        /// Hooks of an operation.
        public var hooks: Int?

        public init(
            name: String, users: [String] = [], groups: [String] = [], profiles: [String]? = nil,
            networks: [SandboxProfile.Network]? = nil, workingDirectories: [String]? = nil, memoryBytes: Int64? = nil,
            milliCPU: Int64? = nil, storageBytes: Int64? = nil, devices: Int? = nil, timeoutSeconds: Double? = nil,
            retries: Int? = nil, hooks: Int? = nil
        ) {
            self.name = name
            self.users = users
            self.groups = groups
            self.profiles = profiles
            self.networks = networks
            self.workingDirectories = workingDirectories
            self.memoryBytes = memoryBytes
            self.milliCPU = milliCPU
            self.storageBytes = storageBytes
            self.devices = devices
            self.timeoutSeconds = timeoutSeconds
            self.retries = retries
            self.hooks = hooks
        }

        /// A rule that names nobody is for everybody.
        func isFor(_ subject: Subject) -> Bool {
            if users.isEmpty, groups.isEmpty { return true }
            return subject.isAmong(users: users, groups: groups)
        }
    }

    /// Who may submit what.
    public enum Verdict: Hashable, Sendable {
        case unbounded
        case bounded(by: Rule)
        /// There are rules, and none is for this submitter.
        case refused
    }

    public func verdict(on subject: Subject) -> Verdict {
        guard !rules.isEmpty, subject.uid != 0 else { return .unbounded }
        return rules.first { $0.isFor(subject) }.map(Verdict.bounded) ?? .refused
    }
}

/// What a rule of the site leaves a job that did not ask; part of the job, so that it holds for as long as the run does.
public struct JobBounds: Hashable, Sendable, Codable {
    /// The rule's name.
    public var rule: String
    public var memoryBytes: Int64?
    public var milliCPU: Int64?
    public var storageBytes: Int64?
    /// Where the working directory must lie, when all links are followed.
    public var workingDirectories: [String]?

    public init(
        rule: String, memoryBytes: Int64? = nil, milliCPU: Int64? = nil, storageBytes: Int64? = nil,
        workingDirectories: [String]? = nil
    ) {
        self.rule = rule
        self.memoryBytes = memoryBytes
        self.milliCPU = milliCPU
        self.storageBytes = storageBytes
        self.workingDirectories = workingDirectories
    }

    /// The smaller of a limit and a bound; nil is no limit.
    public static func bounded(_ limit: Int64?, by bound: Int64?) -> Int64? {
        guard let bound else { return limit }
        return limit.map { min($0, bound) } ?? bound
    }
}
