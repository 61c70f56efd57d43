import Glibc

/// What others take for many no-ops, in nanoseconds until the last is over; nil where the programs are not installed.
struct PeerQueues {
    /// For their sockets, states and logs.
    var directory: String
    /// As many users' commands at once.
    private let submitters = 8

    /// Without a queue: xargs starts two at a time.
    func xargs(_ command: [String], _ count: Int) throws -> Int64 {
        try shell("seq \(count) | xargs -P2 -I{} \(command.joined(separator: " "))")
    }

    func taskSpooler(_ count: Int) throws -> Int64? {
        guard Child.exists("tsp") else { return nil }
        let socket = "export TS_SOCKET=\(directory)/tsp TMPDIR=\(directory); "
        _ = try shell("\(socket) tsp -S 2")
        defer { ignoring { _ = try shell("\(socket) tsp -K") } }
        return try shell(
            """
            \(socket) seq \(count) | xargs -P\(submitters) -I{} tsp -n /bin/true > /dev/null
            while tsp | grep -qE 'queued|running'; do sleep 0.02; done
            """)
    }

    func slurm(_ count: Int, atATime: Int) throws -> Int64? {
        let script = "Benchmarks/slurm.sh"
        guard Child.exists("sbatch"), access(script, X_OK) == 0 else { return nil }
        let place = "\(directory)/slurm"
        _ = try Child(arguments: [script, "start", place, "\(atATime)"]).run()
        defer {
            ignoring {
                _ = try Child(arguments: [script, "stop", place]).run()
                _ = try Child(arguments: ["rm", "-rf", place]).run()
            }
        }
        return try shell(
            """
            export SLURM_CONF=\(place)/slurm.conf
            seq \(count) | xargs -P\(submitters) -I{} sbatch -Q -n1 -o /dev/null --wrap /bin/true
            while [ -n "$(squeue -h)" ]; do sleep 0.02; done
            """)
    }

    private func shell(_ script: String) throws -> Int64 { try Child(arguments: ["/bin/sh", "-c", script]).run() }

    /// What is said of a failure, and no more: the figure is there already.
    private func ignoring(_ body: () throws -> Void) {
        do { try body() } catch { print("bench: \(error)") }
    }
}
