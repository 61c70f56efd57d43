/// The status of a run as the outside sees it; names and meaning are Polyaxon's.
public enum RunStatus: String, Sendable, Codable, CaseIterable {
    case created
    case onSchedule = "on_schedule"
    case resuming
    case compiled
    case queued
    case scheduled
    case starting
    case running
    case processing
    case stopping
    case warning
    case unschedulable
    case retrying
    case unknown
    case succeeded
    case failed
    case stopped
    case skipped
    case upstreamFailed = "upstream_failed"

    /// Whether the status is one of the five that never change again (`done` in a hook's trigger).
    public var isFinal: Bool {
        switch self {
        case .succeeded, .failed, .stopped, .skipped, .upstreamFailed: true
        case .created, .onSchedule, .resuming, .compiled, .queued, .scheduled, .starting, .running, .processing,
            .stopping, .warning, .unschedulable, .retrying, .unknown:
            false
        }
    }
}

/// One entry of a run's history: the run took `status` at `lastTransition`, for `reason`.
///
/// The same status again replaces the last entry (`lastUpdate` and `message` move, `lastTransition` stays).
public struct RunCondition: Hashable, Sendable, Codable {
    public var status: RunStatus
    /// A stable CamelCase word, such as `OOMKilled`, `Timeout`, `WardenLost`; grep-able.
    public var reason: String
    /// A sentence for people; empty when the reason says it all.
    public var message: String
    public var lastTransition: Timestamp
    public var lastUpdate: Timestamp

    public init(status: RunStatus, reason: String, message: String = "", at time: Timestamp) {
        self.status = status
        self.reason = reason
        self.message = message
        self.lastTransition = time
        self.lastUpdate = time
    }
}
