import Foundation
import PostludeCore
import Testing

@testable import PostludeSpec

/// The files that are installed, and the readers of the administrator's.
@Suite struct InstallationTests {
    @Test func `the installed profiles are what they promise`() throws {
        let profiles = try ProfileCatalog.load(directory: Files.profiles.appendingPathComponent("sandbox").path)
        #expect(Set(profiles.keys) == ["main", "hook", "notifier"])
        // What every host that Postlude runs on has; Landlock's newer rules are told of, not asked for.
        let common = Set(SandboxProfile.Requirement.allCases).subtracting([.landlock])
        let main = try #require(profiles["main"])
        #expect(main.network == .loopback && main.devices == .leased && main.seccomp == "main")
        #expect(Set(main.requires) == common)
        let hook = try #require(profiles["hook"])
        #expect(hook.network == .none && hook.devices == .none && hook.seccomp == "hook")
        #expect(Set(hook.requires) == common)
        let notifier = try #require(profiles["notifier"])
        #expect(notifier.listen == .none && main.listen == .any)
        #expect(notifier.network == .host && notifier.devices == .none && notifier.seccomp == "notifier")
        #expect(notifier.readOnly.contains("/run/systemd/resolve/stub-resolv.conf?"))
        let own = try ProfileCatalog.read("coreScheduling: true", path: "p.yaml", name: "p")
        #expect(own.coreScheduling)
        for profile in profiles.values {
            #expect(profile.defaultStorageBytes != nil, "the disk is bounded")
            // Most machines have none, or no need of it.
            #expect(!profile.coreScheduling)
            #expect(profile.hide.contains("/root") && profile.hide.contains("/home") && profile.hide.contains("/run"))
            #expect(!profile.description.isEmpty)
            #expect(Set([".ssh", ".aws", ".netrc", ".mozilla", ".config/gcloud"]).isSubset(of: profile.hideInHome))
            let seccomp = Files.profiles.appendingPathComponent("seccomp/\(profile.seccomp).json").path
            #expect(FileManager.default.fileExists(atPath: seccomp), "\(seccomp)")
        }
    }

    static let badProfiles: [(String, String)] = [
        ("network: all", "spec.invalid-value"), ("listen: some", "spec.invalid-value"),
        ("devices: some", "spec.invalid-value"),
        ("hide: [home]", "spec.invalid-value"),
        ("hideInHome: [/.ssh]", "spec.invalid-value"), ("hideInHome: [../eve]", "spec.invalid-value"),
        ("hideInHome: ['']", "spec.invalid-value"), ("hideInHome: [a/]", "spec.invalid-value"),
        ("hide: [/a/../b]", "spec.invalid-value"), ("readOnly: [a?]", "spec.invalid-value"),
        ("seccomp: ../x", "spec.invalid-value"),
        ("tmp: big", "spec.invalid-value"), ("requires: [secomp]", "spec.invalid-value"),
        ("maxPIDs: 1", "spec.invalid-value"), ("coreScheduling: 1", "spec.wrong-type"),
        ("coreScheduling: 'true'", "spec.wrong-type"),
        ("network: {a: b}", "spec.wrong-type"), ("colour: red", "spec.unknown-key"),
        ("name: other", "profile.wrong-name"),
        ("hide: /home", "spec.wrong-type"), ("", "spec.empty"), ("defaultCPU: -1", "spec.invalid-value"),
        ("defaultStorage: 4k", "spec.invalid-value"), ("defaultStorage: [1Gi]", "spec.invalid-value"),
    ]

    @Test(arguments: badProfiles)
    func `a bad profile is told with its place`(text: String, code: String) {
        let error = #expect(throws: SpecError.self) { try ProfileCatalog.read(text, path: "p.yaml", name: "p") }
        #expect(error?.code == code)
        #expect(error?.diagnostics.first?.place?.file == "p.yaml")
        #expect(error?.hint?.isEmpty == false)
    }

