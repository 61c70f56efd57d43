import Glibc
import PostludeLinux
import PostludePlan

/// Slots of an agent that may make no cgroups: a directory each, with a link to the attempt's once there is one.
///
/// What is in such a slot is known by the first processes of its steps, which the warden writes into the attempt's journal
/// before it lets their programs start. When one of them has ended, everything in its pid namespace has: the kernel kills
/// and reaps all of that first. And each ends with its warden (PR_SET_PDEATHSIG). So killing the warden kills the slot, and
/// the pidfds of those processes say when it is empty.
extension CgroupTree {
    private static let attemptLink = "attempt"

    static func withoutCgroups(
        in directory: String, because absence: SandboxError
    ) throws(SandboxError) -> CgroupTree {
        guard mkdir(directory, 0o700) == 0 || errno == EEXIST else {
            throw SandboxError(
                code: "sandbox.host-unreadable", message: "Cannot make '\(directory)': \(errorText(errno)).",
                hint: "Give the agent a state directory that it may write.")
        }
        let layout = CgroupLayout(unified: directory, legacy: [:], unifiedControllers: [])
        return CgroupTree(layout: layout, delegationFailure: nil, absence: absence)
    }

    /// A user may make cgroups where both the directory and the list of its processes are theirs (cgroups(7), delegation).
    static func checkDelegation(of origin: CgroupLayout) throws(LinuxError) {
        for path in [origin.unified, origin.unified + "/cgroup.procs"] where access(path, W_OK) != 0 {
            throw LinuxError(last: "access", path)
        }
    }

    /// Notes whose attempt is in the slot; before its warden gets the plan.
    func note(attempt directory: String, in slot: String) throws(SandboxError) {
        do {
            // One that is there is of a launch that failed.
            try forgetAttempt(of: slot)
        } catch {
            throw .hostUnreadable(path(of: slot), errno: error.errno)
        }
        guard symlink(directory, "\(path(of: slot))/\(Self.attemptLink)") == 0 else {
            throw .hostUnreadable(path(of: slot), errno: errno)
        }
    }

    func forgetAttempt(of slot: String) throws(LinuxError) {
        let link = "\(path(of: slot))/\(Self.attemptLink)"
        guard unlink(link) == 0 || errno == ENOENT else { throw LinuxError(last: "unlink", link) }
    }

    /// The first processes of the slot's steps that have not ended.
    ///
    /// - Throws: `sandbox.journal-unreadable`: then nobody can tell.
    func livingSteps(of slot: String) throws(SandboxError) -> [LivingStep] {
        guard let attempt = readLink("\(path(of: slot))/\(Self.attemptLink)") else { return [] }
        let journal = "\(attempt)/\(AttemptFiles.journalName)"
        let bytes: [UInt8]
        do {
            bytes = try readFile(journal)
        } catch {
            // A warden that got no plan has written nothing.
            if error.errno == ENOENT { return [] }
            throw .journalUnreadable(journal, errno: error.errno)
        }
        var living: [LivingStep] = []
        for record in JournalRecord.decode(bytes).records {
            guard case .stepStarted(_, _, let pid, let receipt) = record.body else { continue }
            do {
                if let step = try LivingStep(pid: pid, startTime: receipt.startTime) { living.append(step) }
            } catch {
                throw .hostUnreadable("/proc/\(pid)", errno: error.errno)
            }
        }
        return living
    }
}

/// The first process of a step, held by a descriptor, so that its number cannot become another's.
final class LivingStep {
    private let process: ProcessDescriptor

    /// nil when it has ended, or its number is another process's.
    init?(pid: Int32, startTime: UInt64) throws(LinuxError) {
        let process: ProcessDescriptor
        do throws(LinuxError) {
            process = try ProcessDescriptor(pid: pid)
        } catch {
            if error.errno == ESRCH { return nil }
            throw error
        }
        // The descriptor first, the comparison second.
        guard try ProcessIdentity.startTime(of: pid) == startTime, try !process.hasEnded() else { return nil }
        self.process = process
    }

    /// SIGKILL, to everything in its pid namespace by way of the kernel.
    func kill() throws(LinuxError) {
        do throws(LinuxError) {
            try process.signal(SIGKILL)
        } catch {
            if error.errno != ESRCH { throw error }
        }
    }

    /// Readable when it has ended, for whoever waits.
    func waitable() throws(LinuxError) -> OwnedDescriptor {
        try OwnedDescriptor(duplicating: process.descriptor.rawValue)
    }
}
