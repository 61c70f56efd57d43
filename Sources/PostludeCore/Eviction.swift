/// Why the agent ends an attempt without a grace period.
public struct Eviction: Hashable, Sendable, Codable {
    public enum Reason: String, Hashable, Sendable, Codable {
        /// The run's artifacts take more than its limit.
        case diskLimit = "DiskLimit"
        /// The state directory's file system is nearly full, and the run had the largest part in that.
        case diskPressure = "DiskPressure"
    }

    public var reason: Reason
    /// A sentence with the numbers.
    public var message: String

    public init(_ reason: Reason, _ message: String) {
        self.reason = reason
        self.message = message
    }
}
