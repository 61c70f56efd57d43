import Foundation
import PostludeCore
import Testing

@testable import PostludeStore

/// What joins find in a store.
@Suite struct StoreSearchTests {
    private let directory: TemporaryDirectory
    private let store: Store
    private static let eve = UserIdentity(name: "eve", uid: 1002, gid: 1002, home: "/home/eve")

    init() async throws {
        directory = try TemporaryDirectory()
        store = try Store(directory: directory.path)
    }

    private static func search(
        _ query: String, sort: String? = nil, limit: Int = 100, offset: Int = 0
    ) throws -> RunSearch {
        let operation = PostludeCore.Operation(
            component: Component(job: JobSpec(container: ContainerSpec())),
            joins: [
                Join(
                    query: Template(query), sort: sort.map { Template($0) }, limit: Template(String(limit)),
                    offset: Template(String(offset)))
            ])
        let facts = RunFacts(
            id: RunID.random(), name: "compare", project: "default", user: Sample.user, createdAt: Sample.time(0))
        return try #require(try operation.searches(facts: facts).first)
    }

    /// Names of what is found.
    private func found(
        _ query: String, sort: String? = nil, limit: Int = 100, offset: Int = 0, uid: UInt32 = Sample.user.uid
    ) async throws -> [String] {
        let search = try Self.search(query, sort: sort, limit: limit, offset: offset)
        return try await runs(search, uid: uid).map(\.name)
    }

