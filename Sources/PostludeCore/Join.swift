/// Runs that an operation searches for when it is compiled, and the params that it takes from them: each becomes a list
/// with one item for each run, in the order found.
public struct Join: Hashable, Sendable, Codable {
    /// Runs that are taken when the file does not say how many.
    public static let defaultLimit = 100
    /// Polyaxon's own bound.
    public static let maxLimit = 5_000
    public static let maxOffset = 10_000
    /// Runs whose artifacts one operation's steps may read by way of joins: each takes a mount.
    public static let maxArtifacts = 64
    /// Bytes of all values together that the joins of one operation take: with all else they go into a run's context file.
    public static let maxBytes = 512 << 10

    public var query: Template
    public var sort: Template?
    public var limit: Template?
    public var offset: Template?
    public var params: [String: JoinParam]
    /// nil until the search has been made: what it found are the operation's params then, and it is not made again.
    public var found: Found?
    public var place: SourcePlace?

    public init(
        query: Template, sort: Template? = nil, limit: Template? = nil, offset: Template? = nil,
        params: [String: JoinParam] = [:], found: Found? = nil, at place: SourcePlace? = nil
    ) {
        self.query = query
        self.sort = sort
        self.limit = limit
        self.offset = offset
        self.params = params
        self.found = found
        self.place = place
    }

    /// What a search came to.
    public struct Found: Hashable, Sendable, Codable {
        /// Runs whose values are in the lists.
        public var taken: Int
        /// Runs that were found and lack a value that one of the params takes.
        public var leftOut: Int
        /// Whether more runs matched than the limit lets in.
        public var hasMore: Bool

        public init(taken: Int, leftOut: Int, hasMore: Bool) {
            self.taken = taken
            self.leftOut = leftOut
            self.hasMore = hasMore
        }
    }
}

/// A param that a join makes.
public struct JoinParam: Hashable, Sendable, Codable {
    /// What is taken of each run: `outputs.loss`, `inputs`, `globals.uuid`.
    public var value: String
    public var contextOnly: Bool
    public var toEnv: String?
    public var place: SourcePlace?

    public init(_ value: String, contextOnly: Bool = false, toEnv: String? = nil, at place: SourcePlace? = nil) {
        self.value = value
        self.contextOnly = contextOnly
        self.toEnv = toEnv
        self.place = place
    }
}

/// Where in a run a join's value is.
public struct JoinPath: Hashable, Sendable {
    enum Root: String, CaseIterable { case inputs, outputs, globals }

    let root: Root
    /// Names from the root down; empty for all of it.
    let names: [String]

    /// What `globals.NAME` may name of a run that was found.
    static let globals = artifactGlobals.union([
        "uuid", "name", "status", "kind", "project_name", "owner_name", "username", "project_unique_name", "run_info",
        "created_at", "started_at", "finished_at", "duration",
    ])
    /// Those that are paths in the sandbox: the artifacts of the runs are made readable there.
    static let artifactGlobals: Set<String> = [
        "artifacts_path", "run_artifacts_path", "run_outputs_path", "run_relative_outputs_path",
    ]

    /// Whether it leads to a run's artifacts.
    var isArtifacts: Bool { root == .globals && names.first.map(Self.artifactGlobals.contains) ?? false }

    /// - Throws: `Problem` for anything but `inputs`, `outputs`, `inputs.NAME`, `outputs.NAME` and `globals.NAME`.
    public init(_ text: String) throws(RunQuery.Problem) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        let hint = "Write inputs.NAME, outputs.NAME or globals.NAME."
        guard let root = parts.first.flatMap(Root.init(rawValue:)), parts.allSatisfy({ !$0.isEmpty }) else {
            let isKnown = ["artifacts", "artifact", "contexts", "context"].contains(parts.first)
            throw RunQuery.Problem(
                "wrong-value", "'\(text.prefix(64))' is nothing that a join takes of a run.",
                hint: isKnown
                    ? "Write globals.run_artifacts_path; the artifacts are readable there."
                    : parts.first.flatMap { Suggestion.hint(for: $0, among: Root.allCases.map(\.rawValue)) } ?? hint,
                at: 0)
        }
        self.root = root
        names = Array(parts.dropFirst())
        guard root == .globals else { return }
        guard names.count == 1, let name = names.first, Self.globals.contains(name) else {
            throw RunQuery.Problem(
                "wrong-value", "'\(text.prefix(64))' is nothing that a join takes of a run.",
                hint: names.first.flatMap { Suggestion.hint(for: $0, among: Self.globals) }
                    ?? "Of `globals` there are \(Self.globals.sorted().joined(separator: ", ")).", at: 0)
        }
    }

    /// null for what the run does not have.
    func value(in run: FoundRun) -> Value {
        let top: [String: Value] =
            switch root {
            case .inputs: run.inputs
            case .outputs: run.outputs
            case .globals: run.globals
            }
        var value = Value.dict(top)
        for name in names {
            guard case .dict(let entries) = value, let next = entries[name] else { return .null }
            value = next
        }
        return value
    }
}

extension FoundRun {
    fileprivate var globals: [String: Value] {
        var globals = RunFacts.globals(id: id, name: name, project: project, owner: owner, createdAt: createdAt)
        globals.merge(RunFacts.artifactPaths(of: artifacts)) { _, path in path }
        globals["status"] = .string(status.rawValue)
        globals["kind"] = .string(kind)
        globals["started_at"] = startedAt.map { .string($0.iso8601) } ?? .null
        globals["finished_at"] = finishedAt.map { .string($0.iso8601) } ?? .null
        globals["duration"] = duration.map(Value.double) ?? .null
        return globals
    }
}

/// What a join found, as people and programs are told.
public struct JoinRecord: Hashable, Sendable, Codable {
    /// As written.
    public var query: String
    /// The params that it makes, by name.
    public var params: [String]
    /// nil where nothing was searched for: each run of a schedule does so itself.
    public var found: Join.Found?

    public init(query: String, params: [String], found: Join.Found?) {
        self.query = query
        self.params = params
        self.found = found
    }

    public init(_ join: Join) {
        self.init(query: join.query.source, params: join.params.keys.sorted(), found: join.found)
    }
}
