import Foundation
import PostludeAPI
import PostludeCore
import Testing

/// The hub's components that send nothing: `archive` to directories, `evaluate` and `summary`, in real sandboxes.
@Suite(.enabled(if: isRoot)) struct HubLocalTests {
    /// A hook of one main, and what must become of it.
    struct Case: Sendable {
        var name: String
        var hook: String
        var status: RunStatus = .succeeded
        /// In the message of its last condition.
        var message = ""
        var outputs: [String: Value] = [:]
    }

    private static func ended(
        _ main: String, _ cases: [Case], directories: [String: String] = [:],
        _ look: @Sendable ([String: RunDetail]) async throws -> Void = { _ in }
    ) async throws {
        let connections = directories.map { name, path in
            Connection(name: name, kind: "directory", users: ["*"], directory: path)
        }
        let hooks = "hooks:\n" + cases.map { "- {name: \($0.name), trigger: done, \($0.hook)}\n" }.joined()
        try await LiveAgent.run(connections: connections) { agent in
            let run = try await agent.client.submit(agent.submission(main, name: "train", hooks: hooks)).summary.id
            _ = try await agent.settled(run)
            var found: [String: RunDetail] = [:]
            for hook in try await agent.client.run(run.description).hooks {
                found[hook.name] = try await agent.client.run(try #require(hook.run, "\(hook)").description)
            }
            for expected in cases {
                let detail = try #require(found[expected.name])
                let last = detail.conditions.last?.message ?? ""
                #expect(detail.summary.status == expected.status, "\(expected.name): \(last)")
                #expect(expected.message.isEmpty || last.contains(expected.message), "\(expected.name): \(last)")
                for (name, value) in expected.outputs {
                    #expect(detail.outputs[name] == value, "\(expected.name): \(detail.outputs)")
                }
            }
            try await look(found)
        }
    }

    private static func temporaryDirectory() throws -> URL {
        let place = FileManager.default.temporaryDirectory.appendingPathComponent("hub-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
        return place
    }

    private static func remove(_ place: URL) {
        do { try FileManager.default.removeItem(at: place) } catch { Issue.record("\(error)") }
    }

    private static let leavesBehind = """
        mkdir -p "$POSTLUDE_ARTIFACTS/outputs/deep"; echo model > "$POSTLUDE_ARTIFACTS/outputs/model.txt"
        echo more > "$POSTLUDE_ARTIFACTS/outputs/deep/more"; ln -s /etc/passwd "$POSTLUDE_ARTIFACTS/outputs/link"
        echo said
        """

    @Test func `an archive in a directory is whole, and replaces nothing`() async throws {
        let store = try Self.temporaryDirectory()
        defer { Self.remove(store) }
        try FileManager.default.createDirectory(
            at: store.appendingPathComponent("taken"), withIntermediateDirectories: false)
        let kept = "hubRef: archive, connection: store, params: "
        try await Self.ended(
            Self.leavesBehind,
            [
                Case(
                    name: "copy", hook: kept + "{what: {value: outputs}, name: {value: copied}}",
                    outputs: ["files": .int(3)]),
                Case(
                    name: "tar", hook: kept + "{what: {value: outputs}, format: {value: tar}, name: {value: packed}}",
                    outputs: ["files": .int(3)]),
                Case(name: "logs", hook: kept + "{what: {value: logs}, name: {value: said}}"),
                Case(
                    name: "twice", hook: kept + "{name: {value: taken}}", status: .failed,
                    message: "'taken' is there already, and is not replaced"),
                Case(name: "own", hook: "hubRef: archive, params: {name: {value: mine}}"),
            ], directories: ["store": store.path]
        ) { found in
            let names = try FileManager.default.contentsOfDirectory(atPath: store.path).sorted()
            #expect(names == ["copied", "packed.tar.gz", "said", "taken"], "nothing unfinished is left")
            let copy = store.appendingPathComponent("copied")
            #expect(try String(contentsOf: copy.appendingPathComponent("deep/more"), encoding: .utf8) == "more\n")
            let link = copy.appendingPathComponent("link").path
            #expect(
                try FileManager.default.destinationOfSymbolicLink(atPath: link) == "/etc/passwd", "links stay links")
            let tar = try Command(
                URL(fileURLWithPath: "/usr/bin/tar"), ["-xzOf", "packed.tar.gz", "packed/deep/more"], in: store)
            let unpacked = await tar.result()
            #expect(unpacked.output == "more\n", "\(unpacked)")
            #expect(
                try FileManager.default.contentsOfDirectory(atPath: store.appendingPathComponent("taken").path).isEmpty)
            let own = try #require(found["own"])
            guard case .string(let place)? = own.outputs["archive"] else { throw CancellationError() }
            #expect(place.hasSuffix("/mine"), "\(place)")
        }
    }

    @Test func `an archive of what is not there, or to what is no target, fails visibly`() async throws {
        try await Self.ended(
            "rmdir \"$POSTLUDE_ARTIFACTS/outputs\"",
            [
                Case(
                    name: "nothing", hook: "hubRef: archive, params: {what: {value: outputs}}", status: .failed,
                    message: "main 'train' left no outputs behind"),
                Case(
                    name: "target", hook: "hubRef: archive, params: {target: {value: \"-e sh x:/\"}}", status: .failed,
                    message: "the target is neither rsync://host/module/path nor host:path"),
            ])
    }

    @Test func `evaluate records the metrics that its command prints, and fails on those out of bounds`() async throws {
        func evaluate(_ script: String, _ more: String = "") -> String {
            "hubRef: evaluate, params: {command: {value: [/bin/sh, -c, \"\(script)\"]}\(more)}"
        }
        try await Self.ended(
            "echo '{\"accuracy\": 0.93}' > \"$POSTLUDE_ARTIFACTS/score\"",
            [
                Case(
                    name: "json", hook: evaluate("echo noise; cat score"),
                    outputs: ["metrics": .dict(["accuracy": .double(0.93)]), "passed": .bool(true)]),
                Case(
                    name: "lines",
                    hook: evaluate("echo loss=0.5; echo 'top5: 1e-1'", ", maximum: {value: {loss: 0.5}}"),
                    outputs: ["metrics": .dict(["loss": .double(0.5), "top5": .double(0.1)]), "passed": .bool(true)]),
                Case(
                    name: "low", hook: evaluate("echo accuracy=0.2", ", minimum: {value: {accuracy: 0.9, f1: 0.5}}"),
                    status: .failed, message: "accuracy is 0.2, which is not at least 0.9; f1 is missing",
                    outputs: ["passed": .bool(false)]),
                Case(name: "silent", hook: evaluate("echo done"), status: .failed, message: "printed no metric"),
                Case(name: "breaks", hook: evaluate("exit 7"), status: .failed, message: "ended with code 7"),
                Case(
                    name: "writes", hook: evaluate("if echo x > here; then echo a=0.5; else echo a=1.5; fi"),
                    outputs: ["metrics": .dict(["a": .double(1.5)])]),
            ])
    }

    @Test func `every example of hooks is accepted as it is`() async throws {
        let examples = LiveAgent.repository.appendingPathComponent("Examples/hooks")
        let names = try FileManager.default.contentsOfDirectory(atPath: examples.path)
            .filter { $0.hasSuffix(".yaml") && $0 != "connections.yaml" }
        #expect(names.count > 8)
        try await OwnAgent.run { agent in
            for name in names {
                let result = try await agent.postlude("validate", examples.appendingPathComponent(name).path)
                #expect(result.status == 0, "\(name): \(result)")
            }
        }
    }
}
