import Glibc
import PostludeLinux
import PostludePlan

/// A child that waits inside a step's v1 cgroups, for clone3 puts a child straight into a v2 cgroup only; v1 membership
/// is inherited. It clones the step as its sibling, so that the warden is the parent, and ends.
///
/// It shares the warden's descriptor table: descriptors are passed as numbers, and it must close none that it did not
/// open.
final class Launcher {
    let pid: Int32
    private let process: ProcessDescriptor
    private let channel: OwnedDescriptor
    /// The launcher's end: in a shared table there is only this one.
    private let otherEnd: OwnedDescriptor

    init() throws(LinuxError) {
        // As numbers across the clone: an owner would close its descriptor in the launcher's branch too, for both.
        let pair = try PacketSocket.pair()
        let ours = pair.reader.release()
        let theirs = pair.writer.release()
        let parent = getpid()
        let child: (pid: Int32, descriptor: Int32)?
        do throws(LinuxError) {
            child = try CloneRequest(sharesDescriptors: true).perform()
        } catch {
            _ = close(ours)
            _ = close(theirs)
            throw error
        }
        guard let child else { Self.serve(theirs, parent: parent) }
        pid = child.pid
        process = ProcessDescriptor(adopting: OwnedDescriptor(adopting: child.descriptor))
        channel = OwnedDescriptor(adopting: ours)
        otherEnd = OwnedDescriptor(adopting: theirs)
    }

    /// Moves it into a step's v1 cgroups; the writes go back to back.
    func place(in cgroups: [CgroupController: String]) throws(LinuxError) {
        for directory in Set(cgroups.values) { try Cgroup(opening: directory).enter(pid) }
    }

    /// Lets it read the plan and copy the step's mount trees, while the caller goes on with something else.
    func prepare(_ sent: SentPlan, step: Int) throws(SetupFailure) {
        try send([Int32(step), sent.memory] + sent.descriptors)
    }

    /// Lets it clone the step. The pidfd is the caller's.
    func launch(_ resources: StepResources) throws(SetupFailure) -> (pid: Int32, descriptor: Int32) {
        try send([
            resources.cgroup, resources.network, resources.control, resources.input, resources.output, resources.error,
        ])
        guard let answer = StepMessage.receive(from: channel.rawValue) else {
            throw SetupFailure(stage: .clone, errno: ECHILD)
        }
        guard answer.kind == .launched else {
            throw SetupFailure(stage: answer.stage, index: Int(answer.index), errno: answer.value)
        }
        return (answer.value, Int32(bitPattern: answer.index))
    }

    /// Waits for its end; it ends right after `launch`.
    func reap() {
        do {
            try process.signal(SIGKILL)
            _ = try process.reap(block: true)
        } catch {
            // Nothing waits for a launcher: a zombie ends with the warden.
        }
    }

    private func send(_ numbers: [Int32]) throws(SetupFailure) {
        let bytes = numbers.withUnsafeBytes { Array($0) }
        try stage(.clone) { () throws(LinuxError) in try PacketSocket.send(bytes, to: channel.rawValue) }
    }

    // MARK: in the launcher

    private static func serve(_ channel: Int32, parent: Int32) -> Never {
        do {
            try ProcessControl.setParentDeathSignal(SIGKILL)
        } catch {
            _exit(1)
        }
        if getppid() != parent { _exit(1) }
        do throws(SetupFailure) {
            let base = try stage(.mount) { () throws(LinuxError) in try RootFileSystem.makeBase() }
            let order = try receive(channel)
            guard order.count >= 2, let sent = plan(order) else { throw SetupFailure(stage: .plan, errno: EINVAL) }
            let launch = try StepLaunch(sent, step: Int(order[0]), base: base)
            let numbers = try receive(channel)
            guard numbers.count == 6 else { throw SetupFailure(stage: .clone, errno: EINVAL) }
            let resources = StepResources(
                cgroup: numbers[0], network: numbers[1], control: numbers[2], input: numbers[3], output: numbers[4],
                error: numbers[5])
            let child = try launch.perform(resources, asSibling: true)
            StepMessage(.launched, index: UInt32(bitPattern: child.descriptor), value: child.pid).send(to: channel)
            launch.close()
        } catch {
            StepMessage(.failed, stage: error.stage, index: UInt32(clamping: error.index), value: error.errno)
                .send(to: channel)
        }
        _exit(0)
    }

    private static func plan(_ order: [Int32]) -> SentPlan? {
        do { return try SentPlan(memory: order[1], descriptors: Array(order.dropFirst(2))) } catch { return nil }
    }

    private static func receive(_ channel: Int32) throws(SetupFailure) -> [Int32] {
        let message = try stage(.clone) { () throws(LinuxError) in
            try PacketSocket.receive(from: channel, limit: 2048)
        }
        guard let bytes = message?.bytes else { _exit(0) }
        return stride(from: 0, to: bytes.count - 3, by: 4).map { offset in
            bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: Int32.self) }
        }
    }
}
