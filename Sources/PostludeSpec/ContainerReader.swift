import PostludeCore

/// Reads containers: what they run, with what environment and resources.
struct ContainerReader {
    let session: SpecSession
    let resources: ResourcesReader
    /// `main`, `sidecar` or `init`, for messages and for what each may ask.
    let role: StepRole

    func read(_ node: YAMLNode, path: String) -> ContainerSpec? {
        guard var reader = MappingReader(node, path: path, session.findings) else { return nil }
        var container = ContainerSpec(place: reader.place)
        container.name = reader.text("name")
        if let image = reader.entry("image"), !image.value.isNull {
            container.image = session.template(image.value, reader.name(of: "image"))
        }
        container.command = session.templates(reader.take("command"), reader.name(of: "command"))
        container.args = session.templates(reader.take("args"), reader.name(of: "args"))
        if let env = reader.take("env") { container.environment = environment(env, reader.name(of: "env")) }
        if let directory = reader.take("workingDir") {
            container.workingDirectory = session.template(directory, reader.name(of: "workingDir"))
        }
        if let resources = reader.entry("resources"), !resources.value.isNull {
            container.resources = self.resources.read(resources.value, path: reader.name(of: "resources"))
            refuseDevices(container.resources, at: resources.keyPlace)
        }
        reader.refuse(Features.unsupportedContainer)
        reader.ignore(Features.clusterContainer)
        reader.finish()
        if !reader.has("command") {
            session.findings.unsupported(
                "an image's entry point", "Give `\(path)` a `command`; an image's own is never run.",
                at: reader.place)
        }
        return container
    }

    func refuseDevices(_ request: ResourceRequest, at place: SourcePlace) {
        guard role != .main, request.devices.values.contains(where: { $0 > 0 }) else { return }
        session.findings.unsupported(
            "devices for \(role == .sidecar ? "a sidecar" : "an init step")", "Ask for devices in the main container.",
            at: place)
    }

    /// `[{name: A, value: b}]`, or the short form `{A: b}`.
    func environment(_ node: YAMLNode, _ path: String) -> [ContainerSpec.EnvironmentVariable] {
        var variables: [ContainerSpec.EnvironmentVariable] = []
        switch node.content {
        case .mapping(let entries):
            for entry in entries { add(entry.key, entry.value, at: entry.keyPlace, path, &variables) }
        case .sequence(let items):
            for item in items { read(item, path, &variables) }
        case .scalar:
            session.findings.wrongType(
                path, wanted: "a list of variables", node, hint: "Such as [{name: A, value: b}].")
        }
        return variables
    }

    private func read(_ item: YAMLNode, _ path: String, _ variables: inout [ContainerSpec.EnvironmentVariable]) {
        guard var reader = MappingReader(item, path: path, session.findings) else { return }
        let name = reader.text("name")
        let value = reader.take("value")
        let isReference = reader.has("valueFrom")
        reader.refuse(["valueFrom": "Write the value, or pass it as a param with `toEnv`."])
        reader.finish()
        guard !isReference else { return }
        guard let name else {
            session.findings.error(
                "spec.missing-key", "A variable of `\(path)` has no `name`.", hint: "Add `name: VARIABLE`.",
                at: reader.place)
            return
        }
        guard let value else {
            variables.append(.init(name, Template("")))
            return
        }
        add(name, value, at: reader.place, path, &variables)
    }

    private func add(
        _ name: String, _ value: YAMLNode, at place: SourcePlace, _ path: String,
        _ variables: inout [ContainerSpec.EnvironmentVariable]
    ) {
        guard IOReader.isVariableName(name) else {
            session.findings.error(
                "spec.invalid-value", "'\(name)' cannot be the name of a variable.",
                hint: "Use letters, digits and '_', not starting with a digit.", at: place)
            return
        }
        if name.hasPrefix("POSTLUDE_") {
            session.findings.error(
                "spec.reserved-name", "The variable '\(name)' belongs to the agent.", hint: "Choose another name.",
                at: place)
        }
        guard let template = session.template(value, "\(path).\(name)") else { return }
        variables.append(.init(name, template))
    }
}
