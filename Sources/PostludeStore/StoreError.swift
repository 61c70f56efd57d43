import GRDB

/// Why the store could not do its work.
public struct StoreError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Stable, such as `store.disk-full`.
    public var code: String
    public var message: String
    public var hint: String?
    /// Whether the same call may succeed later without anybody changing the software.
    public var isTemporary: Bool

    public init(_ code: String, _ message: String, hint: String? = nil, isTemporary: Bool = false) {
        self.code = code
        self.message = message
        self.hint = hint
        self.isTemporary = isTemporary
    }

    public var description: String { "\(code): \(message)" }

    public static let diskFullCode = "store.disk-full"
    public static let queueFullCode = "store.queue-full"
    public static let keyReusedCode = "store.idempotency-key-reused"

    static func queueFull(_ limit: NewRun.WaitingLimit) -> StoreError {
        let place = limit.queue.map { " in the queue '\($0)'" } ?? ""
        let whose = limit.uid == nil ? "\(limit.most) runs" : "\(limit.most) of your runs"
        return StoreError(
            queueFullCode, "\(whose) already wait\(place), as many as may.",
            hint: "Submit again when some have started, or stop some that wait.", isTemporary: false)
    }

    static func alreadyInUse(_ directory: String, pid: String?) -> StoreError {
        StoreError(
            "store.already-in-use",
            "Another agent\(pid.map { " (pid \($0))" } ?? "") already uses the state directory '\(directory)'.",
            hint: "Stop that agent, or give this one another state directory.")
    }

    static func unusable(_ path: String, _ reason: String) -> StoreError {
        StoreError(
            "store.unusable", "The state directory '\(path)' cannot be used: \(reason).",
            hint: "Give the agent a directory that it may write.")
    }

    static func newerSchema(_ directory: String) -> StoreError {
        StoreError(
            "store.newer-schema", "The state in '\(directory)' was written by a newer agent.",
            hint: "Run that version or a later one, or give this agent another state directory.")
    }

    static func corrupt(_ directory: String, _ finding: String) -> StoreError {
        StoreError(
            "store.corrupt", "The database '\(Store.databasePath(directory))' is damaged: \(finding).",
            hint:
                "Nothing was changed. `postluded --repair` with the same configuration keeps the damaged files, saves what "
                + "can be read, and lets work that runs go on; see the README, \"A damaged database\".")
    }

    static func unreadable(_ what: String) -> StoreError {
        StoreError("store.unreadable-row", "A row cannot be read: \(what).", hint: "This is a fault of Postlude.")
    }

    /// The store's words for what SQLite says; an error that already is the store's own stays.
    static func from(_ error: any Error) -> any Error {
        guard let error = error as? DatabaseError else { return error }
        // A full disk shows as SQLITE_FULL, or as an I/O error where the shared memory file cannot grow.
        if error.resultCode == .SQLITE_FULL || error.extendedResultCode == .SQLITE_IOERR_SHMSIZE {
            return StoreError(
                diskFullCode, "The disk of the state directory is full; nothing of this was stored.",
                hint: "Free some space; what is owed is done then.", isTemporary: true)
        }
        if error.resultCode == .SQLITE_CORRUPT || error.resultCode == .SQLITE_NOTADB {
            return StoreError(
                "store.corrupt", "The database is damaged: \(error.message ?? "no reason given").",
                hint: "Stop the agent and run `postluded --repair`; see the README, \"A damaged database\".")
        }
        // A database that cannot be opened now could be before: the process is out of descriptors. NOMEM is a matter of the
        // moment, too.
        let passing: [ResultCode] = [.SQLITE_BUSY, .SQLITE_IOERR, .SQLITE_CANTOPEN, .SQLITE_NOMEM, .SQLITE_PROTOCOL]
        return StoreError(
            "store.database",
            "The database answered: \(error.message ?? "error \(error.extendedResultCode.rawValue)").",
            hint: "See the agent's log.", isTemporary: passing.contains(error.resultCode))
    }
}
