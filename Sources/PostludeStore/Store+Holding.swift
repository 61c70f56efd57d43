import GRDB
import PostludeCore
import PostludeFailpoints

extension Transaction {
    static func heldBack(by user: String) -> Run.Event {
        .waiting(reason: "is held back by \(user); postlude release lets it start", canEver: true)
    }

    /// Windows that are not over, the earliest first.
    func windows() throws -> [MaintenanceWindow] {
        try MaintenanceWindow.all(db, at: at)
    }
}

extension Store {
    /// What came of holding a run back or of letting it go.
    public enum Holding: Hashable, Sendable {
        case done
        /// It was so already.
        case unchanged
        /// The run does not wait for its start.
        case notWaiting
    }

    /// Keeps a run that waits from being started, until it is let go.
    public func hold(_ run: RunID, by user: String, at time: Timestamp) async throws -> Applied<Holding> {
        try await transact(.hold, at: time) { transaction in
            let db = transaction.db
            guard let row = try db.row("SELECT phase, held_back_by FROM runs WHERE id = ?", [run.description]),
                row["phase"] == Run.Phase.queued.rawValue
            else { return .notWaiting }
            guard row["held_back_by"] as String? == nil else { return .unchanged }
            try db.run("UPDATE runs SET held_back_by = ? WHERE id = ?", [user, run.description])
            _ = try transaction.apply(Transaction.heldBack(by: user), to: run)
            // What it kept aside is for those behind it now.
            transaction.needsPass = true
            return .done
        }
    }

    public func release(_ run: RunID, at time: Timestamp) async throws -> Applied<Holding> {
        try await transact(.release, at: time) { transaction in
            let db = transaction.db
            guard let row = try db.row("SELECT phase, held_back_by FROM runs WHERE id = ?", [run.description]),
                row["phase"] == Run.Phase.queued.rawValue
            else { return .notWaiting }
            guard row["held_back_by"] as String? != nil else { return .unchanged }
            try db.run("UPDATE runs SET held_back_by = NULL WHERE id = ?", [run.description])
            _ = try transaction.apply(.waiting(reason: "", canEver: true), to: run)
            transaction.needsPass = true
            return .done
        }
    }

    // MARK: Maintenance

    /// Windows that are not over, the earliest first.
    public func maintenance(at time: Timestamp) async throws -> [MaintenanceWindow] {
        try await read { db in try MaintenanceWindow.all(db, at: time) }
    }

    /// Enters a window; the result has its number.
    public func drain(_ window: MaintenanceWindow, at time: Timestamp) async throws -> Applied<MaintenanceWindow> {
        try await transact(.drain, at: time) { transaction in
            try transaction.db.run(
                "INSERT INTO maintenance (from_at, until_at, reason, by_user) VALUES (?, ?, ?, ?)",
                [window.from.microseconds, window.until?.microseconds, window.reason, window.by])
            var window = window
            window.id = transaction.db.lastInsertedRowID
            transaction.needsPass = true
            return window
        }
    }

    /// Ends windows, all that are not over when `id` is nil; returns those that it ended.
    public func endMaintenance(_ id: Int64?, at time: Timestamp) async throws -> Applied<[MaintenanceWindow]> {
        try await transact(.drainEnd, at: time) { transaction in
            let ended = try transaction.windows().filter { id == nil || $0.id == id }
            for window in ended {
                try transaction.db.run(
                    "UPDATE maintenance SET ended_at = ? WHERE id = ?", [time.microseconds, window.id])
            }
            transaction.needsPass = true
            return ended
        }
    }

    /// Looks once more who may start, since time alone has changed something.
    public func place(at time: Timestamp) async throws -> Applied<Void> {
        try await transact(.place, at: time) { $0.needsPass = true }
    }
}

extension MaintenanceWindow {
    fileprivate static func all(_ db: Database, at time: Timestamp) throws -> [MaintenanceWindow] {
        try db.rows(
            """
            SELECT * FROM maintenance WHERE ended_at IS NULL AND (until_at IS NULL OR until_at > ?) ORDER BY from_at, id
            """, [time.microseconds]
        ).map { row in
            MaintenanceWindow(
                id: row["id"], from: row.requiredTime("from_at"), until: row.time("until_at"), reason: row["reason"],
                by: row["by_user"])
        }
    }
}
