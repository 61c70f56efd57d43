import Glibc

/// Where the programs and profiles under test are.
struct Places {
    /// Holds `postlude`, `postluded` and `postlude-warden`.
    var programs: String
    var profiles: String

    var warden: String { "\(programs)/postlude-warden" }
}

/// An agent of the benchmark's own, with its state in a scratch directory.
struct Agent {
    let configuration: String
    let socket: String
    private let programs: String
    private(set) var pid: pid_t

    /// Lets the command line start the agent, as a user would.
    init(places: Places, directory: String) throws {
        configuration = "\(directory)/postlude.yaml"
        socket = "\(directory)/agent.sock"
        let nodes: [String] = ["/dev/fuse", "/dev/net/tun", "/dev/loop-control", "/dev/kmsg"]
        let device = nodes.first { access($0, R_OK | W_OK) == 0 }
        guard let device else { throw BenchmarkError("no character device to lease as an accelerator") }
        try write(
            """
            stateDirectory: \(directory)/state
            socket: \(socket)
            profilesDirectory: \(places.profiles)
            hubDirectory: \(places.profiles)/hub
            wardenPath: \(places.warden)
            idleExitSeconds: 600
            devices:
              - {id: accelerator0, class: example.com/accelerator, nodes: [\(device)]}

            """, to: configuration)
        programs = places.programs
        (pid, _) = try Agent.start(programs, configuration)
    }

    /// Kills it; nanoseconds from a command that starts it again until that has its answer.
    mutating func restart() throws -> Int64 {
        kill(pid, SIGKILL)
        while kill(pid, 0) == 0 { usleep(1000) }
        let took: Int64
        (pid, took) = try Agent.start(programs, configuration)
        return took
    }

    private static func start(_ programs: String, _ configuration: String) throws -> (pid: pid_t, took: Int64) {
        let took = try Child(arguments: ["\(programs)/postlude", "devices", "--config", configuration]).run()
        guard let found = Agent.find(configuration) else { throw BenchmarkError("the agent is not there") }
        return (found, took)
    }

    /// The process that has this configuration in its arguments.
    private static func find(_ configuration: String) -> pid_t? {
        for name in entries("/proc") {
            guard let pid = pid_t(name), let line = contents("/proc/\(name)/cmdline") else { continue }
            let arguments = line.split(separator: "\0").map(String.init)
            if arguments.first?.hasSuffix("postluded") == true,
                arguments.contains(where: { $0.contains(configuration) })
            {
                return pid
            }
        }
        return nil
    }

    /// Kilobytes or counts of /proc/<pid>/status.
    func status(_ field: String) -> Int? { Self.field(field, in: "/proc/\(pid)/status") }

    /// How often each of its threads has gone to sleep, by thread id.
    var sleeps: [String: Int] {
        var counts: [String: Int] = [:]
        for thread in entries("/proc/\(pid)/task") {
            counts[thread] = Self.field("voluntary_ctxt_switches", in: "/proc/\(pid)/task/\(thread)/status")
        }
        return counts
    }

    /// Its wardens, idle ones too.
    var wardens: [String] {
        entries("/proc").filter { name in
            pid_t(name) != nil && Self.field("PPid", in: "/proc/\(name)/status") == Int(pid)
                && contents("/proc/\(name)/comm")?.hasPrefix("postlude-warde") == true
        }
    }

    func stop() {
        kill(pid, SIGTERM)
    }

    private static func field(_ name: String, in path: String) -> Int? {
        guard let line = contents(path)?.split(separator: "\n").first(where: { $0.hasPrefix("\(name):") }) else {
            return nil
        }
        return Int(line.filter { $0.isNumber })
    }
}
