import Foundation

@main struct Main {
    static func main() async {
        signal(SIGPIPE, SIG_IGN)
        do {
            let options = try Options(Array(CommandLine.arguments.dropFirst()))
            guard geteuid() == 0 else { throw CrashError("real sandboxes and devices need root") }
            exit(try await run(options) ? 0 : 1)
        } catch {
            print("crash: \(error)")
            exit(2)
        }
    }

    /// Whether there was no violation.
    private static func run(_ options: Options) async throws -> Bool {
        let began = ContinuousClock.now
        let reaper = try Reaper()
        var tally = Tally()
        print("crash: seed \(options.seed)")
        if options.failpoints { try await FailpointKills(options: options, reaper: reaper).run(&tally) }
        try await RandomKills(options: options, reaper: reaper).run(&tally)
        print(tally.summary(seed: options.seed, seconds: began.duration(to: .now) / .seconds(1)))
        return tally.violations.isEmpty
    }
}
