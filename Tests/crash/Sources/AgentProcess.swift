import Foundation
import Glibc
import PostludeFailpoints

/// An agent as it is shipped, a child of this process.
final class AgentProcess {
    let pid: pid_t
    private let reaper: Reaper
    private let readiness: Int32
    private var isReady = false
    /// The wait status, once it has ended.
    private(set) var status: Int32?

    init(_ stage: Stage, dyingAt order: FailpointOrder?) throws {
        reaper = stage.reaper
        var pair: [Int32] = [0, 0]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &pair) == 0 else {
            throw CrashError("socketpair: \(String(cString: strerror(errno)))")
        }
        defer { close(pair[1]) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0)
        posix_spawn_file_actions_addopen(&actions, 1, stage.log, O_WRONLY | O_CREAT | O_APPEND, 0o644)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        posix_spawn_file_actions_adddup2(&actions, pair[1], 9)
        let arguments = ["postluded", "--config", stage.configuration, "--ready-fd", "9", "--log-level", "info"]
        var environment = ["PATH=/usr/bin:/bin", "HOME=/root"]
        if let order { environment.append("\(FailpointOrder.variable)=\(order.text)") }
        var argv = arguments.map { strdup($0) } + [nil]
        var envp = environment.map { strdup($0) } + [nil]
        defer { for pointer in argv + envp { free(pointer) } }
        pid = try reaper.starting {
            var pid: pid_t = 0
            let failure = posix_spawn(&pid, "\(stage.programs)/postluded", &actions, nil, &argv, &envp)
            guard failure == 0 else {
                close(pair[0])
                throw CrashError("cannot start \(stage.programs)/postluded: \(String(cString: strerror(failure)))")
            }
            return pid
        }
        readiness = pair[0]
    }

    deinit { close(readiness) }

    /// Whether it is over.
    var hasEnded: Bool {
        if status == nil { status = reaper.end(of: pid) }
        return status != nil
    }

    /// Whether SIGKILL ended it.
    var wasKilled: Bool { status.map { $0 & 0x7f == SIGKILL } ?? false }

    /// Waits until it takes requests; false when it ends before.
    func awaitReady() async throws -> Bool {
        while !isReady {
            var event = pollfd(fd: readiness, events: Int16(POLLIN), revents: 0)
            if poll(&event, 1, 0) > 0 {
                var byte: UInt8 = 0
                guard read(readiness, &byte, 1) == 1 else {
                    try await awaitEnd()
                    return false
                }
                isReady = true
                break
            }
            if hasEnded { return false }
            try await Task.sleep(for: .milliseconds(1))
        }
        return true
    }

    func signal(_ number: Int32) { if !hasEnded { _ = Glibc.kill(pid, number) } }

    func awaitEnd() async throws {
        guard try await wait(seconds: 120, until: { self.hasEnded }) else {
            throw CrashError("the agent \(pid) does not end")
        }
    }

    /// `kill -9`, and its end.
    func kill() async throws {
        signal(SIGKILL)
        try await awaitEnd()
    }
}
