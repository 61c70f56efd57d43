import Glibc
import PostludeCore
import PostludeStore

/// `postluded --repair`: a new database out of what can be read of a damaged one.
enum Repair {
    /// Rebuilds the state directory's database and prints what became of it.
    static func run(stateDirectory: String, from source: String?) throws {
        let report = try Salvage.rebuild(stateDirectory, from: source, at: now())
        let text = lines(report, stateDirectory: stateDirectory, from: source).joined(separator: "\n") + "\n"
        _ = text.withCString { write(STDOUT_FILENO, $0, strlen($0)) }
    }

    private static func now() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(microseconds: Int64(time.tv_sec) * 1_000_000)
    }

    static func lines(_ report: Salvage.Report, stateDirectory: String, from source: String?) -> [String] {
        var lines = ["The damaged files are kept in \(report.damaged)."]
        if let reason = report.unreadable {
            lines.append(
                "Nothing could be read of \(source ?? "the database"): \(reason). The database is new and empty.")
            lines += backups(stateDirectory)
        } else {
            lines.append("What could be read is in the new database:")
            for table in report.tables where table.kept + table.dropped + table.gaps > 0 {
                var line = "  \(table.name): \(table.kept) rows kept"
                if table.dropped > 0 { line += ", \(table.dropped) left out as unusable" }
                if table.gaps > 0 { line += ", \(table.gaps) unreadable places" }
                lines.append(line)
            }
            for (what, count) in report.mended.sorted(by: { $0.key < $1.key }) { lines.append("  \(what): \(count)") }
        }
        if !report.lostRuns.isEmpty {
            lines.append("These runs cannot be read any more; what they left is in \(stateDirectory)/runs:")
            lines += report.lostRuns.map { "  \($0)" }
        }
        lines.append("Start the agent now: it takes up what runs, and ends what the database does not know any more.")
        return lines
    }

    /// Where to go on when nothing could be saved.
    private static func backups(_ stateDirectory: String) -> [String] {
        var names: [String] = []
        if let directory = opendir("\(stateDirectory)/backups") {
            defer { closedir(directory) }
            while let entry = readdir(directory) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) { name in
                    name.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                if name.hasSuffix(".sqlite") { names.append(name) }
            }
        }
        guard let newest = names.max() else { return ["There is no backup in \(stateDirectory)/backups."] }
        return ["To go back to the newest backup: postluded --repair --from \(stateDirectory)/backups/\(newest)"]
    }
}
