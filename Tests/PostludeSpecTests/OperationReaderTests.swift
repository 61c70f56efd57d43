import Foundation
import PostludeCore
import Testing

@testable import PostludeSpec

@Suite struct OperationReaderTests {
    @Test func `a component with everything a first run needs`() throws {
        let operation = try Reading.operation(
            """
            version: 1.1
            kind: component
            name: train
            description: Trains.
            tags: [a, b]
            inputs:
            - {name: lr, type: float, value: 0.1, toEnv: LR, description: rate, validation: {gt: 0, lt: 1}}
            - {name: data, type: path, isOptional: true}
            - {name: verbose, type: bool, isFlag: true, value: false}
            - {name: gpus, type: int, value: 2}
            outputs:
            - {name: accuracy, type: float}
            termination: {maxRetries: 2, timeout: 3600, gracePeriodSeconds: 5}
            plugins: {collectLogs: true, auth: true}
            run:
              kind: job
              profile: main
              environment: {nodeSelector: {a: b}, restartPolicy: Never}
              init:
              - file: {content: "print(1)", filename: t.py, chmod: "755"}
              - git: {url: "https://e.org/r", revision: main, flags: [--depth=1]}
                path: code
              - paths: [data, [a, b]]
              - container: {name: prepare, command: [/bin/true]}
              sidecars:
              - {name: watch, command: [tail, -f, x], resources: {limits: {memory: 64Mi}}}
              container:
                image: python:3
                imagePullPolicy: Always
                workingDir: code
                command: [python3, -u]
                args: [t.py, "--lr={{ lr }}", 5, true]
                env: [{name: A, value: "1"}, {name: B, value: "{{ lr }}"}, {name: C}]
                resources:
                  requests: {cpu: 500m, memory: 1Gi, ephemeral-storage: 1.5Gi}
                  limits: {memory: 2Gi, "nvidia.com/gpu": "{{ gpus }}", example.org/fpga: 1}
            hooks:
            - hubRef: summary
              name: page
              trigger: succeeded
              conditions: "{{ accuracy > 0.9 }}"
              params: {lines: {value: 5}, note: {value: "{{ name }}", contextOnly: true}}
              queue: q
              disableDefaults: false
            """)
        let component = operation.component
        #expect(operation.name == "train" && operation.tags == ["a", "b"] && operation.description == "Trains.")
        #expect(component.inputs.map(\.name) == ["lr", "data", "verbose", "gpus"])
        #expect(component.inputs[0].validation == [IOConstraint(.gt, .int(0)), IOConstraint(.lt, .int(1))])
        #expect(component.inputs[0].isOptional && component.inputs[0].toEnv == "LR")
        #expect(component.termination == Termination(maxRetries: 2, timeoutSeconds: 3600, graceSeconds: 5))
        #expect(component.job.profile == "main")
        #expect(component.job.initSteps.count == 4)
        guard case .file(_, let content, let mode, _) = component.job.initSteps[0] else { return }
        #expect(content.source == "print(1)" && mode == 0o755)
        guard case .git(let url, let revision, let flags, let path) = component.job.initSteps[1] else { return }
        #expect(
            [url.source, revision?.source, flags.first?.source, path?.source] == [
                "https://e.org/r", "main", "--depth=1", "code",
            ])
        let container = component.job.container
        #expect(container.args.map(\.source) == ["t.py", "--lr={{ lr }}", "5", "true"])
        #expect(container.environment.map(\.name) == ["A", "B", "C"])
        #expect(
            container.resources
                == ResourceRequest(
                    memoryBytes: 2 << 30, milliCPU: 500, storageBytes: 3 << 29,
                    devices: ["nvidia.com/gpu": 2, "example.org/fpga": 1]))
        let hook = try #require(operation.hooks.first)
        #expect(hook.name == "page" && hook.origin == "hub:summary" && hook.trigger == .succeeded)
        #expect(hook.component.job.profile == "hook")
        #expect(hook.params["lines"]?.value == .int(5))
        #expect(hook.params["note"]?.isTemplate == true && hook.params["note"]?.contextOnly == true)

        #expect(operation.notes.filter { $0.code == "spec.no-effect" }.count == 3)
        #expect(operation.notes.allSatisfy { $0.severity == .note && $0.place != nil })
        // It survives storage.
        #expect(try JSONDecoder().decode(Operation.self, from: JSONEncoder().encode(operation)) == operation)
    }

    @Test func `the short forms of 2_18`() throws {
        let operation = try Reading.operation(
            """
            name: short
            cmd:
            - echo {{ n }}
            - ./train.sh
            env: {A: "1", N: "{{ n }}"}
            resources: {cpu: 1..2, memory: 1Gi, gpu: 1, example.org/d: 2}
            inputs: [{name: n, value: 3}]
            init: [{file: {content: x, filename: y}}]
            sidecars: [{command: [s]}]
            """)
        let container = operation.component.job.container
        #expect(container.command.map(\.source) == ["/bin/sh", "-c"])
        #expect(container.args.map(\.source) == ["set -e\necho {{ n }}\n./train.sh"])
        #expect(container.environment.map(\.name) == ["A", "N"])
        #expect(
            container.resources
                == ResourceRequest(
                    memoryBytes: 1 << 30, milliCPU: 2000, devices: ["nvidia.com/gpu": 1, "example.org/d": 2]))
        #expect(operation.component.job.initSteps.count == 1 && operation.component.job.sidecars.count == 1)
        let compiled = try JobCompiler.compile(operation, facts: try Reading.facts())
        #expect(compiled.steps.last?.command.last == "set -e\necho 3\n./train.sh")
        #expect(compiled.steps.last?.environment["N"] == "3")
    }

    @Test func `short forms beside run change its container`() throws {
        let operation = try Reading.operation(
            """
            run: {kind: job, container: {command: [a], env: {A: "1", B: "2"}, resources: {limits: {cpu: 1}}}}
            cmd: b
            env: {A: "3"}
            resources: {memory: 1Gi, ephemeral-storage: 5Gi..20Gi}
            """)
        let container = operation.component.job.container
        #expect(container.args.map(\.source) == ["set -e\nb"])
        #expect(container.environment.map { "\($0.name)=\($0.value.source)" } == ["B=2", "A=3"])
        #expect(container.resources == ResourceRequest(memoryBytes: 1 << 30, milliCPU: 1000, storageBytes: 20 << 30))
    }

    @Test func `an operation runs a component of the hub, of a file, or of its own`() throws {
        let inline =
            "kind: operation\nname: op\nparams: {n: 4}\ntermination: {timeout: 9}\ncomponent:\n"
            + "  name: c\n  inputs: [{name: n, type: int}]\n  termination: {timeout: 1, maxRetries: 1}\n"
            + "  hooks: [{hubRef: summary}]\n  run: {kind: job, container: {command: [x]}}\n"
            + "hooks: [{hubRef: summary, name: mine}]\n"
        let operation = try Reading.operation(inline)
        #expect(operation.name == "op" && operation.component.name == "c")
        #expect(operation.component.termination == Termination(maxRetries: 1, timeoutSeconds: 9))
        #expect(operation.hooks.map(\.name) == ["summary", "mine"])
        let hub = try Reading.operation("hubRef: webhook:latest\nparams: {url: \"https://e.org/x\"}\n")
        #expect(hub.component.job.profile == "notifier" && hub.name == "webhook")
        let path = try Reading.operation("pathRef: ./train.yaml\n", references: ["./train.yaml": Reading.job])
        #expect(path.component.name == "train" && path.component.job.container.command.map(\.source) == ["/bin/true"])
    }

    @Test func `problems in a referenced file name that file`() throws {
        let (operation, diagnostics) = try Reading.read(
            "pathRef: a.yaml\n", references: ["a.yaml": "kind: component\nrnu: {}\n"])
        #expect(operation == nil)
        #expect(
            diagnostics.contains {
                $0.code == "spec.unknown-key" && $0.place == SourcePlace(file: "a.yaml", line: 2, column: 1)
            })
    }

    @Test func `the files a client has to send along are known`() {
        let text =
            "pathRef: a.yaml\nhooks:\n- pathRef: b.yaml\n- {hubRef: x}\n- {path_ref: ../c.yaml}\n- pathRef: b.yaml\n"
        #expect(OperationReader.references(in: text, path: "op") == ["a.yaml", "b.yaml", "../c.yaml"])
        #expect(OperationReader.references(in: "component: {hooks: [{pathRef: d}]}", path: "op") == ["d"])
        #expect(OperationReader.references(in: "a: [", path: "op").isEmpty)
        #expect(OperationReader.references(in: "- a", path: "op").isEmpty)
    }

    @Test func `params of the command line win and are data`() throws {
        let text =
            "inputs: [{name: a}, {name: n, type: int}]\nparams: {a: \"{{ globals.uuid }}\", n: x}\n" + Reading.job
        let operation = try Reading.operation(text, params: ["a": .string("{{ globals.name }}"), "n": .string("4")])
        let compiled = try JobCompiler.compile(operation, facts: try Reading.facts())
        #expect(compiled.inputs == ["a": .string("{{ globals.name }}"), "n": .int(4)])
        let (refused, diagnostics) = try Reading.read(text, params: ["n": .string("four")])
        #expect(refused == nil && diagnostics.contains { $0.code == "inputs.wrong-type" })
    }

    @Test func `full and short params of operations`() throws {
        let text =
            "params:\n  a: 1\n  b: [x, 2]\n  c: {k: v}\n  d: {value: {value: 1}}\n  e: {value: null}\n"
            + "  f: {value: \"{{ globals.name }}\", contextOnly: true, toEnv: F}\n" + Reading.job
        let operation = try Reading.operation(text)
        #expect(operation.params["c"]?.value == .dict(["k": .string("v")]))
        #expect(operation.params["d"]?.value == .dict(["value": .int(1)]))
        #expect(operation.params["e"]?.value == .null)
        #expect(operation.params["f"]?.toEnv == "F" && operation.params["f"]?.isTemplate == true)
        let warnings = operation.notes.filter { $0.code == "spec.param-without-input" }
        #expect(warnings.count == 5 && warnings.allSatisfy { $0.severity == .warning })
        let compiled = try JobCompiler.compile(operation, facts: try Reading.facts())
        #expect(compiled.steps.last?.environment["F"] == "train")
    }

    @Test func `hooks inline, by file and with extensions`() throws {
        let text =
            Reading.job + """
                hooks:
                - component: {name: inner, run: {kind: job, container: {command: [x]}}}
                  termination: {timeout: 3}
                - {pathRef: hooks/tell.yaml, trigger: failed, connection: c, namespace: n}
                - {hubRef: summary, trigger: null, conditions: "true"}
                """
        let operation = try Reading.operation(text, references: ["hooks/tell.yaml": Reading.job])
        #expect(operation.hooks.map(\.name) == ["inner", "tell", "summary"])
        #expect(operation.hooks.map(\.origin) == ["inline", "path:hooks/tell.yaml", "hub:summary"])
        #expect(operation.hooks.map(\.trigger) == [.done, .failed, .done])
        #expect(operation.hooks[0].component.termination.timeoutSeconds == 3)
        #expect(operation.hooks[0].component.job.profile == nil)
        #expect(operation.hooks[1].connection == "c")
        #expect(operation.hooks[1].component.job.container.connections?.map(\.name) == ["c"])
        #expect(operation.notes.map(\.code).sorted() == ["spec.connection-unchecked", "spec.no-effect"])
    }

    @Test func `places of templates point into quotes and blocks`() throws {
        let text =
            "kind: component\nrun:\n  kind: job\n  container:\n    command: [sh, \"a\"]\n"
            + "    args:\n    - |\n      one\n      two {{ 1 }}\n"
        let container = try Reading.operation(text).component.job.container
        #expect(
            container.command.map(\.place) == [
                SourcePlace(file: "op.yaml", line: 5, column: 15), SourcePlace(file: "op.yaml", line: 5, column: 20),
            ])
        #expect(container.args.first?.place == SourcePlace(file: "op.yaml", line: 8, column: 7))
        #expect(container.args.first?.place(at: 8) == SourcePlace(file: "op.yaml", line: 9, column: 11))
    }

    @Test(arguments: [
        ("500m", 1_000 as Int64, 500 as Int64?), ("2", 1_000, 2_000), ("1.5", 1_000, 1_500), ("0.0001", 1_000, 1),
        ("2Gi", 1, 2 << 30),
        ("1.5Gi", 1, 1_610_612_736), ("100M", 1, 100_000_000), ("1e3", 1, 1_000), ("1E", 1, 1_000_000_000_000_000_000),
        ("8Ei", 1, nil),
        ("7Ei", 1, 7 << 60), ("1n", 1, 1), ("-1", 1, nil), ("", 1, nil), ("Gi", 1, nil), ("1 Gi", 1, nil),
        ("1GiB", 1, nil), ("abc", 1, nil),
        ("1e99", 1, nil), ("1.2.3", 1, nil), ("99999999999999999999", 1, nil), ("0x10", 1, nil), ("1e-3", 1_000, 1),
        (".5", 1, nil),
    ])
    func `quantities are those of Kubernetes`(text: String, scale: Int64, expected: Int64?) {
        #expect(Quantity.parse(text, scale: Int128(scale)) == expected, "\(text)")
    }

    @Test func `the examples can be read`() throws {
        let examples = Files.profiles.deletingLastPathComponent().appendingPathComponent("Examples")
        for name in try FileManager.default.contentsOfDirectory(atPath: examples.path).sorted() {
            let file = examples.appendingPathComponent("\(name)/\(name).yaml")
            guard FileManager.default.fileExists(atPath: file.path) else { continue }
            let operation = try Reading.operation(
                try Files.text(file), params: ["url": .string("http://127.0.0.1:1/")])
            #expect(operation.notes.allSatisfy { $0.severity == .note }, "\(operation.notes)")
        }
    }

    @Test func `an unknown version is read with a warning`() throws {
        #expect(try Reading.operation("version: 0.4\n" + Reading.job).notes.map(\.code) == ["spec.unknown-version"])
        #expect(try Reading.operation("version: 1.1\n" + Reading.job).notes.isEmpty)
    }

    @Test func `what says what is so anyway is accepted`() throws {
        let text =
            "cache: {disable: true}\nisApproved: true\nplugins: {shm: true, collectArtifacts: true}\n" + Reading.job
        #expect(try Reading.operation(text).notes.isEmpty)
        #expect(
            try Reading.operation("plugins: {collectArtifacts: false}\n" + Reading.job).notes.map(\.code) == [
                "spec.no-effect"
            ])
    }
}
