import PostludeCore
import Testing

@testable import PostludeSpec

/// Connections in the agent's configuration, and where operations name them.
@Suite struct ConnectionSettingsTests {
    static let defaults = AgentConfiguration(stateDirectory: "/s", socket: "/s/agent.sock")

    @Test func `connections are read, and no dump of them shows a secret`() throws {
        let text = """
            connections:
            - name: chat
              kind: slack
              description: The team's channel.
              groups: [staff]
              secrets: {url: "https://hooks.example.org/T0/hush", token: {file: /etc/postlude/token}}
              settings: {channel: "#runs", port: 25}
            - {name: disk, kind: directory, users: ["*"], directory: /data/archive}
            """
        let read = try AgentConfigurationReader.read(text, path: "p.yaml", defaults: Self.defaults)
        #expect(
            read.connections == [
                Connection(
                    name: "chat", kind: "slack", groups: ["staff"],
                    settings: ["channel": .string("#runs"), "port": .int(25)],
                    secrets: [
                        "url": .value(SecretText("https://hooks.example.org/T0/hush")),
                        "token": .file("/etc/postlude/token"),
                    ]),
                Connection(name: "disk", kind: "directory", users: ["*"], directory: "/data/archive"),
            ])
        var dumped = ""
        dump(read, to: &dumped)
        #expect(!(dumped + "\(read)" + String(reflecting: read)).contains("hush"))
    }

    @Test(arguments: [
        ("connections: [{kind: slack, users: [a]}]", "spec.missing-key"),
        ("connections: [{name: a, users: [a]}]", "spec.missing-key"),
        ("connections: [{name: a, kind: k}]", "config.connection-for-nobody"),
        ("connections: [{name: ../a, kind: k, users: [a]}]", "spec.invalid-value"),
        ("connections: [{name: a, kind: k, users: [a], directory: data}]", "config.invalid-path"),
        ("connections: [{name: a, kind: k, users: [a], secrets: {../x: hush}}]", "spec.invalid-value"),
        ("connections: [{name: a, kind: k, users: [a], secrets: {x: [hush]}}]", "spec.invalid-value"),
        ("connections: [{name: a, kind: k, users: [a], secrets: {x: {file: hush}}}]", "spec.invalid-value"),
        ("connections: [{name: a, kind: k, users: [a], secrets: hush}]", "spec.wrong-type"),
        ("connections: [{name: a, kind: k, users: [a], secret: {x: hush}}]", "spec.unknown-key"),
        (
            "connections: [{name: a, kind: k, users: [a]}, {name: a, kind: k, users: [a]}]",
            "config.duplicate-connection"
        ),
        ("connections: [{name: a, kind: k, users: [a], secrets: {x: \"hush}}]", "spec.yaml"),
    ])
    func `a bad connection is told, and what is told repeats no value`(text: String, code: String) {
        let error = #expect(throws: SpecError.self) {
            try AgentConfigurationReader.read(text + "\n", path: "p.yaml", defaults: Self.defaults)
        }
        #expect(error?.diagnostics.contains { $0.code == code } == true, "\(String(describing: error))")
        #expect(error?.diagnostics.allSatisfy { $0.place != nil && $0.hint != nil } == true)
        #expect(!String(describing: error).contains("hush"), "\(String(describing: error))")
    }

    static let catalog = ConnectionCatalog(entries: [
        "chat": .init(kind: "slack", isAllowed: true), "mail": .init(kind: "email", isAllowed: true),
        "boss": .init(kind: "slack", isAllowed: false),
    ])

    private func errors(_ text: String) throws -> [Diagnostic] {
        OperationReader.read(
            Reading.submission(text),
            from: SpecSources(hub: try Reading.hub(), profiles: Reading.profiles, connections: Self.catalog)
        ).diagnostics.filter { $0.severity == .error }
    }

    @Test(arguments: [
        ("hooks:\n- {hubRef: slack, connection: chat}\n", nil as String?, 0, nil as String?),
        ("hooks:\n- {hubRef: slack, connection: caht}\n", "spec.unknown-connection", 31, "Did you mean 'chat'?"),
        ("hooks:\n- {hubRef: slack, connection: boss}\n", "spec.connection-not-allowed", 31, "You may use chat, mail."),
        ("hooks:\n- {hubRef: slack, connection: mail}\n", "spec.wrong-connection-kind", 31, "Of that kind: chat."),
        ("hooks:\n- {hubRef: webhook, connection: mail}\n", "spec.wrong-connection-kind", 33, nil),
        ("hooks:\n- {hubRef: slack, connection: '{{ x }}'}\n", "spec.unsupported-feature", 31, nil),
        ("hooks:\n- {connection: mail, component: {run: {kind: job, container: {command: [x]}}}}\n", nil, 0, nil),
    ])
    func `a hook's connection is checked`(hooks: String, code: String?, column: Int, hint: String?) throws {
        let found = try errors(Reading.job + hooks)
        guard let code else { return #expect(found.isEmpty, "\(found)") }
        #expect(found.map(\.code) == [code], "\(found)")
        let last = Reading.job.split(separator: "\n", omittingEmptySubsequences: false).count + 1
        #expect(found.first?.place == SourcePlace(file: "op.yaml", line: last, column: column))
        if let hint { #expect(found.first?.hint == hint) }
    }

    @Test func `a job and its init steps name connections, each its own`() throws {
        let text = """
            kind: component
            run:
              kind: job
              connections: [chat, mail, chat]
              init:
              - {connection: chat, container: {command: [x]}}
              - container: {command: [x]}
              sidecars: [{name: s, command: [x]}]
              container: {command: [x]}
            """
        let read = OperationReader.read(
            Reading.submission(text),
            from: SpecSources(hub: try Reading.hub(), profiles: Reading.profiles, connections: Self.catalog))
        let operation = try #require(read.operation, "\(read.diagnostics)")
        let steps = try JobCompiler.compile(operation, facts: try Reading.facts()).steps
        #expect(steps.map(\.connections) == [["chat"], [], [], ["chat", "mail"]])
        #expect(steps.map { $0.environment["POSTLUDE_CONNECTION"] != nil } == [true, false, false, true])
        #expect(steps.last?.environment["POSTLUDE_CONNECTION"] == "/plx-context/connections/chat")
        #expect(steps.allSatisfy { $0.grants.isEmpty })
        let bad = try errors(
            text.replacing("[chat, mail, chat]", with: "[boss]").replacing("connection: chat", with: "connection: z"))
        #expect(bad.map(\.code) == ["spec.connection-not-allowed", "spec.unknown-connection"], "\(bad)")
        let file = try errors(text.replacing("container: {command: [x]}}", with: "file: {content: a}}"))
        #expect(file.map(\.code) == ["spec.unsupported-feature"], "\(file)")
    }

    @Test func `who may use a connection`() {
        func may(_ connection: Connection, _ name: String, _ uid: UInt32, _ groups: Set<String>) -> Bool {
            connection.isFor(SitePolicy.Subject(name: name, uid: uid, groups: groups))
        }
        let named = Connection(name: "c", kind: "k", users: ["ada", "1007"], groups: ["staff"])
        #expect(may(named, "ada", 5, []) && may(named, "bob", 1007, []) && may(named, "eve", 6, ["staff"]))
        #expect(!may(named, "eve", 6, ["users"]) && may(named, "root", 0, []))
        #expect(may(Connection(name: "c", kind: "k", users: ["*"]), "eve", 6, []))
        #expect(!may(Connection(name: "c", kind: "k"), "eve", 6, []))
    }
}
