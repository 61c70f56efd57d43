import Glibc
import PostludeCore

/// Tells whether a device is free: nobody has its nodes open or mapped.
///
/// A descriptor in flight in a unix socket is nobody's, and a process outside the job may receive it later. Which file
/// it is cannot be told, so any such socket counts as a holder until it is drained. What a kernel object keeps (a
/// registered io_uring file) is invisible to any scan; the sandbox rules it out for a job whose cgroups are empty: its
/// last user is gone. So a clean scan counts only together with empty cgroups.
public struct ReleaseCheck {
    /// Whether only the processes of the agent's own user are looked into, as without root; see `ScanScope`.
    public static var isOwnUserOnly: Bool { ScanScope.isOwnUser }

    /// The processes that hold the device's own nodes, by open descriptor (compared by device number, so that the
    /// node's path does not matter) or by mapping, which outlives its descriptor. Shared control nodes do not count.
    ///
    /// - Parameter excluding: processes that may hold it, such as a display server (see `baseline(of:)`).
    /// - Throws: `devices.scan-refused` when a process may not be looked into, `devices.scan-incomplete` when looking
    ///   failed: neither is ever taken for free.
    public static func holders(of device: Device, excluding: Set<Int32> = []) throws(DeviceError) -> [DeviceHolder] {
        try holders(of: [device], excluding: excluding)[device.id] ?? []
    }

    /// As `holders(of:excluding:)`, for processes that already held the device before it was granted and still are the
    /// same processes: a pid that was taken over by another process is not excused. So are those that could not be
    /// looked into even then: they are older than the grant, so no part of the job. Nobody is excused for descriptors
    /// in flight, since the job may have sent them.
    public static func holders(
        of device: Device, excluding baseline: HolderBaseline
    ) throws(DeviceError) -> [DeviceHolder] {
        var scan = ProcessScan(nodes: ownNodes(of: device))
        return try holders(of: device, in: try scan.run(excluding: []), excluding: baseline)
    }

    private static func holders(
        of device: Device, in result: ProcessScan.Result, excluding baseline: HolderBaseline
    ) throws(DeviceError) -> [DeviceHolder] {
        for (pid, refusal) in result.unreadable.sorted(by: { $0.key < $1.key }) {
            guard isSame(pid, baseline.unreadable) else { throw refusal }
        }
        return holders(of: device, in: result).filter { $0.how == .inFlight || !isSame($0.pid, baseline.startTimes) }
    }

    /// What cannot be told counts for every device.
    private static func holders(of device: Device, in result: ProcessScan.Result) -> [DeviceHolder] {
        let own = Set(ownNodes(of: device).map(NodeNumber.init))
        return result.findings.filter { $0.number.map(own.contains) ?? true }.map(\.holder)
    }

    /// The holders of several devices in one pass over the processes, by device id; every device has an entry.
    public static func holders(
        of devices: [Device], excluding: Set<Int32> = []
    ) throws(DeviceError) -> [String: [DeviceHolder]] {
        var scan = ProcessScan(nodes: devices.flatMap(ownNodes))
        let result = try scan.run(excluding: excluding)
        if let refusal = result.unreadable.min(by: { $0.key < $1.key })?.value { throw refusal }
        var holders: [String: [DeviceHolder]] = [:]
        for device in devices { holders[device.id] = Self.holders(of: device, in: result) }
        return holders
    }

    /// Who holds the device now, legitimately: taken before a grant, excused at its release.
    ///
    /// A process of a run is never excused. Descriptors in flight are neither excused nor a reason to refuse: the agent
    /// itself sends some to each warden, and a device was verified free of them when it was released.
    ///
    /// - Parameter runs: how processes of runs are told from others; nil when there are no runs.
    /// - Throws: `devices.still-held` when a process of a run has it; as `holders(of:excluding:)`.
    public static func baseline(
        of device: Device, refusing runs: RunMark? = nil
    ) throws(DeviceError) -> HolderBaseline {
        try baselines(of: [device], refusing: runs)[device.id] ?? HolderBaseline()
    }

    /// As `baseline(of:refusing:)` for several devices in one pass over the processes, by device id.
    public static func baselines(
        of devices: [Device], refusing runs: RunMark? = nil
    ) throws(DeviceError) -> [String: HolderBaseline] {
        var baselines: [String: HolderBaseline] = [:]
        for (device, baseline) in try looks(at: devices, refusing: runs) { baselines[device] = try baseline.get() }
        return baselines
    }

