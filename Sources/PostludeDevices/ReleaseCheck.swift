import Glibc
import PostludeCore

/// Tells whether a device is free: nobody has its nodes open or mapped.
///
/// Two ways of holding a device are invisible to any scan: a descriptor in flight in a socket, and one that a kernel
/// object keeps (a registered io_uring file). The sandbox rules both out for a job whose cgroups are empty: their last
/// user is gone. So a clean scan counts only together with empty cgroups.
public struct ReleaseCheck {
    /// The processes that hold the device's own nodes, by open descriptor (compared by device number, so that the
    /// node's path does not matter) or by mapping, which outlives its descriptor. Shared control nodes do not count.
    ///
    /// - Parameter excluding: processes that may hold it, such as a display server (see `baseline(of:)`).
    /// - Throws: `devices.scan-incomplete` when a process cannot be looked at: that is never taken for free.
    public static func holders(of device: Device, excluding: Set<Int32> = []) throws(DeviceError) -> [DeviceHolder] {
        try holders(of: [device], excluding: excluding)[device.id] ?? []
    }

    /// As `holders(of:excluding:)`, for processes that already held the device before it was granted and still are the
    /// same processes: a pid that was taken over by another process is not excused.
    public static func holders(
        of device: Device, excluding baseline: HolderBaseline
    ) throws(DeviceError) -> [DeviceHolder] {
        try holders(of: device).filter { holder in
            guard let start = baseline.startTimes[holder.pid] else { return true }
            return ProcessScan.startTime(of: holder.pid) != start
        }
    }

    /// The holders of several devices in one pass over the processes, by device id; every device has an entry.
    public static func holders(
        of devices: [Device], excluding: Set<Int32> = []
    ) throws(DeviceError) -> [String: [DeviceHolder]] {
        var scan = ProcessScan(nodes: devices.flatMap(\.nodes).filter { !$0.isShared })
        let found = try scan.run(excluding: excluding)
        var holders: [String: [DeviceHolder]] = [:]
        for device in devices {
            let own = Set(device.nodes.filter { !$0.isShared }.map(NodeNumber.init))
            holders[device.id] = found.filter { own.contains($0.number) }.map(\.holder)
        }
        return holders
    }

    /// Who holds the device now, legitimately: taken before a grant, excused at its release.
    public static func baseline(of device: Device) throws(DeviceError) -> HolderBaseline {
        var baseline = HolderBaseline()
        for holder in try holders(of: device) {
            // A process that is gone by now needs no excuse.
            if let start = ProcessScan.startTime(of: holder.pid) { baseline.startTimes[holder.pid] = start }
        }
        return baseline
    }

    /// `free`, or who holds it.
    public static func verdict(
        of device: Device, excluding baseline: HolderBaseline = HolderBaseline()
    ) throws(DeviceError) -> ReleaseVerdict {
        let holders = try holders(of: device, excluding: baseline)
        return holders.isEmpty ? .free : .held(holders)
    }
}

/// Processes that held a device before it was granted, with their start times (clock ticks after boot).
public struct HolderBaseline: Hashable, Sendable, Codable {
    public var startTimes: [Int32: UInt64]

    public init(startTimes: [Int32: UInt64] = [:]) { self.startTimes = startTimes }
}
