import Foundation
import PostludeAPI
import PostludeCore
import Testing

/// The hub's components in real sandboxes, against real receivers on loopback: one that takes what comes, one that
/// refuses, one that hangs, and none.
@Suite(.enabled(if: isRoot), .serialized) struct HubDeliveryTests {
    static let secret = "hush-\(UUID().uuidString.lowercased())"
    static let chats = ["webhook", "slack", "discord", "mattermost", "teams", "pagerduty", "ntfy"]
    static let components = chats + ["email", "archive"]

    /// What main says: everything in it means something to some format.
    static let evil = "<b>&\"q\" '`$(touch /tmp/x)`\r\nBcc: eve@example.org\r\n\r\n{{ 7*7 }} @everyone **x** \u{1F600}"
    static var main: String {
        get throws {
            // In the file it would be a template; what main writes is data.
            let outputs = String(decoding: try Wire.encode(["evil": evil]), as: UTF8.self)
                .replacing("{{", with: "\\u007b\\u007b")
            return """
                cat > "$POSTLUDE_OUTPUTS" <<'END'
                \(outputs)
                END
                mkdir -p "$POSTLUDE_ARTIFACTS/outputs"; echo model > "$POSTLUDE_ARTIFACTS/outputs/model.txt"
                echo '```</pre><script>' >&2
                exit 3
                """
        }
    }

    /// A connection of each kind, to the receivers of one mode.
    static func connections(http: Int, smtp: Int, rsync: Int, directory: String) -> [Connection] {
        var connections = chats.map { kind in
            let url = "http://127.0.0.1:\(http)/\(kind)/\(kind == "pagerduty" ? "events" : secret)"
            var secrets: [String: Connection.Secret] = ["url": .value(SecretText(url))]
            if kind == "pagerduty" { secrets["service_key"] = .value(SecretText(secret)) }
            if kind == "ntfy" { secrets["topic"] = .value(SecretText("runs")) }
            if kind == "webhook" || kind == "ntfy" { secrets["token"] = .value(SecretText(secret)) }
            return Connection(name: "to-\(kind)", kind: kind, users: ["*"], secrets: secrets)
        }
        connections.append(
            Connection(
                name: "to-email", kind: "email", users: ["*"],
                settings: [
                    "host": .string("127.0.0.1"), "port": .int(Int64(smtp)), "tls": .string("none"),
                    "from": .string("postlude@example.org"),
                ],
                secrets: ["user": .value(SecretText("ada")), "password": .value(SecretText(secret))]))
        connections.append(
            Connection(
                name: "to-archive", kind: "rsync", users: ["*"],
                settings: ["target": .string("rsync://ada@127.0.0.1:\(rsync)/store/kept")],
                secrets: ["password": .value(SecretText(secret))]))
        connections.append(Connection(name: "disk", kind: "directory", users: ["*"], directory: directory))
        return connections
    }

    /// A hook of each component, with a short breath.
    static func hooks(attempts: Int, timeout: Int) -> String {
        "hooks:\n"
            + components.map { name in
                var params = "attempts: {value: \(attempts)}, timeout: {value: \(timeout)}"
                if name == "email" { params += ", to: {value: [bob@example.org, carol@example.org]}" }
                if name != "archive" { params += ", title: {value: \"{{ evil }}\"}" }
                if name == "slack" || name == "email" { params += ", logs: {value: true}" }
                return "- {hubRef: \(name), connection: to-\(name), params: {\(params)}}\n"
            }.joined()
    }

    struct Ended: Sendable {
        var agent: LiveAgent
        var run: RunID
        var hooks: [String: RunDetail]
    }

    /// Runs main and all the hooks against receivers of one mode, then looks at what is left.
    static func run(
        _ mode: Receiver.Mode, attempts: Int = 1, timeout: Int = 20,
        _ look: @Sendable (Ended) async throws -> Void = { _ in }
    ) async throws -> (http: [[String: Value]], smtp: [[String: Value]], outcomes: [String: String]) {
        let store = FileManager.default.temporaryDirectory.appendingPathComponent("hub-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: store, withIntermediateDirectories: true)
        defer { do { try FileManager.default.removeItem(at: store) } catch { Issue.record("\(error)") } }
        let http = try Receiver("http", mode)
        let smtp = try Receiver("smtp", mode, secret)
        let rsync = try Receiver("rsync", mode, store.path, secret)
        let connections = connections(
            http: http.port, smtp: smtp.port, rsync: rsync.port, directory: store.path)
        let outcomes = try await LiveAgent.run(connections: connections) { agent in
            let run = try await agent.client.submit(
                agent.submission(
                    try main, name: "train", hooks: hooks(attempts: attempts, timeout: timeout))
            ).summary.id
            _ = try await agent.settled(run)
            var ended: [String: RunDetail] = [:]
            for hook in try await agent.client.run(run.description).hooks {
                let id = try #require(hook.run, "\(hook)")
                ended[hook.name] = try await agent.client.run(id.description)
            }
            try await look(Ended(agent: agent, run: run, hooks: ended))
            return ended.mapValues { "\($0.summary.status.rawValue): \($0.conditions.last?.message ?? "")" }
        }
        if mode == .accept {
            let kept = store.appendingPathComponent("store/kept")
            let names = try FileManager.default.contentsOfDirectory(atPath: kept.path)
            let name = try #require(names.first)
            let model = kept.appendingPathComponent("\(name)/outputs/model.txt")
            #expect(try String(contentsOf: model, encoding: .utf8) == "model\n")
        }
        return (try http.received(), try smtp.received(), outcomes)
    }

    static let reasons: [Receiver.Mode: [String: String]] = [
        .refuse: [
            "email": "the receiver answered 535", "archive": "auth failed",
            "webhook": "the receiver answered 403: no <such> \"hook\": [redacted]",
        ],
        .hang: ["archive": "rsync ended with", "webhook": "timed out"],
        .absent: ["archive": "Connection refused", "webhook": "no answer: "],
    ]

    @Test func `every component delivers, and fails visibly when the receiver refuses, hangs or is not there`()
        async throws
    {
        var table: [(component: String, mode: String, outcome: String)] = []
        for mode in Receiver.Mode.allCases {
            let isGood = mode == .accept
            let result = try await Self.run(mode, timeout: mode == .hang ? 1 : 20) { try await Self.leaksNothing($0) }
            for component in Self.components {
                let outcome = result.outcomes[component] ?? "never ran"
                table.append((component, mode.rawValue, outcome))
                #expect(outcome.hasPrefix(isGood ? "succeeded" : "failed"), "\(component), \(mode): \(outcome)")
                guard !isGood else { continue }
                let reason = Self.reasons[mode]?[component] ?? (mode == .refuse ? "answered 403" : "no answer: ")
                #expect(outcome.contains(reason), "\(component), \(mode): \(outcome)")
            }
            if isGood { try Self.check(http: result.http, smtp: result.smtp) }
        }
        print("component    receiver  outcome")
        for row in table {
            let cells = [
                row.component.padding(toLength: 12, withPad: " ", startingAt: 0),
                row.mode.padding(
                    toLength: 9, withPad: " ", startingAt: 0),
            ]
            print(cells.joined(separator: " "), row.outcome.prefix(160))
        }
    }

    /// What was delivered, where formats differ.
    static func check(http: [[String: Value]], smtp: [[String: Value]]) throws {
        var bodies: [String: [String: Value]] = [:]
        for request in http {
            let kind = request.text("path").split(separator: "/").first.map(String.init) ?? ""
            #expect(bodies[kind] == nil, "\(kind) came twice")
            bodies[kind] = try request.json()
            #expect(request.text("headers", "content-type") == "application/json")
            #expect(kind == "pagerduty" || request.text("path") == "/\(kind)/\(secret)")
            let token = kind == "webhook" || kind == "ntfy" ? "Bearer \(secret)" : ""
            #expect(request.text("headers", "authorization") == token)
        }
        #expect(Set(bodies.keys) == Set(chats))
        let webhook = try #require(bodies["webhook"])
        #expect(webhook.text("main", "outputs", "evil") == evil, "values arrive as they are")
        #expect(webhook.text("status") == "failed" && webhook.text("context", "name") == "train")
        #expect(webhook.text("details") == "MainFailed Main ended with code 3.")
        let slack = try attachment(bodies["slack"])
        #expect(slack.text("color") == "#aa310f")
        #expect(slack.text("title").hasPrefix("&lt;b&gt;&amp;\"q\" '`$(touch /tmp/x)` Bcc: eve@example.org {{ 7*7 }}"))
        #expect(slack.text("text").contains("```\n'''&lt;/pre&gt;&lt;script&gt;\n```"), "\(slack.text("text"))")
        let mattermost = try attachment(bodies["mattermost"])
        #expect(mattermost.text("title").contains("\\@everyone \\*\\*x\\*\\* \u{1F600}"), "\(mattermost.text("title"))")
        let discord = try #require(bodies["discord"])
        #expect(discord.text("content").utf16.count <= 2000 && discord.text("content").contains("\\@everyone"))
        #expect(discord["allowed_mentions"] == .dict(["parse": .list([])]) && discord["tts"] == .bool(false))
        let teams = try #require(bodies["teams"])
        #expect(teams.text("@type") == "MessageCard" && teams.text("themeColor") == "aa310f")
        #expect(teams.text("title").hasPrefix("\\<b\\>"))
        let pagerduty = try #require(bodies["pagerduty"])
        #expect(pagerduty.text("service_key") == secret && pagerduty.text("event_type") == "trigger")
        #expect(pagerduty.text("incident_key") == webhook.text("context", "uuid"))
        #expect(pagerduty.text("description").count <= 1024 && !pagerduty.text("description").contains("\n"))
        let ntfy = try #require(bodies["ntfy"])
        #expect(ntfy.text("topic") == "runs" && ntfy["priority"] == .int(4) && ntfy["tags"] == .list([.string("x")]))
        let letter = try #require(smtp.first)
        #expect(smtp.count == 1 && letter.text("sender") == "postlude@example.org" && letter.text("login") == "ada")
        #expect(letter["recipients"] == .list([.string("bob@example.org"), .string("carol@example.org")]))
        let lines = String(decoding: letter.body, as: UTF8.self).components(separatedBy: "\r\n")
        let head = lines.prefix { !$0.isEmpty }
        #expect(!head.contains { $0.lowercased().hasPrefix("bcc") }, "\(head)")
        #expect(head.contains("To: bob@example.org, carol@example.org"))
        #expect(head.contains { $0.hasPrefix("Content-Type: multipart/alternative") })
        #expect(!String(decoding: letter.body, as: UTF8.self).contains("<script>\r\n</pre>"))
    }

    private static func attachment(_ body: [String: Value]?) throws -> [String: Value] {
        guard case .list(let items)? = body?["attachments"], case .dict(let first)? = items.first else {
            throw CancellationError()
        }
        return first
    }

    /// The secret is in no file of the agent's, no answer of its API and no log, however the deliveries ended.
    static func leaksNothing(_ ended: Ended) async throws {
        let agent = ended.agent
        var answers = try Wire.encode(try await agent.client.runs(limit: 100))
        for run in [ended.run] + ended.hooks.values.map(\.summary.id) {
            answers += try Wire.encode(try await agent.client.run(run.description))
            answers += try Wire.encode(try await agent.settled(run))
            for stream in [LogStream.stdout, .stderr] { answers += Array(try await agent.log(run, stream).utf8) }
        }
        #expect(!String(decoding: answers, as: UTF8.self).contains(secret), "an answer of the API has the secret")
        #expect(answers.count > 10_000)
        let state = agent.directory.appendingPathComponent("state")
        var files = 0
        let needle = Data(secret.utf8)
        for case let file as URL in FileManager.default.enumerator(at: state, includingPropertiesForKeys: nil)
            ?? .init()
        {
            var isDirectory: ObjCBool = false
            guard FileManager.default.fileExists(atPath: file.path, isDirectory: &isDirectory), !isDirectory.boolValue
            else { continue }
            files += 1
            #expect(try Data(contentsOf: file).firstRange(of: needle) == nil, "\(file.path) has the secret")
        }
        #expect(files > 20)
    }
}
