import Foundation
import PostludeCore
import Testing

@testable import PostludeSandbox

/// Every attack of the table, in real sandboxes of the profiles that Postlude ships, as a user and as root.
@Suite(.serialized, .enabled(if: AttackStage.isAvailable, "needs root, the warden and the attacker"))
struct AttackTests {
    let table: AttackTable

    init() throws { table = try AttackTable.load() }

    @Test(arguments: Place.all) func `every attack is refused by the expected mechanism`(place: Place) async throws {
        let rows = table.rows.filter { $0.isTried(place) }
        #expect(!rows.isEmpty)
        let stage = try AttackStage()
        try await stage.startNeighbour()
        let spec = try stage.attempt(rows.map(\.id), in: place)
        let ended = try await stage.fixture.run(spec)
        try await stage.endNeighbour()
        #expect(ended.exit == .code(0), "\(ended.reports) \(ended.output["main.stderr"] ?? "")")
        let results = try AttackStage.results(ended)
        AttackReport.keep(ended.output["main.stdout"] ?? "", "\(place)")
        var report = AttackReport(place: "\(place)")
        for row in rows { report.judge(row, results[row.id], place) }
        report.print()
        #expect(report.refused == report.tried, "\(place)")
    }
}
