import PostludeCore
import PostludePlan

/// The roots that an attempt's steps have: the host's and those of images, each laid out once.
struct StepRoots {
    /// What steps of one root have: on what the warden has made ahead, in this order.
    struct Root {
        var planner: MountPlanner
        var mounts: [PlannedMount]
        var closing: [PlannedMount]
        var view: InsideView
        var image: ImageRoot?
    }

    /// A small file that is made in the attempt's directory, for its path there to be shown.
    struct Generated {
        var name: String
        var content: String
    }

    /// By where they lie on the host; nil is the host's own.
    private(set) var images: [String?: ImageRoot] = [:]
    private(set) var generated: [Generated] = []
    private let spec: AttemptSpec
    private let prepared: PreparedRoot
    private var files: [String: [ImageFile]] = [:]

    /// Opens the images, with the agent's rights: on the host nobody else may walk to them.
    init(of spec: AttemptSpec, prepared: PreparedRoot) throws(SandboxError) {
        self.spec = spec
        self.prepared = prepared
        for step in spec.steps {
            guard let path = step.rootDirectory, images[path] == nil else { continue }
            let image = try ImageRoot(path)
            files[path] = generate(for: image, number: images.count)
            images[path] = image
        }
    }

    /// The layout of one root; `planner` is what is known of the attempt without it.
    func root(_ path: String?, _ planner: MountPlanner) throws(SandboxError) -> Root {
        guard let path, let image = images[path] else {
            var planner = planner
            planner.template = prepared.template.wholeHost()
            return root(planner, image: nil)
        }
        var planner = planner
        let hidden = planner.hidden
        let home = InsideView.normalise(planner.user.home)
        planner.makesHome =
            home != "/" && (hidden.contains { InsideView.contains($0, home) } || isOnlyOnHost(home, image))
        let places = (planner.makesHome ? [home] : []) + [planner.working].compactMap { $0 }
        var layout = prepared.layout
        layout.view.set(.image, at: "/")
        layout.mounts += try ImagePlanner(
            image: path, kind: image.kind, entries: image.entries, places: places, files: files[path] ?? []
        ).mounts(tmpBytes: planner.profile.tmpBytes, tmpInodes: planner.profile.tmpInodes)
        if case .directory? = image.kind(of: "/var/tmp") { layout.view.set(.runtime, at: "/var/tmp") }
        // Sockets of drivers; what else the profile shows of the host is no part of an image.
        for extra in planner.extras where InsideView.contains("/run", extra) {
            layout.mounts.append(.host(extra, target: extra))
            layout.view.set(.host, at: extra)
        }
        planner.template = layout
        planner.hidden = []
        planner.extras = []
        planner.resolver = nil
        return root(planner, image: image)
    }

    private func root(_ planner: MountPlanner, image: ImageRoot?) -> Root {
        let shared = planner.shared()
        let ahead = prepared.layout.mounts.count
        return Root(
            planner: planner, mounts: Array(planner.template.mounts.dropFirst(ahead)) + shared.mounts,
            closing: planner.closing(after: shared), view: shared.view, image: image)
    }

    private func isOnlyOnHost(_ home: String, _ image: ImageRoot) -> Bool {
        image.kind(of: home) == nil && canonicalPath(home) != nil
    }

    /// The files of /etc that make the submitter known in the image, and the host's names to it.
    private mutating func generate(for image: ImageRoot, number: Int) -> [ImageFile] {
        let user = spec.user
        let accounts = ImageAccounts(
            user: .init(name: user.name, uid: user.uid, gid: user.gid, groups: user.groups, home: user.home))
        var found: [ImageFile] = []
        for (name, content) in [
            ("passwd", accounts.passwd(image.text(of: "/etc/passwd"))),
            ("group", accounts.group(image.text(of: "/etc/group"))),
        ] {
            let file = Generated(name: "root-\(number).\(name)", content: content)
            generated.append(file)
            found.append(ImageFile(source: "\(spec.directories.attempt)/\(file.name)", target: "/etc/\(name)"))
        }
        for name in ["/etc/hosts", "/etc/resolv.conf"] {
            if let source = canonicalPath(name) { found.append(ImageFile(source: source, target: name)) }
        }
        return found
    }
}
