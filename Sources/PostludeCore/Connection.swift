/// Something outside of the node that a site lets its users reach, with what that takes: an address, a token, a password.
///
/// A hook, a job or an init step names it; its secrets then appear as files inside that one step and nowhere else.
public struct Connection: Hashable, Sendable {
    /// What operations call it.
    public var name: String
    /// What it leads to, such as `slack`; components of the hub say which kinds they can use.
    public var kind: String
    /// Names, or uids in decimal, of who may use it; `*` is everybody.
    public var users: [String]
    public var groups: [String]
    /// What is no secret: shown as `connection.json` inside the step.
    public var settings: [String: Value]
    public var secrets: [String: Secret]
    /// A directory of the host that the step may write to, as far as its user may.
    public var directory: String?

    /// Where a secret's value comes from.
    public enum Secret: Hashable, Sendable {
        /// Written into the configuration.
        case value(SecretText)
        /// In a file that only the agent's user can read; read for each launch, so that it can be changed meanwhile.
        case file(String)
    }

    public init(
        name: String, kind: String, users: [String] = [], groups: [String] = [], settings: [String: Value] = [:],
        secrets: [String: Secret] = [:], directory: String? = nil
    ) {
        self.name = name
        self.kind = kind
        self.users = users
        self.groups = groups
        self.settings = settings
        self.secrets = secrets
        self.directory = directory
    }

    /// Whether this user may name it. Root could read the configuration anyway.
    public func isFor(_ subject: SitePolicy.Subject) -> Bool {
        subject.uid == 0
            || users.contains("*") || subject.isAmong(users: users, groups: groups)
    }
}

/// A text that no log, message, dump or encoder shows by accident.
public struct SecretText: Hashable, Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The text itself, for whoever has to hand it on.
    public let revealed: String

    public init(_ text: String) { revealed = text }

    public var description: String { "(secret)" }
    public var debugDescription: String { "(secret)" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}

/// A connection that a container names, with the place for messages.
public struct ConnectionReference: Hashable, Sendable, Codable {
    public var name: String
    public var place: SourcePlace?

    public init(_ name: String, at place: SourcePlace? = nil) {
        self.name = name
        self.place = place
    }
}

/// What one submitter may know of the site's connections: enough to check an operation, and no secret.
public struct ConnectionCatalog: Hashable, Sendable {
    public struct Entry: Hashable, Sendable {
        public var kind: String
        /// Whether the submitter may use it.
        public var isAllowed: Bool

        public init(kind: String, isAllowed: Bool) {
            self.kind = kind
            self.isAllowed = isAllowed
        }
    }

    public var entries: [String: Entry]

    public init(entries: [String: Entry] = [:]) { self.entries = entries }

    public init(_ connections: [Connection], for subject: SitePolicy.Subject) {
        entries = Dictionary(
            connections.map { ($0.name, Entry(kind: $0.kind, isAllowed: $0.isFor(subject))) },
            uniquingKeysWith: { first, _ in first })
    }

    /// Why the submitter cannot use `name` for a component that takes `kinds`; nil when it can be used.
    public func objection(to name: String, kinds: [String]?) -> (code: String, message: String, hint: String)? {
        let usable = entries.filter(\.value.isAllowed).map(\.key).sorted()
        guard let entry = entries[name] else {
            let hint =
                usable.isEmpty
                ? "Your administrator declares connections in the agent's configuration."
                : "You may use \(usable.joined(separator: ", "))."
            return (
                "spec.unknown-connection", "The agent has no connection '\(name)'.",
                Suggestion.hint(for: name, among: usable) ?? hint
            )
        }
        guard entry.isAllowed else {
            return (
                "spec.connection-not-allowed", "You may not use the connection '\(name)'.",
                usable.isEmpty
                    ? "Ask your administrator to name you or your group in it."
                    : "You may use \(usable.joined(separator: ", "))."
            )
        }
        guard let kinds, !kinds.contains(entry.kind) else { return nil }
        let fitting = usable.filter { entries[$0].map { kinds.contains($0.kind) } ?? false }
        return (
            "spec.wrong-connection-kind",
            "The connection '\(name)' is of kind \(entry.kind); this takes \(kinds.joined(separator: " or ")).",
            fitting.isEmpty
                ? "Name a connection of kind \(kinds.joined(separator: " or "))."
                : "Of that kind: \(fitting.joined(separator: ", "))."
        )
    }
}

/// A connection as one step gets it: files with their contents, below `InsidePaths.connections`.
public struct ConnectionGrant: Hashable, Sendable {
    public var name: String
    /// By file name.
    public var files: [String: SecretText]
    /// A directory of the host, shown writable as `directory` beside the files.
    public var directory: String?

    public init(name: String, files: [String: SecretText], directory: String? = nil) {
        self.name = name
        self.files = files
        self.directory = directory
    }
}
