import Glibc
import PostludeCore
import PostludeLinux
import PostludeThreads
import Synchronization

/// Root file systems of OCI images, each unpacked once, by the digest of its manifest:
/// `<directory>/<algorithm>-<digest>/rootfs`, and the image's configuration beside it.
///
/// Whatever an image holds lies there with its owners and modes, so nobody but the agent's user may walk into it.
public final class ImageStore: Sendable {
    /// An image that is ready for use.
    public struct Unpacked: Hashable, Sendable {
        /// Its root, without links.
        public var root: String
        public var digest: String
        /// The variables of the image's configuration.
        public var environment: [String: String]
    }

    public let directory: String
    /// Seconds that unpacking or fetching an image may take.
    private let seconds: Int
    /// What is gone of the disk's reserve.
    private let shortage: @Sendable () -> DiskReserve.Shortage?
    /// Held for a look whether an image is there, and while one loses its name.
    private let naming = Mutex<Void>(())
    /// Who waits for an image that is being made, by what is made.
    private let waiting = Waiting()

    /// Makes nothing before the first image is wanted; what an earlier agent left half-done is removed.
    public init(
        directory: String, seconds: Int = 1800, shortage: @escaping @Sendable () -> DiskReserve.Shortage? = { nil }
    ) {
        self.directory = directory
        self.seconds = seconds
        self.shortage = shortage
        for name in Self.names(in: directory) where name.hasPrefix(Self.unfinished) {
            FileTree.remove("\(directory)/\(name)")
        }
    }

    private static let unfinished = "new-"

    /// The image of a layout, as it is there now; nothing is unpacked. One that may be fetched and is not there yet is nil.
    public func look(_ layout: ImageMap.Layout, for image: ImageReference) throws(ImageError) -> LayoutImage? {
        do throws(ImageError) {
            let found = try find(layout, image)
            if !Self.exists(place(of: found.digest)), ChildProcess.find("umoci") == nil {
                throw ImageError.toolMissing("umoci")
            }
            return found
        } catch {
            let mayBeFetched = error.code == "image.not-in-layout" || !Self.exists("\(layout.path)/index.json")
            if layout.fetch != nil, mayBeFetched { return nil }
            throw error
        }
    }

    /// The root of the image of a layout: fetched if it may be and must be, unpacked if it is not yet. Whoever asks for the
    /// same meanwhile waits for the same.
    public func prepare(_ layout: ImageMap.Layout, for image: ImageReference) async throws -> Unpacked {
        while try look(layout, for: image) == nil, let source = layout.fetch {
            // Who waited has waited for the layout, and maybe for another image in it: it looks again.
            let isOwn = try await once("fetch:\(layout.path)", sharesFailure: false) { [self] stop in
                try fetch(source, into: layout, image, until: stop)
            }
            if isOwn { break }
        }
        let found = try find(layout, image)
        let place = place(of: found.digest)
        while !isThere(place) {
            try await once(found.digest, sharesFailure: true) { [self] stop in
                if !Self.exists(place) { try unpack(found, to: place, until: stop) }
            }
        }
        return Unpacked(
            root: try Self.withoutLinks("\(place)/rootfs"), digest: found.digest,
            environment: try ImageConfiguration(try ImageLayout.content(of: "\(place)/config.json"), place).environment)
    }

    /// Notes that it is wanted now.
    private func isThere(_ place: String) -> Bool { naming.withLock { _ in utimensat(AT_FDCWD, place, nil, 0) == 0 } }

    private func find(_ layout: ImageMap.Layout, _ image: ImageReference) throws(ImageError) -> LayoutImage {
        let reader = ImageLayout(layout.path)
        let found = try reader.image(named: layout.tag, of: image, digest: image.digest)
        guard let pinned = layout.digest, pinned != image.digest else { return found }
        // Both are asked for: they have to be the same image.
        let same = try reader.image(named: layout.tag, of: image, digest: pinned)
        guard image.digest == nil || same.digest == found.digest else {
            throw ImageError(
                "image.digest-changed", "'\(image)' is not \(pinned), to which it is mapped.",
                hint: "Correct the digest of the operation, or of `images.map`.")
        }
        return same
    }

    // MARK: once at a time

    /// Runs `body` unless something of this key is done already, and waits for that instead. Ends early when the task is
    /// cancelled, and ends what it has begun.
    ///
    /// - Returns: whether it was this call that ran `body`. Who has waited looks again: whoever began may have been
    ///   cancelled.
    @discardableResult
    private func once(
        _ key: String, sharesFailure: Bool, _ body: @escaping @Sendable (StopSignal) throws -> Void
    ) async throws -> Bool {
        let stop = try StopSignal()
        guard waiting.begin(key) else {
            do {
                try await waiting.join(key)
            } catch let error as ImageError {
                if sharesFailure, error.code != ImageError.cancelledCode { throw error }
            }
            try Task.checkCancellation()
            return false
        }
        let result: Result<Void, any Error>
        do {
            try await withTaskCancellationHandler {
                try await offload { try body(stop) }
            } onCancel: {
                stop.raise()
            }
            result = .success(())
        } catch {
            result = .failure(error)
        }
        waiting.end(key, result)
        try Task.checkCancellation()
        try result.get()
        return true
    }

    // MARK: removing

    /// Digests of what is unpacked, and the second each was last wanted.
    public func stored() -> [(digest: String, usedAt: Int)] {
        Self.names(in: directory).sorted().compactMap { name in
            let digest = name.replacing("-", with: ":", maxReplacements: 1)
            var status = stat()
            guard ImageReference.isDigest(digest), stat("\(directory)/\(name)", &status) == 0 else { return nil }
            return (digest, status.st_mtim.tv_sec)
        }
    }

