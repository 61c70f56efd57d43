extension JobSpec {
    /// What the job's steps ask for of the disk, in bytes; nil when none of them does.
    ///
    /// They write into one directory, the run's artifacts, which what init steps wrote stays in: so the largest of init
    /// steps is a part of what sidecars and main ask for together, and not a sum with it.
    public var askedStorageBytes: Int64? {
        let together = (sidecars + [container]).compactMap(\.resources.storageBytes)
        let before = initSteps.compactMap { step -> Int64? in
            if case .container(let container) = step { container.resources.storageBytes } else { nil }
        }
        guard !together.isEmpty || !before.isEmpty else { return nil }
        return max(together.reduce(0) { $0.addingReportingOverflow($1).overflow ? .max : $0 + $1 }, before.max() ?? 0)
    }

    /// What the run's artifacts may take, in bytes: what main asks for, or else the profile's default (or more, where
    /// other steps ask for more), and never more than the site's policy leaves it; nil for no limit.
    public func storageLimit(default profile: Int64?) -> Int64? {
        let asked = askedStorageBytes
        let limit = container.resources.storageBytes == nil ? profile.map { max($0, asked ?? 0) } : asked
        return JobBounds.bounded(limit, by: bounds?.storageBytes)
    }
}
