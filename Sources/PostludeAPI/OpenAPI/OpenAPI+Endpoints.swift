import PostludeCore

extension OpenAPI {
    /// Every route of the agent.
    public static let endpoints: [Endpoint] = runEndpoints + streamEndpoints + nodeEndpoints

    private static let unknownRun = [400: ["engine.ambiguous-run"], 404: ["engine.unknown-run"]]

    private static let sinceEpoch: ClosedRange<Int64> = 0...Int64.max

    private static func change(
        _ name: String, _ id: String, _ summary: String, status: Int = 200, conflicts: [String]
    ) -> Endpoint {
        Endpoint(
            "POST", "/runs/{id}/\(name)", id, summary, [.run],
            answer: .json("RunDetail", "The run as it is then.", status: status),
            refusals: unknownRun.merging([409: conflicts]) { $1 })
    }

    private static let runEndpoints: [Endpoint] = [
        Endpoint(
            "POST", "/runs", "submitRun", "Submits an operation; the same idempotency key gives the same run.",
            [
                .header(
                    API.idempotencyHeader, keySchema,
                    "A repeated submit with the same key returns the same run; with another body it is refused.")
            ],
            body: "Submission", answer: .json("RunDetail", "The run, or the one that the key stands for.", status: 201),
            refusals: [
                400: [
                    "server.bad-body", "engine.invalid-operation", "engine.never-fits", "engine.unknown-profile",
                    "engine.profile-without-devices", "engine.unknown-queue", "engine.holds-parent",
                    "engine.invalid-image", "engine.image-unmapped", "engine.hook-depth",
                ],
                403: ["engine.policy-refused", "engine.no-rule", "engine.queue-refused"],
                409: ["engine.idempotency-key-reused"],
                415: ["server.unsupported-media-type"],
                429: ["engine.queue-full"],
                503: ["engine.disk-pressure", "engine.unmet-requirements", "engine.connection-secret"],
            ]),
        Endpoint(
            "GET", "/runs", "listRuns", "Lists runs, newest first: the caller's, or everybody's for an administrator.",
            [
                .query("limit", Schema.integer(in: 1...10_000), "The most that one answer lists; 1000 by default."),
                .query("before", Schema.text(pattern: "^[0-9A-Fa-f-]{1,36}$"), "`next` of the page before."),
                .query("user", Schema.text(), "A name, or a uid."), .query("project", Schema.text(), "A project."),
                .query("queue", Schema.text(), "A queue."),
                .query(
                    "status", Schema.text(pattern: "^[a-z_]+(,[a-z_]+)*$"),
                    "Statuses with commas between them; `active` and `done` for all that are not, and that are final."),
                .query("hooks", Schema.flag(), "Whether hook runs are listed; true by default."),
            ],
            answer: .json("RunList", "One page."), refusals: unknownRun),
        Endpoint(
            "GET", "/runs/{id}", "showRun", "Shows a run with everything that is known of it.", [.run],
            answer: .json("RunDetail", "The run."), refusals: unknownRun),
        change("stop", "stopRun", "Asks a run to stop.", status: 202, conflicts: ["engine.already-finished"]),
        change("hold", "holdRun", "Keeps a waiting run from being started.", conflicts: ["engine.not-waiting"]),
        change("release", "releaseRun", "Ends a hold.", conflicts: ["engine.not-waiting"]),
        change(
            "approve", "approveRun", "Lets a run go on that waits for approval.", status: 202,
            conflicts: ["engine.not-held"]),
        Endpoint(
            "GET", "/runs/{id}/wait", "explainWait", "Says why a run waits.", [.run],
            answer: .json("WaitAnswer", "Without `wait` for a run that does not wait."), refusals: unknownRun),
        Endpoint(
            "POST", "/runs/{id}/rerun", "rerunHook", "Runs one hook of a finished run again.",
            [.run, .query("hook", Schema.text(), "The hook's name, or its number from 0.", isRequired: true)],
            answer: .json("RunDetail", "The new hook run.", status: 201),
            refusals: [
                400: ["engine.ambiguous-run", "engine.unknown-hook", "engine.invalid-operation", "engine.never-fits"],
                404: ["engine.unknown-run"], 409: ["engine.not-finished"], 429: ["engine.queue-full"],
                503: ["engine.disk-pressure", "engine.unmet-requirements", "engine.connection-secret"],
            ]),
    ]

