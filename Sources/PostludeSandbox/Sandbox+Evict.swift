import Glibc
import PostludeLinux

extension Sandbox {
    /// SIGKILL to every process of the warden's steps, at once. The warden stays: it counts what they used and says how
    /// they ended. It is told that the attempt is to stop, so that it starts no other step.
    public func evict(_ warden: WardenIdentity) throws {
        try killSteps(of: warden)
        try requestStop(warden)
        // What had just been started, if anything.
        try killSteps(of: warden)
    }

    private func killSteps(of warden: WardenIdentity) throws {
        guard tree.hasCgroups else {
            for step in try tree.livingSteps(of: warden.slot) { try step.kill() }
            return
        }
        guard CgroupTree.isSlot(warden.slot) else { return }
        // Only of this very warden: a slot's name is never given to another.
        let slot = tree.path(of: warden.slot)
        try unlessGone { () throws(LinuxError) in
            for step in try tree.steps(of: warden.slot) {
                try unlessGone { () throws(LinuxError) in try Cgroup(opening: "\(slot)/\(step)").kill() }
            }
        }
    }

    /// A cgroup is removed when every process has left it.
    private func unlessGone(_ body: () throws(LinuxError) -> Void) throws(LinuxError) {
        do throws(LinuxError) {
            try body()
        } catch {
            if error.errno != ENOENT && error.errno != ENODEV { throw error }
        }
    }
}
