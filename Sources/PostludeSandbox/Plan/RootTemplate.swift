import Glibc
import PostludeCore
import PostludeLinux
import PostludePlan
import Synchronization

/// What the root depends on that every attempt of a profile begins with, as the host is at one moment. Wardens make that
/// root ahead; one whose template is no longer what the host and the profile say is not used.
struct RootTemplate: Hashable, Sendable {
    /// Whether it is a whole root of the host's, or only what all roots have.
    let hasHost: Bool
    /// What the profile hides and shows, without links.
    let hidden: [String]
    let extras: [String]
    /// Which files the names stood for: a mask lies on a file and not on a name.
    private let host: HostRoot
    private let identities: [FileIdentity]
    /// What was mounted on the host.
    let generation: UInt64
    private let systemMounts: [String]?
    private let shape: Shape

    /// What of a profile the template depends on.
    private struct Shape: Hashable, Sendable {
        var hide: [String]
        var readOnly: [String]
        var tmpBytes: Int64
        var tmpInodes: Int64
        var shmBytes: Int64
        var network: SandboxProfile.Network

        init(_ profile: SandboxProfile) {
            hide = profile.hide
            readOnly = profile.readOnly
            tmpBytes = profile.tmpBytes
            tmpInodes = profile.tmpInodes
            shmBytes = profile.shmBytes
            network = profile.network
        }
    }

    /// - Throws: `sandbox.host-unreadable`, `sandbox.profile-path-missing`.
    init(for profile: SandboxProfile, generation: UInt64, hasHost: Bool = true) throws(SandboxError) {
        self.hasHost = hasHost
        host = try HostRoot.read()
        var resolver = PathResolver()
        let hidden = profile.hide.compactMap { resolver.find($0) }
        let extras = try Self.extras(of: profile, &resolver)
        self.hidden = hidden.map(\.path)
        self.extras = extras.map(\.path)
        identities = (hidden + extras).map(\.identity)
        self.generation = generation
        systemMounts = geteuid() == 0 ? nil : try MountTable.points(below: "/sys")
        shape = Shape(profile)
    }

    var network: SandboxProfile.Network { shape.network }

    /// The mounts and what they show.
    func layout() -> MountLayout { hasHost ? planner.layout() : planner.base() }

    /// The host's root, on what the template has made.
    func wholeHost() -> MountLayout {
        var layout = layout()
        if !hasHost { planner.addHost(to: &layout) }
        return layout
    }

    private var planner: TemplatePlanner {
        TemplatePlanner(
            host: host, hidden: hidden, extras: extras, tmpBytes: shape.tmpBytes, tmpInodes: shape.tmpInodes,
            shmBytes: shape.shmBytes, owner: .current, systemMounts: systemMounts)
    }

    private static func extras(
        of profile: SandboxProfile, _ resolver: inout PathResolver
    ) throws(SandboxError) -> [PathResolver.Found] {
        var found: [PathResolver.Found] = []
        for entry in profile.readOnly {
            let isOptional = entry.hasSuffix("?")
            let path = isOptional ? String(entry.dropLast()) : entry
            if let extra = resolver.find(path) {
                found.append(extra)
            } else if !isOptional {
                // Once more, for the reason: the resolver may have known that there is no such directory.
                _ = canonicalPath(path)
                throw SandboxError(
                    code: "sandbox.profile-path-missing",
                    message: "Profile '\(profile.name)' shows '\(path)', which is missing: \(errorText(errno)).",
                    hint: "Correct 'readOnly' in the profile, or write '\(path)?' if it may be missing.")
            }
        }
        return found
    }

    /// Whether an attempt of the profile may begin with it.
    func suits(_ profile: SandboxProfile) -> Bool { shape == Shape(profile) }

    /// The operations of a layout and the descriptors that they name.
    static func operations(
        of layout: MountLayout
    ) throws(SandboxError) -> (mounts: [MountOperation], descriptors: DescriptorList) {
        let descriptors = DescriptorList()
        return (try MountSources(descriptors: descriptors, user: nil).operations(layout.mounts), descriptors)
    }
}

/// What a warden has made ahead.
struct PreparedRoot: Hashable, Sendable {
    var template: RootTemplate
    var layout: MountLayout
}
