/// Keys of the format that this version refuses by name, and those that only mean something on a cluster.
enum Features {
    /// On operations and components alike.
    static let unsupported: KeyValuePairs<String, String> = [
        "events": "Submit the operation when the event happens.",
        "build": "Programs run on the host's file system; install what they need there.",
        "urlRef": "Download the component and name it with `pathRef`.",
        "mount": "Use an init step with `paths`.",
        "contexts": "Use params with `contextOnly: true`.",
    ]

    /// On whatever is no operation of a graph.
    static let notOfNodes: KeyValuePairs<String, String> = ["dagRef": "Name the component with `pathRef` or `hubRef`."]

    /// Keys that the component of a hook does not have.
    static let notOfHooks: KeyValuePairs<String, String> = [
        "matrix": "A hook runs once; let it submit the matrix.", "schedule": "A hook runs when its main has ended.",
        "joins": "A hook is told of its main; let an operation of a dag search for others.",
    ]

    /// Keys of the operations of a graph.
    static let nodeOnly: KeyValuePairs<String, String> = [
        "dependencies": "It belongs to the operations of a dag.",
        "trigger": "It belongs to the operations of a dag; hooks have a `trigger` as well.",
        "skipOnUpstreamSkip": "It belongs to the operations of a dag.",
    ]

    /// Keys of `run` that a service alone has.
    static let serviceOnly: KeyValuePairs<String, String> = [
        "ports": "It belongs to services; write kind: service.",
        "rewritePath": "It belongs to services; write kind: service.",
        "isExternal": "It belongs to services; write kind: service.",
        "replicas": "It belongs to services; write kind: service.",
    ]

    /// Keys of `run` that a graph alone has.
    static let dagOnly: KeyValuePairs<String, String> = [
        "operations": "It belongs to graphs; write kind: dag.", "components": "It belongs to graphs; write kind: dag.",
        "concurrency": "It belongs to graphs (kind: dag) and to `matrix`.",
    ]

    /// Keys of `run` that the operations of a graph have, and the graph itself does not.
    static let jobOnly: KeyValuePairs<String, String> = [
        "container": "Write it into the graph's operations.", "init": "Write it into the graph's operations.",
        "sidecars": "Write it into the graph's operations.", "connections": "Write it into the graph's operations.",
        "profile": "Write it into the graph's operations.",
    ]

    /// Parts of a job that need what a single node does not have yet.
    static let unsupportedRun: KeyValuePairs<String, String> = [
        "volumes": "Use an init step with `paths`, or files below the working directory."
    ]

    static let unsupportedKinds: [String: String] = [
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

    static let unsupportedEnvironment: KeyValuePairs<String, String> = [
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

    static let unsupportedContainer: KeyValuePairs<String, String> = [
        "volumeMounts": "Use an init step with `paths`, or files below the working directory.",
        "volumeDevices": "Ask for devices in `resources`.",
        "envFrom": "Write the variables into `env`.",
        "lifecycle": "Use init steps and hooks.",
        "restartPolicy": "Use `termination.maxRetries`.",
    ]

    static let unsupportedInit: KeyValuePairs<String, String> = [
        "artifacts": "Use `paths` with the host's path of the artifacts.",
        "dockerfile": "Build the image elsewhere, and map it in the agent's configuration (`images`).",
        "tensorboard": "Use `paths` with the host's path of the events.",
        "lineageRef": "Use `paths` with the host's path.", "modelRef": "Use `paths` with the host's path.",
        "artifactRef": "Use `paths` with the host's path.",
    ]
}
