import Foundation
import PostludeCore
import PostludeLinux
import PostludeSpec
import Testing

@testable import PostludeSandbox

/// A sandbox fixture with what there is to attack on the host: a secret, sockets, other runs, nodes, a neighbour.
final class AttackStage {
    static let attacker: String? = {
        let given = ProcessInfo.processInfo.environment["POSTLUDE_ATTACKER"]
        return [given, "\(SandboxFixture.root)/.build/debug/postlude-attacker"].compactMap { $0 }
            .first { access($0, X_OK) == 0 }
    }()

    static let isEmulated = ProcessInfo.processInfo.environment["POSTLUDE_GUEST"] != nil

    static let isAvailable = SandboxFixture.isAvailable && attacker != nil

    let fixture: SandboxFixture
    let profiles: [String: SandboxProfile]
    /// The submitter's directory, with the attacker in it.
    let working: String
    private(set) var facts: [String: String] = [:]
    private var listeners: [Int32] = []
    private let tag = "postlude-attack-\(UInt32.random(in: 0 ... .max))"
    private(set) var neighbour: (spec: AttemptSpec, warden: WardenIdentity)?

    /// A process on the same host that is nobody's business in a sandbox: this one.
    /// - Parameter wardenPath: another warden than the one that is installed.
    init(wardenPath: String? = nil) throws {
        fixture = try SandboxFixture(hiddenPaths: ["work/agent.sock"], wardenPath: wardenPath)
        profiles = try ProfileCatalog.load(directory: "\(SandboxFixture.root)/profiles/sandbox").mapValues {
            var profile = $0
            // As many files as the attack makes there at most, or it would not meet the limit.
            if Self.isEmulated { profile.tmpInodes = min(profile.tmpInodes, 10_000) }
            return profile
        }
        working = try fixture.directory.directory("work", mode: 0o755)
        try programs()
        try sockets()
        try interprocess()
        try files()
        facts["ATTACK_HOST_PID"] = "\(getpid())"
        facts["ATTACK_STATE"] = "\(fixture.directory.path)/state"
        facts["ATTACK_NODES"] = Self.nodes().joined(separator: "\n")
        facts["ATTACK_MILLICPU"] = "1000"
        // What creates so many things takes minutes where the processor is emulated.
        facts["ATTACK_ORPHANS"] = Self.isEmulated ? "1000" : "10000"
        facts["ATTACK_FILES"] = Self.isEmulated ? "20000" : "300000"
        facts["ATTACK_NEIGHBOUR"] = "\(tag)-neighbour"
        facts["ATTACK_NEIGHBOUR_PORT"] = "47113"
    }

    deinit {
        for descriptor in listeners { close(descriptor) }
        do {
            if let key = facts["ATTACK_IPC_KEY"] { try Self.serve(["--remove-ipc", key]) }
        } catch {
            Issue.record(error)
        }
    }

    func user(_ submitter: Submitter) -> UserIdentity {
        switch submitter {
        case .plain, .rootless: fixture.user
        case .root: UserIdentity(name: "root", uid: 0, gid: 0, home: "/root")
        }
    }

