import PostludeCore

extension OpenAPI {
    /// The node's lists, and refusals.
    static let nodeSchemas: [String: Value] = [
        "DeviceList": Schema.object(required: ["devices": Schema.list(Schema.named("DeviceStatus"))]),
        "ImageList": Schema.object(required: ["images": Schema.list(Schema.named("ImageRecord"))]),
        "ImageRecord": Schema.object(
            "An image that the agent has unpacked.",
            required: [
                "digest": Schema.text("Of the image's manifest."), "usedAt": Schema.time(), "isInUse": Schema.flag(),
            ],
            optional: ["bytes": Schema.integer("Absent when nobody could tell.")]),
        "MaintenanceList": Schema.object(
            required: ["windows": Schema.list(Schema.named("MaintenanceWindow"), "The earliest first.")]),
        "MaintenanceWindow": Schema.object(
            "A time in which nothing is started but hook runs.",
            required: [
                "id": Schema.integer(), "from": Schema.time(), "reason": Schema.text(),
                "by": Schema.text("The user who asked for it."),
            ],
            optional: ["until": Schema.time("Absent until somebody ends it.")]),
        "BackupAnswer": Schema.object(required: ["path": Schema.text("On the agent's host.")]),
        "UsageList": Schema.object(required: ["records": Schema.list(Schema.named("UsageRecord"))]),
        "DoctorReport": Schema.object(required: ["checks": Schema.list(Schema.named("HostCheck"))]),
        "HostCheck": Schema.object(
            "A mechanism, and whether this host can enforce it.",
            required: [
                "name": Schema.text(), "verdict": Schema.words(["ok", "missing", "degraded"]), "detail": Schema.text(),
            ],
            optional: ["hint": Schema.text()]),
        "AgentInfo": Schema.object(
            required: [
                "version": Schema.text(), "api": Schema.text("The newest version of the API it speaks."),
                "pid": Schema.integer(), "uid": Schema.unsigned(bits: 32), "stateDirectory": Schema.text(),
            ]),
        "Health": Schema.object(required: ["status": Schema.words(["ok"])]),
        "SourcePlace": Schema.object(
            required: ["file": Schema.text(), "line": Schema.integer(), "column": Schema.integer()]),
        "Diagnostic": Schema.object(
            "A finding, with its place in the file where it has one.",
            required: [
                "severity": Schema.words(["error", "warning", "note"]), "code": Schema.text(),
                "message": Schema.text(),
            ],
            optional: ["hint": Schema.text(), "place": Schema.named("SourcePlace")]),
        "ErrorEnvelope": Schema.object(
            "The body of every answer with a status of 400 or more.",
            required: [
                "code": Schema.text("Stable, such as `spec.unknown-key`.", pattern: "^[a-z]+(\\.[a-z-]+)+$"),
                "message": Schema.text(),
                "details": Schema.list(
                    Schema.named("Diagnostic"), "Each finding, when it is the operation file that is refused."),
            ],
            optional: ["hint": Schema.text("What the reader can do about it.")]),
    ]
}