    /// As `baselines(of:refusing:)`; a device that a process of a run has fails by itself.
    public static func looks(
        at devices: [Device], refusing runs: RunMark? = nil
    ) throws(DeviceError) -> [String: Result<HolderBaseline, DeviceError>] {
        var scan = ProcessScan(nodes: devices.flatMap(ownNodes))
        let result = try scan.run(excluding: [])
        var unreadable: [Int32: UInt64] = [:]
        for pid in result.unreadable.keys where !isOfRun(pid, runs) {
            unreadable[pid] = ProcessScan.startTime(of: pid)
        }
        var looks: [String: Result<HolderBaseline, DeviceError>] = [:]
        for device in devices {
            looks[device.id] = Result { () throws(DeviceError) in
                var baseline = HolderBaseline(unreadable: unreadable)
                // A process that is gone by now needs no excuse.
                for holder in holders(of: device, in: result) where holder.how != .inFlight {
                    if isOfRun(holder.pid, runs) { throw .stillHeld(device.id, by: holder) }
                    baseline.startTimes[holder.pid] = ProcessScan.startTime(of: holder.pid)
                }
                return baseline
            }
        }
        return looks
    }

    /// `free`, or who holds it.
    public static func verdict(
        of device: Device, excluding baseline: HolderBaseline = HolderBaseline()
    ) throws(DeviceError) -> ReleaseVerdict {
        let holders = try holders(of: device, excluding: baseline)
        return holders.isEmpty ? .free : .held(holders)
    }

    /// What a look at a device shows that is to be free.
    public struct Finding: Hashable, Sendable {
        public var verdict: ReleaseVerdict
        /// Those of the baseline that still have it (or may not be looked into): who is to be excused after the next
        /// grant, if that comes at once.
        public var excused: HolderBaseline
    }

    /// As `verdict(of:excluding:)` for several devices in one pass over the processes; a device that is not among the
    /// results could not be looked at for the reason that `failed` is told.
    public static func findings(
        of devices: [(device: Device, baseline: HolderBaseline)], failed: (Device, DeviceError) -> Void
    ) async -> [String: Finding] {
        var findings: [String: Finding] = [:]
        do throws(DeviceError) {
            let result = try await ProcessScan.run(nodes: devices.flatMap { ownNodes(of: $0.device) })
            for (device, baseline) in devices {
                do throws(DeviceError) {
                    let holders = try holders(of: device, in: result, excluding: baseline)
                    findings[device.id] = Finding(
                        verdict: holders.isEmpty ? .free : .held(holders),
                        excused: baseline.keeping(
                            holders: Self.holders(of: device, in: result).map(\.pid), unreadable: result.unreadable.keys
                        ))
                } catch {
                    failed(device, error)
                }
            }
        } catch {
            for (device, _) in devices { failed(device, error) }
        }
        return findings
    }

    private static func ownNodes(of device: Device) -> [DeviceNode] { device.nodes.filter { !$0.isShared } }

    private static func isOfRun(_ pid: Int32, _ runs: RunMark?) -> Bool {
        runs?.covers(pid) ?? false
    }

    private static func isSame(_ pid: Int32, _ known: [Int32: UInt64]) -> Bool {
        guard let start = known[pid] else { return false }
        return ProcessScan.startTime(of: pid) == start
    }
}

/// Processes that were there before a device was granted, with their start times (clock ticks after boot).
public struct HolderBaseline: Hashable, Sendable, Codable {
    /// Those that held it.
    public var startTimes: [Int32: UInt64]
    /// Those that may not be looked into, such as a process that the security module protects.
    public var unreadable: [Int32: UInt64]

    public init(startTimes: [Int32: UInt64] = [:], unreadable: [Int32: UInt64] = [:]) {
        self.startTimes = startTimes
        self.unreadable = unreadable
    }

    /// Without those that are not among these any more.
    func keeping(holders: some Sequence<Int32>, unreadable: some Sequence<Int32>) -> HolderBaseline {
        let (holders, unreadable) = (Set(holders), Set(unreadable))
        return HolderBaseline(
            startTimes: startTimes.filter { holders.contains($0.key) },
            unreadable: self.unreadable.filter { unreadable.contains($0.key) })
    }
}
