import PostludeCore

/// The API described in OpenAPI 3.1, for programs that read such documents and for the tests that hold the agent to it.
public enum OpenAPI {
    /// The whole document; `version` is the agent's.
    public static func document(version: String) -> Value {
        [
            "openapi": "3.1.0",
            "info": [
                "title": "Postlude", "version": .string(version), "description": .string(description),
                "license": ["name": "Apache-2.0", "identifier": "Apache-2.0"],
            ],
            // Unix sockets have no address that OpenAPI could write.
            "servers": [
                ["url": "http://localhost", "description": "The agent's unix socket, whatever the host's name."]
            ],
            "paths": .dict(paths), "components": ["schemas": .dict(schemas)],
        ]
    }

    /// JSON schemas of the wire types, by name; `$ref`s among them are to `#/components/schemas/`.
    public static let schemas = runSchemas.merging(stepSchemas) { $1 }.merging(nodeSchemas) { $1 }

    /// Keys that an object of the schema may have.
    public static func keys(of name: String) -> Set<String> {
        guard case .dict(let schema)? = schemas[name], case .dict(let properties)? = schema["properties"] else {
            return []
        }
        return Set(properties.keys)
    }

    /// Endpoints of the path, if it is one of the API's: those that a method can be chosen from.
    public static func endpoints(at path: String) -> [Endpoint] {
        let parts = path.split(separator: "/")
        return endpoints.filter { endpoint in
            let pattern = endpoint.path.split(separator: "/")
            return pattern.count == parts.count && zip(pattern, parts).allSatisfy { $0.hasPrefix("{") || $0 == $1 }
        }
    }

    /// An idempotency key; its length is bounded because it is kept.
    static let keySchema: Value = [
        "type": "string", "minLength": 1, "maxLength": .int(Int64(API.maximumKeyBytes)),
        "description": "What a repeated submit is known by: in the header, or in the body, which wins.",
    ]

    private static let defaults = APISettings()

    private static let description = """
        The agent answers on a unix socket; who calls is known from the kernel (SO_PEERCRED), so there is nothing to \
        log in with. Runs of others do not exist for a caller (404), unless the caller administers the agent. Each GET \
        answers HEAD too. A method that a path does not have is answered 405 with Allow (server.method-not-allowed), an \
        unknown path 404 (server.unknown-route). Bodies have at most \(API.maximumRequestBytes >> 20) MiB (413), heads \
        \(API.maximumHeadBytes >> 10) KiB (431). A head has to come within \(defaults.idleSeconds) s and a body within \
        \(defaults.bodySeconds) s (408); a client that does not read an answer is cut off after \
        \(defaults.answerSeconds) s, one that pauses a stream is not. Each user has \(defaults.perUser.connections) \
        connections, \(defaults.perUser.requests) requests at once (streams are not counted) and \
        \(defaults.perUser.requestsPerSecond) per second after \(defaults.perUser.burst) at once; beyond that the \
        answer is 429 with Retry-After in seconds. A site may set other numbers. Parameters \
        and keys that are not described here are refused, never ignored. After a 400 for what is no HTTP, and after 408, \
        413 of an unread body and 431, the agent closes the connection.
        """

    // MARK: - Paths

    private static var paths: [String: Value] {
        var paths: [String: Value] = [:]
        for (path, endpoints) in Dictionary(grouping: endpoints, by: \.path) {
            let operations = endpoints.map { ($0.method.lowercased(), operation($0)) }
            paths[path] = .dict(Dictionary(operations, uniquingKeysWith: { $1 }))
        }
        return paths
    }

    private static func operation(_ endpoint: Endpoint) -> Value {
        var operation: [String: Value] = [
            "operationId": .string(endpoint.id), "summary": .string(endpoint.summary),
            "responses": .dict(responses(endpoint)),
        ]
        if !endpoint.parameters.isEmpty { operation["parameters"] = .list(endpoint.parameters.map(parameter)) }
        if let body = endpoint.body {
            operation["requestBody"] = [
                "required": true,
                "content": [
                    "application/json": ["schema": Schema.named(body), "examples": ["minimal": ["value": example]]]
                ],
            ]
        }
        return .dict(operation)
    }

    private static func parameter(_ parameter: Endpoint.Parameter) -> Value {
        [
            "name": .string(parameter.name), "in": .string(parameter.place.rawValue),
            "required": .bool(parameter.isRequired), "schema": parameter.schema,
            "description": .string(parameter.description),
        ]
    }

    private static func responses(_ endpoint: Endpoint) -> [String: Value] {
        var responses: [String: Value] = [:]
        for (status, codes) in endpoint.answers {
            responses[String(status)] = status == endpoint.answer.status ? answer(endpoint) : refusal(status, codes)
        }
        return responses
    }

    private static func answer(_ endpoint: Endpoint) -> Value {
        let answer = endpoint.answer
        var response: [String: Value] = ["description": .string(answer.description)]
        // What streams consist of, this version of OpenAPI has no word for.
        let schema: Value = answer.schema.map { ["schema": Schema.named($0)] } ?? [:]
        response["content"] = .dict([answer.mediaType: schema])
        if endpoint.id == "submitRun" {
            let parameters: Value = ["id": "$response.body#/summary/id"]
            let next = [
                "showRun", "readLog", "followRun", "explainWait", "holdRun", "releaseRun", "approveRun", "rerunHook",
                "stopRun",
            ]
            response["links"] = .dict(
                Dictionary(
                    next.map { ($0, ["operationId": .string($0), "parameters": parameters]) },
                    uniquingKeysWith: { $1 }))
        }
        return .dict(response)
    }

    private static func refusal(_ status: Int, _ codes: [String]) -> Value {
        var response: [String: Value] = [
            "description": .string("Refused: \(codes.joined(separator: ", "))."),
            "content": ["application/json": ["schema": Schema.named("ErrorEnvelope")]],
        ]
        if status == 429 {
            response["headers"] = [
                "Retry-After": [
                    "schema": ["type": "integer", "minimum": 1],
                    "description": "Seconds; absent where waiting alone does not help (engine.queue-full).",
                ]
            ]
        }
        return .dict(response)
    }

    private static let example: Value = [
        "path": "true.yaml",
        "text": "version: 1.1\nkind: component\nrun:\n  kind: job\n  container:\n    command: [/bin/true]\n",
        "references": [:], "workingDirectory": "/srv", "params": [:],
    ]
}
