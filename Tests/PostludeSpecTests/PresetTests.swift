import Foundation
import PostludeCore
import Testing

@testable import PostludeSpec

/// Presets by name, of the operation's directory and of the site, and what the site adds by itself.
@Suite struct PresetTests {
    static let operation = """
        kind: operation
        presets: [small]
        component:
          run:
            kind: job
            container: {command: [x], resources: {limits: {memory: 1Gi}}}

        """

    /// A site with these presets, and the rules that apply them.
    static func read(
        _ text: String, references: [String: String] = [:], site: [String: String] = [:], rules: [SiteDefaults] = [],
        project: String? = nil, subject: SitePolicy.Subject = .init(name: "ada", uid: 1000, groups: ["lab"])
    ) throws -> (operation: PostludeCore.Operation?, diagnostics: [Diagnostic], directory: String) {
        try Files.withTemporaryDirectory { directory in
            for (name, text) in site {
                try text.write(to: directory.appendingPathComponent("\(name).yaml"), atomically: true, encoding: .utf8)
            }
            let sources = SpecSources(
                hub: try Reading.hub(), profiles: Reading.profiles,
                presets: try PresetCatalog(directory: directory.path),
                site: SiteSelection(rules, project: project, subject: subject))
            let read = OperationReader.read(Reading.submission(text, references: references), from: sources)
            return (read.operation, read.diagnostics, directory.path)
        }
    }

    static func preset(_ text: String) -> String { "isPreset: true\n" + text }

    static func memory(_ operation: PostludeCore.Operation?) -> Int64? {
        operation?.component.job.container.resources.memoryBytes
    }

    @Test func `a preset beside the operation goes before the site's of that name`() throws {
        let mine = Self.preset("runPatch: {container: {resources: {limits: {memory: 2Gi}}}}")
        let sites = Self.preset("runPatch: {container: {resources: {limits: {memory: 3Gi}}}}")
        let both = try Self.read(Self.operation, references: ["small.yaml": mine], site: ["small": sites])
        #expect(Self.memory(both.operation) == 2 << 30)
        #expect(Self.memory(try Self.read(Self.operation, site: ["small": sites]).operation) == 3 << 30)
        let below = try Self.read(Self.operation, references: ["presets/small.yml": mine])
        #expect(Self.memory(below.operation) == 2 << 30)
    }

    @Test func `presets are merged in their order, each by its own strategy`() throws {
        let text = Self.operation.replacingOccurrences(of: "[small]", with: "[a, b, c]")
        let operation = try Self.read(
            text,
            references: [
                "a.yaml": Self.preset("queue: first\ntags: [a]"),
                "b.yaml": Self.preset("patchStrategy: isnull\nqueue: second\ntags: [b]\ndescription: b"),
                "c.yaml": Self.preset("patchStrategy: pre_merge\ntags: [c]\nparams: {n: 1}"),
            ]
        ).operation
        #expect(operation?.queue == "first" && operation?.description == "b" && operation?.tags == ["c", "a"])
        #expect(operation?.params["n"]?.value == .int(1))
    }

    @Test(arguments: [
        ("runPatch: {contianer: {}}", "spec.unknown-key", 2, 12),
        ("runPatch: {container: {resources: {limits: {memory: lots}}}}", "spec.invalid-value", 2, 53),
        ("run: {kind: job}", "spec.preset-key", 2, 1), ("presets: [b]", "spec.preset-key", 2, 1),
        ("inputs: []", "spec.preset-key", 2, 1), ("comand: [x]", "spec.preset-key", 2, 1),
        ("patchStrategy: best", "spec.invalid-value", 2, 16), ("tags: [a\n", "spec.yaml", 2, 7),
        ("hooks: [{hubRef: nope}]", "spec.unknown-component", 2, 18),
        ("runPatch: {container: {command: [\"{{ nope }}\"]}}", "expression.unknown-name", 2, 38),
        ("queue: a\nqueue: b", "spec.duplicate-key", 3, 1),
    ])
    func `a mistake in a preset is told with the preset's file and line`(
        text: String, code: String, line: Int, column: Int
    ) throws {
        let read = try Self.read(Self.operation, references: ["small.yaml": Self.preset(text)])
        let errors = read.diagnostics.filter { $0.severity == .error }
        #expect(read.operation == nil)
        #expect(errors.count == 1, "\(errors)")
        let error = try #require(errors.first)
        #expect(error.code == code && error.hint?.isEmpty == false, "\(error)")
        if code != "spec.yaml" {
            #expect(error.place == SourcePlace(file: "small.yaml", line: line, column: column), "\(error)")
        }
        let site = try Self.read(Self.operation, site: ["small": Self.preset(text)])
        let place = site.diagnostics.first { $0.severity == .error }?.place
        #expect(place?.file == "\(site.directory)/small.yaml" && place?.line == error.place?.line)
    }

    @Test func `a file that is no preset is refused as one`() throws {
        let read = try Self.read(Self.operation, references: ["small.yaml": "queue: a\n"])
        #expect(read.diagnostics.map(\.code) == ["spec.not-a-preset"])
        let list = try Self.read(Self.operation, references: ["small.yaml": "[a]\n"])
        #expect(list.diagnostics.map(\.code) == ["spec.wrong-type"])
    }

    @Test func `an unknown preset gets the name that was meant`() throws {
        let read = try Self.read(Self.operation, site: ["smal": Self.preset("queue: a")])
        let error = try #require(read.diagnostics.first)
        #expect(error.code == "spec.unknown-preset" && error.hint == "Did you mean 'smal'?")
        #expect(error.place == SourcePlace(file: "op.yaml", line: 2, column: 11))
    }

