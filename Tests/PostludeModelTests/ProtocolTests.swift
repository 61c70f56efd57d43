import PostludeCore
import Testing

/// P1, P2 and P4 in every order in which the steps of a small case can happen, whoever is killed whenever.
@Suite struct ProtocolTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var setting: Model.Setting
        /// About nine tenths of what there are, so that a model that lost a part of itself is noticed.
        var leastStates: Int

        init(_ setting: Model.Setting, least: Int) {
            self.setting = setting
            leastStates = least
        }

        var testDescription: String { setting.name }
    }

    static let plain = Model.Program()
    static let bare = Model.Program(needsDevice: false)
    static let hooked = Model.Program(hook: .done)
    static let retried = Model.Program(exits: [0, 3], maxRetries: 1, hook: .failed)

    static let cases: [Case] = [
        Case(Model.Setting("a hook", [hooked]), least: 160),
        Case(
            Model.Setting("a hook, agent and warden killed", [hooked], agentDeaths: 1, wardenDeaths: 1), least: 98_000),
        Case(Model.Setting("a hook, a look fails", [hooked], agentDeaths: 1, failedLooks: 1), least: 9600),
        Case(Model.Setting("agent killed twice, warden once", [plain], agentDeaths: 2, wardenDeaths: 1), least: 29_000),
        Case(Model.Setting("agent killed once, warden twice", [plain], agentDeaths: 1, wardenDeaths: 2), least: 34_000),
        Case(Model.Setting("a hook, a stop, warden killed", [hooked], wardenDeaths: 1, stops: 1), least: 14_000),
        Case(
            Model.Setting("a stop, agent and warden killed", [plain], agentDeaths: 1, wardenDeaths: 1, stops: 1),
            least: 18_000),
        Case(
            Model.Setting("no device, a stop, both killed", [bare], agentDeaths: 1, wardenDeaths: 1, stops: 1),
            least: 18_000),
        Case(Model.Setting("a stop, agent killed twice", [plain], agentDeaths: 2, stops: 1), least: 11_700),
        Case(Model.Setting("a retry, a hook, agent killed", [retried], agentDeaths: 1), least: 19_000),
        Case(Model.Setting("a retry, a hook, warden killed", [retried], wardenDeaths: 1), least: 7100),
        Case(Model.Setting("a retry, a hook, a stop", [retried], stops: 1), least: 2200),
        Case(Model.Setting("two runs, a hook", [hooked, plain]), least: 15_800),
        Case(
            Model.Setting("two runs, agent and warden killed", [plain, plain], agentDeaths: 1, wardenDeaths: 1),
            least: 98_000),
        Case(
            Model.Setting("two runs, a stop, warden killed", [plain, plain], wardenDeaths: 1, stops: 1), least: 15_200),
        Case(Model.Setting("two runs, a stop, agent killed", [plain, plain], agentDeaths: 1, stops: 1), least: 51_000),
        Case(Model.Setting("two runs, a deadline passes", [plain, plain], wardenDeaths: 1, deadlines: 1), least: 2500),
        Case(
            Model.Setting("a deadline passes, both killed", [plain], agentDeaths: 1, wardenDeaths: 1, deadlines: 1),
            least: 5400),
        Case(Model.Setting("a hook, a deadline passes", [hooked], wardenDeaths: 1, deadlines: 1), least: 2700),
        Case(
            Model.Setting(
                "a retry, a hook, a journal cannot be read", [retried], wardenDeaths: 1, unreadableJournals: 1),
            least: 48_000),
        Case(
            Model.Setting(
                "no device, a stop, a journal cannot be read", [bare], agentDeaths: 1, wardenDeaths: 1, stops: 1,
                unreadableJournals: 1), least: 39_000),
    ]

    @Test(arguments: cases)
    func `P1, P2 and P4 hold in every world, and every life ends well`(one: Case) {
        let found = Exploration(of: Model(one.setting))
        print("\(one.setting.name): \(found.stateCount) states, \(found.stepCount) steps, \(found.endCount) ends")
        if let failure = found.failure { Issue.record("\(failure)") }
        #expect(found.stateCount >= one.leastStates)
        #expect(found.endCount > 0)
    }

    /// What is modelled and never happens proves nothing.
    @Test func `everything that is modelled happens`() {
        var seen: Set<Step.What> = []
        for setting in [
            Model.Setting("", [Self.plain], agentDeaths: 1, wardenDeaths: 1, stops: 1),
            Model.Setting("", [Self.plain], agentDeaths: 1, wardenDeaths: 1, deadlines: 1),
            Model.Setting("", [Self.hooked], failedLooks: 1),
            Model.Setting("", [Self.bare], wardenDeaths: 1, unreadableJournals: 1),
            Model.Setting("", [Self.plain, Self.plain], stops: 1),
        ] { seen.formUnion(Exploration(of: Model(setting)).seen) }
        #expect(Set(Step.What.allCases).subtracting(seen) == [])
    }
}