    private static let streamEndpoints: [Endpoint] = [
        Endpoint(
            "GET", "/runs/{id}/logs", "readLog",
            "Gives a step's output. To go on after a dropped connection, ask from the number of bytes that came.",
            [
                .run, .query("step", Schema.text(), "The step's name; `main` by default."),
                .query("stream", Schema.words(LogStream.allCases.map(\.rawValue)), "`stdout` by default."),
                .query("follow", Schema.flag(), "Whether to go on until the step has ended; false by default."),
                .query("offset", Schema.integer(in: sinceEpoch), "Bytes to leave out; 0 by default."),
                .query(
                    "attempt", Schema.integer(in: 1...Int64(Int32.max)), "Of which attempt; the last one by default."),
            ],
            answer: .init(
                status: 200, mediaType: "application/octet-stream",
                description: "The bytes as the step wrote them. A body without its closing chunk was cut."),
            refusals: [
                400: ["engine.ambiguous-run"], 404: ["engine.unknown-run", "engine.unknown-step", "engine.no-log"],
                500: ["server.unreadable-log"],
            ]),
        Endpoint(
            "GET", "/runs/{id}/events", "followRun",
            "Streams a run's events and those of its hook runs, until all of them are final.",
            [
                .run,
                .query("after", Schema.integer(in: sinceEpoch), "The sequence number of the last event that was seen."),
                .header(
                    "Last-Event-ID", Schema.text(pattern: "^[0-9]{0,19}$"),
                    "The same, as clients of server-sent events send it; the larger of both counts."),
            ],
            answer: .init(
                status: 200, mediaType: "text/event-stream",
                description: """
                    Events named by their kind, with the sequence number as id and a RunEvent as data; \
                    `end` is the last.
                    """),
            refusals: unknownRun),
    ]

    private static let forAdministrators = ["server.only-administrators"]
    private static let byAdministrators = ["engine.administrators-only"]

    private static let nodeEndpoints: [Endpoint] = [
        Endpoint(
            "GET", "/devices", "listDevices", "Lists devices and who has them.",
            answer: .json("DeviceList", "All devices of the node.")),
        Endpoint(
            "POST", "/devices/recheck", "recheckDevices", "Has quarantined devices looked at; for administrators.",
            answer: .json("DeviceList", "All devices as they are then."), refusals: [403: forAdministrators]),
        Endpoint(
            "GET", "/images", "listImages", "Lists the images that the agent has unpacked.",
            answer: .json("ImageList", "All of them.")),
        Endpoint(
            "POST", "/images/prune", "pruneImages", "Removes images that no run uses; for administrators.",
            answer: .json("ImageList", "What is left."), refusals: [403: forAdministrators]),
        Endpoint(
            "GET", "/maintenance", "listMaintenance", "Lists maintenance windows that are not over.",
            answer: .json("MaintenanceList", "The windows.")),
        Endpoint(
            "POST", "/maintenance", "drain", "Has nothing started but hook runs in that time; for administrators.",
            [
                .query("from", Schema.integer(in: sinceEpoch), "Microseconds since 1970; now by default."),
                .query("until", Schema.integer(in: sinceEpoch), "The same; until it is ended by default."),
                .query("reason", Schema.text(), "For those who wait."),
            ],
            answer: .json("MaintenanceList", "The new window.", status: 201),
            refusals: [400: ["engine.invalid-window"], 403: byAdministrators]),
        Endpoint(
            "DELETE", "/maintenance", "endMaintenance", "Ends one maintenance window, or all; for administrators.",
            [.query("id", Schema.integer(in: 1...Int64.max), "Which; all by default.")],
            answer: .json("MaintenanceList", "Those that it ended."),
            refusals: [403: byAdministrators, 404: ["engine.unknown-window"]]),
        Endpoint(
            "POST", "/backup", "backUp", "Writes a copy of the database; for administrators.",
            answer: .json("BackupAnswer", "Where it is.", status: 201),
            refusals: [403: byAdministrators, 500: ["store.backup-failed"], 503: ["engine.no-backup"]]),
        Endpoint(
            "GET", "/doctor", "checkHost", "Says what this host can enforce.",
            answer: .json("DoctorReport", "Every check.")),
        Endpoint(
            "GET", "/usage", "listUsage", "Gives accounting records of the runs that the caller sees.",
            [.query("since", Schema.integer(in: sinceEpoch), "Only of runs that ended after it, or have not ended.")],
            answer: .json("UsageList", "A record for each step.")),
        Endpoint(
            "GET", "/version", "showVersion", "Says which agent answers.", answer: .json("AgentInfo", "The agent.")),
        Endpoint(
            "GET", "/health", "checkHealth", "Answers while the agent lives.", answer: .json("Health", "It does.")),
        Endpoint(
            "GET", "/openapi.json", "describe", "Gives this document.",
            answer: .init(status: 200, description: "An OpenAPI 3.1 document.")),
    ]
}
