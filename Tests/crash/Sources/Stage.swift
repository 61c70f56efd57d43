import Foundation
import PostludeAPI
import PostludeFailpoints

/// One state directory with its configuration, and the agents that come and go on it.
struct Stage: Sendable {
    /// Character devices that any process of this host may open, and hardly any does.
    private static let candidates = [
        "/dev/btrfs-control", "/dev/cpu_dma_latency", "/dev/autofs", "/dev/loop-control", "/dev/fuse", "/dev/net/tun",
    ]
    static let deviceClass = "example.org/crash"

    let directory: String
    let programs: String
    let nodes: [String]
    let reaper: Reaper

    var state: String { "\(directory)/state" }
    var socket: String { "\(directory)/agent.sock" }
    var configuration: String { "\(directory)/postlude.yaml" }
    var database: String { "\(state)/store/postlude.sqlite" }
    var markers: String { "\(directory)/shared/markers" }
    var work: String { "\(directory)/work" }
    var log: String { "\(directory)/agent.log" }
    var client: AgentClient { AgentClient(socketPath: socket) }

    init(_ options: Options, name: String, reaper: Reaper) throws {
        directory = "\(options.directory)/postlude-crash-\(getpid())-\(name)"
        programs = options.programs
        self.reaper = reaper
        nodes = Array(
            Self.candidates.filter { path in
                let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
                if descriptor >= 0 { close(descriptor) }
                return descriptor >= 0
            }.prefix(2))
        guard !nodes.isEmpty else { throw CrashError("no character device to lease: \(Self.candidates)") }
        for path in [directory, work, "\(directory)/shared"] {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
        }
        let devices = nodes.enumerated().map { index, node in
            "- {id: device\(index), class: \(Self.deviceClass), nodes: [\(node)], environment: {CRASH_DEVICE: \(node)}}\n"
        }
        // More than the machine has: the runs sleep most of the time, and many at once meet more kills.
        let settings = """
            stateDirectory: \(state)
            socket: \(socket)
            profilesDirectory: \(options.profiles)
            memory: 64Gi
            cpus: 16
            diskReserve: 64Mi
            connections:
            - {name: shared, kind: directory, users: ["*"], directory: \(directory)/shared}
            devices:
            \(devices.joined())
            """
        try settings.write(toFile: configuration, atomically: true, encoding: .utf8)
    }

    /// Starts an agent; it is told to die at a failpoint if one is named.
    func start(dyingAt order: FailpointOrder? = nil) throws -> AgentProcess {
        try AgentProcess(self, dyingAt: order)
    }

    func remove() throws { try FileManager.default.removeItem(atPath: directory) }
}
