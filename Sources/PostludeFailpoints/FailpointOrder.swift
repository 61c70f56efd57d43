/// What `POSTLUDE_FAILPOINT` says: the name of a failpoint, and at which of its hits to die (`after:bind@3`; the first
/// when none is said).
public struct FailpointOrder: Hashable, Sendable {
    /// The environment variable that the agent reads once, when it starts.
    public static let variable = "POSTLUDE_FAILPOINT"

    public var point: Failpoint
    /// From 1 on.
    public var hit: Int

    public init(_ point: Failpoint, hit: Int = 1) {
        self.point = point
        self.hit = hit
    }

    /// - Throws: `FailpointError` when the text names no failpoint, or no hit of one.
    public init(_ text: String) throws(FailpointError) {
        let parts = text.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
        guard let point = Failpoint(name: String(parts[0])) else { throw FailpointError(text: text) }
        var hit = 1
        if parts.count > 1 {
            guard let number = Int(parts[1]), number > 0 else { throw FailpointError(text: text) }
            hit = number
        }
        self.init(point, hit: hit)
    }

    public var text: String { hit == 1 ? point.name : "\(point.name)@\(hit)" }

    /// From now on the process ends itself with SIGKILL at that hit. For the start of a process alone.
    public func arm() {
        Armed.order.withLock { $0 = Armed.Order(point: point, left: hit) }
        Armed.isOn.store(true, ordering: .releasing)
    }
}

/// A text that is no order.
public struct FailpointError: Error, Hashable, Sendable {
    public var text: String
}
