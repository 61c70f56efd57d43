import PostludeCore
import Testing

@Suite struct JobCompilerTests {
    static func facts() throws -> RunFacts {
        RunFacts(
            id: try #require(RunID("0123456789abcdef0123456789abcdef")), name: "train", project: "digits",
            user: UserIdentity(name: "ada", uid: 1000, gid: 1000, home: "/home/ada"),
            createdAt: Timestamp(microseconds: 0), attempt: 2, workingDirectory: "/home/ada/work")
    }

    static let directory = "/plx-context/artifacts/0123456789abcdef0123456789abcdef"

    static func compile(_ operation: Operation) throws -> JobCompiler.Compiled {
        try JobCompiler.compile(operation, facts: try facts())
    }

    static func steps(_ initSteps: [InitSpec]) throws -> [StepSpec] {
        let job = JobSpec(initSteps: initSteps, container: ContainerSpec(command: ["true"]))
        return try compile(Operation(component: Component(job: job))).steps
    }

    @Test func `words are rendered, lists spread and absent params left out`() throws {
        let container = ContainerSpec(
            command: ["python3", "{{ script }}"],
            args: ["--lr={{ lr }}", "{{ params.as_args }}", "{{ absent }}", "", "{{ params.absent.as_arg }}", "a b"])
        let component = Component(
            inputs: [
                IODeclaration(name: "lr", type: "float"),
                IODeclaration(name: "script", type: "str", value: .string("t.py")),
                IODeclaration(name: "absent", type: "str", isOptional: true),
            ], job: JobSpec(container: container))
        let compiled = try Self.compile(
            Operation(component: component, params: ["lr": Param(value: .string("0.1"), isTemplate: false)]))
        #expect(compiled.inputs == ["lr": .double(0.1), "script": .string("t.py"), "absent": .null])
        #expect(
            compiled.steps.first?.command == ["python3", "t.py", "--lr=0.1", "--lr=0.1", "--script=t.py", "", "a b"])
    }

    @Test func `the environment has layers`() throws {
        let container = ContainerSpec(
            command: ["env"],
            environment: [
                .init("PATH", "/mine"), .init("LR", "{{ lr * 2 }}"), .init("POSTLUDE_RUN_ID", "forged"), .init("E", ""),
            ])
        let component = Component(
            inputs: [
                IODeclaration(name: "lr", type: "float", value: .double(0.1), toEnv: "LR"),
                IODeclaration(name: "seed", type: "int", value: .int(4), toEnv: "SEED"),
                IODeclaration(name: "none", type: "int", isOptional: true, toEnv: "NONE"),
            ], job: JobSpec(container: container))
        let params = ["extra": Param(value: .list([.int(1)]), isTemplate: false, contextOnly: true, toEnv: "EXTRA")]
        let environment = try #require(try Self.compile(Operation(component: component, params: params)).steps.first)
            .environment
        #expect(environment["PATH"] == "/mine")
        #expect(environment["LR"] == "0.2")
        #expect(environment["SEED"] == "4")
        #expect(environment["EXTRA"] == "[1]")
        #expect(environment["NONE"] == nil)
        #expect(environment["E"] == "")
        #expect(environment["POSTLUDE_RUN_ID"] == "0123456789abcdef0123456789abcdef")
        #expect(environment["POSTLUDE_OUTPUTS"] == Self.directory + "/outputs.json")
        #expect(environment["POSTLUDE_CONTEXT"] == "/plx-context/context.json")
        #expect(environment["POSTLUDE_ATTEMPT"] == "2")
        #expect(environment["HOME"] == "/home/ada")
        #expect(environment["LANG"] == "C.UTF-8")
        #expect(environment["POSTLUDE_MAIN_RUN_ID"] == nil)
    }

    @Test func `steps have names, roles and limits in the order they run`() throws {
        let small = ResourceRequest(memoryBytes: 1 << 20, milliCPU: 100)
        let job = JobSpec(
            initSteps: [.container(ContainerSpec(name: "x", command: ["a"]))],
            sidecars: [
                ContainerSpec(name: "watch it!", command: ["b"], resources: small), ContainerSpec(command: ["c"]),
                ContainerSpec(name: "watch it!", command: ["d"]),
            ],
            container: ContainerSpec(command: ["m"], resources: ResourceRequest(devices: ["example.org/dev": 1])))
        let steps = try Self.compile(Operation(component: Component(job: job))).steps
        #expect(steps.map(\.name) == ["init-0", "sidecar-watch-it-", "sidecar-1", "sidecar-watch-it--2", "main"])
        #expect(steps.map(\.role) == [.initialize, .sidecar, .sidecar, .sidecar, .main])
        #expect(steps.map(\.getsDevices) == [false, false, false, false, true])
        #expect(steps[1].limits == AttemptLimits(memoryBytes: 1 << 20, milliCPU: 100))
        #expect(steps.allSatisfy { $0.network == nil && $0.files["/plx-context/context.json"] != nil })
    }

    @Test func `working directories are absolute`() throws {
        func directory(_ template: Template?) throws -> String? {
            let container = ContainerSpec(command: ["m"], workingDirectory: template)
            return try Self.compile(Operation(component: Component(job: JobSpec(container: container)))).steps.last?
                .workingDirectory
        }
        #expect(try directory(nil) == nil)
        #expect(try directory("/tmp") == "/tmp")
        #expect(try directory("src") == "/home/ada/work/src")
        #expect(try directory("{{ globals.run_artifacts_path }}/code") == Self.directory + "/code")
        #expect(try directory("{{ globals.artifacts_path }}") == Self.directory)
    }

    @Test func `a file init step installs its content`() throws {
        let step = try #require(
            try Self.steps([.file(name: "run.sh", content: "echo {{ globals.name }}\n", mode: 0o755, path: nil)]).first)
        #expect(
            step.command == [
                "/usr/bin/install", "-D", "-m", "755", "--", "/plx-context/init-file", Self.directory + "/run.sh",
            ])
        #expect(step.files == ["/plx-context/init-file": "echo train\n"])
        #expect(step.role == .initialize && step.name == "init-0")
        let placed = try #require(try Self.steps([.file(name: "a", content: "", mode: 0o644, path: "sub")]).first)
        #expect(placed.command.last == Self.directory + "/sub/a")
    }

    @Test func `a paths init step gets its paths as arguments`() throws {
        let step = try #require(
            try Self.steps([.paths([.init(from: "data/a b.csv"), .init(from: "/data/x", to: "y")], path: "in")]).first)
        #expect(
            Array(step.command.dropFirst(4)) == [
                "/home/ada/work/data/a b.csv", Self.directory + "/in/a b.csv", "/data/x", Self.directory + "/in/y",
            ])
        #expect(step.command.prefix(2) == ["/bin/sh", "-c"])
        #expect(!step.command[2].contains("a b.csv"))
    }

    @Test func `a git init step has the network and nothing of the job's choice runs in it`() throws {
        let step = try #require(
            try Self.steps([.git(url: "https://e.org/a/repo.git", revision: "v1", flags: ["--depth=1"], path: nil)])
                .first)
        #expect(step.network == .host)
        #expect(
            Array(step.command.dropFirst(4)) == [
                "https://e.org/a/repo.git", Self.directory + "/repo", "v1", "--depth=1",
            ])
        #expect(step.environment["GIT_TERMINAL_PROMPT"] == "0")
        #expect(!step.getsDevices)
    }

    @Test(arguments: [
        "ext::sh -c id", "-u./x", "", "--upload-pack=x", "fd::3", "a\nb", "x:y", "ftp://e.org/r",
    ])
    func `addresses that could run a program are refused`(url: String) {
        let error = #expect(throws: InputError.self) {
            try Self.steps([.git(url: Template(url), revision: nil, flags: [], path: nil)])
        }
        #expect(error?.code == "inputs.git-url")
    }

    @Test(arguments: [
        "https://e.org/r", "ssh://git@e.org/r", "git@e.org:a/r.git", "file:///srv/r", "/srv/r.git", "git://e.org/r",
    ])
    func `addresses of git's own transports are taken`(url: String) throws {
        #expect(try Self.steps([.git(url: Template(url), revision: nil, flags: [], path: nil)]).count == 2)
    }

    @Test(arguments: [
        "-c", "--upload-pack=x", "--config=core.sshCommand=x", "--template=/x", "--depth=x", "--filter=$(x)", "-b",
    ])
    func `flags that could run a program are refused`(flag: String) {
        let error = #expect(throws: InputError.self) {
            try Self.steps([.git(url: "https://e.org/r", revision: nil, flags: [Template(flag)], path: nil)])
        }
        #expect(error?.code == "inputs.git-flag")
    }

    @Test func `inputs never reach git's environment`() throws {
        let component = Component(
            inputs: [IODeclaration(name: "x", type: "str", value: .string("id"), toEnv: "GIT_SSH_COMMAND")],
            job: JobSpec(
                initSteps: [.git(url: "https://e.org/r", revision: nil, flags: [], path: nil)],
                container: ContainerSpec(command: ["m"])))
        let steps = try Self.compile(Operation(component: component)).steps
        #expect(steps[0].environment["GIT_SSH_COMMAND"] == nil)
        #expect(steps[1].environment["GIT_SSH_COMMAND"] == "id")
    }

    @Test func `every problem is told at once, with places`() throws {
        func place(_ line: Int) -> SourcePlace { SourcePlace(file: "f", line: line, column: 1) }
        let job = JobSpec(
            initSteps: [
                .file(
                    name: Template("{{ a }}", at: place(1)), content: Template("{{ b }}", at: place(2)), mode: 0o644,
                    path: nil)
            ],
            container: ContainerSpec(
                command: [Template("{{ c }}", at: place(3))],
                environment: [.init("X", Template("{{ d }}", at: place(4)))]))
        let error = #expect(throws: InputError.self) { try Self.compile(Operation(component: Component(job: job))) }
        #expect(Set(error?.diagnostics.compactMap { $0.place?.line } ?? []) == [1, 2, 3, 4])
    }

    @Test func `a false condition leaves nothing to run`() throws {
        var operation = Operation(
            component: Component(
                inputs: [IODeclaration(name: "n", type: "int", value: .int(1))],
                job: JobSpec(container: ContainerSpec(command: ["m"]))), conditions: "{{ n > 1 }}")
        #expect(try !Self.compile(operation).isDue && Self.compile(operation).steps.isEmpty)
        operation.conditions = "{{ n == 1 }}"
        #expect(try Self.compile(operation).isDue)
        operation.conditions = "{{ n }} maybe"
        #expect(throws: InputError.self) { try Self.compile(operation) }
    }

    @Test func `params of the file see globals, params that are data are left alone`() throws {
        let component = Component(
            inputs: [IODeclaration(name: "a"), IODeclaration(name: "b")],
            job: JobSpec(container: ContainerSpec(command: ["{{ a }}", "{{ b }}"])))
        let params = [
            "a": Param(value: .string("{{ globals.project_name }}"), isTemplate: true),
            "b": Param(value: .string("{{ globals.project_name }}"), isTemplate: false),
        ]
        let compiled = try Self.compile(Operation(component: component, params: params))
        #expect(compiled.steps.last?.command == ["digits", "{{ globals.project_name }}"])
    }

    @Test func `a hook run knows its main`() throws {
        let main = try HookResolutionTests.main(.failed, outputs: ["loss": .double(2)])
        var facts = try Self.facts()
        facts.main = main
        facts.workingDirectory = nil
        let job = JobSpec(container: ContainerSpec(command: ["{{ globals.main_logs_path }}"]))
        let compiled = try JobCompiler.compile(Operation(component: Component(job: job)), facts: facts)
        let step = try #require(compiled.steps.last)
        #expect(step.environment["POSTLUDE_MAIN_STATUS"] == "failed")
        #expect(step.environment["POSTLUDE_MAIN_LOGS"] == "/plx-context/logs/\(main.id)")
        #expect(step.command == ["/plx-context/logs/\(main.id)"])
        guard case .dict(let content) = compiled.contextFile, case .dict(let described)? = content["main"] else {
            Issue.record("no main in the context file")
            return
        }
        #expect(described["outputs"] == .dict(["loss": .double(2)]))
        #expect(described["exit"] == .dict(["code": .int(0)]))
        #expect(described["usage"] == .null)
        #expect(described["started_at"] == .null)
        #expect(step.files["/plx-context/context.json"]?.contains("\"status\": \"failed\"") == true)
    }

    @Test func `an empty command is an error`() throws {
        let component = Component(
            inputs: [IODeclaration(name: "x", isOptional: true)],
            job: JobSpec(container: ContainerSpec(command: ["{{ x }}"])))
        let error = #expect(throws: InputError.self) { try Self.compile(Operation(component: component)) }
        #expect(error?.code == "inputs.empty-command")
    }

    @Test(arguments: [
        (0 as Int64, "1970-01-01T00:00:00.000000Z"), (-1, "1969-12-31T23:59:59.999999Z"),
        (951_782_400_000_000, "2000-02-29T00:00:00.000000Z"), (1_795_343_438_810_000, "2026-11-22T10:30:38.810000Z"),
        (4_102_444_799_000_001, "2099-12-31T23:59:59.000001Z"),
    ])
    func `times are written as people expect`(microseconds: Int64, text: String) {
        #expect(Timestamp(microseconds: microseconds).iso8601 == text)
    }
}