    @Test func `a hook takes runPatch and presets as an operation does`() throws {
        let text =
            Reading.job + """
                hooks:
                - hubRef: summary
                  runPatch: {environment: {labels: {a: b}}, container: {env: [{name: A, value: "1"}]}}
                  presets: [quick]
                """
        let preset = Self.preset(
            "termination: {timeout: 7}\nparams: {lines: {value: 3}}\nenv: {B: \"2\"}\npatchStrategy: isnull")
        let read = try Self.read(text, references: ["quick.yaml": preset])
        let hook = try #require(read.operation?.hooks.first, "\(read.diagnostics)")
        #expect(hook.name == "summary" && hook.origin == "hub:summary")
        #expect(hook.component.termination.timeoutSeconds == 7 && hook.params["lines"]?.value == .int(3))
        // By `isnull` the variables that are there stay as they are.
        #expect(hook.component.job.container.environment.map(\.name).contains("A"))
        #expect(!hook.component.job.container.environment.map(\.name).contains("B"))
    }

    // MARK: What the site adds

    static let tell = preset("hooks:\n- {hubRef: summary, trigger: failed}\nqueue: shared\npatchStrategy: isnull")
    static let plain = Reading.job

    @Test func `the site's presets go into what its rules name, and their hooks say so`() throws {
        let rule = SiteDefaults(name: "lab", groups: ["lab"], projects: ["p"], presets: ["tell"])
        let read = try Self.read(Self.plain, site: ["tell": Self.tell], rules: [rule], project: "p")
        #expect(read.operation?.hooks.map(\.origin) == ["site:hub:summary"], "\(read.diagnostics)")
        #expect(read.operation?.queue == "shared")
        let others = try Self.read(Self.plain, site: ["tell": Self.tell], rules: [rule])
        #expect(others.operation?.hooks.isEmpty == true && others.operation?.queue == nil)
        let stranger = try Self.read(
            Self.plain, site: ["tell": Self.tell], rules: [rule], project: "p", subject: .init(name: "bob", uid: 1001))
        #expect(stranger.operation?.hooks.isEmpty == true)
    }

    @Test func `an operation's own hook is its own, the site's beside it`() throws {
        let rule = SiteDefaults(name: "all", presets: ["tell"])
        let preset = Self.preset("hooks: [{hubRef: summary, trigger: failed}]")
        let text = Self.plain + "hooks:\n- {hubRef: summary, name: mine}\n"
        let read = try Self.read(text, site: ["tell": preset], rules: [rule])
        #expect(read.operation?.hooks.map(\.origin) == ["hub:summary", "site:hub:summary"])
    }

    @Test func `disableDefaults leaves them out, for the operation and for a hook`() throws {
        let rule = SiteDefaults(name: "all", presets: ["tell"], hookPresets: ["slow"])
        let slow = Self.preset("termination: {timeout: 9}")
        let site = ["tell": Self.tell, "slow": slow]
        let without = try Self.read(
            "disableDefaults: true\n" + Self.plain + "hooks: [{hubRef: summary}]\n", site: site, rules: [rule])
        #expect(without.operation?.hooks.map(\.origin) == ["hub:summary"], "\(without.diagnostics)")
        let with = try Self.read(
            Self.plain + "hooks: [{hubRef: summary}, {hubRef: summary, disableDefaults: true}]\n", site: ["slow": slow],
            rules: [SiteDefaults(name: "all", hookPresets: ["slow"])])
        #expect(with.operation?.hooks.map(\.component.termination.timeoutSeconds).first == 9)
        #expect(with.operation?.hooks.last?.component.termination.timeoutSeconds != 9)
    }

    @Test func `rules look at user, uid, group, project and queue`() {
        let ada = SitePolicy.Subject(name: "ada", uid: 1000, groups: ["lab"])
        func isFor(_ rule: SiteDefaults, queue: String? = nil) -> Bool { rule.isFor(ada, project: "p", queue: queue) }
        #expect(isFor(SiteDefaults(name: "a")) && isFor(SiteDefaults(name: "a", users: ["1000"])))
        #expect(isFor(SiteDefaults(name: "a", users: ["bob"], groups: ["lab"])))
        #expect(!isFor(SiteDefaults(name: "a", users: ["bob"])) && !isFor(SiteDefaults(name: "a", groups: ["x"])))
        #expect(isFor(SiteDefaults(name: "a", projects: ["p"])) && !isFor(SiteDefaults(name: "a", projects: ["q"])))
        let queued = SiteDefaults(name: "a", queues: ["gpu"])
        #expect(isFor(queued, queue: "gpu") && !isFor(queued) && !isFor(queued, queue: "cpu"))
    }

    @Test func `the site's bounds hold for what its own presets ask`() throws {
        let rule = SiteDefaults(name: "all", presets: ["big"])
        let big = Self.preset("resources: {memory: 8Gi}")
        let operation = try #require(try Self.read(Self.plain, site: ["big": big], rules: [rule]).operation)
        let bounds = SitePolicy.Rule(name: "small", memoryBytes: 1 << 30)
        let admission = bounds.admit(operation, workingDirectory: nil, profiles: [:])
        #expect(admission.violations.map(\.code) == ["policy.memory"])
    }

    @Test func `a preset is checked by itself`() throws {
        let sources = SpecSources(hub: try Reading.hub(), profiles: Reading.profiles)
        func check(_ text: String) -> [String]? {
            OperationReader.checkPreset(Reading.submission(text), from: sources)?.map(\.code)
        }
        #expect(check(Self.preset("queue: a\ncontainer: {image: b}"))?.contains("spec.unknown-key") == false)
        #expect(check(Self.preset("quue: a")) == ["spec.preset-key"])
        #expect(check(Self.preset("runPatch: {init: [{}]}"))?.contains("spec.missing-key") == true)
        #expect(check(Reading.job) == nil)
    }
}
