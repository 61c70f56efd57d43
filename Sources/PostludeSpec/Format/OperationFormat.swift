import PostludeCore

/// The keys of the format.
extension FormatObject {
    var keys: [FormatKey] {
        switch self {
        case .file: Self.fileKeys
        case .hook: Self.hookKeys
        case .param: Self.paramKeys
        case .io: Self.ioKeys
        case .validation: Self.validationKeys
        case .run: Self.runKeys
        case .container: Self.containerKeys
        case .variable: Self.variableKeys
        case .resources: Self.resourceKeys
        case .environment: Self.environmentKeys
        case .initStep: Self.initKeys
        case .git: Self.gitKeys
        case .initFile: Self.initFileKeys
        case .termination: Self.terminationKeys
        case .plugins: Self.pluginKeys
        case .cache: Self.cacheKeys
        case .node: Self.nodeKeys
        case .matrix: Self.matrixKeys
        case .axis: [FormatKey("kind", .choice(MatrixReader.kinds)), FormatKey("value", Self.axisShape)]
        case .span: Self.spanKeys.map { FormatKey($0, .number) }
        case .schedule: Self.scheduleKeys
        case .join: Self.joinKeys
        case .joinParam: Self.joinParamKeys
        }
    }

    private static let strategies = FormatShape.choice(PatchStrategy.allCases.map(\.rawValue))
    private static let resourceShape = FormatShape.either([.object(.resources), .dictionary(.scalar)])
    private static let variables = FormatShape.either([.list(.object(.variable)), .dictionary(.scalar)])
    private static let words = FormatShape.listOrOne(.scalar)

    private static let fileKeys: [FormatKey] =
        [
            FormatKey("version", .templated(.number), "1.1; selects nothing."),
            FormatKey("kind", .choice(["operation", "component"]), "What the file is; may be left out."),
            FormatKey("name", .text, "Letters, digits, '-', '_' and '.', 128 at most."),
            FormatKey("description", .text), FormatKey("tags", .listOrOne(.text)),
            FormatKey("inputs", .list(.object(.io)), "What the component takes."),
            FormatKey("outputs", .list(.object(.io)), "What the component makes, written to $POSTLUDE_OUTPUTS."),
            FormatKey("params", .dictionary(.either([.object(.param), .anything])), "Values for the inputs."),
            FormatKey("strictParams", .flag, "Refuse params that are no input."),
            FormatKey("component", .object(.file), "The component, written in place."),
            FormatKey("hubRef", .text, "A component of the hub: name or name:tag."),
            FormatKey("pathRef", .text, "A file with the component, beside this one."),
            FormatKey("presets", .listOrOne(.text), "Presets that are merged in, in this order."),
            FormatKey("isPreset", .flag, "The file is a preset: it only changes operations that name it."),
            FormatKey("runPatch", .object(.run), "What is merged into the component's `run`."),
            FormatKey("patchStrategy", strategies, "How this file is merged over its component; post_merge."),
            FormatKey("disableDefaults", .flag, "Leave out the presets that the site gives every operation."),
            FormatKey("connection", .text, "A connection of the site, for the component."),
            FormatKey("connectionKinds", .list(.text), "Kinds of connections that the component works with."),
            FormatKey("conditions", .text, "An expression; when it is false the run is skipped."),
            FormatKey("queue", .text),
            FormatKey("cache", .object(.cache), "When an earlier run's outputs may stand for this one's."),
            FormatKey("isApproved", .flag, "false holds the run until `postlude approve`."),
            FormatKey("matrix", .object(.matrix), "The points that the operation runs with."),
            FormatKey("schedule", .object(.schedule), "When the operation runs again and again."),
            FormatKey("joins", .list(.object(.join)), "Runs to search for, and the params that come from them."),
            FormatKey("template", .anything, "Describes the file to people."),
            FormatKey("termination", .object(.termination)), FormatKey("plugins", .object(.plugins)),
            FormatKey("hooks", .list(.object(.hook)), "What runs when the run has ended."),
            FormatKey("run", .object(.run), "What runs."), FormatKey("container", .object(.container)),
            FormatKey("cmd", .listOrOne(.text), "A shell script for `container`; stops at the first failure."),
            FormatKey("env", variables), FormatKey("resources", resourceShape),
            FormatKey("environment", .object(.environment)), FormatKey("init", .list(.object(.initStep))),
            FormatKey("sidecars", .list(.object(.container))),
            FormatKey("connections", .listOrOne(.text), "Connections of the site that main gets."),
            FormatKey("ports", ports, "Makes a service of it."),
        ] + Features.clusterOnly.map(FormatKey.noEffect)

