import Glibc
import PostludeLinux
import PostludePlan

/// A child that goes into a step's v1 cgroups, for clone3 puts a child straight into a v2 cgroup only; v1 membership is
/// inherited. It clones the step's first process as its sibling, so that the warden is the parent, and ends.
///
/// It shares the warden's descriptor table: descriptors are passed as numbers, and it must close none that it did not
/// open.
final class Launcher {
    let pid: Int32
    private let process: ProcessDescriptor
    private let channel: OwnedDescriptor
    /// The launcher's end: in a shared table there is only this one.
    private let otherEnd: OwnedDescriptor

    init(_ groundwork: Groundwork) throws(LinuxError) {
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
        guard let child else { Self.serve(theirs, parent: parent, groundwork) }
        pid = child.pid
        process = ProcessDescriptor(adopting: OwnedDescriptor(adopting: child.descriptor))
        channel = OwnedDescriptor(adopting: ours)
        otherEnd = OwnedDescriptor(adopting: theirs)
    }

    /// Moves it into a step's v1 cgroups; the writes go back to back.
    func place(in cgroups: [CgroupController: String]) throws(LinuxError) {
        for directory in Set(cgroups.values) { try Cgroup(opening: directory).enter(pid) }
    }

    /// Lets it clone the step's first process, which parks itself.
    func park(in cgroup: borrowing Cgroup) throws(SetupFailure) -> ParkedStep {
        let control = try stage(.descriptors) { () throws(LinuxError) in try PacketSocket.pair() }
        let numbers = [cgroup.directory.rawValue, control.writer.rawValue]
        try stage(.clone) { () throws(LinuxError) in
            try PacketSocket.send(numbers.withUnsafeBytes { Array($0) }, to: channel.rawValue)
        }
        guard let answer = try answer() else {
            throw SetupFailure(stage: .clone, errno: ECHILD)
        }
        guard answer.kind == .launched else {
            throw SetupFailure(stage: answer.stage, index: Int(answer.index), errno: answer.value)
        }
        let descriptor = OwnedDescriptor(adopting: Int32(bitPattern: answer.index))
        return ParkedStep(
            pid: answer.value, process: ProcessDescriptor(adopting: descriptor), control: control.reader)
    }

    /// What it says; nil when it has ended without a word. Its end of the channel is in our table too, so that its death
    /// closes nothing: without a look at the process we would wait for ever.
    private func answer() throws(SetupFailure) -> StepMessage? {
        try stage(.clone) { () throws(LinuxError) in
            try waitReadable(anyOf: [channel.rawValue, process.descriptor.rawValue])
            guard try waitReadable(channel.rawValue, milliseconds: 0) else { return nil }
            return StepMessage.receive(from: channel.rawValue)
        }
    }

    /// Waits for its end; it ends right after `park`.
    func reap() {
        do {
            try process.signal(SIGKILL)
            _ = try process.reap(block: true)
        } catch {
            // Nothing waits for a launcher: a zombie ends with the warden.
        }
    }

    // MARK: in the launcher

    private static func serve(_ channel: Int32, parent: Int32, _ groundwork: Groundwork) -> Never {
        do {
            try ProcessControl.setParentDeathSignal(SIGKILL)
        } catch {
            _exit(1)
        }
        if getppid() != parent { _exit(1) }
        do throws(SetupFailure) {
            let numbers = try receive(channel)
            let child = try groundwork.clone(into: numbers.cgroup, control: numbers.control, asSibling: true)
            StepMessage(.launched, index: UInt32(bitPattern: child.descriptor), value: child.pid).send(to: channel)
        } catch {
            StepMessage(.failed, stage: error.stage, index: UInt32(clamping: error.index), value: error.errno)
                .send(to: channel)
        }
        _exit(0)
    }

    private static func receive(_ channel: Int32) throws(SetupFailure) -> (cgroup: Int32, control: Int32) {
        let message = try stage(.clone) { () throws(LinuxError) in
            try PacketSocket.receive(from: channel, limit: 16)
        }
        guard let bytes = message?.bytes, bytes.count == 8 else { _exit(0) }
        return bytes.withUnsafeBytes { raw in
            (
                raw.loadUnaligned(fromByteOffset: 0, as: Int32.self),
                raw.loadUnaligned(fromByteOffset: 4, as: Int32.self)
            )
        }
    }
}
