import GRDB
import Glibc

/// Gives a file whose schema is lost another: that of one table.
///
/// The schema begins on the first page, and has room there as long as it is one table's. So the first page of a new
/// database with this table alone takes the damaged one's place; where the table's rows are is found by trying.
enum SalvageGraft {
    private static let pageSize = 4096
    /// How many pages the file has, in its header; 0 says as many as its length tells (sqlite.org/fileformat, 1.3.8).
    private static let pageCountOffset = 28

    static func putSchema(of table: String, as model: DatabaseQueue, into files: RepairFiles) throws {
        let definition = try model.read { db in
            try String.fetchOne(db, sql: "SELECT sql FROM sqlite_master WHERE name = ?", arguments: [table])
        }
        guard let definition else { return }
        files.discard(files.graft)
        defer { files.discard(files.graft) }
        let graft = try DatabaseQueue(path: files.graft)
        try graft.writeWithoutTransaction { db in
            try db.execute(sql: "PRAGMA page_size = \(pageSize)")
            try db.execute(sql: definition)
        }
        try graft.close()
        try copyFirstPage(from: files.graft, to: files.reading)
    }

    private static func copyFirstPage(from graft: String, to path: String) throws(StoreError) {
        var page = [UInt8](repeating: 0, count: pageSize)
        let source = open(graft, O_RDONLY | O_CLOEXEC)
        let target = open(path, O_WRONLY | O_CLOEXEC)
        defer {
            close(source)
            close(target)
        }
        guard pread(source, &page, pageSize, 0) == pageSize else {
            throw .unusable(graft, String(cString: strerror(errno)))
        }
        for offset in 0..<4 { page[pageCountOffset + offset] = 0 }
        guard pwrite(target, page, pageSize, 0) == pageSize else {
            throw .unusable(path, String(cString: strerror(errno)))
        }
    }
}
