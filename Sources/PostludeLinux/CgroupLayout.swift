import CLinux
import Glibc

/// What a hierarchy is asked for. Raw values are those of the launch plan's `CgroupWrite.Controller`.
public enum CgroupController: UInt8, Hashable, Sendable, CaseIterable {
    case unified = 0, memory = 1, cpu = 2, pids = 3, cpuacct = 4, devices = 5

    /// The kernel's name; nil for the unified hierarchy itself.
    public var kernelName: String? {
        switch self {
        case .unified: nil
        case .memory: "memory"
        case .cpu: "cpu"
        case .pids: "pids"
        case .cpuacct: "cpuacct"
        case .devices: "devices"
        }
    }

    /// Those in which a step has a cgroup of its own when they are v1 hierarchies.
    public static let stepControllers: [CgroupController] = [.memory, .cpu, .cpuacct, .pids]
}

/// Where a process stands in each cgroup hierarchy, as absolute paths.
public struct CgroupLayout: Hashable, Sendable {
    /// The v2 cgroup.
    public var unified: String
    /// The cgroup in each v1 hierarchy that has a controller of ours; empty on a pure v2 host.
    public var legacy: [CgroupController: String]
    /// The controllers that the v2 cgroup offers to its children.
    public var unifiedControllers: [String]

    public init(unified: String, legacy: [CgroupController: String], unifiedControllers: [String]) {
        self.unified = unified
        self.legacy = legacy
        self.unifiedControllers = unifiedControllers
    }

    /// Whether a controller that steps need lives in a v1 hierarchy.
    public var isHybrid: Bool { CgroupController.stepControllers.contains { legacy[$0] != nil } }

    /// The directory that has the controller's files: its v1 hierarchy, else v2 when it is offered there, else nil.
    public func directory(of controller: CgroupController) -> String? {
        guard let name = controller.kernelName else { return unified }
        if let path = legacy[controller] { return path }
        // v2 counts cpu time without any controller, and filters devices by programs.
        if controller == .cpuacct || controller == .devices { return unified }
        return unifiedControllers.contains(name) ? unified : nil
    }

    /// The distinct directories (v1 controllers may share one hierarchy), v2 first.
    public var directories: [String] {
        var all = [unified]
        for controller in CgroupController.allCases {
            if let path = legacy[controller], !all.contains(path) { all.append(path) }
        }
        return all
    }

    /// The layout of the calling process.
    /// - Throws: ENOENT when there is no cgroup v2 hierarchy.
    public static func discover() throws(LinuxError) -> CgroupLayout {
        let membership = try readText("/proc/self/cgroup")
        let mounts = try readText("/proc/self/mountinfo")
        guard var layout = parse(membership: membership, mountinfo: mounts) else {
            throw LinuxError("cgroup2", "/proc/self/mountinfo", errno: ENOENT)
        }
        do {
            let offered = try readText(layout.unified + "/cgroup.controllers")
            layout.unifiedControllers = offered.split(whereSeparator: { $0 == " " || $0 == "\n" }).map { String($0) }
        } catch {
            // A v2 cgroup that cannot be read offers nothing.
            layout.unifiedControllers = []
        }
        return layout
    }

    /// Reads /proc/<pid>/cgroup and /proc/<pid>/mountinfo; nil when no v2 hierarchy is mounted or the process is not in
    /// view of it.
    public static func parse(membership: String, mountinfo: String) -> CgroupLayout? {
        let mounts = mountinfo.split(separator: "\n").compactMap { CgroupMount(mountinfoLine: String($0)) }
        var unified: String?
        var legacy: [CgroupController: String] = [:]
        for line in membership.split(separator: "\n") {
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { continue }
            let path = String(fields[2])
            if fields[1].isEmpty {
                for mount in mounts where mount.isUnified {
                    if let directory = mount.directory(of: path) { unified = directory }
                }
                continue
            }
            let names = fields[1].split(separator: ",").map { String($0) }
            for controller in CgroupController.allCases {
                guard let name = controller.kernelName, names.contains(name) else { continue }
                for mount in mounts where !mount.isUnified && mount.options.contains(name) {
                    if let directory = mount.directory(of: path) { legacy[controller] = directory }
                }
            }
        }
        return unified.map { CgroupLayout(unified: $0, legacy: legacy, unifiedControllers: []) }
    }
}

/// One mounted cgroup hierarchy.
private struct CgroupMount {
    let root: String
    let point: String
    let isUnified: Bool
    let options: [String]

    init?(mountinfoLine: String) {
        let fields = mountinfoLine.split(separator: " ").map { String($0) }
        guard let separator = fields.firstIndex(of: "-"), separator >= 6, fields.count > separator + 1 else {
            return nil
        }
        let type = fields[separator + 1]
        guard type == "cgroup2" || type == "cgroup" else { return nil }
        root = unescapeMountPath(fields[3])
        point = unescapeMountPath(fields[4])
        isUnified = type == "cgroup2"
        options = fields.count > separator + 3 ? fields[separator + 3].split(separator: ",").map { String($0) } : []
    }

    /// Where a cgroup lies below this mount; nil when the mount shows another part of the hierarchy.
    func directory(of path: String) -> String? {
        if path.hasPrefix("/..") { return nil }
        if root == "/" { return path == "/" ? point : point + path }
        if path == root { return point }
        return path.hasPrefix(root + "/") ? point + path.dropFirst(root.count) : nil
    }
}

/// Undoes the octal escapes of mountinfo and mounts (`\040` for a space).
public func unescapeMountPath(_ text: String) -> String {
    guard text.contains("\\") else { return text }
    var bytes: [UInt8] = []
    let source = Array(text.utf8)
    var index = 0
    while index < source.count {
        if source[index] == UInt8(ascii: "\\"), index + 3 < source.count,
            let value = UInt8(String(decoding: source[(index + 1)...(index + 3)], as: UTF8.self), radix: 8)
        {
            bytes.append(value)
            index += 4
        } else {
            bytes.append(source[index])
            index += 1
        }
    }
    return String(decoding: bytes, as: UTF8.self)
}
