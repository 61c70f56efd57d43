import PostludeCore

/// Reads operation and component files into operations that can run.
public enum OperationReader {
    /// Every problem at once, by file, line and column; the operation is nil when any diagnostic is an error.
    ///
    /// References are resolved and copied in: `hubRef` from `hub`, `pathRef` from the submission.
    /// - Parameter profiles: the names that `run.profile` may have.
    public static func read(
        _ submission: Submission, hub: Hub, profiles: Set<String>
    ) -> (
        operation: Operation?, diagnostics: [Diagnostic]
    ) {
        let session = SpecSession(
            hub: hub, profiles: profiles, references: submission.references, sources: [submission.path: submission.text]
        )
        var operation: Operation?
        if let root = YAMLReader.read(submission.text, file: submission.path, session.findings) {
            operation = FileReader(session: session, submission: submission).read(root)
        }
        if let complete = operation, !session.findings.hasErrors { dryRun(complete, submission, session) }
        let diagnostics = session.diagnostics()
        guard !session.findings.hasErrors else { return (nil, diagnostics) }
        operation?.notes = diagnostics
        return (operation, diagnostics)
    }

    /// The `pathRef`s that a file names, for the client to read and send along; empty when the file cannot be read.
    public static func references(in text: String, path: String) -> [String] {
        guard let root = YAMLReader.read(text, file: path, Findings()) else { return [] }
        var found: [String] = []
        collect(root, into: &found)
        return found
    }

    private static func collect(_ node: YAMLNode, into found: inout [String]) {
        for entry in node.entries ?? [] {
            switch MappingReader.canonical(entry.key) {
            case "pathRef":
                if case .string(let path)?? = entry.value.scalar.map(\.value), !found.contains(path) {
                    found.append(path)
                }
            case "hooks":
                if case .sequence(let hooks) = entry.value.content { for hook in hooks { collect(hook, into: &found) } }
            case "component": collect(entry.value, into: &found)
            default: break
            }
        }
    }

    /// Compiles the operation with stand-in facts, so that an unknown name is found before anything is submitted.
    private static func dryRun(_ operation: Operation, _ submission: Submission, _ session: SpecSession) {
        let user = UserIdentity(name: "user", uid: 1000, gid: 1000, home: "/home/user")
        let facts = RunFacts(
            id: RunID.random(), name: operation.name ?? "run", project: submission.project ?? "default", user: user,
            createdAt: Timestamp(microseconds: 0), workingDirectory: submission.workingDirectory)
        do throws(InputError) {
            var due = operation
            // Whether the condition holds may depend on the facts; whether its names exist does not.
            if let condition = operation.conditions {
                due.conditions = nil; check(condition, operation, facts, session)
            }
            _ = try JobCompiler.compile(due, facts: facts)
        } catch {
            for finding in error.diagnostics { session.findings.add(finding) }
        }
    }

    private static func check(_ condition: Template, _ operation: Operation, _ facts: RunFacts, _ session: SpecSession)
    {
        do throws(InputError) {
            let context = try JobCompiler.context(for: operation, facts: facts).context
            do throws(ExpressionError) {
                _ = try Rendering.render(condition, in: context.evaluation)
            } catch {
                session.findings.add(error.diagnostic)
            }
        } catch {
            for finding in error.diagnostics { session.findings.add(finding) }
        }
    }
}

/// Reads the root of the file that was submitted.
private struct FileReader {
    let session: SpecSession
    let submission: Submission

    private static let references = ["component", "hubRef", "pathRef"]

    func read(_ root: YAMLNode) -> Operation? {
        guard var reader = MappingReader(root, path: "", session.findings), isKnownKind(&reader) else { return nil }
        RootReader.readCommon(&reader, session)
        let params = params(&reader)
        let given = Self.references.filter(reader.has)
        let isReference = !given.isEmpty || ["urlRef", "dagRef"].contains(where: reader.has)
        let tags = reader.has("tags") ? reader.texts("tags") : []
        let description = reader.has("description") ? reader.text("description") : nil
        var operation: Operation?
        if isReference {
            operation = referring(&reader, given, params)
        } else {
            let result = ComponentReader(session: session, purpose: .operation(params: params)).readBody(&reader)
            let hooks = HookReader(session: session).read(result.hooks, path: "hooks")
            operation = result.component.map {
                Operation(
                    name: $0.name, component: $0, hooks: hooks, conditions: result.conditions, queue: result.queue)
            }
            if let component = result.component {
                match(params, component, at: reader.place, strict: result.isStrict)
            }
        }
        reader.accept(Self.references)
        reader.finish()
        operation?.tags = tags
        operation?.description = description
        operation?.params = params
        if let name = submission.name { operation?.name = name }
        return operation
    }

