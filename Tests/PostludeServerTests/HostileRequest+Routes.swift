import PostludeCore

private let parameter = "server.bad-parameter"
private let unknown = "engine.unknown-run"

extension HostileRequest {
    /// Names that lead elsewhere.
    static let paths: [HostileRequest] = [
        .request("a path above", "GET", "/api/v1/runs/../../../etc/passwd", 404, "server.unknown-route"),
        .request("a path above, encoded", "GET", "/api/v1/runs/%2e%2e%2f%2e%2e%2fetc%2fpasswd", 404, unknown),
        .request("NUL, encoded", "GET", "/api/v1/runs/%00", 404, unknown),
        .request("no UTF-8, encoded", "GET", "/api/v1/runs/%ff%fe", 404, unknown),
        .request("SQL", "GET", "/api/v1/runs/0'%20OR%20'1'='1", 404, unknown),
        .request("a wildcard", "GET", "/api/v1/runs/%25", 404, unknown),
        .request("an id without an end", "GET", "/api/v1/runs/\(String(repeating: "a", count: 5_000))", 404, unknown),
        .request("another version", "GET", "/api/v2/runs", 404, "server.unknown-route"),
        .request(
            "another host", "GET", "http://example.com/api/v1/runs/00000000000000000000000000000000", 404, unknown),
        .request(
            "a step above", "GET", "/api/v1/runs/{own}/logs?step=../../../../etc/passwd", 404, "engine.unknown-step"),
        .request("a step with NUL", "GET", "/api/v1/runs/{own}/logs?step=main%00", 400, parameter),
        .request("a step that is no UTF-8", "GET", "/api/v1/runs/{own}/logs?step=%ff", 400, parameter),
        .request("half an encoded byte", "GET", "/api/v1/runs/{own}/logs?step=%f", 400, parameter),
        .request("a stream above", "GET", "/api/v1/runs/{own}/logs?stream=../main", 400, parameter),
        .request("an attempt that never was", "GET", "/api/v1/runs/{own}/logs?attempt=99", 404, "engine.unknown-step"),
    ]

    /// Runs of somebody else do not exist (P10).
    static let foreign: [HostileRequest] = [
        .request("shown", "GET", "/api/v1/runs/{foreign}", 404, unknown),
        .request("waited for", "GET", "/api/v1/runs/{foreign}/wait", 404, unknown),
        .request("read", "GET", "/api/v1/runs/{foreign}/logs", 404, unknown),
        .request("read on", "GET", "/api/v1/runs/{foreign}/logs?follow=true", 404, unknown),
        .request("followed", "GET", "/api/v1/runs/{foreign}/events", 404, unknown),
        .request("stopped", "POST", "/api/v1/runs/{foreign}/stop", 404, unknown),
        .request("held", "POST", "/api/v1/runs/{foreign}/hold", 404, unknown),
        .request("released", "POST", "/api/v1/runs/{foreign}/release", 404, unknown),
        .request("approved", "POST", "/api/v1/runs/{foreign}/approve", 404, unknown),
        .request("run again", "POST", "/api/v1/runs/{foreign}/rerun?hook=0", 404, unknown),
        .request("a place in the list", "GET", "/api/v1/runs?before={foreign}", 404, unknown),
    ]

    static let parameters: [HostileRequest] =
        [
            "limit=0", "limit=-1", "limit=10001", "limit=1e3", "limit=99999999999999999999", "limit=", "hooks=maybe",
            "status=runing", "status=,", "limit=1&limit=2",
        ].map {
            .request("list with \($0)", "GET", "/api/v1/runs?\($0)", 400, parameter)
        }
        + ["offset=-1", "offset=0x10", "attempt=0", "attempt=4294967296", "follow=2"].map {
            .request("log with \($0)", "GET", "/api/v1/runs/{own}/logs?\($0)", 400, parameter)
        }
        + ["-1", "abc", "9223372036854775808", "1.5", "1 OR 1", "0x1"].map {
            .request(
                "Last-Event-ID \($0)", "GET", "/api/v1/runs/{own}/events", 400, parameter,
                header: "Last-Event-ID: \($0)\r\n")
        }
        + [
            .request("a cursor that is none", "GET", "/api/v1/runs?before=zzz", 404, unknown),
            .request("after a negative number", "GET", "/api/v1/runs/{own}/events?after=-1", 400, parameter),
            .request("usage since yesterday", "GET", "/api/v1/usage?since=yesterday", 400, parameter),
            .request("an unknown parameter", "GET", "/api/v1/runs?uid=0", 400, "server.unknown-parameter"),
            .request("a parameter of another route", "GET", "/api/v1/health?limit=1", 400, "server.unknown-parameter"),
            .request("a parameter in capitals", "GET", "/api/v1/runs?LIMIT=1", 400, "server.unknown-parameter"),
            .request("no hook", "POST", "/api/v1/runs/{own}/rerun", 400, parameter),
        ]

    private static let none = "server.method-not-allowed"

    static let methods: [HostileRequest] = [
        .request("PUT", "PUT", "/api/v1/runs/{own}", 405, none, fields: ["allow": "GET, HEAD"]),
        .request("DELETE", "DELETE", "/api/v1/runs", 405, none, fields: ["allow": "GET, HEAD, POST"]),
        .request("OPTIONS", "OPTIONS", "/api/v1/health", 405, none, fields: ["allow": "GET, HEAD"]),
        .request("TRACE", "TRACE", "/api/v1/health", 405, none, fields: ["allow": "GET, HEAD"]),
        .request("GET of a change", "GET", "/api/v1/runs/{own}/stop", 405, none, fields: ["allow": "POST"]),
        .request("HEAD of a change", "HEAD", "/api/v1/runs/{own}/stop", 405, nil, fields: ["allow": "POST"]),
        .request("HEAD", "HEAD", "/api/v1/runs", 200, nil), .request("HEAD of nothing", "HEAD", "/x", 404, nil),
        .request("OPTIONS of all", "OPTIONS", "*", 404, "server.unknown-route"),
        .request("a tunnel", "CONNECT", "example.com:443", 404, "server.unknown-route"),
    ]

    /// What only administrators may do.
    static let administration: [HostileRequest] = [
        .request("a backup", "POST", "/api/v1/backup", 403, "engine.administrators-only"),
        .request("a maintenance window", "POST", "/api/v1/maintenance", 403, "engine.administrators-only"),
        .request("the end of one", "DELETE", "/api/v1/maintenance", 403, "engine.administrators-only"),
        .request("a look at devices", "POST", "/api/v1/devices/recheck", 403, "server.only-administrators"),
        .request("images gone", "POST", "/api/v1/images/prune", 403, "server.only-administrators"),
    ]
}
