import PostludeCore

/// Reads `run` and the short forms of 2.18 that stand beside or instead of it.
struct JobReader {
    let session: SpecSession
    let purpose: ComponentReader.Purpose
    let inputs: EvaluationContext?

    private var resources: ResourcesReader { ResourcesReader(session: session, inputs: inputs) }

    /// nil, with findings, when nothing can run.
    func read(_ reader: inout MappingReader) -> JobSpec? {
        let shortcuts = ["container", "cmd", "env", "resources", "environment", "init", "sidecars"]
        let hasShortcut = shortcuts.contains(where: reader.has)
        reader.refuse(["ports": "Services are not supported yet; run the server as a job."])
        reader.refuse(Features.unsupportedRun)
        var job: JobSpec?
        if let run = reader.take("run") {
            job = self.run(run, path: reader.name(of: "run"), cmdFollows: reader.has("cmd"))
            guard job != nil else {
                reader.accept(shortcuts)
                return nil
            }
        } else if !hasShortcut {
            // A preset has nothing to run; that presets are not supported is said elsewhere.
            if !reader.has("isPreset"), !reader.has("runPatch") {
                session.findings.error(
                    "spec.nothing-to-run", "Nothing says what to run.",
                    hint: "Add `run` with kind: job and a container.",
                    at: reader.place)
            }
            reader.accept(["run"] + shortcuts)
            return nil
        }
        if let node = reader.take("container") {
            if job != nil {
                session.findings.unsupported(
                    "container beside run", "Write it into `run.container`.", at: reader.entry("container")?.keyPlace)
            } else {
                let containers = ContainerReader(session: session, resources: resources, role: .main)
                let container = containers.read(
                    node, path: reader.name(of: "container"), needsCommand: !reader.has("cmd"))
                job = container.map { JobSpec(container: $0) }
            }
        }
        var result = job ?? JobSpec(container: ContainerSpec(place: reader.place))
        let hadContainer = job != nil
        apply(&reader, to: &result)
        if !hadContainer, !reader.has("cmd"), !reader.has("container") {
            ContainerReader(session: session, resources: resources, role: .main)
                .missingCommand(reader.name(of: "container"), at: reader.place)
        }
        return result
    }

    // MARK: Short forms

    private func apply(_ reader: inout MappingReader, to job: inout JobSpec) {
        let containers = ContainerReader(session: session, resources: resources, role: .main)
        if let node = reader.take("cmd") { command(node, reader.name(of: "cmd"), &job.container) }
        if let node = reader.take("env") {
            let added = containers.environment(node, reader.name(of: "env"))
            let names = Set(added.map(\.name))
            job.container.environment = job.container.environment.filter { !names.contains($0.name) } + added
        }
        if let node = reader.take("resources") {
            let added = resources.read(node, path: reader.name(of: "resources"))
            job.container.resources.memoryBytes = added.memoryBytes ?? job.container.resources.memoryBytes
            job.container.resources.milliCPU = added.milliCPU ?? job.container.resources.milliCPU
            job.container.resources.devices.merge(added.devices) { _, new in new }
        }
        environment(&reader)
        job.initSteps += initSteps(&reader)
        job.sidecars += sidecars(&reader)
    }

    /// One script: its lines run in one shell that stops at the first failure.
    private func command(_ node: YAMLNode, _ name: String, _ container: inout ContainerSpec) {
        let lines = session.templates(node, name)
        guard !lines.isEmpty, lines.allSatisfy({ !$0.source.allSatisfy(\.isWhitespace) }) else {
            session.findings.error(
                "spec.invalid-value", "`\(name)` has a line without a command.",
                hint: "Write a command, such as cmd: ./run.sh.",
                at: node.place)
            return
        }
        container.command = ["/bin/sh", "-c"]
        let script = (["set -e"] + lines.map(\.source)).joined(separator: "\n")
        // The first line is ours: where the user's lines follow each other in the file, the script starts one above.
        var place = lines[0].place
        if let first = place?.line, lines.enumerated().allSatisfy({ $1.place?.line == first + $0 }) { place?.line -= 1 }
        container.args = [Template(script, at: place)]
        if container.place == nil { container.place = node.place }
    }

    // MARK: run

    private func run(_ node: YAMLNode, path: String, cmdFollows: Bool) -> JobSpec? {
        guard var reader = MappingReader(node, path: path, session.findings) else { return nil }
        guard isJob(&reader) else { return nil }
        let profile = profile(&reader)
        environment(&reader)
        let initSteps = initSteps(&reader)
        let sidecars = sidecars(&reader)
        reader.refuse(Features.unsupportedRun)
        reader.refuse([
            "ports": "It belongs to services, which are not supported yet.",
            "rewritePath": "It belongs to services, which are not supported yet.",
            "isExternal": "It belongs to services, which are not supported yet.",
            "replicas": "It belongs to services, which are not supported yet.",
        ])
        var container: ContainerSpec?
        if let main = reader.take("container") {
            container = ContainerReader(session: session, resources: resources, role: .main)
                .read(main, path: reader.name(of: "container"), needsCommand: !cmdFollows)
        } else if cmdFollows {
            container = ContainerSpec(place: reader.place)
        } else {
            session.findings.error(
                "spec.missing-key", "`\(path)` has no `container`.", hint: "Add `container` with a `command`.",
                at: reader.place)
        }
        reader.finish()
        return container.map { JobSpec(profile: profile, initSteps: initSteps, sidecars: sidecars, container: $0) }
    }

    private func isJob(_ reader: inout MappingReader) -> Bool {
        guard let node = reader.take("kind") else {
            session.findings.error(
                "spec.missing-key", "`\(reader.path)` has no `kind`.", hint: "Add kind: job.", at: reader.place)
            return false
        }
        guard let kind = reader.text(of: node, named: reader.name(of: "kind")) else { return false }
        if kind == "job" { return true }
        if let hint = Features.unsupportedKinds[kind.lowercased()] {
            session.findings.unsupported(kind, hint, at: node.place)
        } else {
            session.findings.error(
                "spec.unknown-kind", "There is no kind of run called '\(kind)'.",
                hint: Suggestion.hint(for: kind, among: ["job"] + Features.unsupportedKinds.keys) ?? "Write kind: job.",
                at: node.place)
        }
        return false
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
