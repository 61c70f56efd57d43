import PostludeCore

/// One method of one path of the API: what it takes, and every answer it can give.
public struct Endpoint: Hashable, Sendable {
    /// In capitals.
    public let method: String
    /// As the router and OpenAPI write it, such as `/api/v1/runs/{id}`.
    public let path: String
    /// What requests may have in their query.
    public var queryNames: Set<String> { Set(parameters.filter { $0.place == .query }.map(\.name)) }

    let id: String
    let summary: String
    let parameters: [Parameter]
    /// The schema of the body that it takes; nil for none.
    let body: String?
    let answer: Answer
    /// Codes of the error envelope by HTTP status, besides those that every request may get.
    let refusals: [Int: [String]]

    struct Parameter: Hashable, Sendable {
        enum Place: String { case path, query, header }

        var name: String
        var place: Place
        var schema: Value
        var isRequired = false
        var description: String
    }

    struct Answer: Hashable, Sendable {
        var status: Int
        /// Of JSON; nil for another media type.
        var schema: String?
        var mediaType = "application/json"
        var description: String
    }

    init(
        _ method: String, _ path: String, _ id: String, _ summary: String, _ parameters: [Parameter] = [],
        body: String? = nil, answer: Answer, refusals: [Int: [String]] = [:]
    ) {
        self.method = method
        self.path = API.prefix + path
        self.id = id
        self.summary = summary
        self.parameters = parameters
        self.body = body
        self.answer = answer
        self.refusals = refusals
    }

    /// Statuses with the error codes that each may carry; none for the answer that was asked for.
    public var answers: [Int: [String]] {
        Self.common.merging(refusals) { $0 + $1 }.merging([answer.status: []]) { refused, _ in refused }
    }

    /// What any request may be answered with.
    static let common: [Int: [String]] = [
        400: ["server.bad-request", "server.bad-parameter", "server.unknown-parameter"],
        403: ["server.unknown-caller", "server.other-user", "agent.caller-sandboxed", "agent.caller-unknown"],
        408: ["server.too-slow"],
        413: ["server.too-large"],
        429: ["server.too-many-requests", "server.too-many-connections"],
        431: ["server.head-too-large"],
        500: ["server.internal", "store.contradiction", "store.corrupt", "store.database", "store.unreadable-row"],
        503: ["server.full", "store.database", "store.disk-full"],
    ]
}

extension Endpoint.Answer {
    static func json(_ schema: String, _ description: String, status: Int = 200) -> Self {
        Self(status: status, schema: schema, description: description)
    }
}

extension Endpoint.Parameter {
    static func query(_ name: String, _ schema: Value, _ description: String, isRequired: Bool = false) -> Self {
        Self(name: name, place: .query, schema: schema, isRequired: isRequired, description: description)
    }

    static func header(_ name: String, _ schema: Value, _ description: String) -> Self {
        Self(name: name, place: .header, schema: schema, description: description)
    }

    /// The run that a path names.
    static let run = Self(
        name: "id", place: .path, schema: Schema.text(pattern: "^[0-9A-Fa-f-]{1,36}$"), isRequired: true,
        description: "A run's id, or any beginning of it that no other run of the caller's has.")
}
