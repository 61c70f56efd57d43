import PostludeAPI
import PostludeCore

private let bad = "server.bad-request"
private let parameter = "server.bad-parameter"
private let body = "server.bad-body"
private let unknown = "engine.unknown-run"
private let host = "Host: postlude\r\n"
private let health = "GET /api/v1/health HTTP/1.1\r\n\(host)"
private let chunked = "POST /api/v1/runs HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\n\r\n"

extension HostileRequest {
    static let all = lines + framing + bodies + paths + foreign + parameters + methods + administration

    /// What is no HTTP.
    private static let lines: [HostileRequest] = [
        .raw("no request line", "GARBAGE\r\n\r\n", (400, bad)), .raw("a method alone", "GET\r\n\r\n", (400, bad)),
        .raw("HTTP/0.9", "GET /api/v1/health\r\n\r\n", (400, bad)),
        .raw("HTTP/1.0", "GET /api/v1/health HTTP/1.0\r\n\(host)\r\n", (400, bad)),
        .raw("HTTP/3.7", "GET /api/v1/health HTTP/3.7\r\n\(host)\r\n", (400, bad)),
        .raw("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, bad)),
        .raw("unknown method", "FETCH /api/v1/health HTTP/1.1\r\n\(host)\r\n", (400, bad)),
        .raw("method in lower case", "get /api/v1/health HTTP/1.1\r\n\(host)\r\n", (400, bad)),
        .raw("TLS", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}\r\n\r\n", (400, bad)),
        .raw("NUL in the path", "GET /api/v1/runs/\0 HTTP/1.1\r\n\(host)\r\n", (400, bad)),
        .raw("NUL in a header field", "\(health)X-A: a\0b\r\n\r\n", (400, bad)),
        .raw("a field without a colon", "\(health)nothing\r\n\r\n", (400, bad)),
        .raw("a space before the colon", "\(health)X-A : b\r\n\r\n", (400, bad)),
        .raw("no Host", "GET /api/v1/health HTTP/1.1\r\n\r\n", (400, bad)),
        .raw("two Hosts", "\(health)\(host)\r\n", (400, bad)),
        .raw(
            "a flood of fields", health + String(repeating: "X-A: b\r\n", count: 200) + "\r\n",
            (431, "server.head-too-large")),
        .raw(
            "a huge field", health + "X-A: " + String(repeating: "b", count: 100_000) + "\r\n\r\n",
            (431, "server.head-too-large")),
        .raw(
            "a request line without end", "GET /" + String(repeating: "a", count: 1 << 20),
            (431, "server.head-too-large")),
        .raw("an end in the head", health, (400, bad), finishes: true),
        .raw("an end before anything", "", finishes: true),
        .raw("an end after the request", "\(health)\r\n", (200, nil), finishes: true),
    ]

    /// Where a request ends, and the next one begins.
    private static let framing: [HostileRequest] = [
        .raw("negative length", "\(health)Content-Length: -1\r\n\r\n", (400, bad)),
        .raw("length that is no number", "\(health)Content-Length: abc\r\n\r\n", (400, bad)),
        .raw("length beyond 64 bits", "\(health)Content-Length: 99999999999999999999\r\n\r\n", (400, bad)),
        .raw("two lengths", "\(health)Content-Length: 1\r\nContent-Length: 2\r\n\r\n", (400, bad)),
        .raw("the same length twice", "\(health)Content-Length: 1\r\nContent-Length: 1\r\n\r\na", (400, bad)),
        .raw(
            "length and chunks", "\(health)Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", (400, bad)
        ),
        .raw("an encoding without an end", "\(health)Transfer-Encoding: gzip\r\n\r\n", (400, bad)),
        .raw("chunks that are not last", "\(health)Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", (400, bad)),
        .raw("chunk size that is no number", "\(chunked)zz\r\n{}\r\n0\r\n\r\n", (400, body)),
        .raw("a chunk longer than its size", "\(chunked)2\r\n{}{}\r\n0\r\n\r\n", (400, body)),
        .raw("an end in a chunk", "\(chunked)ff\r\n{", (400, body), finishes: true),
        .raw("a length of 5 GB", "\(health)Content-Length: 5000000000\r\n\r\n", (413, "server.too-large")),
        .raw(
            "chunks of 5 MiB",
            chunked + String(repeating: "10000\r\n\(String(repeating: " ", count: 65_536))\r\n", count: 80)
                + "0\r\n\r\n", (413, "server.too-large")),
        .raw(
            "pipelined requests",
            String(repeating: "\(health)\r\n", count: 4)
                + "GET /api/v1/runs/00000000000000000000000000000000 HTTP/1.1\r\n\(host)Connection: close\r\n\r\n",
            (200, nil), (200, nil), (200, nil), (200, nil), (404, unknown)),
        .raw("a request with garbage behind it", "\(health)\r\nGARBAGE\r\n\r\n", (200, nil), (400, bad)),
        .raw(
            "a second request hidden in a body",
            "\(health)Content-Length: 47\r\nConnection: close\r\n\r\nDELETE /api/v1/maintenance HTTP/1.1\r\nHost: a\r\n\r\n",
            (200, nil)),
    ]

    private static let json = "application/json"

    /// What is submitted.
    private static let bodies: [HostileRequest] = [
        .request("no body", "POST", "/api/v1/runs", 400, body, type: json),
        .request("half an object", "POST", "/api/v1/runs", 400, body, type: json, body: "{"),
        .request("a list", "POST", "/api/v1/runs", 400, body, type: json, body: "[]"),
        .request("null", "POST", "/api/v1/runs", 400, body, type: json, body: "null"),
        .request("a type that is not JSON's", "POST", "/api/v1/runs", 400, body, type: json, body: "{\"path\": 7}"),
        .request(
            "brackets without end", "POST", "/api/v1/runs", 400, body, type: json,
            body: String(repeating: "[", count: 100_000)),
        .request(
            "nesting without end", "POST", "/api/v1/runs", 400, body, type: json,
            body: String(repeating: "{\"params\":", count: 100_000)),
        .request(
            "a form", "POST", "/api/v1/runs", 415, "server.unsupported-media-type",
            type: "application/x-www-form-urlencoded", body: "path=a"),
        .request(
            "YAML", "POST", "/api/v1/runs", 415, "server.unsupported-media-type", type: "application/yaml",
            body: "path: a"),
        Self(
            name: "bytes that are not UTF-8",
            bytes: { _ in head("POST", "/api/v1/runs", type: json, length: 4) + [0x22, 0xff, 0xfe, 0x22] },
            answers: [(400, body)], endpoint: { _ in ("POST", "/api/v1/runs") }),
        .submission("an unknown key", 400, body) { $0["user"] = "root" },
        .submission("text that is no operation", 400, "engine.invalid-operation") { $0["text"] = "\0\u{1}{{" },
        .submission("a file above", 400, "engine.invalid-operation") {
            $0["text"] = "version: 1.1\nkind: operation\npathRef: ../../../etc/shadow\n"
        },
        .submission("a hub component above", 400, "engine.invalid-operation") {
            $0["text"] = "version: 1.1\nkind: operation\nhubRef: ../../../etc/shadow\n"
        },
        .submission("an empty key", 400, parameter, header: "\(API.idempotencyHeader): \r\n"),
        .submission(
            "a huge key", 400, parameter,
            header: "\(API.idempotencyHeader): \(String(repeating: "k", count: 10_000))\r\n"),
        .submission("a huge key in the body", 400, parameter) {
            $0["idempotencyKey"] = .string(String(repeating: "k", count: 10_000))
        },
        .submission("a key that is new", 201, nil, header: "\(API.idempotencyHeader): once\r\n"),
        .submission(
            "a key with another body", 409, "engine.idempotency-key-reused",
            header: "\(API.idempotencyHeader): once\r\n"
        ) { $0["name"] = "other" },
    ]
}
