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
        try await attack(in: place)
    }

    /// The root is another one, and made in another way; what is promised is the same.
    @Test(
        .enabled(if: !AttackStage.isEmulated, "the emulated machine has no time to try them all once more"),
        arguments: Submitter.allCases)
    func `every attack is refused in an image as well`(user: Submitter) async throws {
        try await attack(in: Place(profile: "main", user: user), name: "main.\(user) in an image") { stage, spec in
            let image = try TestImage("\(stage.fixture.directory.path)/image", id: "attacked")
            try image.addLibraries(of: try #require(AttackStage.attacker))
            for program in ["chmod", "cp", "env", "ls", "mkdir", "mv", "rm", "touch", "tr", "true"] {
                try image.add(program)
            }
            try image.write("usr/lib/os-release", "ID=attacked\n")
            // Nothing of an image is hidden, and none of it can be changed.
            try image.write("etc/shadow", "")
            spec.steps[1].image = "attacked:1"
            spec.steps[1].rootDirectory = image.root
        }
    }

    private func attack(
        in place: Place, name: String? = nil, change: (AttackStage, inout AttemptSpec) throws -> Void = { _, _ in }
    ) async throws {
        var report = AttackReport(place: name ?? "\(place)")
        let rows = report.promised(table.rows.filter { $0.isTried(place) }, place)
        #expect(!rows.isEmpty)
        let stage = try AttackStage()
        try await stage.startNeighbour()
        var spec = try stage.attempt(rows.map(\.id), in: place)
        try change(stage, &spec)
        let ended = try await stage.fixture.run(spec)
        try await stage.endNeighbour()
        #expect(ended.exit == .code(0), "\(ended.reports) \(ended.output["main.stderr"] ?? "")")
        let results = try AttackStage.results(ended)
        AttackReport.keep(ended.output["main.stdout"] ?? "", "\(place)")
        for row in rows { report.judge(row, results[row.id], place) }
        report.print()
        #expect(report.refused == report.tried, "\(place)")
    }
}
