import Foundation

/// What was done and found, over all rounds.
struct Tally {
    var rounds = 0
    var runs = 0
    var agents = 0
    var wardens = 0
    var both = 0
    /// Kills at failpoints in turn, and at random hits, by name.
    var failpoints: [String: Int] = [:]
    var atRandomFailpoints = 0
    /// In the pass through all of them.
    var reached: Set<String> = []
    var declared = 0
    var violations: [(round: String, directory: String, text: String)] = []

    /// Violations of one round that are printed.
    private static let shown = 12

    var randomKills: Int { agents + wardens + both + atRandomFailpoints }

    mutating func take(_ round: Round, _ name: String) throws {
        rounds += 1
        runs += try round.runCount
        if round.violations.isEmpty {
            try round.stage.remove()
        } else {
            violations += round.violations.map { (name, round.stage.directory, $0) }
            for text in round.violations.prefix(Self.shown) { print("crash: VIOLATION in \(name): \(text)") }
            let rest = round.violations.count - Self.shown
            if rest > 0 { print("crash: and \(rest) more") }
            print(
                """
                crash: kept \(round.stage.directory): sqlite3 -readonly state/store/postlude.sqlite; shared/markers is \
                what the jobs wrote, agent.log what the agents said, state/runs/RUN/attempts/N/journal the warden
                """)
        }
        fflush(nil)
    }

    func summary(seed: UInt64, seconds: Double) -> String {
        let byName = failpoints.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
        let found = declared == 0 ? "" : ", failpoints reached: \(reached.count) of \(declared)"
        return """
            crash: kills by failpoint: \(byName.joined(separator: ", "))
            crash: rounds: \(rounds), runs: \(runs)\(found), random kills: \(randomKills) (agent \(agents), \
            agent at a failpoint \(atRandomFailpoints), warden \(wardens), both \(both)), violations: \
            \(violations.count), seed \(seed), \(Int(seconds)) s
            """
    }
}
