import Glibc
import PostludeLinux
import PostludePlan
import Synchronization

/// The agent's part of the cgroup hierarchies: `<its own cgroup>/<name>/runs/<slot>`, in each hierarchy that steps
/// need. Where an agent without root may make none, plain directories take their place (see `CgroupTree+Processes`).
struct CgroupTree: Hashable, Sendable {
    /// What a slot's cgroup offers; the paths are those of `runs`.
    let layout: CgroupLayout
    /// Why controllers of the v2 hierarchy could not be handed down; nil when they were, or need not be.
    let delegationFailure: String?
    /// Why there are no cgroups, and slots are plain directories; nil when they are cgroups.
    var absence: SandboxError?

    var hasCgroups: Bool { absence == nil }

    /// Where the process stood before any tree moved it to a leaf.
    private static let origin = Mutex<CgroupLayout?>(nil)

    /// Makes the tree, and moves the agent into `<name>/agent` where the v2 hierarchy demands it: a cgroup with
    /// processes cannot hand controllers to its children.
    ///
    /// - Parameter directory: where slots are noted when an agent without root may make no cgroups.
    /// - Throws: `sandbox.cgroup-unavailable` when the directories cannot be made.
    static func prepare(name: String, directory: String? = nil) throws(SandboxError) -> CgroupTree {
        guard !name.isEmpty, !name.contains("/"), !name.hasPrefix("."), !name.contains("\0") else {
            throw SandboxError(code: "sandbox.cgroup-unavailable", message: "'\(name)' cannot name a cgroup.")
        }
        do {
            let origin = try discover()
            if geteuid() != 0 { try checkDelegation(of: origin) }
            return try make(name, in: origin)
        } catch {
            guard geteuid() != 0, let directory else { throw .cgroupUnavailable(error) }
            return try withoutCgroups(in: directory, because: .cgroupUnavailable(error))
        }
    }

    private static func discover() throws(LinuxError) -> CgroupLayout {
        let found = origin.withLock { origin -> Result<CgroupLayout, LinuxError> in
            if let origin { return .success(origin) }
            do throws(LinuxError) {
                let layout = try CgroupLayout.discover()
                origin = layout
                return .success(layout)
            } catch {
                return .failure(error)
            }
        }
        return try found.get()
    }

    private static func make(_ name: String, in origin: CgroupLayout) throws(LinuxError) -> CgroupTree {
        let own = try Cgroup(opening: origin.unified)
        let top = try own.child(name)
        var failure: String?
        var offered = origin.unifiedControllers.filter { ["memory", "cpu", "pids", "io"].contains($0) }
        if !offered.isEmpty {
            do {
                try origin.delegate(leaf: name + "/agent", controllers: offered)
                try top.enable(offered)
            } catch {
                failure = error.message
                offered = []
            }
        }
        let runs = try top.child("runs")
        if !offered.isEmpty { try runs.enable(offered) }
        var legacy: [CgroupController: String] = [:]
        for controller in CgroupController.stepControllers {
            guard let parent = origin.legacy[controller] else { continue }
            // What is not delegated to a user is missing, as if the host had no such controller.
            if geteuid() != 0, access(parent, W_OK) != 0 { continue }
            let parts = try Cgroup(creating: parent + "/" + name)
            legacy[controller] = try parts.child("runs").path
        }
        let layout = CgroupLayout(unified: runs.path, legacy: legacy, unifiedControllers: offered)
        return CgroupTree(layout: layout, delegationFailure: failure)
    }

    /// The v2 cgroup of all slots as /proc/<pid>/cgroup shows it, which is not its path below the mount point where only
    /// a part of the hierarchy is mounted.
    func membership() throws(LinuxError) -> String {
        try Self.membership(of: layout.unified, mountinfo: try readText("/proc/self/mountinfo"))
    }

