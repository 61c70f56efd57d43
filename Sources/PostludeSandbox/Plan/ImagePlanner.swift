import PostludePlan

/// Lays out what an image shows; pure but for looks at the image.
///
/// The image itself is never written to: its directories and files are bound read-only to a root of the step's own. A
/// directory in which a mount point is missing is made anew, with everything that the image has in it. No place of the
/// agent's is reached through a link of the image's: such a link gives way to a directory.
struct ImagePlanner {
    /// The directory on the host that has the image.
    var image: String
    /// What is at a path of the image when no link is followed.
    var kind: (String) -> HostRoot.Kind?
    var entries: (String) throws(SandboxError) -> [HostRoot.Entry]
    /// Directories that there must be, and those files that are put over the image's own.
    var places: [String] = []
    var files: [ImageFile] = []

    /// Of the agent's own making, whatever the image has.
    static let own: Set<String> = ["proc", "dev", "sys", "tmp", "run", "plx-context"]
    /// Entries of directories that are made anew: each is a descriptor, of which a launch has few.
    static let maximumEntries = 160

    /// The mounts that follow what all roots have; sizes are the profile's.
    func mounts(tmpBytes: Int64, tmpInodes: Int64) throws(SandboxError) -> [PlannedMount] {
        var renewed: Set<String> = []
        var leftOut: Set<String> = []
        for place in places { look(at: place, isFile: false, &renewed, &leftOut) }
        var shown: [ImageFile] = []
        // Where /etc is not a directory the image has ideas of its own about its files.
        for file in files where isDirectoryOrMissing("/etc") {
            var (needed, replaced) = (renewed, leftOut)
            look(at: file.target, isFile: true, &needed, &replaced)
            if needed.contains("/etc"), !renewed.contains("/etc"),
                try entries("/etc").count > Self.maximumEntries
            {
                continue
            }
            (renewed, leftOut) = (needed, replaced)
            shown.append(file)
        }
        var mounts: [PlannedMount] = []
        for entry in try entries("/") where !Self.own.contains(entry.name) && !leftOut.contains("/" + entry.name) {
            mounts.append(mount(entry, at: "/" + entry.name))
        }
        var count = 0
        for directory in renewed.sorted() where directory != "/" {
            mounts.append(.cover(directory))
            let all = try entries(directory)
            count += all.count
            guard count <= Self.maximumEntries else { throw .imageMountPoint(image, directory, all.count) }
            for entry in all where !leftOut.contains("\(directory)/\(entry.name)") {
                mounts.append(mount(entry, at: "\(directory)/\(entry.name)"))
            }
        }
        // Only where it is a plain directory: nothing depends on it.
        if case .directory? = kind("/var/tmp") {
            mounts.append(
                .tmpfs("/var/tmp", bytes: tmpBytes, inodes: tmpInodes, mode: 0o1777, noExec: false))
        }
        return mounts + shown.map { .host($0.source, target: $0.target) }
    }

    private func isDirectoryOrMissing(_ path: String) -> Bool {
        switch kind(path) {
        case .directory?, nil: true
        case .file?, .link?: false
        }
    }

    private func mount(_ entry: HostRoot.Entry, at path: String) -> PlannedMount {
        switch entry.kind {
        case .directory, .file: .image(image, path: path)
        case .link(let text): .operation(.symlink(target: path, text: text))
        }
    }

    /// Finds out what has to be made anew so that there can be a mount point.
    private func look(
        at place: String, isFile: Bool, _ renewed: inout Set<String>, _ leftOut: inout Set<String>
    ) {
        let parts = place.split(separator: "/").map(String.init)
        guard let first = parts.first, !Self.own.contains(first) else { return }
        var parent = ""
        for (index, part) in parts.enumerated() {
            let path = "\(parent)/\(part)"
            let wantsFile = isFile && index == parts.count - 1
            switch kind(path) {
            case .directory? where !wantsFile, .file? where wantsFile: break
            case .directory?, .file?, .link?:
                leftOut.insert(path)
                renewed.insert(parent.isEmpty ? "/" : parent)
                return
            case nil:
                // A device or a pipe is not shown anyway, so it need not be left out.
                renewed.insert(parent.isEmpty ? "/" : parent)
                return
            }
            parent = path
        }
    }
}

/// A file of the host that an image's steps have in place of the image's own.
struct ImageFile: Hashable, Sendable {
    var source: String
    var target: String
}

/// Whose run it is, in the files in which programs look that up.
struct ImageAccounts: Hashable, Sendable {
    var user: UserLine

    struct UserLine: Hashable, Sendable {
        var name: String
        var uid: UInt32
        var gid: UInt32
        var groups: [UInt32]
        var home: String
    }

    /// The image's users with the submitter before them: of two lines for one user the first counts.
    func passwd(_ image: String?) -> String {
        "\(word(user.name)):x:\(user.uid):\(user.gid)::\(word(user.home)):/bin/sh\n" + (image ?? "")
    }

    /// Likewise; groups without a name in the image are called by their number.
    func group(_ image: String?) -> String {
        let known = Set(
            (image ?? "").split(separator: "\n").compactMap { line -> UInt32? in
                let fields = line.split(separator: ":", omittingEmptySubsequences: false)
                return fields.count > 2 ? UInt32(fields[2]) : nil
            })
        var lines = "\(word(user.name)):x:\(user.gid):\n"
        for group in user.groups where group != user.gid && !known.contains(group) {
            lines += "group\(group):x:\(group):\n"
        }
        return lines + (image ?? "")
    }

    /// A field ends at a colon, a line at its end.
    private func word(_ text: String) -> String {
        String(text.map { $0 == ":" || $0.isNewline ? "_" : $0 })
    }
}

extension SandboxError {
    static func imageMountPoint(_ image: String, _ directory: String, _ count: Int) -> SandboxError {
        SandboxError(
            code: "sandbox.image-mount-point",
            message:
                "A mount point is missing in '\(directory)' of the image in '\(image)', which has \(count) entries: too many to be made anew.",
            hint: "Submit from a directory that lies elsewhere, or make the directory in the image.")
    }
}
