import PostludeCore

extension OpenAPI {
    /// What steps used and what held them, devices, the node, and refusals.
    static let stepSchemas: [String: Value] = [
        "AttemptRecord": Schema.object(
            required: [
                "number": Schema.integer(), "steps": Schema.list(Schema.named("StepRecord")),
                "leases": Schema.list(Schema.named("LeaseRecord")),
            ],
            optional: ["artifactsBytes": Schema.integer("Absent until the attempt is over.")]),
        "StepRecord": Schema.object(
            required: ["name": Schema.text(), "role": Schema.named("StepRole")],
            optional: [
                "startedAt": Schema.time(), "finishedAt": Schema.time(), "exit": Schema.named("ProcessExit"),
                "usage": Schema.named("StepUsage"), "receipt": Schema.named("Receipt"),
            ]),
        "StepRole": Schema.words(["init", "main", "sidecar"]),
        "ProcessExit": Schema.oneOf([
            Schema.object("It ended by itself.", required: ["code": Schema.integer()]),
            Schema.object("A signal ended it.", required: ["signal": Schema.integer(), "coreDumped": Schema.flag()]),
            Schema.object(
                "It could not be set up; the program never ran.",
                required: [
                    "setupFailed": Schema.text("The stage."), "errno": Schema.integer(), "detail": Schema.text(),
                ]),
            Schema.object("Nobody knows.", required: ["unknown": ["const": true]]),
        ]),
        "StepUsage": Schema.object(
            "What is not known is left out, never 0.",
            optional: [
                "wallSeconds": Schema.number(), "userSeconds": Schema.number(), "systemSeconds": Schema.number(),
                "peakMemoryBytes": Schema.integer(), "maxRSSBytes": Schema.integer(), "oomKills": Schema.integer(),
                "peakPIDs": Schema.integer(), "forksRefused": Schema.integer(), "throttledSeconds": Schema.number(),
                "readBytes": Schema.integer(), "writtenBytes": Schema.integer(),
                "logBytesDropped": Schema.integer("Output beyond the cap."),
            ]),
        "Receipt": Schema.object(
            "The isolation that was in force, read back from the kernel.",
            required: [
                "namespaces": Schema.map(Schema.unsigned(bits: 64), "Kind to inode."),
                "sharedNamespaces": Schema.list(Schema.text(), "Kinds shared with the host."),
                "cgroups": Schema.map(Schema.text()), "limits": Schema.map(Schema.text(), "File to content."),
                "deviceFilterPrograms": Schema.list(Schema.unsigned(bits: 32)), "seccompProfile": Schema.text(),
                "seccompMode": Schema.integer(), "seccompFilters": Schema.integer(), "noNewPrivileges": Schema.flag(),
                "capabilities": Schema.map(Schema.unsigned(bits: 64)), "uid": Schema.unsigned(bits: 32),
                "gid": Schema.unsigned(bits: 32), "groups": Schema.list(Schema.unsigned(bits: 32)),
                "mounts": Schema.integer(), "writableMounts": Schema.list(Schema.text()), "profile": Schema.text(),
                "devices": Schema.list(Schema.text()),
            ],
            optional: [
                "landlock": Schema.text(), "deviceIsolation": Schema.text(),
                "accounting": Schema.text("Where the usage comes from: `cgroup` or `rusage`."),
                "lacking": Schema.list(Schema.text(), "What the profile requires and the run went without."),
                "coreScheduling": Schema.flag(), "root": Schema.named("RootSource"),
            ]),
        "RootSource": Schema.object(
            "What the step's root was made of.",
            required: ["kind": Schema.words(["host", "directory", "oci"])],
            optional: ["image": Schema.text(), "path": Schema.text(), "digest": Schema.text()]),
        "LeaseRecord": Schema.object(
            "A device's time with one attempt.",
            required: [
                "device": Schema.text(), "leasedAt": Schema.time(),
                "evidence": Schema.list(Schema.named("DeviceHolder")),
            ],
            optional: [
                "releasingAt": Schema.time("When the hand-back began."),
                "releasedAt": Schema.time("When it was verified free."), "quarantinedAt": Schema.time(),
            ]),
        "Device": Schema.object(
            required: [
                "id": Schema.text(), "deviceClass": Schema.text(), "nodes": Schema.list(Schema.named("DeviceNode")),
            ],
            optional: [
                "environmentName": Schema.text(), "environmentValue": Schema.text(), "model": Schema.text(),
                "uuid": Schema.text(),
            ]),
        "DeviceNode": Schema.object(
            required: [
                "path": Schema.text(), "major": Schema.unsigned(bits: 32), "minor": Schema.unsigned(bits: 32),
                "isShared": Schema.flag(),
            ]),
        "DeviceHolder": Schema.object(
            "A process that has a device, or may get it.",
            required: [
                "pid": Schema.integer(), "command": Schema.text(), "uid": Schema.unsigned(bits: 32),
                "how": Schema.words(["descriptor", "mapping", "in-flight"]), "node": Schema.text(),
            ]),
        "DeviceStatus": Schema.object(
            "Who has it is told to those who may see the run.",
            required: [
                "device": Schema.named("Device"),
                "state": Schema.words(["idle", "leased", "releasing", "quarantined"]),
                "evidence": Schema.list(Schema.named("DeviceHolder")),
            ],
            optional: ["run": Schema.run(), "since": Schema.time()]),
        "UsageRecord": Schema.object(
            "One row of accounting: a step of an attempt.",
            required: [
                "run": Schema.run(), "runName": Schema.text(), "project": Schema.text(), "user": Schema.text(),
                "attempt": Schema.integer(), "step": Schema.text(), "role": Schema.named("StepRole"),
                "status": Schema.named("RunStatus"), "devices": Schema.list(Schema.text()),
            ],
            optional: [
                "upstream": Schema.run(), "hookName": Schema.text(), "exit": Schema.named("ProcessExit"),
                "queueSeconds": Schema.number("From queued to the attempt's lease."),
                "usage": Schema.named("StepUsage"),
                "deviceSeconds": Schema.number("On main's row only: leased until main ended."),
                "releasingSeconds": Schema.number("On main's row only: from there until verified free."),
                "artifactsBytes": Schema.integer("On main's row only."),
                "startedAt": Schema.time(), "finishedAt": Schema.time(),
            ]),
    ]
}
