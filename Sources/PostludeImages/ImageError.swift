import Glibc

/// Why an image cannot be had: a stable code, a sentence, and what the reader can do.
public struct ImageError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Stable, such as `image.layout-broken`.
    public var code: String
    public var message: String
    public var hint: String?
    /// Whether trying again later may do.
    public var isTemporary: Bool

    init(_ code: String, _ message: String, hint: String? = nil, isTemporary: Bool = false) {
        self.code = code
        self.message = message
        self.hint = hint
        self.isTemporary = isTemporary
    }

    public var description: String { hint.map { "\(code): \(message)\nhint: \($0)" } ?? "\(code): \(message)" }
}

extension ImageError {
    static let cancelledCode = "image.cancelled"

    static func broken(_ place: String, _ why: String) -> ImageError {
        ImageError(
            "image.layout-broken", "'\(place)' \(why).",
            hint: "Get the image again (skopeo copy), or correct `images.map` in the agent's configuration.")
    }

    static func unreadable(_ place: String) -> ImageError {
        ImageError(
            "image.layout-unreadable", "The agent may not read '\(place)'.",
            hint: "Let its user read the whole layout: chmod -R a+rX makes it everybody's.")
    }

    static func missing(_ name: String, layout: String, known: [String]) -> ImageError {
        ImageError(
            "image.not-in-layout", "The OCI layout '\(layout)' has no image '\(name)'.",
            hint: known.isEmpty
                ? "It has none with a name; set `tag` in `images.map`, or add the image with umoci or skopeo."
                : "It has \(known.sorted().prefix(8).joined(separator: ", ")); set `tag` in `images.map`.")
    }

    static func system(_ what: String, _ path: String, _ code: Int32) -> ImageError {
        ImageError(
            code == ENOSPC ? "image.disk-full" : "image.not-stored",
            "Cannot \(what) '\(path)': \(String(cString: strerror(code))).",
            hint: code == ENOSPC ? "Free some space." : "Give the agent a state directory that it may write.",
            isTemporary: code == ENOSPC)
    }
}
