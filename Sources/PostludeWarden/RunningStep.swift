import Glibc
import PostludeLinux
import PostludePlan

/// One step from its clone until nothing of it is left.
final class RunningStep {
    let index: Int
    let plan: StepPlan
    /// nil where the agent may make none: then the step is what is in the pid namespace of its pid 1.
    let cgroup: HeldCgroup?
    let legacy: [CgroupController: String]
    private let parked: ParkedStep
    let logs: [LogPump]
    let hasOwnNetwork: Bool
    var receipt: ReceiptReader
    let startedAt: UInt64

    /// What pid 1 said of the program, or why it never ran; nil until then.
    var exit: JournalRecord.StepExit?
    var counters = StepCounters()
    /// Why the receipt could not be read; decides nothing when the step ended by itself meanwhile.
    var receiptFailure: SetupFailure?
    /// Whether the program was let go.
    var isStarted = false
    /// Set when pid 1 was reaped.
    var reaped: ReapedProcess?
    /// Keeps the step's mounts until its end is on record: taking them down takes the kernel a while.
    var mounts: OwnedDescriptor?
    /// Watches for the cgroup to become empty, once that is what is waited for.
    var events: CgroupEvents?

    init(
        index: Int, plan: StepPlan, cgroup: HeldCgroup?, legacy: [CgroupController: String], parked: ParkedStep,
        logs: [LogPump], hasOwnNetwork: Bool, receipt: ReceiptReader
    ) {
        self.index = index
        self.plan = plan
        self.cgroup = cgroup
        self.legacy = legacy
        self.parked = parked
        self.logs = logs
        self.hasOwnNetwork = hasOwnNetwork
        self.receipt = receipt
        startedAt = Clocks.bootNanoseconds()
    }

    var pid: Int32 { parked.pid }
    /// The socket to pid 1.
    var control: Int32 { parked.control.rawValue }
    /// The pidfd of pid 1.
    var descriptor: Int32 { parked.process.descriptor.rawValue }

    /// Reaps pid 1; nil while it still runs and `block` is false.
    func reap(block: Bool) throws(LinuxError) -> ReapedProcess? { try parked.process.reap(block: block) }

    /// Lets the program start.
    func go() {
        var byte: UInt8 = 1
        isStarted = write(control, &byte, 1) == 1
    }

    /// SIGTERM for pid 1, which passes it on. A process that has just ended needs none.
    func terminate() {
        do { try parked.process.signal(SIGTERM) } catch {
            // ESRCH: it ended meanwhile.
        }
    }

    /// SIGKILL for everything in the cgroup, at once. Without one for pid 1: with it the kernel kills whatever is in its
    /// pid namespace, which nothing can leave (pid_namespaces(7)).
    func kill() {
        guard let cgroup else { return killProcess() }
        do { try cgroup.cgroup.kill() } catch { killProcess() }
    }

    private func killProcess() {
        do { try parked.process.signal(SIGKILL) } catch {
            // ESRCH: it ended meanwhile.
        }
    }

    /// How the program ended. Without pid 1's word: by the signal that ended pid 1 (and with it the program), else
    /// unknown.
    var finalExit: JournalRecord.StepExit {
        if let exit { return exit }
        if case .signal(let number, let coreDumped) = reaped?.end { return .signal(number, coreDumped: coreDumped) }
        return .unknown
    }

    /// All that was counted, once the cgroup is empty and the logs are drained.
    func finalCounters() -> StepCounters {
        var result = counters
        // Without cgroups what pid 1 and all that it reaped have used; the kernel has it reap everything before it ends.
        let cgroups =
            cgroup.map { CgroupCounters.read(unified: $0.cgroup.path, legacy: legacy) } ?? CgroupCounters()
        result.wallNanoseconds = Clocks.bootNanoseconds() - startedAt
        result.userMicroseconds = cgroups.userMicroseconds ?? reaped?.usage.userMicroseconds
        result.systemMicroseconds = cgroups.systemMicroseconds ?? reaped?.usage.systemMicroseconds
        result.peakMemoryBytes = cgroups.peakMemoryBytes
        result.oomKills = cgroups.oomKills
        result.peakPIDs = cgroups.peakPIDs
        result.forksRefused = cgroups.forksRefused
        result.throttledMicroseconds = cgroups.throttledMicroseconds
        result.readBytes = cgroups.readBytes ?? reaped?.usage.readBytes
        result.writtenBytes = cgroups.writtenBytes ?? reaped?.usage.writtenBytes
        result.logBytesDropped = logs.reduce(0) { $0 + $1.droppedBytes }
        return result
    }
}
