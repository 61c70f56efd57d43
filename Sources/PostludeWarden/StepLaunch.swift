import Glibc
import PostludeLinux
import PostludePlan

/// What a step is cloned with besides its plan; every number is a descriptor of the warden's table.
struct StepResources {
    var cgroup: Int32
    /// The network namespace to join; -1 keeps the host's.
    var network: Int32
    var control: Int32
    var input: Int32
    var output: Int32
    var error: Int32
}

/// The way from a plan to a step's pid 1; runs in the warden or, on a hybrid host, in a launcher.
struct StepLaunch {
    let sent: SentPlan
    let step: Int
    /// One detached mount tree for each bind of the plan, in order.
    private let trees: [Int32]
    /// The file system that becomes the root.
    private let base: Int32

    /// Copies the mount trees that the step binds. This must happen outside the step's mount namespace: the kernel
    /// copies only mounts of the caller's own.
    init(_ sent: SentPlan, step: Int, base: consuming OwnedDescriptor?) throws(SetupFailure) {
        self.sent = sent
        self.step = step
        var trees: [Int32] = []
        for (index, operation) in sent.plan.steps[step].mounts.enumerated() {
            guard case .bind(let source, _, let readOnly, let devices) = operation else { continue }
            let tree = try stage(.mount, index: index) { () throws(LinuxError) in
                var status = stat()
                guard fstat(sent[source], &status) == 0 else { throw LinuxError(last: "fstat") }
                var attributes: MountAttributes = Layer.noSetuid.isInForce ? [.noSetuid] : []
                if readOnly { attributes.insert(.readOnly) }
                if !devices { attributes.insert(.noDevices) }
                return try Mounts.cloneTree(
                    of: sent[source], recursive: status.st_mode & S_IFMT == S_IFDIR, adding: attributes)
            }
            trees.append(tree.release())
        }
        self.trees = trees
        if let base {
            self.base = base.release()
        } else {
            self.base = try stage(.mount, index: Int(UInt16.max)) { () throws(LinuxError) in
                try RootFileSystem.makeBase().release()
            }
        }
    }

    /// Clones pid 1 of the step into its cgroup and namespaces. Returns in the caller only.
    func perform(_ resources: StepResources, asSibling: Bool) throws(SetupFailure) -> (pid: Int32, descriptor: Int32) {
        var namespaces: [Namespace] = [.mnt]
        if Layer.pidNamespace.isInForce { namespaces.append(.pid) }
        if Layer.ipcNamespace.isInForce { namespaces.append(.ipc) }
        if Layer.utsNamespace.isInForce { namespaces.append(.uts) }
        let request = CloneRequest(namespaces: namespaces, cgroup: resources.cgroup, asSibling: asSibling)
        let child = try stage(.clone) { () throws(LinuxError) in try request.perform() }
        if let child { return child }
        StepProcess(sent: sent, step: step, base: base, trees: trees, resources: resources).run()
    }

    /// Closes the caller's copies of what the child has now.
    func close() {
        for descriptor in trees + [base] { _ = Glibc.close(descriptor) }
    }
}
