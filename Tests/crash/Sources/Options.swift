import Foundation

/// What the command line asks for.
struct Options {
    /// Holds `postluded` and what belongs to it.
    var programs = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().path
    var profiles = "profiles"
    /// Where state directories are made; those of rounds without a violation are removed.
    var directory = "/tmp"
    var seed = UInt64.random(in: 1...999_999)
    /// Kills at random times.
    var kills = 50
    /// Kills of one state directory's life, after which everything is checked.
    var killsPerRound = 60
    /// Whether the agent is killed at each failpoint in turn as well.
    var failpoints = true
    /// Of these alone, if any are named.
    var named: [String] = []

    static let usage = """
        postlude-crash [--programs DIR] [--profiles DIR] [--directory DIR] [--seed N] [--kills N] [--per-round N]
                       [--no-failpoints] [--failpoint NAME]...

        Kills a real agent under load at each failpoint in turn, then agent and wardens at N random times; restarts it
        after each kill, and checks what the design promises from the database, the journals, the cgroups, and from what
        the jobs themselves wrote. Exit status: 0 no violation, 1 violations, 2 cannot run.
        """

    init(_ given: [String]) throws {
        var arguments = given[...]
        func value(_ option: String) throws -> String {
            guard let value = arguments.popFirst() else { throw CrashError("\(option) needs a value") }
            return value
        }
        func number(_ option: String) throws -> Int {
            guard let number = Int(try value(option)), number >= 0 else { throw CrashError("\(option) needs a number") }
            return number
        }
        while let argument = arguments.popFirst() {
            switch argument {
            case "--programs": programs = try value(argument)
            case "--profiles": profiles = try value(argument)
            case "--directory": directory = try value(argument)
            case "--seed": seed = UInt64(try number(argument))
            case "--kills": kills = try number(argument)
            case "--per-round": killsPerRound = max(1, try number(argument))
            case "--no-failpoints": failpoints = false
            case "--failpoint": named.append(try value(argument))
            default: throw CrashError("unknown argument '\(argument)'\n\(Self.usage)")
            }
        }
        func absolute(_ path: String) -> String { URL(filePath: path).standardizedFileURL.path }
        (programs, profiles, directory) = (absolute(programs), absolute(profiles), absolute(directory))
    }
}

/// Why the driver cannot go on; violations are not errors.
struct CrashError: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}

/// The same numbers for the same seed.
struct Seeded: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    /// SplitMix64.
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    mutating func chance(_ share: Double) -> Bool { Double.random(in: 0..<1, using: &self) < share }
}
