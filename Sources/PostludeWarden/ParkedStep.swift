import Glibc
import PostludeLinux
import PostludePlan

/// A step's first process, which waits in the step's cgroups and in namespaces of its own, with the root made as far as
/// the template goes. It gets the plan, then what to set up with, then the word to start.
final class ParkedStep {
    let pid: Int32
    let process: ProcessDescriptor
    let control: OwnedDescriptor

    init(pid: Int32, process: consuming ProcessDescriptor, control: consuming OwnedDescriptor) {
        self.pid = pid
        self.process = process
        self.control = control
    }

    /// Waits until it stands there.
    func awaitParked() throws(SetupFailure) {
        guard let message = StepMessage.receive(from: control.rawValue) else {
            throw SetupFailure(stage: .clone, errno: ECHILD)
        }
        guard message.kind == .parked else {
            throw SetupFailure(stage: message.stage, index: Int(message.index), errno: message.value)
        }
    }

    /// Gives it the plan to read, while the caller reads it too. A process that is gone shows in what follows.
    func give(plan memory: Int32, step: ParkedOrder.Step) throws(SetupFailure) {
        try send(ParkedOrder.plan(step), [memory])
    }

    /// Lets it make what is left. The descriptors stay the caller's.
    func setUp(_ resources: StepResources, trees: [Int32]) throws(SetupFailure) {
        var descriptors = [resources.output, resources.error]
        if let network = resources.network { descriptors.append(network) }
        if let seccomp = resources.seccomp { descriptors.append(seccomp) }
        let order = ParkedOrder.setUp(hasNetwork: resources.network != nil, hasSeccomp: resources.seccomp != nil)
        try send(order, descriptors + trees)
    }

    /// Ends it; it never ran anything of the plan's.
    func dismiss() {
        do {
            try process.signal(SIGKILL)
            _ = try process.reap(block: true)
        } catch {
            // ESRCH: it has ended by itself and was reaped.
        }
    }

    private func send(_ order: ParkedOrder, _ descriptors: [Int32]) throws(SetupFailure) {
        try stage(.clone, index: 1) { () throws(LinuxError) in
            try PacketSocket.send(order.bytes, descriptors: descriptors, to: control.rawValue)
        }
    }
}

/// What a step is set up with besides its plan; every number is a descriptor of the sender.
struct StepResources {
    /// The network namespace to join; nil keeps the host's.
    var network: Int32?
    /// The seccomp program; nil installs none.
    var seccomp: Int32?
    var output: Int32
    var error: Int32
}

/// What the warden tells a parked step, in this order; one packet each.
enum ParkedOrder: Equatable {
    /// By its place in the plan; the last one is main.
    enum Step: Equatable {
        case index(Int)
        case last
    }

    /// The plan's memory file comes with it.
    case plan(Step)
    /// Standard output and error, then the network namespace and the seccomp program if any, then the mount trees.
    case setUp(hasNetwork: Bool, hasSeccomp: Bool)

    var bytes: [UInt8] {
        switch self {
        case .plan(.last): [1, 0xff]
        case .plan(.index(let index)): [1, UInt8(clamping: index)]
        case .setUp(let network, let seccomp): [2, network ? 1 : 0, seccomp ? 1 : 0]
        }
    }

    init?(_ bytes: [UInt8]) {
        switch (bytes.first, bytes.count) {
        case (1, 2): self = .plan(bytes[1] == 0xff ? .last : .index(Int(bytes[1])))
        case (2, 3): self = .setUp(hasNetwork: bytes[1] == 1, hasSeccomp: bytes[2] == 1)
        case _: return nil
        }
    }
}

/// What first processes of steps are made from: the template of the root and the descriptors that it names.
struct Groundwork {
    let template: [MountOperation]
    let sources: [Int32]

    /// Clones a step's first process into its v2 cgroup and new namespaces; it parks itself. Returns in the caller only.
    func clone(
        into cgroup: Int32?, control: Int32, asSibling: Bool
    ) throws(SetupFailure) -> (pid: Int32, descriptor: Int32) {
        let trees = try MountTrees.copy(for: template, from: sources)
        defer { for tree in trees { close(tree) } }
        let base = try stage(.mount, index: Int(UInt16.max)) { () throws(LinuxError) in
            try RootFileSystem.makeBase()
        }
        var namespaces: [Namespace] = [.mnt]
        if Layer.pidNamespace.isInForce { namespaces.append(.pid) }
        if Layer.ipcNamespace.isInForce { namespaces.append(.ipc) }
        if Layer.utsNamespace.isInForce { namespaces.append(.uts) }
        let request = CloneRequest(namespaces: namespaces, cgroup: cgroup, asSibling: asSibling)
        let child = try stage(.clone) { () throws(LinuxError) in try request.perform() }
        if let child { return child }
        StepProcess(template: template, base: base.release(), trees: trees, control: control).run()
    }

    /// Parks a step where no v1 hierarchy has to be entered first.
    func park(in cgroup: Int32?) throws(SetupFailure) -> ParkedStep {
        let channel = try stage(.descriptors) { () throws(LinuxError) in try PacketSocket.pair() }
        let child = try clone(into: cgroup, control: channel.writer.rawValue, asSibling: false)
        return ParkedStep(
            pid: child.pid, process: ProcessDescriptor(adopting: OwnedDescriptor(adopting: child.descriptor)),
            control: channel.reader)
    }
}

/// Detached copies of what a step binds.
enum MountTrees {
    /// One for each bind, in order. This must happen outside the step's mount namespace: the kernel copies only mounts
    /// of the caller's own.
    static func copy(for operations: [MountOperation], from sources: [Int32]) throws(SetupFailure) -> [Int32] {
        var trees: [Int32] = []
        for (index, operation) in operations.enumerated() {
            guard case .bind(let source, _, let readOnly, let devices, let recursive) = operation else { continue }
            do throws(LinuxError) {
                var attributes: MountAttributes = Layer.noSetuid.isInForce ? [.noSetuid] : []
                if readOnly { attributes.insert(.readOnly) }
                if !devices { attributes.insert(.noDevices) }
                let tree = try Mounts.cloneTree(of: sources[Int(source)], recursive: recursive, adding: attributes)
                trees.append(tree.release())
            } catch {
                for tree in trees { close(tree) }
                throw SetupFailure(stage: .mount, index: index, errno: error.errno)
            }
        }
        return trees
    }
}
