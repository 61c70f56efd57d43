/// Keys of the format that this version refuses by name, and those that only mean something on a cluster.
enum Features {
    /// On operations and components alike.
    static let unsupported: [String: String] = [
        "matrix": "Submit one operation for each point of the matrix.",
        "schedule": "Start the operation from cron or a systemd timer with `postlude submit`.",
        "joins": "Pass the values as params.",
        "events": "Submit the operation when the event happens.",
        "dependencies": "Submit the next operation from a hook or a script.",
        "trigger": "It belongs to dependencies, which are not supported yet; hooks have a `trigger`.",
        "skipOnUpstreamSkip": "It belongs to dependencies, which are not supported yet.",
        "build": "Programs run on the host's file system; install what they need there.",
        "presets": "Write the preset's settings into the file.",
        "isPreset": "Write the preset's settings into the files that use it.",
        "runPatch": "Change the component, or give it an input for what differs.",
        "patchStrategy": "It belongs to `runPatch` and presets, which are not supported yet.",
        "urlRef": "Download the component and name it with `pathRef`.",
        "dagRef": "Name the component with `pathRef` or `hubRef`.",
        "mount": "Use an init step with `paths`.",
        "contexts": "Use params with `contextOnly: true`.",
    ]

    /// Parts of a job that need what a single node does not have yet.
    static let unsupportedRun: [String: String] = [
        "connections": "Give addresses and credentials as params.",
        "volumes": "Use an init step with `paths`, or files below the working directory.",
    ]

    static let unsupportedKinds: [String: String] = [
        "service": "Run the server as a job with a `timeout`.",
        "dag": "Submit the operations one by one, or start the next from a hook.",
        "tfjob": "Distributed kinds need a cluster.", "pytorchjob": "Distributed kinds need a cluster.",
        "mpijob": "Distributed kinds need a cluster.", "mxjob": "Distributed kinds need a cluster.",
        "xgbjob": "Distributed kinds need a cluster.", "paddlejob": "Distributed kinds need a cluster.",
        "daskjob": "Distributed kinds need a cluster.", "rayjob": "Distributed kinds need a cluster.",
        "daskcluster": "Clusters need a cluster.", "raycluster": "Clusters need a cluster.",
        "spark": "Distributed kinds need a cluster.", "flink": "Distributed kinds need a cluster.",
        "notifier": "Use a hook with `hubRef: webhook`.", "tuner": "Submit one operation for each point.",
        "cleaner": "Remove run directories with the agent's own commands.",
        "watchdog": "Use `termination.timeout`.",
    ]

    /// Kinds of Polyaxon before 1.0.
    static let oldKinds: Set<String> = [
        "experiment", "group", "notebook", "tensorboard", "build", "pipeline", "operations",
    ]

    static let clusterOnly = ["namespace", "cost"]

    static let clusterEnvironment = [
        "labels", "annotations", "nodeSelector", "tolerations", "affinity", "nodeName", "serviceAccountName",
        "serviceAccount", "hostAliases", "securityContext", "imagePullSecrets", "dnsPolicy", "dnsConfig",
        "schedulerName", "priorityClassName",
    ]

    static let unsupportedEnvironment: [String: String] = [
        "priority": "Runs start in the order they were submitted.",
        "hostNetwork": "Ask for a profile with `run.profile`, such as notifier.",
        "hostPID": "Steps always have their own process ids.",
    ]

    /// Settings of plugins that have no counterpart here; what they switch on is either always so or needs a cluster.
    static let plugins = [
        "auth", "docker", "shm", "tmux", "sandbox", "ssh", "mountArtifactsStore", "collectArtifacts", "collectLogs",
        "collectResources", "syncStatuses", "autoResume", "logLevel", "externalHost", "sidecar",
    ]

    static let clusterContainer = [
        "imagePullPolicy", "ports", "securityContext", "stdin", "stdinOnce", "tty", "terminationMessagePath",
        "terminationMessagePolicy", "livenessProbe", "readinessProbe", "startupProbe", "resizePolicy",
    ]

    static let unsupportedContainer: [String: String] = [
        "volumeMounts": "Use an init step with `paths`, or files below the working directory.",
        "volumeDevices": "Ask for devices in `resources`.",
        "envFrom": "Write the variables into `env`.",
        "lifecycle": "Use init steps and hooks.",
        "restartPolicy": "Use `termination.maxRetries`.",
    ]

    static let unsupportedInit: [String: String] = [
        "artifacts": "Use `paths` with the host's path of the artifacts.",
        "dockerfile": "Programs run on the host's file system; there is no image to build.",
        "tensorboard": "Use `paths` with the host's path of the events.",
        "lineageRef": "Use `paths` with the host's path.", "modelRef": "Use `paths` with the host's path.",
        "artifactRef": "Use `paths` with the host's path.", "connection": "Give addresses as params.",
    ]
}