    /// An operation of a graph.
    private static let nodeKeys: [FormatKey] =
        fileKeys.filter { !["schedule", "isPreset"].contains($0.name) } + [
            FormatKey("dagRef", .text, "One of the graph's `components`."),
            FormatKey("dependencies", .listOrOne(.text), "Operations of the graph that come before this one."),
            FormatKey("trigger", .choice(Dag.Trigger.allCases.map(\.rawValue)), "How they are to end; all_succeeded."),
            FormatKey("skipOnUpstreamSkip", .flag, "Skip it when one of them is skipped."),
        ]

    private static let ports = FormatShape.listOrOne(.either([.integer, .text]))

    private static let matrixKeys: [FormatKey] = [
        FormatKey("kind", .choice(["grid", "random", "mapping", "list"])),
        FormatKey("params", .dictionary(.object(.axis)), "Of grid and random: the values of each param."),
        FormatKey("values", .list(.dictionary(.anything)), "Of mapping: the points."),
        FormatKey("numRuns", .integer, "How many points to draw, or the most that a grid has."),
        FormatKey("seed", .integer), FormatKey("concurrency", .integer, "Runs alive at a time."),
        FormatKey("hooks", .list(.object(.hook)), "What runs when all points have ended."),
    ]

    private static let axisShape = FormatShape.either([.object(.span), .list(.anything), .text])
    private static let cacheKeys: [FormatKey] = [
        FormatKey("disable", .flag), FormatKey("ttl", .integer, "Seconds that an earlier run may be old."),
        FormatKey("io", .listOrOne(.text), "The inputs that count; all."),
        FormatKey("sections", .listOrOne(.choice(CachePolicy.Section.allCases.map(\.rawValue))), "Of `run`; all."),
    ]

    static let spanKeys = ["start", "stop", "step", "num", "base", "low", "high", "loc", "scale", "q"]

    private static let scheduleKeys: [FormatKey] = [
        FormatKey("kind", .choice(["cron", "interval", "datetime"])),
        FormatKey("cron", .text, "Minute, hour, day of the month, month, day of the week."),
        FormatKey("frequency", .integer, "Of interval: seconds."), FormatKey("startAt", .text),
        FormatKey("endAt", .text), FormatKey("maxRuns", .integer),
        FormatKey("dependsOnPast", .flag, "Wait until the run before has ended."),
        FormatKey("timeZone", .text, "Such as Europe/Berlin; UTC."),
        FormatKey("hooks", .list(.object(.hook)), "What runs when the schedule is over."),
    ]

    private static let hookKeys: [FormatKey] = [
        FormatKey("name", .text), FormatKey("hubRef", .text, "A component of the hub: name or name:tag."),
        FormatKey("pathRef", .text, "A file with the component."),
        FormatKey("component", .object(.file), "The component, written in place."),
        FormatKey("trigger", .choice(Hook.Trigger.allCases.map(\.rawValue)), "The end that sets it off; done."),
        FormatKey("conditions", .text, "An expression on main's inputs, outputs and status."),
        FormatKey("params", .dictionary(.either([.object(.param), .anything]))),
        FormatKey("presets", .listOrOne(.text)),
        FormatKey("runPatch", .object(.run)), FormatKey("patchStrategy", strategies),
        FormatKey("connection", .text), FormatKey("queue", .text),
        FormatKey("disableDefaults", .flag, "Leave out main's facts as params, and the site's presets for hooks."),
        FormatKey("termination", .object(.termination)), .noEffect("namespace"),
    ]

    private static let paramKeys: [FormatKey] = [
        FormatKey("value", .anything), FormatKey("contextOnly", .flag, "Seen by templates only."),
        FormatKey("toEnv", .text, "The environment variable that gets the value."), FormatKey("toInit", .flag),
        FormatKey("ref", .text, "In a dag: ops.NAME or dag; `value` says what of it, as in outputs.loss."),
    ]

    private static let joinKeys: [FormatKey] = [
        FormatKey("query", .text, "Conditions, as in: metrics.loss: <0.3, status: succeeded | stopped, name: ~a."),
        FormatKey("sort", .text, "Fields, the first counts most, as in: -metrics.accuracy, created_at."),
        FormatKey("limit", .templated(.integer), "Runs to take; \(Join.defaultLimit), and \(Join.maxLimit) at most."),
        FormatKey("offset", .templated(.integer), "Runs to pass over."),
        FormatKey("params", .dictionary(.object(.joinParam)), "Each becomes a list, an item for each run."),
    ]

