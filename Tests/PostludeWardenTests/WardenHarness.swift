import Glibc
import PostludeLinux
import PostludePlan
import Synchronization

/// A real warden with its own cgroups and its own directory; everything it made is removed when it goes.
final class WardenHarness {
    static let isRoot = getuid() == 0
    private static let counter = Mutex(0)

    let directory: String
    let layout: CgroupLayout
    let slot: String
    let pid: Int32
    let process: ProcessDescriptor
    private(set) var control: OwnedDescriptor?
    let builder: PlanBuilder

    /// The executable lies beside the test bundle.
    static let wardenPath: String = {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count)
        let path = String(decoding: buffer.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let beside = path.prefix(upTo: path.lastIndex(of: "/") ?? path.startIndex) + "/postlude-warden"
        if access(String(beside), X_OK) == 0 { return String(beside) }
        // `swift test` may start a helper: the bundle is then an argument.
        for argument in CommandLine.arguments where argument.contains(".xctest") {
            let folder = argument.prefix(upTo: argument.lastIndex(of: "/") ?? argument.startIndex)
            if access(folder + "/postlude-warden", X_OK) == 0 { return folder + "/postlude-warden" }
        }
        return String(beside)
    }()

    /// Where slots are made. On a pure v2 host this process leaves its own cgroup first, which may then hand controllers
    /// down to them.
    private static let base = Result<CgroupLayout, any Error> {
        let layout = try CgroupLayout.discover()
        if !layout.isHybrid { try layout.delegate(leaf: "postlude-test-harness") }
        return layout
    }

    static let isHybrid = {
        do { return try base.get().isHybrid } catch { return false }
    }()

    /// Emulated machines need more time until a step stands where a test wants to meet it.
    static let slowness: UInt64 = getenv("POSTLUDE_GUEST") == nil ? 1 : 20

    /// `usesLegacy: false` treats a hybrid host as one with the v2 hierarchy alone.
    init(networkAhead: Bool = true, usesLegacy: Bool = true) throws {
        let number = Self.counter.withLock { value in
            value += 1
            return value
        }
        slot = "postlude-test-\(getpid())-\(number)"
        var template = Array("/tmp/postlude-warden-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw LinuxError(last: "mkdtemp") }
        directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        _ = chmod(directory, 0o755)
        var layout = try Self.base.get()
        if !usesLegacy { layout.legacy = [:] }
        self.layout = layout
        var cgroups: [CgroupWrite.Controller: String] = [:]
        for controller in [CgroupController.unified] + CgroupController.stepControllers {
            guard controller == .unified || layout.legacy[controller] != nil,
                let parent = controller == .unified ? layout.unified : layout.legacy[controller],
                let known = CgroupWrite.Controller(rawValue: controller.rawValue)
            else { continue }
            cgroups[known] = parent + "/" + slot
            _ = try Cgroup(creating: parent + "/" + slot)
        }
        let pair = try PacketSocket.pair()
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, pair.writer.rawValue, 3)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var child: pid_t = 0
        let name = strdup("postlude-warden")
        defer { free(name) }
        let failure = posix_spawn(&child, Self.wardenPath, &actions, &attributes, [name, nil], [nil])
        guard failure == 0 else { throw LinuxError("posix_spawn", Self.wardenPath, errno: failure) }
        pid = child
        process = try ProcessDescriptor(pid: child)
        builder = PlanBuilder(directory: directory)
        let ours = pair.reader
        control = consume ours
        let request = PrepareRequest(
            cgroups: cgroups, isHybrid: layout.isHybrid, makesNetworkNamespace: networkAhead)
        try send([ControlMessage.prepare.rawValue] + request.encoded())
        let answer = try receive()
        guard let answer, try ControlMessage.failure(in: answer) == nil else {
            throw LinuxError("prepare", "\(answer ?? [])", errno: EPROTO)
        }
    }

    deinit {
        kill(pid, SIGKILL)
        do { _ = try process.reap(block: true) } catch {}
        for path in [layout.unified] + CgroupController.stepControllers.compactMap({ layout.legacy[$0] }) {
            Self.removeTree(path + "/" + slot)
        }
        builder.removeFiles()
    }

    private static func removeTree(_ path: String) {
        do {
            for name in try Cgroup.children(of: path) { removeTree(path + "/" + name) }
            if access(path + "/cgroup.kill", W_OK) == 0 {
                let cgroup = try Cgroup(opening: path)
                if try cgroup.isPopulated() {
                    try cgroup.kill()
                    _ = try cgroup.events().waitUntilEmpty(milliseconds: 5000)
                }
            }
            try Cgroup.remove(path)
        } catch {
            print("could not remove \(path): \(error), ignoring")
        }
    }