    private func runs(_ search: RunSearch, uid: UInt32 = Sample.user.uid) async throws -> [FoundRun] {
        var runs: [FoundRun] = []
        for number in try await store.search(search, uid: uid).numbers {
            runs.append(try #require(try await store.foundRun(number)))
        }
        return runs
    }

    @discardableResult
    private func submit(
        _ name: String, user: UserIdentity = Sample.user, outputs: [String: Value] = [:],
        event: Run.Event = .conditionFalse(detail: ""), _ change: (inout NewRun) -> Void = { _ in }
    ) async throws -> RunID {
        var new = Sample.run(user: user)
        new.name = name
        change(&new)
        let id = try await store.submit(new, then: event, at: Sample.time(1)).result
        guard !outputs.isEmpty else { return id }
        let text = try JSONText.encode(outputs)
        try await store.write(.event) { db in
            try db.run("UPDATE runs SET outputs = ? WHERE id = ?", [text, id.description])
        }
        return id
    }

    @Test func `nobody finds another user's runs, whatever is asked for`() async throws {
        try await submit("a1", outputs: ["loss": .double(0.1)])
        let eves = try await submit("e1", user: Self.eve, outputs: ["loss": .double(0.05)])
        try await submit("a2", outputs: ["loss": .double(0.2)])
        for query in ["kind: job", "metrics.loss: <1", "name: ~x", "pipeline: nil", "name: a%|e%"] {
            #expect(try await found(query) == ["a2", "a1"], "\(query)")
            #expect(try await found(query, uid: Self.eve.uid) == ["e1"], "\(query)")
        }
        for query in ["uuid: \(eves)", "name: e1", "name: a1 | e1, metrics.loss: <0.1"] {
            #expect(try await found(query).isEmpty, "\(query)")
        }
        #expect(try await found("kind: job", uid: 0).isEmpty)
    }

    @Test func `fields of runs as they are stored`() async throws {
        let parent = try await submit("parent", event: .compiled) { new in
            new.operation.matrix = Matrix(.mapping([[:], [:]]))
            new.project = "digits"
        }
        for key in 0..<2 {
            try await submit("child-\(key)", outputs: ["loss": .double(Double(key)), "deep": .dict(["x": .int(1)])]) {
                $0.parent = NewRun.Parent(run: parent, key: Int64(key), name: "\(key)")
                $0.inputs = ["lr": .double(0.5), "act": .string("\"loss\":")]
                $0.operation.tags = ["best", "n\(key)"]
                $0.queue = "night"
            }
        }
        try await submit("other", outputs: ["läss": .int(1)])
        let table: [(String, [String])] = [
            ("kind: matrix", ["parent"]), ("kind: ~matrix", ["other", "child-1", "child-0"]),
            ("project.name: digits", ["parent"]), ("status: skipped", ["other", "child-1", "child-0"]),
            ("status: running", ["parent"]), ("pipeline: \(parent)", ["child-1", "child-0"]),
            ("pipeline: \(parent), metrics.loss: >0", ["child-1"]), ("pipeline: nil", ["other", "parent"]),
            ("tags: best", ["child-1", "child-0"]), ("tags: n0", ["child-0"]), ("tags: nil", ["other", "parent"]),
            ("queue: night", ["child-1", "child-0"]), ("inputs.lr: 0.5", ["child-1", "child-0"]),
            ("outputs.loss: nil", ["other", "parent"]), ("outputs.loss: ~nil", ["child-1", "child-0"]),
            ("metrics.loss: ~0", ["child-1"]), ("outputs.läss: 1", ["other"]), ("uuid: \(parent)", ["parent"]),
            ("outputs.deep: ~nil", ["child-1", "child-0"]),
            ("created_at: 2023-11-14", ["other", "child-1", "child-0", "parent"]),
            ("created_at: >2023-11-14", []), ("name: child-0 | other", ["other", "child-0"]),
        ]
        for (query, names) in table { #expect(try await found(query) == names, "\(query)") }
        let child = try #require(try await runs(try Self.search("tags: n1")).first)
        #expect(child.parent == parent && child.inputs["lr"] == .double(0.5) && child.outputs["loss"] == .int(1))
    }

    @Test func `hook runs are runs like any other`() async throws {
        let main = try await submit("main")
        try await submit("hook") { $0.upstream = NewRun.Upstream(run: main, index: 0, name: "notify") }
        #expect(try await found("kind: job") == ["hook", "main"])
    }

    @Test func `order, offset and limit over many pages, and whether there are more`() async throws {
        let count = Store.searchPage * 2 + 7
        var rows: [NewRun] = []
        for index in 0..<count {
            var new = Sample.run()
            new.name = "r\(index)"
            rows.append(new)
        }
        let all = rows
        _ = try await store.transact(.submit, at: Sample.time(1)) { transaction in
            for (index, new) in all.enumerated() {
                try transaction.insert(new, then: .conditionFalse(detail: ""))
                try transaction.db.run(
                    "UPDATE runs SET outputs = ? WHERE id = ?",
                    [#"{"loss":\#((index * 7919) % count)}"#, new.id.description])
            }
        }
        let losses = (0..<count).sorted { ($0 * 7919) % count < ($1 * 7919) % count }
        #expect(try await found("kind: job", sort: "metrics.loss", limit: 3) == losses.prefix(3).map { "r\($0)" })
        #expect(
            try await found("kind: job", sort: "-metrics.loss", limit: 600, offset: 5)
                == losses.reversed()[5..<605].map { "r\($0)" })
        #expect(try await found("kind: job", limit: 2) == ["r\(count - 1)", "r\(count - 2)"])
        #expect(try await found("kind: job", sort: "created_at, name", limit: 1) == ["r0"])
        for (query, limit, offset, hasMore) in [
            ("kind: job", 10, 0, true), ("kind: job", count, 0, false), ("kind: job", count - 1, 0, true),
            ("kind: job", 7, count - 7, false), ("kind: job", 6, count - 7, true), ("metrics.loss: <3", 3, 0, false),
            ("metrics.loss: <3", 2, 0, true), ("kind: job", 5, count, false),
        ] {
            for sort in [nil, "metrics.loss"] {
                let search = try Self.search(query, sort: sort, limit: limit, offset: min(offset, 10_000))
                #expect(try await store.search(search, uid: 1000).hasMore == hasMore, "\(query) \(limit) \(offset)")
            }
        }
    }

    @Test func `a page goes along an index, and sorts nothing but the children of one parent`() async throws {
        func plan(_ query: String) async throws -> String {
            let (sql, arguments) = SearchPage(try Self.search(query), uid: 1000).statement(before: .max)
            return try await store.read { db in
                try db.rows("EXPLAIN QUERY PLAN " + sql, arguments).map { $0["detail"] as String }.joined(
                    separator: "; ")
            }
        }
        for query in ["kind: job", "status: failed, metrics.loss: <1, tags: a", "project.name: a, name: ~b"] {
            let plan = try await plan(query)
            #expect(plan == "SEARCH runs USING INDEX runs_by_user (uid=? AND number<?)", "\(query)")
        }
        let children = try await plan("pipeline: \(RunID.random()), metrics.loss: <1")
        #expect(children.hasPrefix("SEARCH runs USING INDEX runs_by_parent"), "\(children)")
    }

    @Test func `outputs have their declared types, and a cached run's artifacts are those of the first`() async throws {
        let first = try await submit("first")
        try await submit("second", outputs: ["loss": .double(1)]) {
            $0.operation.component.outputs = [IODeclaration(name: "loss", type: "float")]
        }
        try await store.write(.event) { db in
            try db.run("UPDATE runs SET cached_from = ? WHERE name = 'second'", [first.description])
        }
        let run = try #require(try await runs(try Self.search("metrics.loss: 1")).first)
        #expect(run.outputs["loss"] == .double(1))
        #expect(run.artifacts == first)
    }

    @Test func `a run's detail tells what its joins found`() async throws {
        let id = try await submit("joined") {
            $0.operation.joins = [
                Join(
                    query: "kind: job", params: ["b": JoinParam("outputs.b"), "a": JoinParam("outputs.a")],
                    found: Join.Found(taken: 3, leftOut: 1, hasMore: true))
            ]
        }
        #expect(
            try await store.detail(id)?.joins == [
                JoinRecord(query: "kind: job", params: ["a", "b"], found: .init(taken: 3, leftOut: 1, hasMore: true))
            ])
        #expect(try await store.detail(try await submit("plain"))?.joins == nil)
    }
}
