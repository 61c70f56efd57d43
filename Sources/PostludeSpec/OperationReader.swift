import PostludeCore

/// Reads operation and component files into operations that can run.
public enum OperationReader {
    /// Every problem at once, by file, line and column; the operation is nil when any diagnostic is an error.
    ///
    /// References are resolved and copied in: `hubRef` from the hub, `pathRef` from the submission; presets are merged.
    public static func read(
        _ submission: Submission, from sources: SpecSources
    ) -> (operation: Operation?, diagnostics: [Diagnostic]) {
        let session = SpecSession(submission, sources)
        let operation = read(submission, session)
        return (operation, session.diagnostics())
    }

    /// The operation, with what was found in the session; nil when any finding is an error.
    static func read(_ submission: Submission, _ session: SpecSession) -> Operation? {
        var operation: Operation?
        if let root = YAMLReader.read(submission.text, file: submission.path, session.findings) {
            if Composer(session: session).flag("isPreset", of: root) == true {
                session.findings.error(
                    "spec.preset-alone", "The file is a preset: there is nothing to run.",
                    hint: "Name it in the `presets` of an operation.", at: root.value(of: "isPreset")?.place)
            } else {
                operation = FileReader(session: session, overrides: submission.params).read(root)
                if let name = submission.name { operation?.name = name }
            }
        }
        if let complete = operation, !session.findings.hasErrors { dryRun(complete, submission, session) }
        guard !session.findings.hasErrors else { return nil }
        operation?.notes = session.diagnostics()
        return operation
    }

    /// The same with a hub and profiles alone: no presets of a site.
    public static func read(
        _ submission: Submission, hub: Hub, profiles: Set<String>
    ) -> (operation: Operation?, diagnostics: [Diagnostic]) {
        read(submission, from: SpecSources(hub: hub, profiles: profiles))
    }

    /// Every problem of a preset, held against a job that has nothing but a command; nil when the file is no preset.
    public static func checkPreset(_ submission: Submission, from sources: SpecSources) -> [Diagnostic]? {
        checkPreset(submission, from: sources, SpecSession(submission, sources))
    }

    static func checkPreset(
        _ submission: Submission, from sources: SpecSources, _ session: SpecSession
    ) -> [Diagnostic]? {
        guard let root = YAMLReader.read(submission.text, file: submission.path, Findings()),
            case .bool(true)?? = root.value(of: "isPreset")?.scalar.map(\.value),
            let job = YAMLReader.read(
                "run: {kind: job, container: {command: [\"true\"]}}", file: submission.path, session.findings)
        else { return nil }
        let merged = Presets(session: session).check(root, over: job)
        _ = FileReader(session: session).readFlat(Composer.Composed(root: merged))
        return session.diagnostics()
    }

    /// The presets that a file names, each with the files beside it that may hold it, best first.
    public static func presetFiles(in text: String, path: String) -> [[String]] {
        guard let root = YAMLReader.read(text, file: path, Findings()) else { return [] }
        var names: [String] = []
        collectPresets(root, into: &names)
        return names.map(PresetCatalog.files(for:))
    }

    private static func collectPresets(_ node: YAMLNode, into names: inout [String]) {
        for entry in node.entries ?? [] {
            switch (MappingReader.canonical(entry.key), entry.value.content) {
            case ("presets", .sequence(let items)): names += items.compactMap { $0.scalar?.text }
            case ("presets", .scalar(let scalar)): names.append(scalar.text)
            case ("hooks", .sequence(let hooks)): for hook in hooks { collectPresets(hook, into: &names) }
            case ("component", _), ("run", _), ("matrix", _), ("schedule", _): collectPresets(entry.value, into: &names)
            case ("operations", .sequence(let items)), ("components", .sequence(let items)):
                for item in items { collectPresets(item, into: &names) }
            default: break
            }
        }
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
            case "component", "run", "matrix", "schedule": collect(entry.value, into: &found)
            case "operations", "components":
                if case .sequence(let items) = entry.value.content { for item in items { collect(item, into: &found) } }
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
            if let condition = operation.conditions, !operation.isToJoin {
                due.conditions = nil; check(condition, operation, facts, session)
            }
            try tryOut(due, facts)
        } catch {
            for finding in error.diagnostics { session.findings.add(finding) }
        }
    }

    /// Compiles what would run: the operation, a point of its matrix, the operations of its graph that refer to no other.
    private static func tryOut(_ operation: Operation, _ facts: RunFacts) throws(InputError) {
        guard !operation.isToJoin else { return try tryOutJoined(operation, facts) }
        _ = try JobCompiler.outline(operation, facts: facts)
        if operation.schedule != nil { return try tryOut(operation.scheduledChild, facts) }
        if let matrix = operation.matrix {
            return try tryOut(operation.child(at: matrix.seeded(by: facts.id).point(0)), facts)
        }
        for node in operation.dag?.nodes ?? [] {
            guard node.operation.params.values.allSatisfy({ $0.reference == nil }) else { continue }
            var due = node.operation
            due.conditions = nil
            try tryOut(due, facts)
        }
    }

    /// With joins that find nothing. What lists without items cannot give may be there in the end; a name that nothing has
    /// will not.
    private static func tryOutJoined(_ operation: Operation, _ facts: RunFacts) throws(InputError) {
        _ = try operation.searches(facts: facts)
        let joined = try JoinGathering(operation)
        do throws(InputError) {
            try tryOut(joined.result, facts)
        } catch {
            let certain = error.diagnostics.filter { $0.code == "expression.unknown-name" }
            if !certain.isEmpty { throw InputError(certain) }
        }
    }

    private static func check(_ condition: Template, _ operation: Operation, _ facts: RunFacts, _ session: SpecSession)
    {
        do throws(InputError) {
            let context = try JobCompiler.context(for: operation.withoutPoints, facts: facts).context
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
