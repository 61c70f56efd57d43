/// Which runs of a list are asked for; what is nil does not matter.
public struct RunFilter: Hashable, Sendable {
    /// A name, or a uid in decimal.
    public var user: String?
    public var project: String?
    public var queue: String?
    /// Any of these.
    public var statuses: Set<RunStatus>?
    public var includesHooks: Bool
    /// Only runs that were submitted before this one, which need not be among them: where the page before ended.
    public var before: RunID?

    public init(
        user: String? = nil, project: String? = nil, queue: String? = nil, statuses: Set<RunStatus>? = nil,
        includesHooks: Bool = true, before: RunID? = nil
    ) {
        self.user = user
        self.project = project
        self.queue = queue
        self.statuses = statuses
        self.includesHooks = includesHooks
        self.before = before
    }

    /// All that are not over.
    public static let activeStatuses = Set(RunStatus.allCases.filter { !$0.isFinal })
    /// All that are over; `done` in a hook's trigger.
    public static let finalStatuses = Set(RunStatus.allCases.filter(\.isFinal))

    /// Reads `running,queued`, with `active` and `done` for all that are not, and that are over.
    ///
    /// - Returns: nil, and the word, for one that is no status.
    public static func statuses(_ text: String) -> Result<Set<RunStatus>, UnknownStatus> {
        var statuses: Set<RunStatus> = []
        for word in text.split(separator: ",", omittingEmptySubsequences: false).map(String.init) {
            switch word {
            case "active": statuses.formUnion(activeStatuses)
            case "done": statuses.formUnion(finalStatuses)
            default:
                guard let status = RunStatus(rawValue: word) else { return .failure(UnknownStatus(word: word)) }
                statuses.insert(status)
            }
        }
        return .success(statuses)
    }

    public struct UnknownStatus: Error, Hashable, Sendable {
        public var word: String
    }
}
