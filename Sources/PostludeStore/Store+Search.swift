import GRDB
import PostludeCore
import PostludeThreads

extension Store {
    /// Runs that are looked at in one reading; others read and write in between.
    static let searchPage = 500

    /// The runs that a search came by.
    public struct Hits: Sendable {
        /// In the order of the search, behind the offset, as many as the limit lets in.
        public var numbers: [Int64]
        /// Whether there are others behind them.
        public var hasMore: Bool
    }

    /// The runs of a user that a query asks for, in its order. Runs of others are never looked at (P10).
    ///
    /// A search goes through the user's runs page by page, newest first, one at a time, and keeps of those it gives back
    /// no more than what decides about their order.
    public func search(_ search: RunSearch, uid: UInt32) async throws -> Hits {
        // One more than is wanted: whether there are others is told.
        var best = BestRuns(search.order, limit: search.offset + search.limit + 1)
        let page = SearchPage(search, uid: uid)
        var last: Int64? = .max
        while let before = last {
            try Task.checkCancellation()
            let (seen, matching) = try await look { db in try page.matches(db, before: before) }
            for (rank, number) in matching { best.add(rank, number: number) }
            last = seen.count < Self.searchPage ? nil : seen.last
            // The first that come by are the first in order.
            if search.order.isNewestFirst, best.count > search.offset + search.limit { break }
        }
        let found = best.numbers().dropFirst(search.offset)
        return Hits(numbers: Array(found.prefix(search.limit)), hasMore: found.count > search.limit)
    }

    /// All that joins may take of a run.
    public func foundRun(_ number: Int64) async throws -> FoundRun? {
        try await read { db in
            try db.row(
                """
                SELECT \(SearchPage.columns), inputs, outputs, json_extract(operation, '$.component.outputs') AS declared
                FROM runs WHERE number = ?
                """, [number]
            ).map(FoundRun.init)
        }
    }
}

extension Store {
    /// Reads on a thread that may take its time: nobody's quick look waits behind a search.
    fileprivate func look<Value: Sendable>(_ body: @escaping @Sendable (Database) throws -> Value) async throws -> Value
    {
        do {
            return try await offload { [pool] in try pool.read(body) }
        } catch {
            throw StoreError.from(error)
        }
    }
}

/// What of each run is read, and which runs need not be.
struct SearchPage: Sendable {
    let criteria: RunCriteria
    let order: RunOrder
    let uid: UInt32

    init(_ search: RunSearch, uid: UInt32) {
        criteria = search.criteria
        order = search.order
        self.uid = uid
    }

    fileprivate static let columns = """
        number, id, name, project, user, status, kind, queue, parent, created_at, started_at, finished_at, cached_from
        """

    /// Inputs, outputs and tags may be long, so they are read where they count.
    private var columns: String {
        var columns = [Self.columns]
        if criteria.readsInputs || order.readsInputs { columns.append("inputs") }
        if criteria.readsOutputs || order.readsOutputs { columns.append("outputs") }
        if criteria.readsTags { columns.append("json_extract(operation, '$.tags') AS tags") }
        return columns.joined(separator: ", ")
    }

    /// How many candidates a page has and the last of them, and the runs among them that match.
    func matches(
        _ db: Database, before: Int64
    ) throws -> (seen: (count: Int, last: Int64?), matching: [(rank: RunRank, number: Int64)]) {
        let (sql, arguments) = statement(before: before)
        let rows = try Row.fetchCursor(db.cachedStatement(sql: sql), arguments: arguments)
        var seen = (count: 0, last: nil as Int64?)
        var matching: [(rank: RunRank, number: Int64)] = []
        while let row = try rows.next() {
            let number: Int64 = row["number"]
            seen = (seen.count + 1, number)
            let run = try FoundRun(row)
            if criteria.matches(run) { matching.append((order.rank(run), number)) }
        }
        return (seen, matching)
    }

    /// One page of candidates: among them is every run that the criteria match, for each term is something that these ask
    /// for too.
    func statement(before: Int64) -> (sql: String, arguments: StatementArguments) {
        let parents = words(.pipeline)
        // Children of a parent are few, and have an index; the user's runs have another one, in the order wanted.
        let plus = parents == nil ? "" : "+"
        var terms = ["\(plus)uid = ?", "\(plus)number < ?"]
        var arguments: StatementArguments = [uid, before]
        let columns: [(RunField, String)] = [
            (.pipeline, "parent"), (.uuid, "id"), (.status, "status"), (.kind, "kind"), (.project, "project"),
            (.name, "name"), (.queue, "queue"),
        ]
        for (field, column) in columns {
            guard let words = words(field) else { continue }
            terms.append("\(column) IN (\(Array(repeating: "?", count: words.count).joined(separator: ", ")))")
            arguments += StatementArguments(words)
        }
        for name in criteria.requiredOutputs where Self.isPlain(name) {
            terms.append("instr(outputs, ?) > 0")
            arguments += ["\"\(name)\":"]
        }
        arguments += [Store.searchPage]
        let condition = terms.joined(separator: " AND ")
        return (
            "SELECT \(self.columns) FROM runs WHERE \(condition) ORDER BY \(plus)number DESC LIMIT ?", arguments
        )
    }

    /// nil for more words than a statement should have.
    private func words(_ field: RunField) -> [String]? {
        criteria.words(of: field).flatMap { $0.count <= 100 ? $0 : nil }
    }

    /// Whether JSON writes the name as it is.
    private static func isPlain(_ name: String) -> Bool {
        name.utf8.allSatisfy { byte in
            (byte >= 0x30 && byte <= 0x39) || (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a)
                || byte == 0x5f || byte == 0x2d
        }
    }
}

extension FoundRun {
    fileprivate init(_ row: Row) throws {
        var outputs: [String: Value] = row.hasColumn("outputs") ? try row.json("outputs") : [:]
        if row.hasColumn("declared") {
            outputs = (try row.optionalJSON("declared", as: [IODeclaration].self) ?? []).typed(outputs)
        }
        self.init(
            id: try row.runID("id"), name: row["name"], project: row["project"], owner: row["user"],
            status: try row.word("status"), kind: row["kind"], queue: row["queue"],
            tags: row.hasColumn("tags") ? try row.optionalJSON("tags") ?? [] : [],
            parent: try row.optionalRunID("parent"),
            inputs: row.hasColumn("inputs") ? try row.json("inputs") : [:], outputs: outputs,
            createdAt: row.requiredTime("created_at"), startedAt: row.time("started_at"),
            finishedAt: row.time("finished_at"), artifacts: try row.optionalRunID("cached_from"))
    }
}
