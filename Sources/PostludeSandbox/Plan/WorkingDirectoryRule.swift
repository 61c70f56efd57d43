/// Which directories may be shown as a working directory; pure. All paths are without links.
///
/// The working directory is bound over what the sandbox hides, so it must be a directory of the submitter's and not one
/// that has them all in it.
struct WorkingDirectoryRule: Hashable, Sendable {
    /// Directories that each attempt has for itself.
    var privates: [String]
    /// What the profile hides.
    var hidden: [String]
    /// The agent's own directory.
    var state: String?
    /// The submitter's home, which may be shown although the profile hides it, and though the submitter's own agent has
    /// its state there (which is covered again).
    var home: String?
    /// What the profile hides of the submitter's home; existing ones, without links.
    var secrets: [String] = []
    /// Where it must lie; nil for anywhere.
    var bounds: [String]?

    /// Why `path` may not be the working directory; nil when it may.
    func objection(to path: String) -> String? {
        if let place = privates.first(where: { InsideView.contains(path, $0) }) {
            return "each run has a private '\(place)'"
        }
        if let state {
            if InsideView.contains(state, path) { return "the agent keeps its state there" }
            if path != home, InsideView.contains(path, state) { return "the agent keeps its state in '\(state)'" }
        }
        if let place = hidden.first(where: { InsideView.contains(path, $0) && !($0 == path && path == home) }) {
            return "the sandbox profile hides '\(place)'"
        }
        if let place = secrets.first(where: { InsideView.contains($0, path) }) {
            return "the sandbox profile hides '\(place)'"
        }
        if let bounds, !bounds.contains(where: { InsideView.contains($0, path) }) {
            return "the site's policy allows \(bounds.isEmpty ? "none" : bounds.joined(separator: ", ")) and below"
        }
        return nil
    }
}
