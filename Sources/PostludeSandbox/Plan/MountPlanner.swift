import PostludeCore
import PostludePlan

/// Lays out what an attempt's file system has besides its profile's template; pure.
///
/// Whatever is writable is private to the step, apart from the run's artifacts.
struct MountPlanner {
    var template: MountLayout
    var profile: SandboxProfile
    var user: UserIdentity
    var directories: AttemptDirectories
    /// The working directory without links.
    var working: String?
    /// `profile.hide` and `profile.readOnly` as the template has them.
    var hidden: [String]
    var extras: [String]
    /// Where the agent keeps its state; never visible inside.
    var state: String?
    /// The file that name resolution reads when it lies below /run, which is private inside.
    var resolver: String?
    /// What is never visible inside wherever it lies, such as the agent's socket; without links.
    var masked: [String] = []
    /// What the profile hides of the submitter's home; existing ones, without links.
    var secrets: [String] = []
    var owner = AgentOwner()
    /// Whether the submitter's home is made where it lies in an image.
    var makesHome = false

    /// What every step of the attempt has: the mounts that follow the template's, and the view of all of them.
    func shared() -> MountLayout {
        var layout = MountLayout(view: template.view)
        uncover(&layout)
        home(&layout)
        if let resolver, InsideView.contains("/run", resolver) {
            layout.mounts.append(.host(resolver, target: resolver))
        }
        if let working, layout.view.region(of: working) != .host {
            layout.mounts.append(.working(target: working))
            layout.view.set(.host, at: working)
        }
        // What was bound back may hold them, for instance a user's home in which the user's own agent has its state.
        for path in secrets.sorted() + masked where layout.view.region(of: path) == .host {
            layout.mounts.append(.operation(.mask(target: path)))
            layout.view.set(.hidden, at: path)
        }
        if let state, layout.view.region(of: state) == .host {
            layout.mounts.append(holdsOwn(state) ? .cover(state) : .operation(.mask(target: state)))
            layout.view.set(.hidden, at: state)
        }
        run(&layout)
        return layout
    }

    /// What one step has besides: granted devices, its own files.
    func own(of step: StepSpec, devices: [DeviceNode]) -> [PlannedMount] {
        var mounts: [PlannedMount] = []
        if step.getsDevices { mounts += devices.map(PlannedMount.device) }
        for (path, content) in step.files.sorted(by: { $0.key < $1.key }) {
            let target = InsideView.normalise(path)
            mounts.append(
                .operation(
                    .file(target: target, content: Array(content.utf8), mode: 0o444, uid: owner.uid, gid: owner.gid)))
        }
        for grant in step.grants { mounts += connection(grant) }
        return mounts
    }

    /// The files of a connection, for the step's user alone: they travel in the sealed plan and lie in the step's own
    /// root, which nobody outside of it has.
    private func connection(_ grant: ConnectionGrant) -> [PlannedMount] {
        let path = InsideView.normalise(InsidePaths.connection(grant.name))
        var mounts: [PlannedMount] = [
            .operation(.directory(target: path, mode: 0o700, uid: user.uid, gid: user.gid))
        ]
        for (name, content) in grant.files.sorted(by: { $0.key < $1.key }) {
            mounts.append(
                .operation(
                    .file(
                        target: "\(path)/\(name)", content: Array(content.revealed.utf8), mode: 0o400, uid: user.uid,
                        gid: user.gid)))
        }
        if let directory = grant.directory { mounts.append(.shared(directory, target: "\(path)/directory")) }
        return mounts
    }

    /// What comes last, after all mount points are made: places for them are nobody's to write to, of uid 0 neither.
    func closing(after shared: MountLayout) -> [PlannedMount] {
        let covers = (template.mounts + shared.mounts).compactMap { mount -> String? in
            if case .operation(let operation) = mount, mount == .cover(operation.target) {
                operation.target
            } else {
                nil
            }
        }
        // What belongs to root otherwise belongs to the submitter where the agent is the submitter's.
        let own = owner.uid == 0 ? [] : ["/run"]
        return (covers.filter { $0 != "/dev" } + own + ["/dev"]).map { .operation(.readOnly(target: $0)) }
    }

    /// The template masks what is hidden; where something of the attempt is shown below, there has to be room for it.
    private func uncover(_ layout: inout MountLayout) {
        let masks = Set(
            template.mounts.compactMap { mount -> String? in
                if case .operation(.mask(let target)) = mount { target } else { nil }
            })
        for path in hidden.sorted() where masks.contains(path) && holdsOwn(path) {
            layout.mounts.append(.cover(path))
        }
    }

    /// Whether something that is shown lies in it.
    private func holdsOwn(_ path: String) -> Bool {
        ([working, user.home, directories.artifactsInside].compactMap { $0 } + directories.readOnly.values)
            .contains { InsideView.contains(path, $0) }
    }

    private func home(_ layout: inout MountLayout) {
        let home = InsideView.normalise(user.home)
        switch layout.view.region(of: home) {
        case .image where !makesHome: break
        case .hidden, .runtime, .image:
            layout.mounts.append(
                .tmpfs(home, bytes: profile.tmpBytes, inodes: profile.tmpInodes, mode: 0o700, noExec: false))
            layout.mounts.append(.operation(.directory(target: home, mode: 0o700, uid: user.uid, gid: user.gid)))
            layout.view.set(.runtime, at: home)
            // It covers what the template has shown below.
            for path in extras where InsideView.contains(home, path) {
                layout.mounts.append(.host(path, target: path))
                layout.view.set(.host, at: path)
            }
        case .host, .kernel: break
        }
    }

    private func run(_ layout: inout MountLayout) {
        for (host, inside) in directories.readOnly.sorted(by: { $0.value < $1.value }) {
            layout.mounts.append(.run(host, target: inside, readOnly: true))
            layout.view.set(.runtime, at: InsideView.normalise(inside))
        }
        for (host, inside) in directories.tools.sorted(by: { $0.value < $1.value }) {
            layout.mounts.append(.host(host, target: inside))
            // Not as on the host, where there is nothing at this path.
            layout.view.set(.runtime, at: InsideView.normalise(inside))
        }
        layout.mounts.append(.run(directories.artifacts, target: directories.artifactsInside, readOnly: false))
        layout.view.set(.runtime, at: InsideView.normalise(directories.artifactsInside))
    }
}
