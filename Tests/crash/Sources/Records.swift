import Foundation
import GRDB
import PostludeCore

/// What the database says, read beside the agent or after it, and never written.
struct Records {
    struct Run {
        var id: String
        var name: String
        var status: RunStatus
        var reason: String
        var state: PostludeCore.Run.State
        var upstream: String?
        var isRoot: Bool
        var attempt: Int
        var kind: String
        var finished: Int64?
    }

    struct Hook {
        var run: String
        var position: Int
        var name: String
        var trigger: Hook.Trigger
        var outcome: String?
        var hookRun: String?

        typealias Trigger = PostludeCore.Hook.Trigger
    }

    let queue: DatabaseQueue

    init(path: String) throws {
        var configuration = Configuration()
        configuration.readonly = true
        configuration.busyMode = .timeout(10)
        queue = try DatabaseQueue(path: path, configuration: configuration)
    }

    func rows(_ sql: String, _ arguments: StatementArguments = []) throws -> [Row] {
        try queue.read { db in try Row.fetchAll(db, sql: sql, arguments: arguments) }
    }

    /// The one number that a query gives.
    func count(_ sql: String) throws -> Int {
        try queue.read { db in try Int.fetchOne(db, sql: sql) } ?? 0
    }

    /// The final status of each run that has one.
    func finals() throws -> [String: String] {
        let rows = try rows("SELECT id, status FROM runs WHERE phase = 'finished'")
        return Dictionary(rows.map { ($0["id"], $0["status"]) }) { first, _ in first }
    }

    /// Whether every run is over and nothing is owed.
    var isQuiet: Bool {
        get throws {
            try count("SELECT (SELECT COUNT(*) FROM runs WHERE phase <> 'finished') + (SELECT COUNT(*) FROM outbox)")
                == 0
        }
    }

    func runs() throws -> [Run] {
        let decoder = JSONDecoder()
        return try rows("SELECT * FROM runs ORDER BY number").map { row in
            let (status, state): (String, String) = (row["status"], row["state"])
            guard let status = RunStatus(rawValue: status) else { throw CrashError("status '\(status)'") }
            return Run(
                id: row["id"], name: row["name"], status: status, reason: row["reason"],
                state: try decoder.decode(PostludeCore.Run.State.self, from: Data(state.utf8)),
                upstream: row["upstream"],
                isRoot: (row["upstream"] as String?) == nil && row["parent"] as String? == nil,
                attempt: row["attempt"], kind: row["kind"], finished: row["finished_at"])
        }
    }

    func hooks() throws -> [Hook] {
        try rows("SELECT * FROM hooks ORDER BY run, position").map { row in
            let word: String = row["trigger"]
            guard let trigger = Hook.Trigger(rawValue: word) else { throw CrashError("trigger '\(word)'") }
            return Hook(
                run: row["run"], position: row["position"], name: row["name"], trigger: trigger,
                outcome: row["outcome"], hookRun: row["hook_run"])
        }
    }
}
