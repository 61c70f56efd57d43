import Foundation
import PostludeCore
import PostludeSandbox

/// Holds the journals of all attempts against what the database has of them.
struct JournalChecks {
    let stage: Stage
    let records: Records

    init(_ stage: Stage, _ records: Records) {
        self.stage = stage
        self.records = records
    }

    func run() throws -> [String] {
        try records.rows("SELECT * FROM attempts").flatMap { row in
            try check(
                row["run"], row["number"], taken: row["journal_next"], accepted: row["accepted_at"] as Int64? != nil)
        }
    }

    private func check(_ run: String, _ attempt: Int, taken: Int64, accepted: Bool) throws -> [String] {
        let directory = "\(stage.state)/runs/\(run)/attempts/\(attempt)"
        guard access(directory, F_OK) == 0 else {
            return accepted ? ["journal: \(run).\(attempt) has none, and was accepted"] : []
        }
        var found: [String] = []
        let reports = try AttemptJournal(directory: directory).reports(from: 0)
        if reports.map(\.sequence) != Array(0..<UInt64(reports.count)) {
            found.append("journal: \(run).\(attempt) has numbers \(reports.map(\.sequence))")
        }
        // What a warden wrote is taken over to the last record.
        if Int64(reports.count) != taken {
            found.append("journal: \(run).\(attempt) has \(reports.count) records, and \(taken) were taken")
        }
        var (starts, exits): ([String: Int], [String: ProcessExit]) = ([:], [:])
        for (_, report) in reports {
            switch report {
            case .stepStarted(let step, _, _, _): starts[step, default: 0] += 1
            case .stepExited(let step, let exit, _, _): exits[step] = exit
            case .accepted, .stopping, .ended: break
            }
        }
        for (step, count) in starts where count > 1 {
            found.append("journal: step \(step) of \(run).\(attempt) was started \(count) times")
        }
        let decoder = JSONDecoder()
        for row in try records.rows("SELECT * FROM steps WHERE run = ? AND attempt = ?", [run, attempt]) {
            let (name, exit): (String, String?) = (row["name"], row["exit"])
            let stored = try exit.map { try decoder.decode(ProcessExit.self, from: Data($0.utf8)) }
            if stored != exits[name] {
                found.append(
                    "journal: step \(name) of \(run).\(attempt): stored \(exit ?? "nothing"), and another there")
            }
            if (row["started_at"] as Int64? != nil) != (starts[name] != nil) {
                found.append("journal: step \(name) of \(run).\(attempt): its start is in one of both only")
            }
        }
        return found
    }
}
