/// Which part of the host a path inside the sandbox shows; pure.
struct InsideView: Hashable, Sendable {
    enum Region: Hashable, Sendable {
        /// The same file as on the host, read-only.
        case host
        /// A file of the step's image, read-only.
        case image
        /// Writable or made for the attempt: what is there is known only at run time.
        case runtime
        /// Replaced by something empty.
        case hidden
        /// One of the kernel's file systems.
        case kernel
    }

    /// Path prefixes without a trailing slash; the longest that matches decides, a later one of two equal ones wins.
    private var regions: [(path: String, region: Region)] = []

    init() {}

    mutating func set(_ region: Region, at path: String) { regions.append((path, region)) }

    func region(of path: String) -> Region {
        var best: (length: Int, region: Region) = (-1, .host)
        for entry in regions where Self.contains(entry.path, path) && entry.path.utf8.count >= best.length {
            best = (entry.path.utf8.count, entry.region)
        }
        return best.region
    }

    /// Whether something that differs from the host lies strictly below `path`.
    func hasRegions(below path: String) -> Bool {
        regions.contains { $0.path != path && Self.contains(path, $0.path) }
    }

    /// Whether `path` is `directory` or lies below it; both normalised.
    static func contains(_ directory: String, _ path: String) -> Bool {
        directory == "/" || path == directory || path.hasPrefix(directory + "/")
    }

    /// Absolute, without `.`, `..`, double and trailing slashes. `..` is resolved by text, as no link is followed here.
    static func normalise(_ path: String, relativeTo base: String = "/") -> String {
        var parts: [Substring] = []
        let whole = path.hasPrefix("/") ? path : base + "/" + path
        for part in whole.split(separator: "/") where part != "." {
            if part == ".." {
                if !parts.isEmpty { parts.removeLast() }
            } else {
                parts.append(part)
            }
        }
        return "/" + parts.joined(separator: "/")
    }

    static func == (a: InsideView, b: InsideView) -> Bool {
        a.regions.elementsEqual(b.regions) { $0.path == $1.path && $0.region == $1.region }
    }

    func hash(into hasher: inout Hasher) {
        for entry in regions {
            hasher.combine(entry.path)
            hasher.combine(entry.region)
        }
    }
}
