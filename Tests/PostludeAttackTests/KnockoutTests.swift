import Foundation
import PostludeCore
import PostludeLinux
import Testing

@testable import PostludeSandbox

/// The same attacks with one layer off at a time: each layer is needed, or is a second one behind another on purpose.
@Suite(
    .serialized,
    .enabled(if: AttackStage.isAvailable && Knockout.program != nil, "needs root, the warden and the attacker"),
    .enabled(if: Landlock.abi() >= 6, "the table is of a kernel with all of Landlock"),
    .enabled(if: ProcessInfo.processInfo.environment["POSTLUDE_GUEST"] == nil, "takes too long in an emulated machine"))
struct KnockoutTests {
    let table: AttackTable
    let expected: KnockoutTable

    init() throws {
        table = try AttackTable.load()
        expected = try KnockoutTable.load()
    }

    /// What uses things up has nothing to do with these layers, takes long, and would go on without bounds.
    private static let exhausting: Set = ["CG05", "CG11", "CG12", "CG13", "FS20"]

    @Test(arguments: Knockout.all, Submitter.allCases)
    func `without a layer, these attacks open up`(knockout: Knockout, user: Submitter) async throws {
        let place = Place(profile: "main", user: user)
        let rows = table.rows.filter { row in
            row.users.contains(user) && (row.isTried(place) || row.profiles == ["injected"])
                && !Self.exhausting.union(knockout.excluded).contains(row.id) && !row.expected(place).contains("works")
        }
        let wardenPath = try knockout.warden.map { try Knockout.program(without: $0) }
        let stage = try AttackStage(wardenPath: wardenPath)
        var (spec, _) = try stage.attemptWithInjectedNode(rows.map(\.id), user: user)
        if !knockout.hasTraps { spec.steps.removeFirst() }
        if knockout.isHostRoot {
            // Inside is outside: what is below the new root's own directories is not there.
            for index in spec.steps.indices {
                spec.steps[index].environment["ATTACK_ARTIFACTS"] = spec.directories.artifacts
                spec.steps[index].workingDirectory = stage.working
            }
        }
        let ended = try await stage.run(
            spec, granting: [],
            change: { plan, descriptors in
                try knockout.plan(&plan, descriptors)
                if !knockout.isHostRoot { try stage.slip(into: &plan, descriptors) }
            }, template: { try knockout.template(&$0, $1) })
        let results = try AttackStage.results(ended)
        AttackReport.keep(ended.output["main.stdout"] ?? "", "without-\(knockout.name).\(user)")
        #expect(results.count == rows.count, "\(ended.reports) \(ended.output["main.stderr"] ?? "")")
        let known = Set(rows.filter { $0.knownOpen(place) != nil }.map(\.id))
        let opened = Set(results.values.filter { $0.verdict == .succeeded }.map(\.id)).subtracting(known)
        let list = opened.sorted().joined(separator: " ")
        print("without \(knockout.name), as \(user): \(list.isEmpty ? "nothing opens" : list)")
        let row = try #require(expected[knockout.name, user], "it has no row in knockout.tsv")
        #expect(opened.subtracting(row.opened) == [], "more opens than knockout.tsv says")
        #expect(row.opened.subtracting(opened) == [], "less opens than knockout.tsv says")
        #expect(!opened.isEmpty || !row.why.isEmpty, "nothing opens and knockout.tsv does not say why")
    }
}
