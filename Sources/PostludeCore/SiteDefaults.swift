/// Presets that the site merges into operations and hooks which do not name them.
public struct SiteDefaults: Hashable, Sendable, Codable {
    /// What findings call it.
    public var name: String
    /// Names, or uids in decimal.
    public var users: [String]
    public var groups: [String]
    public var projects: [String]
    public var queues: [String]
    /// Merged into operations, in this order.
    public var presets: [String]
    /// Merged into hooks and their components, in this order.
    public var hookPresets: [String]

    public init(
        name: String, users: [String] = [], groups: [String] = [], projects: [String] = [], queues: [String] = [],
        presets: [String] = [], hookPresets: [String] = []
    ) {
        self.name = name
        self.users = users
        self.groups = groups
        self.projects = projects
        self.queues = queues
        self.presets = presets
        self.hookPresets = hookPresets
    }

    /// Whether they are for a submission. Users and groups are one list of people; what is empty is for all.
    public func isFor(_ subject: SitePolicy.Subject, project: String, queue: String?) -> Bool {
        let isPerson =
            users.isEmpty && groups.isEmpty || subject.isAmong(users: users, groups: groups)
        let isQueue = queues.isEmpty || queue.map(queues.contains) ?? false
        return isPerson && isQueue && (projects.isEmpty || projects.contains(project))
    }
}
