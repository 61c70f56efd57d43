import Glibc
import PostludeCore
import PostludeLinux

/// An image in an OCI image layout on disk, found and looked at; nothing is unpacked yet.
public struct LayoutImage: Hashable, Sendable {
    /// The layout's directory.
    public var layout: String
    /// The manifest's.
    public var digest: String
    /// The manifest's descriptor as the layout has it: media type and size.
    var mediaType: String
    var size: Int64
    /// The blob that holds the image's configuration.
    var configuration: String
}

/// Reads OCI image layouts: https://github.com/opencontainers/image-spec/blob/main/image-layout.md
public struct ImageLayout: Sendable {
    public let path: String

    public init(_ path: String) { self.path = path }

    /// The image that is meant, with all its blobs there.
    ///
    /// - Parameters:
    ///   - name: what the index calls it; a layout with a single image without a name has that one.
    ///   - digest: what it must be; nil for whatever it is.
    /// - Throws: `image.not-in-layout`, `image.digest-changed`, `image.layout-broken` with the file that is.
    public func image(
        named name: String?, of image: ImageReference, digest: String? = nil
    ) throws(ImageError) -> LayoutImage {
        let version = try document("oci-layout")["imageLayoutVersion"]?.asText
        guard version == "1.0.0" else {
            throw .broken("\(path)/oci-layout", "is of version \(version ?? "none"), and not 1.0.0")
        }
        let index = try document("index.json")
        let all = try descriptors(index["manifests"], in: "\(path)/index.json", key: "manifests")
        var found = choose(from: all, named: name, of: image)
        if let digest, found?.digest != digest, let other = all.first(where: { $0.digest == digest }) { found = other }
        guard let found else {
            throw .missing(name ?? image.description, layout: path, known: all.compactMap(\.name))
        }
        let manifest = try manifest(found)
        guard digest == nil || digest == found.digest || digest == manifest.descriptor.digest else {
            throw ImageError(
                "image.digest-changed",
                "'\(image)' is \(manifest.descriptor.digest) in '\(path)', and not \(digest ?? "") as is asked for.",
                hint: "Get the image that is meant, or change the digest if this one is right.")
        }
        return manifest.image
    }

    private func choose(from all: [Descriptor], named name: String?, of image: ImageReference) -> Descriptor? {
        if let name { return all.first { $0.name == name } }
        let names = [image.tag, image.effectiveTag, image.description].compactMap { $0 }
        if let tag = image.effectiveTag, let found = all.first(where: { $0.name == "\(image.repository):\(tag)" }) {
            return found
        }
        if let found = all.first(where: { $0.name.map(names.contains) == true }) { return found }
        return all.count == 1 && all[0].name == nil ? all[0] : nil
    }

    /// Follows an index of platforms to this machine's manifest, and looks whether everything it names is there.
    private func manifest(
        _ descriptor: Descriptor, depth: Int = 0
    ) throws(ImageError) -> (descriptor: Descriptor, image: LayoutImage) {
        let place = try blob(descriptor)
        let content = try document(place)
        if content["manifests"] != nil {
            guard depth < 4 else { throw .broken("\(path)/\(place)", "is an index in an index, many times over") }
            let platforms = try descriptors(content["manifests"], in: "\(path)/\(place)", key: "manifests")
            guard let own = platforms.first(where: \.isForThisMachine) else {
                throw .broken("\(path)/\(place)", "has no image for linux/\(Descriptor.architecture)")
            }
            return try manifest(own, depth: depth + 1)
        }
        guard let configuration = content["config"].flatMap(Descriptor.init) else {
            throw .broken("\(path)/\(place)", "has no `config`")
        }
        _ = try blob(configuration)
        for layer in try descriptors(content["layers"], in: "\(path)/\(place)", key: "layers") { _ = try blob(layer) }
        return (
            descriptor,
            LayoutImage(
                layout: path, digest: descriptor.digest, mediaType: descriptor.mediaType, size: descriptor.size,
                configuration: configuration.digest)
        )
    }

