import Foundation
import Testing

extension AttackTests {
    @Test func `table and attacker know the same attacks`() throws {
        let listed = try Self.attacker(["--list"], environment: [:]).split(separator: "\n").map(String.init)
        let ids = table.rows.map(\.id)
        #expect(ids.count == Set(ids).count, "an id is in the table twice")
        #expect(listed.count == Set(listed).count, "the attacker has an id twice")
        // The program may know why a row cannot be tried; scenarios are this target's own.
        let tried = Set(table.rows.filter { !$0.isScenario && !$0.cannotBeTried }.map(\.id))
        #expect(tried.subtracting(listed) == [], "the attacker does not know these")
        #expect(Set(listed).subtracting(ids) == [], "these are not in the table")
        #expect(
            Set(table.rows.filter(\.isScenario).map(\.id)) == Set(AttackScenario.all.keys),
            "scenarios in the table, and those there are")
    }

    @Test func `every row says what must come of it, and why it is not tried`() {
        let known: Set = ["main", "hook", "notifier", "injected", "scenario", "-"]
        for row in table.rows {
            #expect(!row.profiles.isEmpty && Set(row.profiles).isSubset(of: known), "\(row.id)")
            #expect(!row.action.isEmpty && !row.source.isEmpty, "\(row.id)")
            if row.cannotBeTried {
                #expect(!row.needs.isEmpty, "\(row.id) does not say why it cannot be tried")
            } else if row.category != "control" && !row.action.hasPrefix("CONTROL") {
                #expect(!row.layers.isEmpty, "\(row.id) does not say what stops it")
            }
        }
        // The shared list has 116 rows, and at least 40 are Postlude's own.
        #expect(table.rows.count(where: { $0.id.first != "A" || $0.id.hasPrefix("AG") }) >= 116)
        #expect(table.rows.count(where: { $0.id.first == "A" && !$0.id.hasPrefix("AG") }) >= 40)
    }

    /// Where nothing protects the host, the same attacks succeed: the suite can fail.
    @Test func `outside of a sandbox attacks succeed`() throws {
        let stage = try AttackStage()
        var environment = stage.facts
        environment["ATTACK_ARTIFACTS"] = try stage.fixture.directory.directory("artifacts", mode: 0o777)
        environment["ATTACK_INJECTED"] = try stage.fixture.device().path
        let output = try Self.attacker(["--harmless"], environment: environment)
        let results = output.split(separator: "\n").compactMap { AttackResult(line: $0) }
        let refused = results.filter { $0.verdict == .refused }
        let succeeded = results.filter { $0.verdict == .succeeded }
        print("attacks outside of a sandbox: \(succeeded.count) succeeded, \(refused.count) refused")
        for result in refused { print("    refused also there: \(result.id) \(result)") }
        #expect(succeeded.count >= 40)
        for result in results where result.verdict == .broken { Issue.record("\(result.id): \(result)") }
        // Each of these is refused inside, and nothing but a sandbox refuses it to root.
        let certain = [
            "NS01", "NS04", "NS08", "NS09", "PR02", "PR07", "FS05", "FS08", "PS02", "PS05", "CG01", "DV01",
            "SC04", "SC06", "SC14", "NT02", "SC18", "A01", "A29", "A30", "A31", "A34", "A36", "A37", "A59", "A66",
        ]
        let names = Set(succeeded.map(\.id))
        #expect(Set(certain).subtracting(names) == [], "refused on the bare host")
    }

    static func attacker(_ arguments: [String], environment: [String: String]) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try #require(AttackStage.attacker))
        process.arguments = arguments
        process.environment = environment.merging(["PATH": "/usr/bin:/bin"]) { own, _ in own }
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        return String(decoding: output, as: UTF8.self)
    }

    @Test(arguments: Submitter.allCases)
    func `what is seen but was not granted cannot be opened, changed or steered`(user: Submitter) async throws {
        let place = Place(profile: "injected", user: user)
        var report = AttackReport(place: "\(place)")
        let rows = report.promised(table.rows.filter { $0.isTried(place) }, place)
        let stage = try AttackStage()
        let (spec, _) = try stage.attemptWithInjectedNode(rows.map(\.id), user: user)
        let ended = try await stage.run(spec, granting: [], change: { try stage.slip(into: &$0, $1) })
        let results = try AttackStage.results(ended)
        for row in rows { report.judge(row, results[row.id], place) }
        report.print()
        #expect(report.refused == report.tried && report.tried == rows.count)
    }
}

@Suite struct LayerDocumentationTests {
    /// The article of the sandbox's documentation explains each layer of the expected table, and names real attacks.
    @Test func `each layer of the knock-out table is explained`() throws {
        let path = "\(SandboxFixture.root)/Sources/PostludeSandbox/PostludeSandbox.docc/Layers.md"
        let text = try String(contentsOfFile: path, encoding: .utf8)
        for knockout in Knockout.all where knockout.name != "none" {
            #expect(text.contains("`\(knockout.name)`"), "\(knockout.name)")
        }
        let known = Set(try AttackTable.load().rows.map(\.id))
        for match in text.matches(of: /\b(?:NS|PR|FS|PS|CG|DV|SC|NT|AG|A)[0-9]{2}\b/) {
            #expect(known.contains(String(match.output)), "\(match.output)")
        }
    }
}
