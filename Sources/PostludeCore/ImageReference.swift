/// The name of an image as container registries have it: `[host[:port]/]path[:tag][@digest]`.
public struct ImageReference: Hashable, Sendable {
    /// Without the tag, the digest, and what Docker's own registry is written with: `docker.io/library/python` is
    /// `python`.
    public var repository: String
    public var tag: String?
    /// `sha256:` or `sha512:` and hexadecimal digits.
    public var digest: String?

    /// nil when `text` is not such a name.
    public init?(_ text: String) {
        var rest = text[...]
        if let at = rest.firstIndex(of: "@") {
            let digest = String(rest[rest.index(after: at)...])
            guard Self.isDigest(digest) else { return nil }
            self.digest = digest
            rest = rest[..<at]
        }
        // The last colon is a port's when a slash follows it.
        if let colon = rest.lastIndex(of: ":"), !rest[colon...].contains("/") {
            let tag = String(rest[rest.index(after: colon)...])
            guard Self.isTag(tag) else { return nil }
            self.tag = tag
            rest = rest[..<colon]
        }
        guard Self.isRepository(rest) else { return nil }
        repository = Self.normalised(String(rest))
    }

    /// The tag that is meant: `latest` where neither a tag nor a digest is written.
    public var effectiveTag: String? { tag ?? (digest == nil ? "latest" : nil) }

    /// `repository`, without the names of Docker's own registry in front.
    public static func normalised(_ repository: String) -> String {
        for prefix in ["docker.io/library/", "index.docker.io/library/", "docker.io/", "index.docker.io/", "library/"]
        where repository.hasPrefix(prefix) && repository.utf8.count > prefix.utf8.count {
            return String(repository.dropFirst(prefix.count))
        }
        return repository
    }

    /// Whether `text` is the digest of a blob.
    public static func isDigest(_ text: String) -> Bool {
        for (algorithm, digits) in [("sha256:", 64), ("sha512:", 128)] where text.hasPrefix(algorithm) {
            let value = text.utf8.dropFirst(algorithm.utf8.count)
            return value.count == digits && value.allSatisfy { isDigit($0) || (0x61...0x66).contains($0) }
        }
        return false
    }

    static func isTag(_ text: String) -> Bool {
        guard let first = text.utf8.first, text.utf8.count <= 128, first != UInt8(ascii: "."),
            first != UInt8(ascii: "-")
        else { return false }
        return text.utf8.allSatisfy { isWord($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") }
    }

    /// Parts between slashes; capitals are taken as well, for what some files name is no registry's.
    static func isRepository(_ text: Substring) -> Bool {
        let parts = text.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard text.utf8.count <= 255, !parts.isEmpty else { return false }
        return parts.enumerated().allSatisfy { index, part in
            guard let first = part.first, isWord(first) else { return false }
            let isHost = index == 0 && parts.count > 1
            return part.allSatisfy {
                isWord($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") || (isHost && $0 == UInt8(ascii: ":"))
            }
        }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

    private static func isWord(_ byte: UInt8) -> Bool {
        isDigit(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte) || byte == UInt8(ascii: "_")
    }
}

extension ImageReference: CustomStringConvertible {
    public var description: String {
        repository + (tag.map { ":\($0)" } ?? "") + (digest.map { "@\($0)" } ?? "")
    }
}
