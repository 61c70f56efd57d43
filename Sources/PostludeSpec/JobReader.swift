import PostludeCore

/// Reads `run`, into which the short forms of 2.18 are merged already.
struct JobReader {
    let session: SpecSession
    let purpose: ComponentReader.Purpose
    let inputs: EvaluationContext?
    /// The graph, when that is what runs.
    private(set) var dag: Dag?

    init(session: SpecSession, purpose: ComponentReader.Purpose, inputs: EvaluationContext?) {
        self.session = session
        self.purpose = purpose
        self.inputs = inputs
    }

    private var resources: ResourcesReader { ResourcesReader(session: session, inputs: inputs) }

    /// nil, with findings, when nothing can run.
    mutating func read(_ reader: inout MappingReader) -> JobSpec? {
        if let run = reader.take("run") { return self.run(run, path: reader.name(of: "run")) }
        session.findings.error(
            "spec.nothing-to-run", "Nothing says what to run.", hint: "Add `run` with kind: job and a container.",
            at: reader.place)
        return nil
    }

    // MARK: run

    private mutating func run(_ node: YAMLNode, path: String) -> JobSpec? {
        guard var reader = MappingReader(node, path: path, session.findings) else { return nil }
        guard let kind = kind(&reader) else { return nil }
        if kind == "dag" {
            guard purpose.allowsDag else {
                session.findings.unsupported(
                    "a dag in a hook", "Run a job, which may submit the dag.", at: reader.place)
                return nil
            }
            // The graph's operations run; the component itself runs nothing.
            dag = DagReader(session: session).read(&reader)
            return dag.map { _ in JobSpec(container: ContainerSpec(place: reader.place)) }
        }
        let profile = profile(&reader)
        environment(&reader)
        let initSteps = initSteps(&reader)
        let sidecars = sidecars(&reader)
        let connections = ConnectionReader(session: session).references(&reader, "connections")
        reader.refuse(Features.unsupportedRun)
        reader.refuse(Features.dagOnly)
        var service: ServiceSpec?
        if kind == "service" { service = self.service(&reader) } else { reader.refuse(Features.serviceOnly) }
        var container: ContainerSpec?
        if let main = reader.take("container") {
            container = ContainerReader(session: session, resources: resources, role: .main)
                .read(main, path: reader.name(of: "container"))
        } else {
            session.findings.error(
                "spec.missing-key", "`\(path)` has no `container`.", hint: "Add `container` with a `command`.",
                at: reader.place)
        }
        reader.finish()
        if !connections.isEmpty { container?.connections = connections }
        return container.map {
            JobSpec(profile: profile, initSteps: initSteps, sidecars: sidecars, container: $0, service: service)
        }
    }

    private func service(_ reader: inout MappingReader) -> ServiceSpec {
        var ports: [Int] = []
        if let node = reader.take("ports") {
            let items: [YAMLNode] = if case .sequence(let items) = node.content { items } else { [node] }
            for item in items {
                if case .int(let port)?? = item.scalar.map(\.value), (1...65_535).contains(port) {
                    ports.append(Int(port))
                } else if !item.hasTemplate {
                    session.findings.error(
                        "spec.invalid-value", "`\(reader.name(of: "ports"))` takes port numbers.",
                        hint: "Such as ports: [8080].", at: item.place)
                }
            }
            session.findings.note(
                "spec.service-ports",
                "`\(reader.name(of: "ports"))` opens nothing: a run listens on a loopback of its own, which its sidecars "
                    + "reach and nobody else does.", at: node.place)
        }
        reader.ignore(["rewritePath", "isExternal"])
        if let entry = reader.entry("replicas"), let count = reader.count("replicas"), count != 1 {
            session.findings.unsupported("replicas: \(count)", "Write replicas: 1.", at: entry.keyPlace)
        }
        return ServiceSpec(ports: ports)
    }

    /// What the run is: `job`, `service` or `dag`.
    private func kind(_ reader: inout MappingReader) -> String? {
        guard let node = reader.take("kind") else {
            session.findings.error(
                "spec.missing-key", "`\(reader.path)` has no `kind`.", hint: "Add kind: job.", at: reader.place)
            return nil
        }
        guard let kind = reader.text(of: node, named: reader.name(of: "kind")) else { return nil }
        if ["job", "service", "dag"].contains(kind) { return kind }
        if let hint = Features.unsupportedKinds[kind.lowercased()] {
            session.findings.unsupported(kind, hint, at: node.place)
        } else {
            session.findings.error(
                "spec.unknown-kind", "There is no kind of run called '\(kind)'.",
                hint: Suggestion.hint(for: kind, among: ["job", "service", "dag"] + Features.unsupportedKinds.keys)
                    ?? "Write kind: job.",
                at: node.place)
        }
        return nil
    }

    private func profile(_ reader: inout MappingReader) -> String? {
        guard let entry = reader.entry("profile"), let name = reader.text("profile") else { return nil }
        guard session.profiles.contains(name) else {
            session.findings.error(
                "spec.unknown-profile", "There is no sandbox profile '\(name)'.",
                hint: Suggestion.hint(for: name, among: session.profiles)
                    ?? "Profiles are \(session.profiles.sorted().joined(separator: ", ")).", at: entry.value.place)
            return nil
        }
        return name
    }

    private func initSteps(_ reader: inout MappingReader) -> [InitSpec] {
        let path = reader.name(of: "init")
        let containers = ContainerReader(session: session, resources: resources, role: .initialize)
        let steps = InitReader(session: session, containers: containers)
        return (reader.list("init") ?? []).enumerated().compactMap { index, node in
            steps.read(node, path: "\(path)[\(index)]")
        }
    }

    private func sidecars(_ reader: inout MappingReader) -> [ContainerSpec] {
        let path = reader.name(of: "sidecars")
        let containers = ContainerReader(session: session, resources: resources, role: .sidecar)
        return (reader.list("sidecars") ?? []).enumerated().compactMap { index, node in
            containers.read(node, path: "\(path)[\(index)]")
        }
    }

    private func environment(_ parent: inout MappingReader) {
        guard var reader = parent.mapping("environment") else { return }
        if let entry = reader.entry("restartPolicy"), let policy = reader.text("restartPolicy"), policy != "Never" {
            session.findings.unsupported(
                "restartPolicy: \(policy)", "Use `termination.maxRetries`.", at: entry.keyPlace)
        }
        reader.ignore(Features.clusterEnvironment)
        reader.refuse(Features.unsupportedEnvironment)
        reader.finish()
    }
}