    /// Has the attacker do something on the host that takes system calls.
    private static func serve(_ arguments: [String]) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try #require(attacker))
        process.arguments = arguments
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw AttackTable.Failure(description: "\(arguments): status \(process.terminationStatus)")
        }
    }

    // MARK: what there is to attack

    private func programs() throws {
        let attacker = try #require(Self.attacker)
        for (name, owner, mode) in [
            ("attacker", 0, 0o755), ("setuid-root", 0, 0o4755), ("setuid-other", 1, 0o4755), ("filecaps", 0, 0o755),
        ] as [(String, uid_t, mode_t)] {
            let path = "\(working)/\(name)"
            try FileManager.default.copyItem(atPath: attacker, toPath: path)
            try check(chown(path, owner, owner), path)
            try check(chmod(path, mode), path)
        }
        let path = "\(working)/filecaps"
        try Self.serve(["--give-capabilities", path])
        facts["ATTACK_FILECAPS"] = path
        let shown = try fixture.directory.write("work/shown", String(repeating: "untouched\n", count: 500), mode: 0o666)
        facts["ATTACK_SHOWN"] = shown
        try fixture.directory.directory("work/victims", mode: 0o777)
        facts["ATTACK_VICTIM"] = try fixture.directory.write("work/victims/victim", "whole", mode: 0o666)
        var nodes: [String] = []
        for (name, type, major, minor) in [
            ("kmsg", S_IFCHR, 1, 11), ("null", S_IFCHR, 1, 3), ("loop0", S_IFBLK, 7, 0), ("fuse", S_IFCHR, 10, 229),
        ] as [(String, mode_t, UInt32, UInt32)] {
            let node = "\(working)/node-\(name)"
            try check(mknod(node, type | 0o666, dev_t(major << 8 | minor)), node)
            try check(chmod(node, 0o666), node)
            nodes.append(node)
        }
        facts["ATTACK_OWN_NODES"] = nodes.joined(separator: "\n")
    }

    private func sockets() throws {
        facts["ATTACK_ABSTRACT"] = tag
        listeners.append(try listener(UnixAddress(abstract: tag)))
        let agent = "\(working)/agent.sock"
        listeners.append(try listener(UnixAddress(path: agent)))
        try check(chmod(agent, 0o666), agent)
        let outside = "\(fixture.directory.path)/other.sock"
        listeners.append(try listener(UnixAddress(path: outside)))
        let usual = [
            "/run/docker.sock", "/var/run/docker.sock", "/run/containerd/containerd.sock", "/run/podman/podman.sock",
            "/run/dbus/system_bus_socket", "/run/systemd/private", "/run/crio/crio.sock", "/tmp/.X11-unix/X0",
            "/run/postlude/agent.sock", "/run/nvidia-persistenced/socket", "/run/udev/control",
        ]
        facts["ATTACK_SOCKETS"] = ([agent, outside] + usual.filter { (path: String) in access(path, F_OK) == 0 })
            .joined(separator: "\n")
        facts["ATTACK_PORT"] = "\(try internet())"
    }

    /// A port of the host's loopback that answers.
    private func internet() throws -> UInt16 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        try check(descriptor, "socket")
        listeners.append(descriptor)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        try withUnsafeMutablePointer(to: &address) { pointer in
            try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                try check(bind(descriptor, generic, size), "bind")
                try check(listen(descriptor, 16), "listen")
                try check(getsockname(descriptor, generic, &size), "getsockname")
            }
        }
        return UInt16(bigEndian: address.sin_port)
    }

    private struct UnixAddress {
        var bytes: [UInt8]
        init(path: String) { bytes = Array(path.utf8) + [0] }
        init(abstract name: String) { bytes = [0] + Array(name.utf8) }
    }

    private func listener(_ address: UnixAddress) throws -> Int32 {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        try check(descriptor, "socket")
        var raw = sockaddr_un()
        raw.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &raw.sun_path) { $0.copyBytes(from: address.bytes.prefix(107)) }
        let size = socklen_t(MemoryLayout<sa_family_t>.size + address.bytes.count)
        try withUnsafePointer(to: &raw) { pointer in
            try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                try check(bind(descriptor, $0, size), "bind")
            }
        }
        try check(listen(descriptor, 16), "listen")
        return descriptor
    }

    private func interprocess() throws {
        let key = key_t(Int32.random(in: 0x1000_0000...0x7000_0000))
        try Self.serve(["--make-ipc", "\(key)"])
        facts["ATTACK_IPC_KEY"] = "\(key)"
    }

    private func files() throws {
        let state = "\(fixture.directory.path)/state"
        let run = try fixture.directory.directory("state/runs/other/attempts/1", mode: 0o755)
        try fixture.directory.directory("state/runs/other/artifacts", mode: 0o777, owner: fixture.user.uid)
        for name in ["journal", "main.stdout.log"] {
            try fixture.directory.write("state/runs/other/attempts/1/\(name)", "secret", mode: 0o666)
        }
        try fixture.directory.write("state/runs/other/artifacts/model", "secret", mode: 0o666)
        facts["ATTACK_OTHER_RUNS"] = [
            state, "\(state)/runs", "\(run)/journal", "\(run)/main.stdout.log", "\(state)/runs/other/artifacts",
            "\(state)/runs/other/artifacts/model", "/plx-context/artifacts/other",
        ].joined(separator: "\n")
        let foreign = try fixture.directory.directory("foreign", mode: 0o777)
        try fixture.directory.write("foreign/data", "secret", mode: 0o666)
        facts["ATTACK_FOREIGN"] = "\(foreign)\n\(foreign)/data"
        let secret = try fixture.directory.write("secret", "secret", mode: 0o666)
        let hidden = [
            "/etc/shadow", "/etc/gshadow", "/etc/shadow-", "/root", "/root/.bashrc", "/root/.ssh", "/etc/sudoers",
            "/etc/ssh/ssh_host_ed25519_key", "/var/log/dpkg.log", "/var/lib/dpkg/status", "/var/cache/apt", "/boot",
            "/srv", "/mnt", "/var/spool/cron", "/var/backups/dpkg.status.0", "/etc/ssl/private",
        ].filter { (path: String) in access(path, F_OK) == 0 }
        facts["ATTACK_SECRETS"] = ([secret, "\(state)/runs/other/attempts/1/journal"] + hidden).joined(separator: "\n")
    }

    /// The device nodes of this host, but for those that every sandbox has.
    private static func nodes() -> [String] {
        let usual: Set = ["null", "zero", "full", "random", "urandom", "tty", "ptmx"]
        guard let walk = FileManager.default.enumerator(atPath: "/dev") else { return [] }
        var nodes: [String] = []
        for case let name as String in walk where !usual.contains(name) && !name.hasPrefix("pts/") {
            var status = stat()
            guard lstat("/dev/\(name)", &status) == 0 else { continue }
            let type = status.st_mode & S_IFMT
            if type == S_IFCHR || type == S_IFBLK { nodes.append("/dev/\(name)") }
        }
        return nodes.sorted()
    }

    private func check(_ result: Int32, _ what: String) throws {
        guard result >= 0 else {
            throw AttackTable.Failure(description: "\(what): \(String(cString: strerror(errno)))")
        }
    }

    // MARK: launching

    /// An attempt whose init step leaves traps behind and whose main step tries the attacks.
    func attempt(_ ids: [String], in place: Place) throws -> AttemptSpec {
        let profile = try #require(profiles[place.profile])
        var spec = try fixture.attempt([], profile: profile)
        spec.user = user(place.user)
        try check(chown(spec.directories.artifacts, spec.user.uid, spec.user.gid), "chown")
        spec.directories.working = working
        spec.limits = AttemptLimits(memoryBytes: 2 << 30, milliCPU: 1000, maxPIDs: 256)
        spec.timeoutSeconds = 600
        let script = "/plx-context/attack-script"
        var environment = facts
        environment["ATTACK_INSIDE"] = "1"
        environment["ATTACK_ARTIFACTS"] = spec.directories.artifactsInside
        environment["ATTACK_ATTEMPT"] = spec.directories.attempt
        environment["ATTACK_STEP_FILE"] = script
        environment["ATTACK_PLANTED"] = "1"
        environment["ATTACK_SETUID"] = "\(working)/\(place.user == .root ? "setuid-other" : "setuid-root")"
        spec.steps = [
            StepSpec(
                name: "init-0", role: .initialize, command: ["\(working)/attacker", "--plant"],
                environment: environment),
            StepSpec(
                name: "main", role: .main, command: ["\(working)/attacker"] + ids, environment: environment,
                files: [script: "#!/bin/sh\n"]),
        ]
        return spec
    }

    /// Starts a run beside, which listens on what others must not reach. Ended by `endNeighbour`.
    func startNeighbour() async throws {
        var spec = try attempt([], in: Place(profile: "main", user: .plain))
        spec.steps = [spec.steps[1]]
        spec.steps[0].command = ["\(working)/attacker", "--neighbour"]
        let warden = try fixture.sandbox.reserve(for: spec.profile)
        try fixture.sandbox.launch(spec, in: warden)
        try await fixture.awaitOutput("up", of: "main", in: spec)
        neighbour = (spec, warden)
    }

    func endNeighbour() async throws {
        guard let neighbour else { return }
        self.neighbour = nil
        try fixture.sandbox.kill(neighbour.warden)
        try await fixture.sandbox.remove(neighbour.warden)
    }

    /// What the main step printed, by id.
    static func results(_ ended: SandboxFixture.Ended) throws -> [String: AttackResult] {
        let output = ended.output["main.stdout"] ?? ""
        let lines = output.split(separator: "\n").compactMap { AttackResult(line: $0) }
        return Dictionary(lines.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
    }
}
