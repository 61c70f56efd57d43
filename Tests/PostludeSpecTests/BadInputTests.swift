import PostludeCore
import Testing

@testable import PostludeSpec

/// Files with one mistake each: what is said, where, and that a hint comes with it.
@Suite struct BadInputTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var code: String
        var line: Int
        var column: Int
        var text: String
        var testDescription: String { name }

        init(_ name: String, _ code: String, _ line: Int, _ column: Int, _ text: String) {
            self.name = name
            self.code = code
            self.line = line
            self.column = column
            self.text = text
        }
    }

    /// A valid job whose parts the cases replace.
    static func job(_ container: String = "command: [x]", above: String = "", below: String = "") -> String {
        "kind: component\n\(above)run:\n  kind: job\n\(below)  container:\n    \(container)\n"
    }

    static func hook(_ hook: String) -> String { job() + "hooks:\n- \(hook)\n" }

    static let cases: [Case] = [
        Case("empty file", "spec.empty", 1, 1, ""),
        Case("only a comment", "spec.empty", 1, 1, "# nothing\n"),
        Case("null document", "spec.empty", 1, 1, "---\n"),
        Case("a text", "spec.wrong-type", 1, 1, "hello"),
        Case("a list", "spec.wrong-type", 1, 1, "- a\n- b\n"),
        Case("tab as indentation", "spec.tab", 3, 1, "kind: component\nrun:\n\tkind: job\n"),
        Case("unclosed quote", "spec.yaml", 3, 1, "kind: component\nname: 'x\n"),
        Case("unclosed list", "spec.yaml", 2, 5, "tags: [a, b\nkind: component\n"),
        Case("bad indentation", "spec.yaml", 4, 12, "kind: component\nrun: \n kind: job\n  container: {}\n"),
        Case("colon inside a text", "spec.yaml", 1, 15, "description: a: b\n"),
        Case("template without quotes", "spec.wrong-type", 2, 7, "kind: component\nname: {{ x }}\n"),
        Case("undefined alias", "spec.yaml", 2, 7, "kind: component\nname: *who\n"),
        Case("two documents", "spec.multiple-documents", 3, 1, "kind: component\nname: a\n---\nname: b\n"),
        Case("duplicate key", "spec.duplicate-key", 3, 1, "name: a\nkind: component\nname: b\n"),
        Case(
            "several duplicate keys", "spec.duplicate-key", 4, 3,
            "component:\n  b: 1\n  a: 1\n  b: 2\n  a: 2\n  c: 1\n  c: 2\n"),
        Case("duplicate key in flow", "spec.duplicate-key", 1, 16, "params: {a: 1, a: 2}\n"),
        Case(
            "duplicate key in two spellings", "spec.duplicate-key", 7, 5,
            job("command: [x]\n    workingDir: /a\n    working_dir: /b")),
        Case("unsupported tag", "spec.unsupported-tag", 2, 7, "kind: component\nname: !!binary aGk=\n"),
        Case("control character", "spec.yaml", 2, 8, "kind: component\nname: a\u{1}b\n"),
        Case(
            "number out of range", "spec.number-range", 2, 14,
            "params: {\n  a: {value: 99999999999999999999}}\nhubRef: summary\n"),
        Case("infinite number", "spec.number-range", 1, 13, "params: {a: .inf}\nhubRef: summary\n"),
        Case(
            "unknown root key", "spec.unknown-key", 2, 1,
            "kind: component\nrunn: {}\nrun: {kind: job, container: {command: [x]}}\n"),
        Case(
            "unknown run key", "spec.unknown-key", 4, 3,
            "kind: component\nrun:\n  kind: job\n  contianer: {}\n  container: {command: [x]}\n"),
        Case("unknown container key", "spec.unknown-key", 6, 5, job("command: [x]\n    imge: a")),
        Case("unknown hook key", "spec.unknown-key", 8, 3, hook("hubRef: summary\n  triger: done")),
        Case("unknown termination key", "spec.unknown-key", 2, 15, job(above: "termination: {maxRetry: 1}\n")),
        Case("unknown kind", "spec.unknown-kind", 1, 7, "kind: componnt\n"),
        Case("old kind", "spec.unsupported-kind", 1, 7, "kind: experiment\n"),
        Case("unknown kind of run", "spec.unknown-kind", 3, 9, "kind: component\nrun:\n  kind: jbo\n"),
        Case("no kind of run", "spec.missing-key", 3, 3, "kind: component\nrun:\n  container: {command: [x]}\n"),
        Case("no run", "spec.nothing-to-run", 1, 1, "kind: component\nname: a\n"),
        Case("no container", "spec.missing-key", 3, 3, "kind: component\nrun:\n  kind: job\n"),
        Case("no command", "spec.unsupported-feature", 5, 5, job("image: a")),
        Case("version is a word", "spec.wrong-type", 1, 10, "version: new\n" + job()),
        Case("name is a number", "spec.wrong-type", 2, 7, job(above: "name: 5\n")),
        Case("name with blanks", "spec.invalid-value", 2, 7, job(above: "name: a b\n")),
        Case("tags with a mapping", "spec.wrong-type", 2, 7, job(above: "tags: {a: b}\n")),
        Case("command is a mapping", "spec.wrong-type", 5, 14, job("command: {a: b}")),
        Case("command with a list inside", "spec.wrong-type", 5, 15, job("command: [[x]]")),
        Case("env is a text", "spec.wrong-type", 6, 10, job("command: [x]\n    env: PATH")),
        Case("env without a name", "spec.missing-key", 6, 11, job("command: [x]\n    env: [{value: a}]")),
        Case("env with a bad name", "spec.invalid-value", 6, 11, job("command: [x]\n    env: [{name: a-b, value: a}]")),
        Case("env of the agent", "spec.reserved-name", 6, 11, job("command: [x]\n    env: {POSTLUDE_RUN_ID: a}")),
        Case(
            "env from a secret", "spec.unsupported-feature", 6, 21,
            job("command: [x]\n    env: [{name: a, valueFrom: {secretKeyRef: {}}}]")),
        Case(
            "memory without a unit", "spec.invalid-value", 6, 34,
            job("command: [x]\n    resources: {limits: {memory: 512}}")),
        Case(
            "memory with a wrong unit", "spec.invalid-value", 6, 34,
            job("command: [x]\n    resources: {limits: {memory: 2GB}}")),
        Case("negative cpu", "spec.invalid-value", 6, 31, job("command: [x]\n    resources: {limits: {cpu: -1}}")),
        Case(
            "half a gpu", "spec.invalid-value", 6, 42,
            job("command: [x]\n    resources: {limits: {nvidia.com/gpu: 0.5}}")),
        Case(
            "request above the limit", "spec.invalid-value", 6, 36,
            job("command: [x]\n    resources: {requests: {memory: 2Gi}, limits: {memory: 1Gi}}")),
        Case(
            "storage in thousandths of a byte", "spec.invalid-value", 6, 45,
            job("command: [x]\n    resources: {limits: {ephemeral-storage: 400m}}")),
        Case(
            "a request for storage above the limit", "spec.invalid-value", 6, 47,
            job("command: [x]\n    resources: {requests: {ephemeral-storage: 2Gi}, limits: {ephemeral-storage: 1Gi}}")),
        Case("gpu is no class", "spec.invalid-value", 6, 26, job("command: [x]\n    resources: {limits: {gpu: 1}}")),
        Case(
            "devices for a sidecar", "spec.unsupported-feature", 5, 20,
            job(below: "  sidecars:\n  - {command: [y], resources: {limits: {example.org/d: 1}}}\n")),
        Case("input without a name", "spec.missing-key", 2, 10, job(above: "inputs: [{type: int}]\n")),
        Case(
            "input declared twice", "spec.duplicate-name", 4, 3,
            job(above: "inputs:\n- {name: a, value: 1}\n- {name: a, value: 1}\n")),
        Case(
            "input with a reserved name", "spec.reserved-name", 2, 10,
            job(above: "inputs: [{name: globals, value: 1}]\n")),
        Case(
            "input of unknown type", "spec.unknown-type", 2, 27,
            job(above: "inputs: [{name: a, type:  itn, value: 1}]\n")),
        Case(
            "default of the wrong type", "inputs.wrong-type", 2, 38,
            job(above: "inputs: [{name: a, type: int, value: x}]\n")),
        Case(
            "default breaks its rule", "inputs.rule-broken", 2, 59,
            job(above: "inputs: [{name: a, type: int, validation: {gt: 2}, value: 1}]\n")),
        Case(
            "rule with a wrong operand", "spec.invalid-value", 2, 50,
            job(above: "inputs: [{name: a, value: 1, validation: {regex: '('}}]\n")),
        Case(
            "unknown rule", "spec.unknown-key", 2, 43,
            job(above: "inputs: [{name: a, value: 1, validation: {max: 2}}]\n")),
        Case(
            "template in a default", "spec.unsupported-feature", 2, 27,
            job(above: "inputs: [{name: a, value: \"{{ b }}\"}]\n")),
        Case(
            "toEnv with a bad name", "spec.invalid-value", 2, 37,
            job(above: "inputs: [{name: a, value: 1, toEnv: 1A}]\n")),
        Case("missing input", "inputs.missing", 2, 10, job(above: "inputs: [{name: a, type: int}]\n")),
        Case(
            "param of the wrong type", "inputs.wrong-type", 3, 13,
            job(above: "inputs: [{name: a, type: int}]\nparams: {a: x}\n")),
        Case(
            "param without an input, strict", "spec.unknown-param", 3, 13,
            job(above: "strictParams: true\nparams: {b: 1}\n")),
        Case("params are a list", "spec.wrong-type", 2, 9, job(above: "params: [a]\n")),
        Case(
            "param of another run", "spec.unsupported-feature", 2, 24,
            job(above: "params: {a: {value: x, ref: ops.b}}\n")),
        Case(
            "param with an unknown key", "spec.unknown-key", 2, 24,
            job(above: "params: {a: {value: x, contextonly: true}}\n")),
        Case("unknown name in a command", "expression.unknown-name", 5, 20, job("command: [\"a{{ lss }}\"]")),
        Case("syntax of an expression", "expression.syntax", 5, 23, job("command: [\"{{ 1 + }}\"]")),
        Case("statement in a template", "expression.unsupported", 5, 16, job("command: [\"{% if a %}\"]")),
        Case(
            "expression in a block", "expression.unknown-name", 8, 12,
            job("command: [sh, -c]\n    args:\n    - |\n      x {{ nope }}")),
        Case("conditions are a bool", "spec.wrong-type", 2, 13, job(above: "conditions: true\n")),
        Case("conditions without braces", "expression.not-a-condition", 2, 13, job(above: "conditions: \"a == b\"\n")),
        Case(
            "conditions with an unknown name", "expression.unknown-name", 2, 17, job(above: "conditions: \"{{ b }}\"\n")
        ),
        Case("unknown profile", "spec.unknown-profile", 4, 12, job(below: "  profile: mian\n")),
        Case("negative retries", "spec.invalid-value", 2, 27, job(above: "termination: {maxRetries: -1}\n")),
        Case("timeout is a word", "spec.wrong-type", 2, 24, job(above: "termination: {timeout: long}\n")),
        Case("timeout of zero", "spec.invalid-value", 2, 24, job(above: "termination: {timeout: 0}\n")),
        Case("init step without a kind", "spec.missing-key", 5, 5, job(below: "  init:\n  - {path: a}\n")),
        Case(
            "init step of two kinds", "spec.conflict", 5, 5, job(below: "  init:\n  - {git: {url: /a}, paths: [a]}\n")),
        Case(
            "init file without content", "spec.missing-key", 5, 12, job(below: "  init:\n  - {file: {filename: a}}\n")),
        Case(
            "init file with a bad mode", "spec.invalid-value", 5, 32,
            job(below: "  init:\n  - {file: {content: a, chmod: rwx}}\n")),
        Case("git without an address", "spec.missing-key", 5, 11, job(below: "  init:\n  - {git: {revision: a}}\n")),
        Case(
            "git by a remote helper", "inputs.git-url", 5, 18,
            job(below: "  init:\n  - {git: {url: 'ext::sh -c id'}}\n")),
        Case(
            "git with a dangerous flag", "inputs.git-flag", 5, 30,
            job(below: "  init:\n  - {git: {url: /a, flags: [\"-c\"]}}\n")),
        Case(
            "artifacts of a store", "spec.unsupported-feature", 5, 6,
            job(below: "  init:\n  - {artifacts: {files: [a]}}\n")),
        Case("hook without a component", "spec.missing-key", 7, 3, hook("trigger: done")),
        Case("hook with two components", "spec.conflict", 7, 3, hook("{hubRef: summary, pathRef: a.yaml}")),
        Case("hook of an unknown component", "spec.unknown-component", 7, 11, hook("hubRef: sumary")),
        Case("hook that leaves the hub", "spec.invalid-value", 7, 11, hook("hubRef: ../../etc/passwd")),
        Case("hook with a template for a component", "spec.unsupported-feature", 7, 11, hook("hubRef: \"{{ h }}\"")),
        Case("hook of a file that is not there", "spec.unreadable-reference", 7, 12, hook("pathRef: nope.yaml")),
        Case("hook with a wrong trigger", "spec.invalid-value", 8, 12, hook("hubRef: summary\n  trigger: running")),
        Case("hook conditions are a bool", "spec.wrong-type", 8, 15, hook("hubRef: summary\n  conditions: true")),
        Case(
            "hook conditions are garbage", "expression.not-a-condition", 8, 15,
            hook("hubRef: summary\n  conditions: maybe")),
        Case(
            "hook param of the wrong type", "inputs.wrong-type", 8, 27,
            hook("hubRef: summary\n  params: {lines: {value: x}}")),
        Case("hook without a required param", "inputs.missing", 7, 3, hook("hubRef: webhook:1.0")),
        Case(
            "hook param breaks a rule", "inputs.rule-broken", 8, 25,
            hook("hubRef: webhook\n  params: {url: {value: \"ftp://a/b\"}}")),
        Case("hook presets", "spec.unknown-preset", 8, 13, hook("hubRef: summary\n  presets: [a]")),
        Case(
            "hook runPatch with an unknown key", "spec.unknown-key", 8, 14,
            hook("hubRef: summary\n  runPatch: {contianer: {}}")),
        Case("hook runPatch is a list", "spec.wrong-type", 8, 13, hook("hubRef: summary\n  runPatch: []")),
        Case(
            "hook with an unknown strategy", "spec.invalid-value", 8, 18,
            hook("hubRef: summary\n  patchStrategy: merge")),
        Case(
            "operation as a component", "spec.wrong-kind", 2, 19,
            "kind: operation\ncomponent: {kind: operation, hubRef: summary}\n"),
        Case("two components", "spec.conflict", 1, 1, "hubRef: summary\npathRef: a.yaml\n"),
        Case("unknown component", "spec.unknown-component", 1, 9, "hubRef: kaniko\n"),
        Case("matrix", "spec.unsupported-feature", 2, 16, job(above: "matrix: {kind: bayes}\n")),
        Case("schedule", "spec.missing-key", 2, 11, job(above: "schedule: {kind: cron}\n")),
        Case("events", "spec.unsupported-feature", 2, 1, job(above: "events: []\n")),
        Case("cache without an age", "spec.invalid-value", 2, 14, job(above: "cache: {ttl: 0}\n")),
        Case("cache of an unknown input", "spec.unknown-input", 2, 13, job(above: "cache: {io: [a]}\n")),
        Case("cache of an unknown section", "spec.invalid-value", 2, 19, job(above: "cache: {sections: [a]}\n")),
        Case("service", "spec.missing-key", 3, 3, "kind: component\nrun:\n  kind: service\n"),
        Case("dag", "spec.missing-key", 3, 3, "kind: component\nrun:\n  kind: dag\n"),
        Case("distributed kind", "spec.unsupported-feature", 3, 9, "kind: component\nrun:\n  kind: tfjob\n"),
        Case("urlRef", "spec.unsupported-feature", 1, 1, "urlRef: https://e.org/x\n"),
        Case("dagRef", "spec.unsupported-feature", 1, 1, "dagRef: x\n"),
        Case("connections", "spec.wrong-type", 4, 16, job(below: "  connections: {a: b}\n")),
        Case(
            "a template as a connection", "spec.unsupported-feature", 4, 17,
            job(below: "  connections: [\"{{ a }}\"]\n")),
        Case("unknown preset", "spec.unknown-preset", 2, 11, job(above: "presets: [a]\n")),
        Case("preset outside", "spec.unknown-preset", 2, 10, job(above: "presets: ../../etc/passwd\n")),
        Case("preset by a number", "spec.wrong-type", 2, 11, job(above: "presets: [1]\n")),
        Case("preset by a template", "spec.unsupported-feature", 2, 11, job(above: "presets: [\"{{ a }}\"]\n")),
        Case("preset alone", "spec.preset-alone", 1, 11, "isPreset: true\nqueue: a\n"),
        Case("isPreset is a word", "spec.wrong-type", 2, 11, job(above: "isPreset: maybe\n")),
        Case("unknown strategy", "spec.invalid-value", 2, 16, job(above: "patchStrategy: postmerge\n")),
        Case("runPatch without a run", "spec.no-run-to-patch", 1, 11, "runPatch: {container: {image: a}}\n"),
        Case("runPatch is a text", "spec.wrong-type", 2, 11, job(above: "runPatch: a\n")),
        Case("runPatch of another kind", "spec.wrong-kind", 2, 18, job(above: "runPatch: {kind: service}\n")),
        Case(
            "runPatch with a key in two spellings", "spec.duplicate-key", 2, 40,
            job(above: "runPatch: {container: {workingDir: /a, working_dir: /b}}\n")),
        Case(
            "runPatch with a wrong value", "spec.wrong-type", 2, 33,
            job(above: "runPatch: {container: {command: {a: b}}}\n")),
        Case("disableDefaults is a text", "spec.wrong-type", 2, 18, job(above: "disableDefaults: most\n")),
        Case("volumes", "spec.unsupported-feature", 4, 3, job(below: "  volumes: []\n")),
        Case("cmd with a blank line", "spec.invalid-value", 1, 6, "cmd: [a, \" \"]\n"),
        Case("cmd of mappings", "spec.wrong-type", 1, 6, "cmd: [{a: b}]\n"),
        Case("component with params", "spec.unsupported-feature", 1, 13, "component: {params: {a: 1}, cmd: a}\n"),
        Case("component that is a preset", "spec.wrong-kind", 1, 23, "component: {isPreset: true, cmd: a}\n"),
        Case("approval", "spec.wrong-type", 2, 13, job(above: "isApproved: maybe\n")),
    ]

    @Test(arguments: cases)
    func `a mistake is told with code, place and hint`(bad: Case) throws {
        let (operation, diagnostics) = try Reading.read(bad.text)
        let errors = diagnostics.filter { $0.severity == .error }
        let told = errors.map { DiagnosticText.line($0) }.joined(separator: "\n")
        #expect(operation == nil, "accepted:\n\(bad.text)")
        let match = errors.first { $0.code == bad.code && $0.place?.line == bad.line && $0.place?.column == bad.column }
        #expect(match != nil, "wanted \(bad.code) at \(bad.line):\(bad.column), got:\n\(told)\nfor:\n\(bad.text)")
        #expect(
            errors.allSatisfy { $0.hint?.isEmpty == false && !$0.message.isEmpty && $0.place?.file == "op.yaml" },
            "\(told)")
        // One mistake is one error, so that nothing hides what is wrong.
        #expect(errors.count == 1, "\(told)")
    }

    @Test func `there are enough of them`() { #expect(Self.cases.count >= 60) }

    @Test func `every problem is told at once, in the file's order`() throws {
        let text = """
            kind: component
            nme: a
            inputs:
            - {name: a, type: itn}
            - {name: b, type: int, value: x}
            run:
              kind: job
              profile: nope
              container:
                command: ["{{ a + }}"]
                resources: {limits: {memory: lots}}
            hooks:
            - {hubRef: slak}
            """
        let (_, diagnostics) = try Reading.read(text)
        let errors = diagnostics.filter { $0.severity == .error }
        #expect(
            errors.map(\.code) == [
                "spec.unknown-key", "inputs.missing", "spec.unknown-type", "inputs.wrong-type", "spec.unknown-profile",
                "expression.syntax", "spec.invalid-value", "spec.unknown-component",
            ])
        #expect(errors.map { $0.place?.line } == [2, 4, 4, 5, 8, 10, 11, 13])
    }

    @Test(arguments: [
        ("nme: a\n" + job(), "Did you mean 'name'?"), (job("comand: [x]\n    command: [y]"), "Did you mean 'command'?"),
        (hook("hubRef: sumary"), "Did you mean 'summary'?"),
        (hook("hubRef: summary\n  trigger: suceeded"), "Did you mean 'succeeded'?"),
        (job(below: "  profile: mian\n"), "Did you mean 'main'?"), ("kind: operaton\n", "Did you mean 'operation'?"),
    ])
    func `a slip gets the word that was meant`(text: String, hint: String) throws {
        #expect(try Reading.read(text).diagnostics.contains { $0.hint == hint })
    }
}
