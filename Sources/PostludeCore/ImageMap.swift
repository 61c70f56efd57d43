/// What the agent's configuration makes of the images that operations name; pure.
public struct ImageMap: Hashable, Sendable {
    /// What steps have for a root.
    public enum Source: Hashable, Sendable {
        /// The host's, as steps without an image have it.
        case host
        /// A root file system in this directory.
        case directory(String)
        case layout(Layout)
    }

    /// An image in an OCI image layout.
    public struct Layout: Hashable, Sendable {
        /// The directory that has `oci-layout` and `index.json`.
        public var path: String
        /// The image's name in the layout's index; nil for the tag that the operation writes.
        public var tag: String?
        /// What the image must be; nil for whatever the index says.
        public var digest: String?
        /// Where `skopeo` gets the image from when the layout does not have it; nil for nowhere.
        public var fetch: String?

        public init(path: String, tag: String? = nil, digest: String? = nil, fetch: String? = nil) {
            self.path = path
            self.tag = tag
            self.digest = digest
            self.fetch = fetch
        }
    }

    public enum Match: Hashable, Sendable {
        /// The image with this very tag, or this very digest, or both.
        case image(ImageReference)
        /// Every image of the repository.
        case repository(String)
        /// Every image whose repository begins so; ends with a slash.
        case prefix(String)
    }

    public struct Rule: Hashable, Sendable {
        public var match: Match
        public var source: Source

        public init(_ match: Match, _ source: Source) {
            self.match = match
            self.source = source
        }
    }

    /// What becomes of an image that no rule matches.
    public enum Unmapped: String, Hashable, Sendable, CaseIterable {
        case host, refuse
    }

    public var rules: [Rule]
    public var unmapped: Unmapped

    public init(rules: [Rule] = [], unmapped: Unmapped = .refuse) {
        self.rules = rules
        self.unmapped = unmapped
    }

    public enum Decision: Hashable, Sendable {
        case mapped(Source)
        /// No rule matches, and such images are the host's.
        case unmappedHost
        /// No rule matches.
        case refused
    }

    /// A rule for the very image wins over one for its repository, and that over one for a prefix, of which the longest
    /// counts; their order does not matter. Of two rules for the very image the one that names more of it wins, a digest
    /// before a tag.
    public func decision(on image: ImageReference) -> Decision {
        var best: (rank: Int, source: Source)?
        for rule in rules {
            guard let rank = rule.match.rank(of: image), rank > best?.rank ?? -1 else { continue }
            best = (rank, rule.source)
        }
        if let best { return .mapped(best.source) }
        switch unmapped {
        case .host: return .unmappedHost
        case .refuse: return .refused
        }
    }
}

extension ImageMap.Match {
    /// How closely it fits; nil when it does not.
    fileprivate func rank(of image: ImageReference) -> Int? {
        let exact = 1 << 16
        switch self {
        case .image(let wanted):
            guard wanted.repository == image.repository else { return nil }
            if let digest = wanted.digest, digest != image.digest { return nil }
            if let tag = wanted.tag, tag != image.effectiveTag { return nil }
            return exact + (wanted.digest == nil ? 0 : 2) + (wanted.tag == nil ? 0 : 1)
        case .repository(let repository):
            return repository == image.repository ? exact - 1 : nil
        case .prefix(let prefix):
            // At most as long as a repository may be, which is less than what the others have.
            return image.repository.hasPrefix(prefix) ? prefix.utf8.count : nil
        }
    }
}

/// What a step's root is, as its receipt says.
public struct RootSource: Hashable, Sendable, Codable {
    public enum Kind: String, Hashable, Sendable, Codable {
        case host
        case directory
        /// An OCI image, unpacked.
        case oci
    }

    public var kind: Kind
    /// As the operation names it; nil for a step that names none.
    public var image: String?
    /// The directory, or the layout and the image's name in it; nil of the host.
    public var path: String?
    /// The image's manifest; nil of what is no OCI image.
    public var digest: String?

    public init(_ kind: Kind, image: String? = nil, path: String? = nil, digest: String? = nil) {
        self.kind = kind
        self.image = image
        self.path = path
        self.digest = digest
    }

    public static let host = RootSource(.host)
}