    /// Where a blob is in the layout.
    static func place(of digest: String) -> String {
        "blobs/" + digest.split(separator: ":", maxSplits: 1).joined(separator: "/")
    }

    /// That place, if the blob is there and as long as it should be; what is in it umoci compares with the digest.
    private func blob(_ descriptor: Descriptor) throws(ImageError) -> String {
        let place = Self.place(of: descriptor.digest)
        var status = stat()
        guard stat("\(path)/\(place)", &status) == 0 else {
            if errno == EACCES { throw .unreadable("\(path)/\(place)") }
            throw .broken("\(path)/\(place)", "is missing or cannot be read: \(String(cString: strerror(errno)))")
        }
        guard status.st_mode & S_IFMT == S_IFREG, status.st_size == descriptor.size else {
            throw .broken(
                "\(path)/\(place)", "has \(status.st_size) bytes, and not the \(descriptor.size) that it should have")
        }
        return place
    }

    private func descriptors(
        _ value: Value?, in place: String, key: String
    ) throws(ImageError) -> [Descriptor] {
        guard let items = value?.asList else { throw .broken(place, "has no list `\(key)`") }
        var descriptors: [Descriptor] = []
        for (number, item) in items.enumerated() {
            guard let descriptor = Descriptor(item) else {
                throw .broken(place, "has no descriptor as \(key)[\(number)]")
            }
            descriptors.append(descriptor)
        }
        return descriptors
    }

    private func document(_ name: String) throws(ImageError) -> [String: Value] {
        let place = "\(path)/\(name)"
        let text = try Self.content(of: place)
        let value: Value
        do throws(JSONProblem) {
            value = try Value.parse(json: text)
        } catch {
            throw .broken(place, "is not JSON: \(error)")
        }
        guard let document = value.asDictionary else { throw .broken(place, "is no JSON object") }
        return document
    }

    /// A small file's bytes.
    static func content(of place: String) throws(ImageError) -> [UInt8] {
        do throws(LinuxError) {
            let file = try OwnedDescriptor.open(place, O_RDONLY | O_NONBLOCK)
            guard try file.status().st_mode & S_IFMT == S_IFREG else { throw LinuxError("open", place, errno: EISDIR) }
            return try file.readAll(limit: 4 << 20)
        } catch {
            if error.errno == EACCES { throw .unreadable(place) }
            throw .broken(place, "cannot be read: \(String(cString: strerror(error.errno)))")
        }
    }
}

/// What an index or a manifest says of a blob.
struct Descriptor: Hashable, Sendable {
    var mediaType: String
    var digest: String
    var size: Int64
    /// `org.opencontainers.image.ref.name`.
    var name: String?
    private var platform: String?

    static let architecture: String = {
        #if arch(arm64)
        "arm64"
        #else
        "amd64"
        #endif
    }()

    var isForThisMachine: Bool { platform == "linux/\(Self.architecture)" }

    init?(_ value: Value) {
        guard let entries = value.asDictionary, let digest = entries["digest"]?.asText,
            ImageReference.isDigest(digest), case .int(let size)? = entries["size"], size >= 0
        else { return nil }
        self.digest = digest
        self.size = size
        mediaType = entries["mediaType"]?.asText ?? ""
        name = entries["annotations"]?.asDictionary?["org.opencontainers.image.ref.name"]?.asText
        if let platform = entries["platform"]?.asDictionary, let os = platform["os"]?.asText,
            let architecture = platform["architecture"]?.asText
        {
            self.platform = "\(os)/\(architecture)"
        }
    }
}

extension Value {
    var asText: String? { if case .string(let text) = self { text } else { nil } }
    var asList: [Value]? { if case .list(let items) = self { items } else { nil } }
    var asDictionary: [String: Value]? { if case .dict(let entries) = self { entries } else { nil } }
}