    /// Where an image lies.
    public func place(of digest: String) -> String { "\(directory)/\(Self.name(of: digest))" }

    /// Removes an image that nothing uses, unless somebody has wanted it since that second. It loses its name first, so
    /// that what has it is whole.
    public func remove(_ digest: String, unlessUsedSince second: Int) {
        let place = place(of: digest)
        let old = "\(directory)/\(Self.unfinished)\(UInt64.random(in: 0 ... .max))"
        let isGone = naming.withLock { _ in
            var status = stat()
            guard stat(place, &status) == 0, status.st_mtim.tv_sec < second else { return false }
            return rename(place, old) == 0
        }
        if isGone { FileTree.remove(old) }
    }

    // MARK: unpacking

    /// Into a directory of another name, which gets its own only when everything is there and on the disk: so an image
    /// that has its name is whole, whatever ended the agent.
    private func unpack(_ image: LayoutImage, to place: String, until stop: StopSignal) throws(ImageError) {
        try checkRoom()
        guard mkdir(directory, 0o700) == 0 || errno == EEXIST else { throw .system("make", directory, errno) }
        // A setuid program of an image would be one of the host's for whoever can reach it.
        guard chmod(directory, 0o700) == 0 else { throw .system("close", directory, errno) }
        let new = "\(directory)/\(Self.unfinished)\(UInt64.random(in: 0 ... .max))"
        guard mkdir(new, 0o700) == 0 else { throw .system("make", new, errno) }
        defer { FileTree.remove(new) }
        try makeView(of: image, in: "\(new)/view")
        let child = ChildProcess(
            program: "umoci",
            arguments: ["raw", "unpack"] + (geteuid() == 0 ? [] : ["--rootless"])
                + ["--image", "\(new)/view:image", "\(new)/rootfs"],
            environment: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=\(new)", "TMPDIR=\(new)", "LANG=C.UTF-8"],
            seconds: seconds, objection: { [self] in roomObjection() })
        try child.run(until: stop)
        // Whoever's step it is walks from there, and what keeps others out is the directory above.
        guard chmod("\(new)/rootfs", 0o755) == 0 else { throw .system("open", "\(new)/rootfs", errno) }
        let configuration = try ImageLayout.content(of: "\(image.layout)/\(ImageLayout.place(of: image.configuration))")
        _ = try ImageConfiguration(configuration, image.layout)
        try write(configuration, to: "\(new)/config.json")
        FileTree.remove("\(new)/view")
        try finish(new, as: place)
    }

    /// A layout with this one manifest, whose blobs are the real one's: neither a name that is moved meanwhile nor an
    /// index of platforms makes another image of it.
    private func makeView(of image: LayoutImage, in view: String) throws(ImageError) {
        guard mkdir(view, 0o700) == 0, symlink("\(image.layout)/blobs", "\(view)/blobs") == 0 else {
            throw .system("make", view, errno)
        }
        try write(Array(#"{"imageLayoutVersion":"1.0.0"}"#.utf8), to: "\(view)/oci-layout")
        let type =
            image.mediaType.isEmpty
            ? "application/vnd.oci.image.manifest.v1+json" : image.mediaType.filter { $0 != "\"" }
        let index = """
            {"schemaVersion":2,"manifests":[{"mediaType":"\(type)","digest":"\(image.digest)","size":\(image.size),\
            "annotations":{"org.opencontainers.image.ref.name":"image"}}]}
            """
        try write(Array(index.utf8), to: "\(view)/index.json")
    }

    private func finish(_ new: String, as place: String) throws(ImageError) {
        do throws(LinuxError) {
            let tree = try OwnedDescriptor.open(new, O_RDONLY | O_DIRECTORY)
            try tree.syncFileSystem()
            guard rename(new, place) == 0 else { throw LinuxError(last: "rename", place) }
            let parent = try OwnedDescriptor.open(directory, O_RDONLY | O_DIRECTORY)
            guard fsync(parent.rawValue) == 0 else { throw LinuxError(last: "fsync", directory) }
        } catch {
            throw .system("store", place, error.errno)
        }
    }

    // MARK: fetching

    private func fetch(
        _ source: String, into layout: ImageMap.Layout, _ image: ImageReference, until stop: StopSignal
    ) throws(ImageError) {
        try checkRoom()
        let name = layout.tag ?? image.effectiveTag ?? "latest"
        let child = ChildProcess(
            program: "skopeo", arguments: ["copy", "--quiet", source, "oci:\(layout.path):\(name)"],
            environment: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/nonexistent", "LANG=C.UTF-8"], seconds: seconds,
            objection: { [self] in roomObjection() })
        try child.run(until: stop)
    }

    private func checkRoom() throws(ImageError) { if let objection = roomObjection() { throw objection } }

    private func roomObjection() -> ImageError? {
        shortage().map {
            ImageError(
                "image.disk-pressure", "The disk of '\(directory)' has \($0.words); no image is unpacked there.",
                hint: "Free some space there, or lower `diskReserve` in the configuration.", isTemporary: true)
        }
    }

    // MARK: parts

    static func name(of digest: String) -> String { digest.split(separator: ":").joined(separator: "-") }

    private static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    private static func withoutLinks(_ path: String) throws(ImageError) -> String {
        guard let real = realpath(path, nil) else { throw .system("find", path, errno) }
        defer { free(real) }
        return String(cString: real)
    }

    private func write(_ bytes: [UInt8], to path: String) throws(ImageError) {
        do throws(LinuxError) {
            try OwnedDescriptor.open(path, O_WRONLY | O_CREAT | O_EXCL, mode: 0o600).write(bytes)
        } catch {
            throw .system("write", path, error.errno)
        }
    }

    static func names(in directory: String) -> [String] {
        guard let stream = opendir(directory) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }
}