    @Test func `a directory without profiles is an error`() throws {
        #expect(throws: SpecError.self) { try ProfileCatalog.load(directory: "/nonexistent/profiles") }
        try Files.withTemporaryDirectory { directory in
            let error = #expect(throws: SpecError.self) { try ProfileCatalog.load(directory: directory.path) }
            #expect(error?.code == "profile.missing-directory")
            for name in ["a", "b"] {
                try "network: all\n".write(
                    to: directory.appendingPathComponent("\(name).yaml"), atomically: true, encoding: .utf8)
            }
            let both = #expect(throws: SpecError.self) { try ProfileCatalog.load(directory: directory.path) }
            #expect(both?.diagnostics.count == 2)
        }
    }

    // MARK: Hub

    @Test func `every component of the hub can be read as a hook and says what it is for`() throws {
        let hub = try Reading.hub()
        #expect(
            hub.names == [
                "archive", "discord", "email", "evaluate", "mattermost", "ntfy", "pagerduty", "slack", "summary",
                "teams",
                "webhook",
            ])
        let required = [
            "email": "\n  params: {to: {value: [ada@example.org]}}", "evaluate": "\n  params: {command: {value: [x]}}",
        ]
        for name in hub.names {
            let params = required[name] ?? ""
            let operation = try Reading.operation(Reading.job + "hooks:\n- hubRef: \(name)\(params)\n")
            #expect(operation.hooks.first?.component.job.usesHub == true)
            let described = try hub.describe(name)
            #expect(described.inputs.allSatisfy { $0.description?.isEmpty == false }, "\(name)")
            #expect(operation.hooks.first?.component.job.profile != nil)
            #expect(operation.notes.isEmpty, "\(operation.notes)")
            #expect(try hub.component(named: name).text.contains("description: |"))
        }
    }

    @Test(arguments: ["../x", "a/b", ".hidden", "", "a:b:c", "a:", ":a", "a:../b", "/etc/passwd", "a\0b"])
    func `no reference leaves the hub`(reference: String) throws {
        let hub = try Reading.hub()
        let error = #expect(throws: SpecError.self) { try hub.component(named: reference) }
        #expect(error?.code == "spec.invalid-value")
    }

    @Test func `a tag names a file of its own`() throws {
        try Files.withTemporaryDirectory { directory in
            try FileManager.default.createDirectory(
                at: directory.appendingPathComponent("c"), withIntermediateDirectories: true)
            try "latest".write(to: directory.appendingPathComponent("c.yaml"), atomically: true, encoding: .utf8)
            try "two".write(to: directory.appendingPathComponent("c/2.0.yaml"), atomically: true, encoding: .utf8)
            let hub = try Hub(directory: directory.path)
            #expect(try hub.component(named: "c").text == "latest")
            #expect(try hub.component(named: "c:latest").text == "latest")
            #expect(try hub.component(named: "c:2.0").text == "two")
            let wrong = #expect(throws: SpecError.self) { try hub.component(named: "c:2.1") }
            #expect(wrong?.code == "spec.unknown-component")
            #expect(wrong?.hint == "Did you mean 'c:2.0'? It has c, c:2.0.", "\(wrong?.hint ?? "")")
        }
        #expect(throws: SpecError.self) { try Hub(directory: "/nonexistent/hub") }
        #expect(throws: SpecError.self) { try Hub.empty.component(named: "a") }
    }

    @Test func `without a tag the highest version is meant`() throws {
        try Files.withTemporaryDirectory { directory in
            let tags = ["1.9", "1.10", "1.10-rc.1", "v1.2", "lib"]
            try FileManager.default.createDirectory(
                at: directory.appendingPathComponent("c"), withIntermediateDirectories: true)
            try FileManager.default.createDirectory(
                at: directory.appendingPathComponent("empty"), withIntermediateDirectories: true)
            for tag in tags {
                try tag.write(to: directory.appendingPathComponent("c/\(tag).yaml"), atomically: true, encoding: .utf8)
            }
            let hub = try Hub(directory: directory.path)
            #expect(hub.names == ["c"] && hub.programs == nil)
            #expect(hub.tags(of: "c") == ["1.10", "1.10-rc.1", "1.9", "v1.2", "lib"])
            #expect(try hub.component(named: "c").text == "1.10")
            #expect(try hub.component(named: "c:latest").text == "1.10")
            #expect(try hub.component(named: "c:1.9").text == "1.9")
            let unknown = #expect(throws: SpecError.self) { try hub.component(named: "d") }
            #expect(unknown?.hint == "Did you mean 'c'?")
        }
        let shipped = try Reading.hub()
        #expect(shipped.tags(of: "webhook") == ["latest", "1.0"])
        let old = try Reading.operation(
            Reading.job + "hooks:\n- {hubRef: \"webhook:1.0\", params: {url: {value: \"https://e.org/x\"}}}\n")
        #expect(old.hooks.first?.origin == "hub:webhook:1.0" && old.hooks.first?.name == "webhook")
    }

    // MARK: Configuration

    static let user = AgentConfiguration.defaults(
        uid: 1000, environment: ["XDG_RUNTIME_DIR": "/run/user/1000"], home: "/home/u")

    @Test func `defaults follow the user`() {
        let root = AgentConfiguration.defaults(uid: 0, environment: ["XDG_STATE_HOME": "/x"], home: "/root")
        #expect(root.stateDirectory == "/var/lib/postlude" && root.socket == "/run/postlude/agent.sock")
        #expect(root.idleExitSeconds == nil)
        #expect(Self.user.stateDirectory == "/home/u/.local/state/postlude")
        #expect(Self.user.socket == "/run/user/1000/postlude/agent.sock")
        #expect(Self.user.idleExitSeconds == 300)
        let bare = AgentConfiguration.defaults(
            uid: 5, environment: ["XDG_STATE_HOME": "/s", "XDG_RUNTIME_DIR": "relative"], home: "/h")
        #expect(bare.stateDirectory == "/s/postlude" && bare.socket == "/s/postlude/agent.sock")
    }

    @Test func `a configuration is read over the defaults`() throws {
        let text = """
            # Everything there is.
            stateDirectory: /srv/postlude
            socket: /run/p.sock
            profilesDirectory: /etc/postlude/profiles
            hubDirectory: /etc/postlude/hub
            wardenPath: /usr/libexec/postlude-warden
            devices:
            - {id: dev0, class: example.org/d, nodes: [/dev/null, /dev/zero], environment: {DEVICE: 0}}
            memory: 16Gi
            cpus: 3.5
            diskReserve: 5Gi
            idleExitSeconds: 60
            administratorsGroup: wheel
            policy:
            - name: students
              users: [ada, "1007"]
              groups: students
              profiles: [main, hook]
              networks: [none, loopback]
              workingDirectories: [/home, /data/sets]
              memory: 8Gi
              cpus: 2.5
              storage: 50Gi
              devices: 1
              timeoutSeconds: 86400
              retries: 0
              hooks: 3
            - {name: rest}
            queues:
            - {name: default, maxRunning: 8}
            - name: urgent
              priority: 10
              maxDevices: 2
              maxWaiting: 100
              perUser: {maxRunning: 1, maxDevices: 1, maxWaiting: 5}
              users: [ada]
              groups: lab
            - {name: night, priority: -5}
            perUser: {maxRunning: 4, maxDevices: 3, maxWaiting: 1000}
            fairShare: {halfLifeSeconds: 604800, weights: {ada: 2, "1007": 0.5}}
            api:
              connections: 1000
              idleSeconds: 5
              bodySeconds: 6
              answerSeconds: 7
              perUser: {connections: 10, requests: 2, requestsPerSecond: 3, burst: 4}
            """
        var read = try AgentConfigurationReader.read(text, path: "p.yaml", defaults: Self.user)
        #expect(
            read.rules
                == SchedulingRules(
                    queues: [
                        .init(name: "default", limits: .init(running: 8)),
                        .init(
                            name: "urgent", priority: 10, limits: .init(devices: 2, waiting: 100),
                            perUser: .init(running: 1, devices: 1, waiting: 5), users: ["ada"], groups: ["lab"]),
                        .init(name: "night", priority: -5),
                    ], perUser: .init(running: 4, devices: 3, waiting: 1000), halfLifeSeconds: 604_800,
                    weights: ["ada": 2, "1007": 0.5]))
        read.rules = SchedulingRules()
        var api = APISettings()
        (api.connections, api.idleSeconds, api.bodySeconds, api.answerSeconds) = (1000, 5, 6, 7)
        (api.perUser.connections, api.perUser.requests) = (10, 2)
        (api.perUser.requestsPerSecond, api.perUser.burst) = (3, 4)
        #expect(read.api == api)
        read.api = APISettings()
        #expect(
            read
                == AgentConfiguration(
                    stateDirectory: "/srv/postlude", socket: "/run/p.sock", profilesDirectory: "/etc/postlude/profiles",
                    hubDirectory: "/etc/postlude/hub", wardenPath: "/usr/libexec/postlude-warden",
                    devices: [
                        .init(
                            id: "dev0", deviceClass: "example.org/d", nodes: ["/dev/null", "/dev/zero"],
                            environment: ["DEVICE": "0"])
                    ],
                    memoryBytes: 16 << 30, milliCPU: 3500, diskReserveBytes: 5 << 30, idleExitSeconds: 60,
                    administratorsGroup: "wheel",
                    policy: SitePolicy(rules: [
                        SitePolicy.Rule(
                            name: "students", users: ["ada", "1007"], groups: ["students"], profiles: ["main", "hook"],
                            networks: [.none, .loopback], workingDirectories: ["/home", "/data/sets"],
                            memoryBytes: 8 << 30, milliCPU: 2500, storageBytes: 50 << 30, devices: 1,
                            timeoutSeconds: 86400, retries: 0, hooks: 3),
                        SitePolicy.Rule(name: "rest"),
                    ]), images: ImageMap(unmapped: .host)))
        #expect(try AgentConfigurationReader.read("# nothing\n\n", path: "p", defaults: Self.user) == Self.user)
        let beside = AgentConfiguration(stateDirectory: "/a", socket: "/a/agent.sock")
        #expect(
            try AgentConfigurationReader.read("stateDirectory: /b\n", path: "p", defaults: beside).socket
                == "/b/agent.sock")
    }

    static let badConfigurations: [(String, String, Int, Int)] = [
        ("stateDirectry: /a", "spec.unknown-key", 1, 1), ("stateDirectory: a", "config.invalid-path", 1, 17),
        ("socket: /\(String(repeating: "a", count: 120))", "config.invalid-path", 1, 9),
        ("memory: lots", "spec.invalid-value", 1, 9),
        ("cpus: 0", "spec.invalid-value", 1, 7), ("idleExitSeconds: soon", "spec.wrong-type", 1, 18),
        ("devices: {a: b}", "spec.wrong-type", 1, 10), ("devices: [{id: a}]", "spec.missing-key", 1, 11),
        ("devices: [{id: a, class: c, nodes: [/etc/passwd]}]", "spec.invalid-value", 1, 36),
        (
            "devices: [{id: a, class: c, nodes: [/dev/a]}, {id: a, class: c, nodes: [/dev/b]}]",
            "config.duplicate-device", 1, 47
        ),
        ("devices: [{id: a, class: c, nodes: [/dev/a], environment: {1x: y}}]", "spec.invalid-value", 1, 60),
        ("- a", "spec.wrong-type", 1, 1), ("a: [", "spec.yaml", 2, 1),
        ("diskReserve: some", "spec.invalid-value", 1, 14), ("diskReserve: -1Gi", "spec.invalid-value", 1, 14),
        ("policy: [{name: a, storage: 4Ki}]", "spec.invalid-value", 1, 29),
        ("administratorsGroup: 5", "spec.wrong-type", 1, 22),
        ("policy: []", "spec.invalid-value", 1, 9), ("policy: [{memory: 1Gi}]", "spec.missing-key", 1, 10),
        ("policy: [{name: a}, {name: b}]", "config.unreachable-rule", 1, 21),
        ("policy: [{name: a, users: [u]}, {name: a}]", "config.duplicate-rule", 1, 33),
        ("policy: [{name: a, users: []}]", "spec.invalid-value", 1, 27),
        ("policy: [{name: a, groups: null}]", "spec.invalid-value", 1, 28),
        ("policy: [{name: a, networks: [wifi]}]", "spec.invalid-value", 1, 30),
        ("policy: [{name: a, memory: much}]", "spec.invalid-value", 1, 28),
        ("policy: [{name: a, devices: -1}]", "spec.invalid-value", 1, 29),
        ("policy: [{name: a, workingDirectories: [home]}]", "spec.invalid-value", 1, 41),
        ("defaults: [{name: a, presets: [b]}]", "config.no-presets", 1, 1),
        ("presetsDirectory: presets", "config.invalid-path", 1, 19),
        ("presetsDirectory: /p\ndefaults: [{presets: [b]}]", "spec.missing-key", 2, 12),
        ("presetsDirectory: /p\ndefaults: [{name: a}]", "spec.missing-key", 2, 12),
        ("presetsDirectory: /p\ndefaults: [{name: a, presets: [../b]}]", "spec.invalid-value", 2, 31),
        ("presetsDirectory: /p\ndefaults: [{name: a, presets: [b], users: []}]", "spec.invalid-value", 2, 43),
        ("presetsDirectory: /p\ndefaults: [{name: a, presets: [b], usrs: [x]}]", "spec.unknown-key", 2, 36),
        (
            "presetsDirectory: /p\ndefaults: [{name: a, presets: [b]}, {name: a, presets: [c]}]",
            "config.duplicate-rule", 2, 37
        ),
        ("policy: [{name: a, memry: 1Gi}]", "spec.unknown-key", 1, 20),
        ("queues: [{name: a}, {name: a}]", "config.duplicate-queue", 1, 21),
        ("queues: [{priority: 1}]", "spec.missing-key", 1, 10), ("queues: {a: b}", "spec.wrong-type", 1, 9),
        ("queues: [{name: a/b}]", "spec.invalid-value", 1, 17),
        ("queues: [{name: a, priority: high}]", "spec.wrong-type", 1, 30),
        ("queues: [{name: a, maxRunning: -1}]", "spec.invalid-value", 1, 32),
        ("queues: [{name: a, groups: []}]", "spec.invalid-value", 1, 28),
        ("queues: [{name: a, perUser: {running: 1}}]", "spec.unknown-key", 1, 30),
        ("perUser: 5", "spec.wrong-type", 1, 10), ("fairShare: {halfLifeSeconds: 0}", "spec.invalid-value", 1, 30),
        ("fairShare: {weights: {ada: 0}}", "spec.invalid-value", 1, 28),
        ("fairShare: {weights: [ada]}", "spec.wrong-type", 1, 22),
        ("api: {idleSeconds: 0}", "spec.invalid-value", 1, 20), ("api: 5", "spec.wrong-type", 1, 6),
        ("api: {perUser: {connections: 0}}", "spec.invalid-value", 1, 30),
        ("api: {connection: 9}", "spec.unknown-key", 1, 7),
    ]

    @Test(arguments: badConfigurations)
    func `a bad configuration is told with its place`(text: String, code: String, line: Int, column: Int) {
        let error = #expect(throws: SpecError.self) {
            try AgentConfigurationReader.read(text + "\n", path: "p.yaml", defaults: Self.user)
        }
        #expect(error?.code == code)
        #expect(error?.diagnostics.first?.place == SourcePlace(file: "p.yaml", line: line, column: column))
        #expect(error?.hint?.isEmpty == false)
    }

    @Test func `a configuration that cannot be read is told`() {
        let error = #expect(throws: SpecError.self) {
            try AgentConfigurationReader.load(path: "/nonexistent/postlude.yaml", defaults: Self.user)
        }
        #expect(error?.code == "spec.unreadable-file")
        #expect(error?.message.contains("No such file") == true)
    }
}