    private static let joinParamKeys: [FormatKey] = [
        FormatKey("value", .text, "Of each run: inputs.NAME, outputs.NAME or globals.NAME."),
        FormatKey("contextOnly", .flag, "Seen by templates only."),
        FormatKey("toEnv", .text, "The environment variable that gets the list."), FormatKey("toInit", .flag),
    ]

    private static let ioKeys: [FormatKey] = [
        FormatKey("name", .text), FormatKey("description", .text),
        FormatKey("type", .text, "\(InputType.names.sorted().joined(separator: ", ")), List[...] or Dict[...]."),
        FormatKey("value", .anything, "The default; makes it optional."), FormatKey("isOptional", .flag),
        FormatKey("isList", .flag), FormatKey("isFlag", .flag), FormatKey("argFormat", .scalar),
        FormatKey("toEnv", .text), FormatKey("toInit", .flag), FormatKey("delayValidation", .flag),
        FormatKey("options", .anything), FormatKey("validation", .object(.validation)),
    ]

    private static let validationKeys: [FormatKey] =
        IOConstraint.Rule.allCases.map { FormatKey($0.rawValue, .anything) } + [FormatKey("delay", .anything)]

    private static let runKeys: [FormatKey] = [
        FormatKey("kind", .choice(["job", "service", "dag"])), FormatKey("profile", .text, "The sandbox profile."),
        FormatKey("environment", .object(.environment)), FormatKey("init", .list(.object(.initStep))),
        FormatKey("sidecars", .list(.object(.container))), FormatKey("container", .object(.container)),
        FormatKey("connections", .listOrOne(.text), "Connections of the site that main gets."),
        FormatKey("ports", ports, "Of a service: what it listens on, on its own loopback."),
        FormatKey("replicas", .integer, "1."), .noEffect("rewritePath"), .noEffect("isExternal"),
        FormatKey("operations", .list(.object(.node)), "Of a dag: what it runs."),
        FormatKey("components", .list(.object(.file)), "Of a dag: components for `dagRef`."),
        FormatKey("concurrency", .integer, "Of a dag: operations alive at a time."),
    ]

    private static let containerKeys: [FormatKey] =
        [
            FormatKey("name", .text), FormatKey("image", .scalar), FormatKey("command", words),
            FormatKey("args", words), FormatKey("env", variables), FormatKey("workingDir", .scalar),
            FormatKey("resources", resourceShape),
        ] + Features.clusterContainer.map(FormatKey.noEffect)

    private static let variableKeys: [FormatKey] = [FormatKey("name", .text), FormatKey("value", .scalar)]

    private static let resourceKeys: [FormatKey] = [
        FormatKey("requests", .dictionary(.scalar)), FormatKey("limits", .dictionary(.scalar)),
    ]

    private static let environmentKeys: [FormatKey] =
        [FormatKey("restartPolicy", .text)] + Features.clusterEnvironment.map(FormatKey.noEffect)

    private static let initKeys: [FormatKey] = [
        FormatKey("container", .object(.container)), FormatKey("file", .object(.initFile)),
        FormatKey("paths", .listOrOne(.either([.scalar, .list(.scalar)])), "Host paths, or pairs [from, to]."),
        FormatKey("git", .object(.git)), FormatKey("path", .scalar, "Where it goes; the run's artifacts."),
        FormatKey("connection", .text, "A connection of the site, for this step."),
    ]

    private static let gitKeys: [FormatKey] = [
        FormatKey("url", .scalar), FormatKey("revision", .scalar), FormatKey("flags", words),
    ]

    private static let initFileKeys: [FormatKey] = [
        FormatKey("content", .scalar), FormatKey("filename", .scalar),
        FormatKey("chmod", .scalar, "Such as 755 or +x."),
        .noEffect("kind"),
    ]

    private static let terminationKeys: [FormatKey] = [
        FormatKey("maxRetries", .templated(.integer)), FormatKey("timeout", .templated(.integer), "Seconds."),
        FormatKey("gracePeriodSeconds", .templated(.integer), "Seconds between SIGTERM and SIGKILL."),
        .noEffect("podFailurePolicy"),
    ]

    private static let pluginKeys: [FormatKey] = Features.plugins.map(FormatKey.noEffect)
}
