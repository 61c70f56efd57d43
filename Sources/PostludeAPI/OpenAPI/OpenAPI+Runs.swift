import PostludeCore

extension OpenAPI {
    /// What runs look like on the wire.
    static let runSchemas: [String: Value] = [
        "RunID": Schema.text("32 hexadecimal digits.", pattern: "^[0-9a-f]{32}$"),
        "Timestamp": Schema.integer("Microseconds since 1970-01-01T00:00:00Z."),
        // No type: any JSON value.
        "Value": [
            "description": "A typed value: any JSON. Numbers that JSON lacks are words: Infinity, -Infinity, NaN."
        ],
        "RunStatus": Schema.words(
            RunStatus.allCases.map(\.rawValue),
            "succeeded, failed, stopped, skipped and upstream_failed are final."),
        "Submission": Schema.object(
            "An operation file, and the files that it refers to, as the submitter could read them.",
            required: [
                "path": Schema.text("The file's path as the user typed it, for diagnostics."),
                "text": Schema.text("The operation file."),
                "references": Schema.map(Schema.text(), "Files named by `pathRef`, by the path as written."),
                "workingDirectory": Schema.text("Absolute; the default `workingDir`."),
                "params": Schema.map(Schema.named("Value"), "They win over the file's."),
            ],
            optional: [
                "name": Schema.orNull(Schema.text()), "project": Schema.orNull(Schema.text()),
                "idempotencyKey": Schema.orNull(keySchema),
                "withoutHooks": Schema.orNull(Schema.flag("Whether the operation's hooks are left out.")),
                "queue": Schema.orNull(Schema.text("In place of the one that the file names.")),
                "hold": Schema.orNull(Schema.flag("Whether the run is held back until it is released.")),
            ]),
        "RunSummary": Schema.object(
            required: [
                "id": Schema.run(), "name": Schema.text(), "project": Schema.text(), "user": Schema.text(),
                "uid": Schema.unsigned(bits: 32), "status": Schema.named("RunStatus"),
                "reason": Schema.text("The last condition's."), "message": Schema.text("The last condition's."),
                "attempt": Schema.integer("0 before the first."), "devices": Schema.list(Schema.text()),
                "createdAt": Schema.time(),
            ],
            optional: [
                "upstream": Schema.run("For a hook run: its main."), "hookName": Schema.text(),
                "parent": Schema.run("For a child: its parent."),
                "childName": Schema.text("What a child is called in its parent."),
                "kind": Schema.words(["job", "service", "matrix", "dag", "schedule"]),
                "queuedAt": Schema.time(), "startedAt": Schema.time(), "finishedAt": Schema.time(),
                "queue": Schema.text(), "heldBackBy": Schema.text("Who keeps it from being started."),
            ]),
        "RunList": Schema.object(
            required: ["runs": Schema.list(Schema.named("RunSummary"), "Newest first.")],
            optional: ["next": Schema.run("`before` of the request that gets the next page; absent on the last.")]),
        "RunDetail": Schema.object(
            required: [
                "summary": Schema.named("RunSummary"), "conditions": Schema.list(Schema.named("RunCondition")),
                "inputs": Schema.map(Schema.named("Value")), "outputs": Schema.map(Schema.named("Value")),
                "attempts": Schema.list(Schema.named("AttemptRecord")),
                "hooks": Schema.list(Schema.named("HookRecord")),
                "notes": Schema.list(Schema.named("Diagnostic")),
                "artifacts": Schema.text("Where the run's artifacts lie on the agent's host."),
            ],
            optional: [
                "children": Schema.list(
                    Schema.named("RunSummary"), "For a parent: in order, at most \(RunDetail.childrenShown)."),
                "childCounts": Schema.map(Schema.integer(), "For a parent: how many children have which status."),
                "joins": Schema.list(Schema.named("JoinRecord"), "What the operation's joins found."),
            ]),
        "JoinRecord": Schema.object(
            required: [
                "query": Schema.text("As written."),
                "params": Schema.list(Schema.text(), "The params that it makes, by name."),
            ],
            optional: [
                "found": Schema.object(
                    "Absent for a schedule, each run of which searches by itself.",
                    required: [
                        "taken": Schema.integer("Runs whose values are in the lists."),
                        "leftOut": Schema.integer("Runs that were found and lack one of the values."),
                        "hasMore": Schema.flag("Whether more runs matched than the limit lets in."),
                    ])
            ]),
        "RunCondition": Schema.object(
            required: [
                "status": Schema.named("RunStatus"), "reason": Schema.text("A stable CamelCase word."),
                "message": Schema.text(), "lastTransition": Schema.time(), "lastUpdate": Schema.time(),
            ]),
        "RunEvent": Schema.object(
            "The data of one server-sent event; the event's name is its kind, its id the sequence number.",
            required: [
                "sequence": Schema.integer(), "run": Schema.run(),
                "kind": Schema.words(["status", "step", "device", "hook", "child"]),
                "subject": Schema.text("The status, the step's name, the device's id or the hook's name."),
                "what": Schema.text("`started`, `exited`, `released`, `fired`, a reason."), "detail": Schema.text(),
                "at": Schema.time(),
            ]),
        "HookRecord": Schema.object(
            required: [
                "index": Schema.integer(), "name": Schema.text(), "origin": Schema.text(),
                "trigger": Schema.named("Trigger"), "detail": Schema.text("Why it came to its outcome."),
            ],
            optional: [
                "outcome": Schema.words(
                    ["fired", "trigger_mismatch", "condition_false", "error"], "Absent until main has ended."),
                "run": Schema.run("The hook run, when it fired."), "status": Schema.named("RunStatus"),
                "explanation": Schema.named("HookExplanation"), "reruns": Schema.list(Schema.named("Rerun")),
            ]),
        "Rerun": Schema.object(
            required: ["run": Schema.run(), "status": Schema.named("RunStatus"), "at": Schema.time()]),
        "Trigger": Schema.words(Hook.Trigger.allCases.map(\.rawValue)),
        "HookExplanation": Schema.object(
            "How one hook came to its outcome.",
            required: [
                "trigger": Schema.named("Trigger"), "status": Schema.named("RunStatus"),
                "triggerMatches": Schema.flag(),
                "params": Schema.map(Schema.text("As JSON, cut where it is long.")),
                "errors": Schema.list(Schema.named("Diagnostic")),
            ],
            optional: ["condition": Schema.named("HookCondition")]),
        "HookCondition": Schema.object(
            required: ["source": Schema.text("As written."), "operands": Schema.list(Schema.named("HookOperand"))],
            optional: ["place": Schema.named("SourcePlace"), "holds": Schema.flag()]),
        "HookOperand": Schema.object(
            required: ["expression": Schema.text()], optional: ["value": Schema.text("As JSON; absent when unknown.")]),
        "WaitAnswer": Schema.object(optional: ["wait": Schema.named("WaitReport")]),
        "WaitReport": Schema.object(
            "Why a run waits: where it stands, and who has what it needs.",
            required: [
                "queue": Schema.text(), "waiting": Schema.integer("How many wait, this one among them."),
                "needs": Schema.named("Needs"),
                "holders": Schema.list(Schema.named("Holder"), "Who holds part of the node, the longest first."),
            ],
            optional: [
                "place": Schema.integer("1 when nobody has a better claim; absent while held back."),
                "heldBackBy": Schema.text(), "earliestStart": Schema.time("Absent when nobody can tell."),
            ]),
        "Needs": Schema.object(
            required: [
                "devices": Schema.map(Schema.integer(), "Count by device class."), "memoryBytes": Schema.integer(),
                "milliCPU": Schema.integer(),
            ]),
        "Holder": Schema.object(
            "Of others' runs only what they hold is told.",
            required: [
                "devices": Schema.list(Schema.text()), "memoryBytes": Schema.integer(), "milliCPU": Schema.integer(),
                "since": Schema.time(),
            ],
            optional: ["run": Schema.run(), "user": Schema.text(), "until": Schema.time()]),
    ]
}
