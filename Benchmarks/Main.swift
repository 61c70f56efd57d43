import Glibc

/// `postlude-bench [--programs DIR] [--profiles DIR] [--rounds N] launch|ablation|scan|spec|agent|throughput|attack|scale ...`: measures, prints tables; `scale`, which takes many minutes, only when it is named.
@main struct Main {
    static func main() async {
        do {
            try await run(Array(CommandLine.arguments.dropFirst()))
        } catch {
            print("bench: \(error)")
            exit(1)
        }
    }

    private static func run(_ given: [String]) async throws {
        var places = Places(programs: ".build/release", profiles: "profiles")
        var rounds = 200
        var idleSeconds = 10
        var lengths = [1_000, 10_000, 100_000]
        var running = 1_000
        var sections: [String] = []
        var arguments = given[...]
        while let argument = arguments.popFirst() {
            switch argument {
            case "--programs": places.programs = try value(&arguments, of: argument)
            case "--profiles": places.profiles = try value(&arguments, of: argument)
            case "--rounds": rounds = try number(&arguments, of: argument)
            case "--queued":
                let most = try number(&arguments, of: argument)
                lengths = lengths.filter { $0 < most } + [most]
            case "--running": running = try number(&arguments, of: argument)
            case "--idle": idleSeconds = try number(&arguments, of: argument)
            case "launch", "ablation", "agent", "throughput", "scan", "spec", "attack", "scale":
                sections.append(argument)
            default: throw BenchmarkError("unknown argument '\(argument)'")
            }
        }
        for section in sections.isEmpty
            ? ["launch", "ablation", "scan", "spec", "agent", "throughput", "attack"] : sections
        {
            switch section {
            case "launch": try await LaunchBenchmark(places: places, rounds: rounds).run()
            case "ablation": try await AblationBenchmark(places: places, rounds: rounds).run()
            case "scan": try await ScanBenchmark(rounds: rounds).run()
            case "attack": try await AttackBenchmark(places: places, rounds: rounds).run()
            case "throughput":
                try await ThroughputBenchmark(places: places, repetitions: max(3, rounds / 40)).run()
            case "scale":
                try await ScaleBenchmark(places: places, lengths: lengths, running: running).run()
            case "spec": try SpecBenchmark(rounds: rounds).run()
            case _:
                try await AgentBenchmark(places: places, rounds: rounds, idleSeconds: idleSeconds).run()
            }
            fflush(nil)
        }
    }

    private static func value(_ arguments: inout ArraySlice<String>, of option: String) throws -> String {
        guard let value = arguments.popFirst() else { throw BenchmarkError("\(option) needs a value") }
        return value
    }

    private static func number(_ arguments: inout ArraySlice<String>, of option: String) throws -> Int {
        guard let number = Int(try value(&arguments, of: option)), number > 0 else {
            throw BenchmarkError("\(option) needs a positive number")
        }
        return number
    }
}