    static func membership(of directory: String, mountinfo: String) throws(LinuxError) -> String {
        var best: (length: Int, path: String)?
        for line in mountinfo.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard let separator = fields.firstIndex(of: "-"), separator >= 6, fields.count > separator + 1,
                fields[separator + 1] == "cgroup2"
            else { continue }
            let (root, point) = (unescapeMountPath(String(fields[3])), unescapeMountPath(String(fields[4])))
            guard !root.hasPrefix("/.."), InsideView.contains(point, directory) else { continue }
            let path = InsideView.normalise(root + "/" + directory.dropFirst(point == "/" ? 0 : point.count))
            // The later mount of two at one place covers the other.
            if point.utf8.count >= best?.length ?? 0 { best = (point.utf8.count, path) }
        }
        guard let best else { throw LinuxError("cgroup2", directory, errno: ENOENT) }
        return best.path
    }

    /// The slot's directory in the v2 hierarchy.
    func path(of slot: String) -> String { "\(layout.unified)/\(slot)" }

    /// Makes a slot's directories.
    func make(
        slot: String, template: [MountOperation], bringsLoopbackUp: Bool
    ) throws(LinuxError) -> PrepareRequest {
        var cgroups: [CgroupWrite.Controller: String] = [:]
        for directory in layout.directories { _ = try Cgroup(creating: "\(directory)/\(slot)") }
        if hasCgroups { cgroups[.unified] = path(of: slot) }
        for (controller, directory) in layout.legacy {
            guard let known = CgroupWrite.Controller(rawValue: controller.rawValue) else { continue }
            cgroups[known] = "\(directory)/\(slot)"
        }
        return PrepareRequest(
            cgroups: cgroups, isHybrid: layout.isHybrid, makesNetworkNamespace: true,
            bringsLoopbackUp: bringsLoopbackUp, template: template)
    }

    /// Removes a slot's directories, those of its steps first; what is gone already is fine.
    ///
    /// - Throws: EBUSY while processes are left in it.
    func remove(slot: String) throws(LinuxError) {
        if !hasCgroups { try forgetAttempt(of: slot) }
        // The v2 directory goes last: it is the one that leftovers are found by.
        for directory in layout.directories.reversed() { try Self.removeTree("\(directory)/\(slot)") }
    }

    /// Removes the tree itself, when nothing runs in it any more.
    ///
    /// - Throws: EBUSY while a process is in it, such as the agent.
    func removeAll() throws(LinuxError) {
        for directory in layout.directories.reversed() {
            try Self.removeTree(directory)
            guard hasCgroups else { continue }
            let top = directory.dropLast("/runs".count)
            try Self.removeTree(String(top))
        }
    }

    private static func removeTree(_ path: String) throws(LinuxError) {
        let children: [String]
        do {
            children = try Cgroup.children(of: path)
        } catch {
            if error.errno == ENOENT { return }
            throw error
        }
        for child in children { try removeTree("\(path)/\(child)") }
        do {
            try Cgroup.remove(path)
        } catch {
            if error.errno != ENOENT { throw error }
        }
    }

    /// Every slot that has a directory in some hierarchy, sorted.
    func slots() throws(LinuxError) -> [String] {
        var names: Set<String> = []
        for directory in layout.directories { names.formUnion(try Cgroup.children(of: directory)) }
        return names.filter(Self.isSlot).sorted()
    }

    /// `w` and 16 random hexadecimal digits: a v2 cgroup cannot be renamed, so it cannot have the attempt's name.
    static func newSlot() -> String {
        let digits = String(UInt64.random(in: .min ... .max), radix: 16)
        return "w" + String(repeating: "0", count: 16 - digits.count) + digits
    }

    static func isSlot(_ name: String) -> Bool {
        name.utf8.count == 17 && name.first == "w"
            && name.utf8.dropFirst().allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
    }

    /// The names of a slot's step cgroups in the v2 hierarchy.
    func steps(of slot: String) throws(LinuxError) -> [String] {
        try Cgroup.children(of: path(of: slot)).filter { $0 != "warden" }.sorted()
    }
}

extension SandboxError {
    static func cgroupUnavailable(_ error: LinuxError) -> SandboxError {
        SandboxError(
            code: "sandbox.cgroup-unavailable",
            message: "The cgroup '\(error.subject)' cannot be used: \(error.call): \(errorText(error.errno)).",
            hint: geteuid() == 0
                ? "Run postluded as root, or give its unit Delegate=yes; see 'postlude doctor'."
                : "Start postluded in a cgroup of its own: systemd-run --user -p Delegate=yes postluded.",
            // EBUSY and ENOSPC: the kernel is not done with others that were removed.
            isTemporary: isShortage(error.errno) || [EBUSY, ENOSPC, EIO].contains(error.errno))
    }
}
