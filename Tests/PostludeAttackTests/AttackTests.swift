import Foundation
import PostludeCore
import PostludeLinux
import Testing

@testable import PostludeSandbox

/// Every attack of the table, in real sandboxes of the profiles that Postlude ships, as a user and as root.
@Suite(.serialized, .enabled(if: AttackStage.isAvailable, "needs root, the warden and the attacker"))
struct AttackTests {
    let table: AttackTable

    init() throws { table = try AttackTable.load() }

    @Test(arguments: Place.all) func `every attack is refused by the expected mechanism`(place: Place) async throws {
        let abi = Landlock.abi()
        let all = table.rows.filter { $0.isTried(place) }
        let rows = all.filter { $0.promisedFromABI(place) <= abi }
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
        for row in all where row.promisedFromABI(place) > abi {
            report.leaveOut(
                row.id, "promised from Landlock ABI \(row.promisedFromABI(place)) on, this kernel has \(abi)")
        }
        for row in rows { report.judge(row, results[row.id], place) }
        report.print()
        #expect(report.refused == report.tried, "\(place)")
    }
}
