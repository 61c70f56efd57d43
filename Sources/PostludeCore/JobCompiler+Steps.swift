extension JobCompiler {
    /// What every step's environment has unless the operation says otherwise.
    public static func usualEnvironment(of user: UserIdentity) -> [String: String] {
        [
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:\(InsidePaths.programs)",
            "PYTHONPATH": InsidePaths.python, "LANG": "C.UTF-8",
            "HOME": user.home, "USER": user.name, "LOGNAME": user.name, "TMPDIR": "/tmp",
        ]
    }

    /// Makes steps and collects every problem on the way.
    struct StepBuilder {
        let operation: Operation
        let facts: RunFacts
        private let evaluation: EvaluationContext
        private let shared: [String: String]
        private var files: [String: String] = [:]
        private var problems: [Diagnostic] = []

        init(operation: Operation, context: RunContext, facts: RunFacts, contextFile: Value) {
            self.operation = operation
            self.facts = facts
            evaluation = context.evaluation
            var shared: [String: String] = [:]
            var problems: [Diagnostic] = []
            for (name, value, place) in Self.exported(operation, context) where value != .null {
                do throws(ExpressionError) {
                    shared[name] = try value.text()
                } catch {
                    var error = error
                    error.place = place
                    problems.append(error.diagnostic)
                }
            }
            do throws(ExpressionError) {
                files[InsidePaths.contextFile] = try contextFile.json() + "\n"
            } catch {
                problems.append(error.diagnostic)
            }
            self.shared = shared
            self.problems = problems
        }

        mutating func build() throws(InputError) -> [StepSpec] {
            let job = operation.component.job
            var steps: [StepSpec] = []
            for (index, step) in job.initSteps.enumerated() {
                steps.append(make(step, named: "init-\(index)"))
            }
            var taken: Set<String> = []
            for (index, sidecar) in job.sidecars.enumerated() {
                let name = Self.unique("sidecar-\(Self.word(sidecar.name) ?? String(index))", &taken)
                steps.append(program(sidecar, named: name, .sidecar))
            }
            steps.append(program(job.container, named: "main", .main))
            guard problems.isEmpty else { throw InputError(problems) }
            return steps
        }

        // MARK: Programs

        private mutating func program(_ container: ContainerSpec, named name: String, _ role: StepRole) -> StepSpec {
            var environment = base
            environment.merge(shared) { _, new in new }
            for variable in container.environment { environment[variable.name] = text(variable.value) }
            environment.merge(fixed) { _, ours in ours }
            let connections = (container.connections ?? []).map(\.name)
            if let first = connections.first { environment["POSTLUDE_CONNECTION"] = InsidePaths.connection(first) }
            let image = container.image.map { text($0) }
            let before = problems.count
            let command = words(container.command) + words(container.args)
            if command.isEmpty, problems.count == before {
                problems.append(
                    Diagnostic(
                        .error, "inputs.empty-command",
                        "The command of \(name) is empty once its templates are rendered.",
                        hint: "Give `command` at least one item that is not empty.", at: container.place))
            }
            return StepSpec(
                name: name, role: role, command: command, environment: environment,
                workingDirectory: directory(container.workingDirectory),
                limits: AttemptLimits(
                    memoryBytes: container.resources.memoryBytes, milliCPU: container.resources.milliCPU),
                getsDevices: container.resources.devices.values.contains { $0 > 0 }, files: files,
                connections: connections, image: image?.isEmpty == true ? nil : image)
        }

        /// A list of command words: a single expression that yields a list stands for its items, and one that yields
        /// nothing (an optional param that was not given) leaves no word behind.
        private mutating func words(_ templates: [Template]) -> [String] {
            var words: [String] = []
            for template in templates {
                do throws(ExpressionError) {
                    let isWritten = !Rendering.hasExpression(template.source)
                    switch try Rendering.render(template, in: evaluation) {
                    case .list(let items): for item in items { words.append(try item.text()) }
                    case .null: break
                    case .string(let text): if isWritten || !text.isEmpty { words.append(text) }
                    case .bool(let flag): words.append(flag ? "true" : "false")
                    case .int(let number): words.append(String(number))
                    case .double(let number): words.append(try Value.double(number).text())
                    case .dict(let entries): words.append(try Value.dict(entries).text())
                    }
                } catch {
                    report(error, template)
                }
            }
            return words
        }

        private mutating func text(_ template: Template) -> String {
            do throws(ExpressionError) {
                return try Rendering.text(template, in: evaluation)
            } catch {
                report(error, template)
                return ""
            }
        }

        private mutating func directory(_ template: Template?) -> String? {
            guard let template else { return nil }
            let path = text(template)
            return path.isEmpty ? nil : absolute(path, below: home)
        }

        private mutating func report(_ error: ExpressionError, _ template: Template) {
            var error = error
            if error.place == nil { error.place = template.place }
            problems.append(error.diagnostic)
        }

        // MARK: Built-in init steps

        private mutating func make(_ step: InitSpec, named name: String) -> StepSpec {
            switch step {
            case .container(let container):
                return program(container, named: name, .initialize)
            case .file(let file, let content, let mode, let path):
                return install(file, content, mode, path, named: name)
            case .paths(let copies, let path):
                return copy(copies, path, named: name)
            case .git(let url, let revision, let flags, let path):
                return clone(url, revision, flags, path, named: name)
            }
        }

        private mutating func install(
            _ file: Template, _ content: Template, _ mode: Int, _ path: Template?, named name: String
        ) -> StepSpec {
            let target = absolute(text(file), below: destination(path))
            return StepSpec(
                name: name, role: .initialize,
                command: [
                    "/usr/bin/install", "-D", "-m", String(mode, radix: 8), "--", InsidePaths.initFile, target,
                ], environment: base.merging(fixed) { _, ours in ours },
                files: [InsidePaths.initFile: text(content)])
        }

        private mutating func copy(_ copies: [InitSpec.CopyPath], _ path: Template?, named name: String) -> StepSpec {
            let destination = destination(path)
            var arguments: [String] = []
            for copy in copies {
                let from = absolute(text(copy.from), below: facts.workingDirectory ?? "/")
                let to = copy.to.map { text($0) } ?? Self.lastPart(from)
                arguments += [from, absolute(to, below: destination)]
            }
            return shell(Self.copyScript, arguments, named: name)
        }

        private mutating func clone(
            _ url: Template, _ revision: Template?, _ flags: [Template], _ path: Template?, named name: String
        ) -> StepSpec {
            let address = text(url)
            if !Self.isCloneable(address) {
                problems.append(
                    Diagnostic(
                        .error, "inputs.git-url", "Git cannot clone from '\(address)'.",
                        hint: "Use an https://, ssh://, git:// or file:// address, or user@host:path.", at: url.place))
            }
            let reference = revision.map { text($0) } ?? ""
            if reference.hasPrefix("-") {
                problems.append(
                    Diagnostic(
                        .error, "inputs.git-revision", "'\(reference)' is not a revision.",
                        hint: "Name a branch, a tag or a commit.", at: revision?.place))
            }
            let given = words(flags)
            for flag in given where !Self.isAllowed(gitFlag: flag) {
                problems.append(
                    Diagnostic(
                        .error, "inputs.git-flag", "The git flag '\(flag)' is not allowed.",
                        hint: "Allowed: \(Self.gitFlags.sorted().joined(separator: ", ")), --depth=N, --filter=SPEC.",
                        at: flags.first?.place ?? url.place))
            }
            let target = absolute(Self.repositoryName(address), below: destination(path))
            var step = shell(Self.cloneScript, [address, target, reference] + given, named: name)
            step.network = .host
            step.environment["GIT_TERMINAL_PROMPT"] = "0"
            step.environment["GIT_ALLOW_PROTOCOL"] = "https:http:ssh:git:file"
            step.environment["GIT_ADVICE"] = "0"
            return step
        }

        /// The built-in scripts get their data as arguments, never as text of the script.
        private func shell(_ script: String, _ arguments: [String], named name: String) -> StepSpec {
            StepSpec(
                name: name, role: .initialize, command: ["/bin/sh", "-c", script, name] + arguments,
                environment: base.merging(fixed) { _, ours in ours }, workingDirectory: "/")
        }

        private mutating func destination(_ path: Template?) -> String {
            let artifacts = InsidePaths.artifacts(of: facts.id)
            return path.map { absolute(text($0), below: artifacts) } ?? artifacts
        }

        // MARK: Environment

        private var home: String { facts.workingDirectory ?? InsidePaths.artifacts(of: facts.id) }

        /// What a container's `env` may replace.
        private var base: [String: String] { JobCompiler.usualEnvironment(of: facts.user) }

        /// What is always so.
        private var fixed: [String: String] {
            var environment = [
                "POSTLUDE_RUN_ID": facts.id.description, "POSTLUDE_RUN_NAME": facts.name,
                "POSTLUDE_PROJECT": facts.project, "POSTLUDE_ATTEMPT": String(facts.attempt),
                "POSTLUDE_ARTIFACTS": InsidePaths.artifacts(of: facts.id),
                "POSTLUDE_OUTPUTS": InsidePaths.outputsFile(of: facts.id),
                "POSTLUDE_CONTEXT": InsidePaths.contextFile,
                "POSTLUDE_MESSAGE": InsidePaths.messageFile(of: facts.id, attempt: facts.attempt),
            ]
            if let main = facts.main { environment.merge(main.environment) { _, new in new } }
            return RunEnvironment.withPolyaxonNames(environment, facts)
        }

        /// Inputs and params with `toEnv`; an operation's param wins over its component's declaration.
        private static func exported(
            _ operation: Operation, _ context: RunContext
        )
            -> [(name: String, value: Value, place: SourcePlace?)]
        {
            let declared = operation.component.inputs.compactMap { input in
                input.toEnv.map { (name: $0, value: context.inputs[input.name] ?? .null, place: input.place) }
            }
            let given = operation.params.sorted { $0.key < $1.key }.compactMap { name, param in
                param.toEnv.map {
                    (name: $0, value: context.inputs[name] ?? context.contextParams[name] ?? .null, place: param.place)
                }
            }
            return declared + given
        }
    }
}