    func send(_ bytes: [UInt8], descriptors: [Int32] = []) throws {
        guard let socket = control?.rawValue else { throw LinuxError("sendmsg", errno: EPIPE) }
        try PacketSocket.send(bytes, descriptors: descriptors, to: socket)
    }

    func receive() throws -> [UInt8]? {
        guard let socket = control?.rawValue else { return nil }
        return try PacketSocket.receive(from: socket)?.bytes
    }

    func closeControl() { control = nil }

    var unifiedPath: String { layout.unified + "/" + slot }

    /// Sends the plan that `builder` made.
    func launch(_ plan: LaunchPlan, isHeld: Bool = false) throws {
        let memory = try MemoryFile.sealed("plan", plan.encoded())
        let word = isHeld ? ControlMessage.launchHeld : .launch
        try send([word.rawValue], descriptors: [memory.rawValue] + builder.descriptors)
    }

    /// Lets the programs of a held plan start.
    func start() throws { try send([ControlMessage.start.rawValue]) }

    /// Waits until the first process of the step has nothing left to do but to start the program: it sleeps and its
    /// seccomp filter is in force.
    func waitUntilReady(_ step: String) throws {
        for _ in 0..<2000 {
            let pids = try readText("\(unifiedPath)/\(step)/cgroup.procs").split(separator: "\n")
            let states = try pids.map { try readText("/proc/\($0)/status") }
            if states.contains(where: { $0.contains("Seccomp:\t2") && $0.contains("State:\tS") }) { return }
            usleep(5000)
        }
        throw LinuxError("waitUntilReady", step, errno: ETIME)
    }

    /// Waits for the warden's end and returns its exit and the journal.
    func finish(milliseconds: Int32 = 20_000) throws -> (end: ProcessEnd?, journal: [JournalRecord]) {
        guard try waitReadable(process.descriptor.rawValue, milliseconds: milliseconds) else {
            return (nil, try journal())
        }
        return (try process.reap(block: true)?.end, try journal())
    }

    func journal() throws -> [JournalRecord] {
        JournalRecord.decode(try readFile(directory + "/journal")).records
    }

    /// Waits until the journal holds a record that satisfies `condition`.
    func waitForRecord(_ condition: (JournalRecord.Body) -> Bool) throws -> JournalRecord? {
        let watch = try FileWatch()
        try watch.add(directory + "/journal", mask: UInt32(IN_MODIFY))
        for _ in 0..<200 {
            if let found = try journal().first(where: { condition($0.body) }) { return found }
            guard try waitReadable(watch.descriptor.rawValue, milliseconds: 10_000) else { return nil }
            _ = try watch.changes()
        }
        return nil
    }

    func log(_ step: String, _ stream: String = "stdout") throws -> String {
        try readText(directory + "/\(step).\(stream).log")
    }

    /// One main step that runs a shell script; everything by default.
    func run(_ script: String, change: (inout LaunchPlan) -> Void = { _ in }) throws -> Outcome {
        var plan = try builder.plan(steps: [builder.step("main", .main, script: script)])
        change(&plan)
        try launch(plan)
        return try Outcome(try finish(), self)
    }
}

/// What an attempt left.
struct Outcome {
    let end: ProcessEnd?
    let journal: [JournalRecord]
    let output: String
    let errors: String

    init(_ result: (end: ProcessEnd?, journal: [JournalRecord]), _ harness: WardenHarness) throws {
        end = result.end
        journal = result.journal
        output = try harness.log("main")
        errors = try harness.log("main", "stderr")
    }

    var lines: [String] { output.split(separator: "\n", omittingEmptySubsequences: false).map { String($0) } }

    var ended: (JournalRecord.EndReason, JournalRecord.StepExit)? {
        guard case .ended(let reason, _, let exit)? = journal.last?.body else { return nil }
        return (reason, exit)
    }

    var bodies: [JournalRecord.Body] { journal.map(\.body) }

    func exit(of name: String) -> JournalRecord.StepExit? {
        for case .stepExited(_, name, let exit, _) in bodies { return exit }
        return nil
    }

    func counters(of name: String) -> StepCounters? {
        for case .stepExited(_, name, _, let counters) in bodies { return counters }
        return nil
    }

    func receipt(of name: String) -> StepReceipt? {
        for case .stepStarted(_, name, _, let receipt) in bodies { return receipt }
        return nil
    }

    var started: [String] {
        bodies.compactMap { if case .stepStarted(_, let name, _, _) = $0 { name } else { nil } }
    }

    var exited: [String] {
        bodies.compactMap { if case .stepExited(_, let name, _, _) = $0 { name } else { nil } }
    }
}
