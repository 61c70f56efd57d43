import PostludeCore
import Testing

/// That the model can fail: each fault is one that the code had or could have, and is found by the promise it breaks.
@Suite struct FaultTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var fault: Model.Fault
        var setting: Model.Setting
        /// How the complaint begins.
        var complaint: String

        init(_ fault: Model.Fault, _ setting: Model.Setting, finds complaint: String) {
            self.fault = fault
            self.setting = setting
            self.complaint = complaint
        }

        var testDescription: String { fault.rawValue }
    }

    private static let plain = ProtocolTests.plain
    private static let bothKilled = Model.Setting(
        "agent and warden killed", [plain], agentDeaths: 1, wardenDeaths: 1)
    private static let agentKilled = Model.Setting("agent killed", [plain], agentDeaths: 1)
    private static let wardenKilled = Model.Setting("warden killed", [ProtocolTests.bare], wardenDeaths: 1)
    private static let stopped = Model.Setting(
        "a stop, warden killed", [ProtocolTests.bare], wardenDeaths: 1, stops: 1)

    static let cases: [Case] = [
        Case(.startsWithoutWord, agentKilled, finds: "P2"),
        Case(
            .startsWithoutWord, Model.Setting("agent killed", [ProtocolTests.bare], agentDeaths: 1), finds: "P1"),
        Case(.startsBeforeRecord, wardenKilled, finds: "P4"),
        Case(.endOfFormerWarden, bothKilled, finds: "P2"),
        Case(.freesUnseen, Model.Setting("warden killed", [plain], wardenDeaths: 1), finds: "P2"),
        Case(.freesUnseen, wardenKilled, finds: "P1"),
        Case(.hooksBeforeHandBack, Model.Setting("a hook", [ProtocolTests.hooked], wardenDeaths: 1), finds: "P1"),
        Case(.forgetsBeforeDone, agentKilled, finds: "P4"),
        Case(.completesUnbound, bothKilled, finds: "P4"),
        Case(.concludesUnread, bothKilled, finds: "P4"),
        Case(.acceptedUnlessStopping, stopped, finds: "P1"),
        Case(
            .unreadIsUnwritten,
            Model.Setting("a journal cannot be read", [ProtocolTests.bare], wardenDeaths: 1, unreadableJournals: 1),
            finds: "P1"),
        Case(.adoptsNothing, agentKilled, finds: "P4"),
        Case(.takesNothingOwed, agentKilled, finds: "P4"),
        Case(
            .stopsNobody, Model.Setting("a stop, agent killed twice", [plain], agentDeaths: 2, stops: 1), finds: "P4"),
    ]

    @Test(arguments: cases)
    func `a fault is found, with the shortest way to it`(one: Case) throws {
        #expect(Exploration(of: Model(one.setting)).failure == nil)
        let failure = try #require(Exploration(of: Model(one.setting, fault: one.fault)).failure)
        print("\(one.fault): \(failure)")
        #expect(failure.what.hasPrefix(one.complaint))
        #expect(!failure.steps.isEmpty)
    }

    @Test func `every fault has a case`() {
        #expect(Set(Self.cases.map(\.fault)) == Set(Model.Fault.allCases))
    }
}