    private func isKnownKind(_ reader: inout MappingReader) -> Bool {
        guard let node = reader.take("kind") else { return true }
        guard let kind = reader.text(of: node, named: "kind") else { return false }
        if kind == "operation" || kind == "component" { return true }
        if Features.oldKinds.contains(kind) {
            session.findings.error(
                "spec.unsupported-kind", "The kind `\(kind)` is of a Polyaxon before 1.0.",
                hint: "Write kind: component with run.kind: job.", at: node.place)
        } else if Features.unsupportedKinds[kind] != nil || kind == "preset" {
            session.findings.unsupported("kind: \(kind)", "Write kind: component or kind: operation.", at: node.place)
        } else {
            session.findings.error(
                "spec.unknown-kind", "There is no kind '\(kind)'.",
                hint: Suggestion.hint(for: kind, among: ["operation", "component"])
                    ?? "Write kind: component or kind: operation.", at: node.place)
        }
        return false
    }

    /// The file's params, with those of the command line in their place.
    private func params(_ reader: inout MappingReader) -> [String: Param] {
        var params: [String: Param] = [:]
        if let node = reader.take("params") {
            params = ParamReader(session: session).read(node, path: "params", allowsShort: true)
        }
        for (name, value) in submission.params {
            var param = Param(value: value, isTemplate: false, place: nil)
            param.toEnv = params[name]?.toEnv
            param.contextOnly = params[name]?.contextOnly ?? false
            params[name] = param
        }
        return params
    }

    /// An operation that runs a component of its own, of the hub or of another file.
    private func referring(_ reader: inout MappingReader, _ given: [String], _ params: [String: Param]) -> Operation? {
        let name = RootReader.name(&reader, session)
        let conditions = RootReader.conditions(&reader, session)
        let queue = RootReader.queue(&reader, session)
        let termination = TerminationReader(session: session, inputs: nil).read(&reader)
        PluginsReader.read(&reader, session)
        let strict = reader.flag("strictParams") ?? false
        let hooks = reader.list("hooks") ?? []
        let why = "The component is another file's; change it there, or give it an input for what differs."
        reader.refuse([
            "container": why, "cmd": why, "env": why, "resources": why, "environment": why, "init": why,
            "sidecars": why, "connections": why, "volumes": why, "ports": why, "run": why, "inputs": why,
            "outputs": why,
        ])
        guard given.count < 2 else {
            session.findings.error(
                "spec.conflict", "The operation has \(given.joined(separator: " and ")).", hint: "Keep one of them.",
                at: reader.place)
            return nil
        }
        guard let key = given.first, let result = component(key, &reader, params) else { return nil }
        // The component's hooks come first, then the operation's own.
        let all =
            HookReader(session: session).read(result.hooks, path: "component.hooks")
            + HookReader(session: session).read(hooks, path: "hooks")
        guard var component = result.component else { return nil }
        termination.apply(to: &component.termination)
        match(params, component, at: reader.place, strict: strict || result.isStrict)
        return Operation(
            name: name ?? component.name, component: component, hooks: all, conditions: conditions ?? result.conditions,
            queue: queue ?? result.queue)
    }

    private func component(
        _ key: String, _ reader: inout MappingReader, _ params: [String: Param]
    )
        -> ComponentReader.Result?
    {
        let components = ComponentReader(session: session, purpose: .operation(params: params))
        if key == "component" {
            return reader.take("component").map { components.read($0, path: "component", defaultName: nil) }
        }
        guard let place = reader.entry(key)?.value.place, let reference = reader.text(key) else { return nil }
        let found =
            key == "hubRef" ? session.hubComponent(reference, at: place) : session.pathComponent(reference, at: place)
        return found.map { components.read($0.root, path: "", defaultName: $0.name) }
    }

    private func match(_ params: [String: Param], _ component: Component, at place: SourcePlace, strict: Bool) {
        ParamReader(session: session).match(params, to: component, of: "the operation", at: place, strict: strict)
    }
}
