extension Scheduler.Needs {
    /// What an attempt is counted with when it asks for nothing: enough to bound how many run at once.
    public static let assumedMemoryBytes: Int64 = 64 << 20
    public static let assumedMilliCPU: Int64 = 100

    /// What a job needs: init steps run one after the other, sidecars and main together. Devices go to main.
    public init(of job: JobSpec, defaultMemoryBytes: Int64? = nil, defaultMilliCPU: Int64? = nil) {
        let together = job.sidecars + [job.container]
        let before = job.initSteps.compactMap { step -> ContainerSpec? in
            if case .container(let container) = step { container } else { nil }
        }
        func needed(_ key: KeyPath<ResourceRequest, Int64?>, or assumed: Int64) -> Int64 {
            let main = job.container.resources[keyPath: key] ?? assumed
            let beside = job.sidecars.reduce(0) { $0 + ($1.resources[keyPath: key] ?? 0) }
            let first = before.map { $0.resources[keyPath: key] ?? 0 }.max() ?? 0
            return max(main + beside, first)
        }
        var devices: [String: Int] = [:]
        for (name, count) in together.flatMap({ Array($0.resources.devices) }) where count > 0 {
            devices[name, default: 0] += count
        }
        for container in before {
            for (name, count) in container.resources.devices where count > 0 {
                devices[name] = max(devices[name, default: 0], count)
            }
        }
        self.init(
            devices: devices, memoryBytes: needed(\.memoryBytes, or: defaultMemoryBytes ?? Self.assumedMemoryBytes),
            milliCPU: needed(\.milliCPU, or: defaultMilliCPU ?? Self.assumedMilliCPU))
    }
}
